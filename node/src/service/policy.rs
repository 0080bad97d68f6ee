//! `Policy`: what the configuration allows clients to do.

use regex::Regex;
use roadstead_proto::Manifest;
use roadstead_proto::manifest::Requirement;

use crate::config::{Config, Platforms, Reads, Validation};
use crate::error::RegistryError;
use crate::limits::QUOTED_PATH_MAX;

/// The switches and rules that requests are held against.
#[derive(Debug)]
pub struct Policy {
    is_delete_enabled: bool,
    is_read_only: bool,
    may_redirect: bool,
    is_validation_disabled: bool,
    allowed_urls: Vec<Regex>,
    denied_urls: Vec<Regex>,
    platforms: Platforms,
    reads: Reads,
    /// Names on a page of `_catalog` at most.
    pub catalog_entries_max: usize,
    /// Tags on a page at most, where a page size is asked for.
    pub tags_max: usize,
}

impl Policy {
    /// Reads the rules out of the configuration.
    ///
    /// # Errors
    /// A sentence that names the key whose regular expression does not compile.
    pub fn new(config: &Config) -> Result<Self, String> {
        let Validation {
            is_disabled,
            urls,
            platforms,
        } = &config.validation;
        Ok(Self {
            is_delete_enabled: config.storage.is_delete_enabled,
            is_read_only: config.storage.is_read_only,
            may_redirect: config.storage.may_redirect(),
            is_validation_disabled: *is_disabled,
            allowed_urls: compile("validation.manifests.urls.allow", &urls.allow)?,
            denied_urls: compile("validation.manifests.urls.deny", &urls.deny)?,
            platforms: platforms.clone(),
            reads: config
                .cluster
                .group
                .as_ref()
                .map(|group| group.reads)
                .unwrap_or_default(),
            catalog_entries_max: config.catalog.entries_per_page_max as usize,
            tags_max: config.tags.tags_per_page_max as usize,
        })
    }

    /// What is read while nobody can decide.
    pub fn reads(&self) -> Reads {
        self.reads
    }

    /// Anything may be written.
    pub fn check_write(&self) -> Result<(), RegistryError> {
        if self.is_read_only {
            Err(RegistryError::ReadOnly)
        } else {
            Ok(())
        }
    }

    /// Things may be deleted.
    pub fn check_delete(&self) -> Result<(), RegistryError> {
        self.check_write()?;
        if self.is_delete_enabled {
            Ok(())
        } else {
            Err(RegistryError::DeleteDisabled)
        }
    }

    /// Whether clients may be sent to the store for the bytes of a blob.
    pub fn may_redirect(&self) -> bool {
        self.may_redirect
    }

    /// Whether the manifest is refused unless this exists.
    pub fn demands(&self, requirement: &Requirement<'_>) -> bool {
        if self.is_validation_disabled || requirement.is_optional {
            return false;
        }
        if !requirement.is_manifest {
            return true;
        }
        match &self.platforms {
            Platforms::All => true,
            Platforms::None => false,
            // A child that names no platform cannot be told from those that are wanted.
            Platforms::List(wanted) => requirement.platform.is_none_or(|platform| {
                wanted.iter().any(|wanted| {
                    wanted.architecture == platform.architecture && wanted.os == platform.os
                })
            }),
        }
    }

    /// The `urls` of layers that lie elsewhere, where the configuration has rules for them.
    pub fn check_urls(&self, manifest: &Manifest) -> Result<(), RegistryError> {
        if self.allowed_urls.is_empty() && self.denied_urls.is_empty() {
            return Ok(());
        }
        for url in manifest.layers().iter().flat_map(|layer| &layer.urls) {
            let is_allowed = self.allowed_urls.is_empty()
                || self.allowed_urls.iter().any(|rule| rule.is_match(url));
            if !is_allowed || self.denied_urls.iter().any(|rule| rule.is_match(url)) {
                let shown: String = url.chars().take(QUOTED_PATH_MAX).collect();
                return Err(RegistryError::ManifestForbidden(format!(
                    "a layer's `urls` names `{shown}`, which this registry does not allow"
                )));
            }
        }
        Ok(())
    }
}

fn compile(key: &str, patterns: &[String]) -> Result<Vec<Regex>, String> {
    let compile = |(index, pattern): (usize, &String)| {
        Regex::new(pattern).map_err(|error| {
            format!("{key}[{index}]: `{pattern}` is not a regular expression: {error}")
        })
    };
    patterns.iter().enumerate().map(compile).collect()
}
