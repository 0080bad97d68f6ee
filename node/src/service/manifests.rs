//! Manifests and tags: pull, push, delete.

use bytes::Bytes;
use roadstead_cluster::metadata::View;
use roadstead_cluster::{Seen, read};
use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::{Content, DeleteManifest, DeleteTag, PutManifest};
use roadstead_proto::{Algorithm, Digest, Manifest, MediaType, Reference, RepositoryName, Tag};

use super::{Registry, found_or, outage};
use crate::error::{RegistryError, outcome};

/// A manifest as it was pushed.
#[derive(Debug, Clone)]
pub struct StoredManifest {
    /// Its digest.
    pub digest: String,
    /// The `Content-Type` that it was pushed with.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// The bytes; empty when only the head was asked for.
    pub body: Bytes,
    // Since when nothing holds it.
    unheld_since_ms: Option<u64>,
    /// Nobody could decide: it is what this node knew when that began, and a tag may be older.
    pub is_local: bool,
}

/// What a push of a manifest came to.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The digest of its subject, if it has one.
    pub subject: Option<Digest>,
}

fn reference_unknown(reference: &Reference) -> RegistryError {
    RegistryError::ManifestUnknown(reference.to_string())
}

impl Registry {
    /// end-3: a manifest by tag or digest. `with_body` is false for `HEAD`.
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        with_body: bool,
    ) -> Result<StoredManifest, RegistryError> {
        let name = repository.as_str();
        let look = |view: &dyn View| {
            let digest = match reference {
                Reference::Digest(digest) => Some(digest.to_string()),
                Reference::Tag(tag) => read::tag(view, name, tag.as_str())?,
            };
            let Some(digest) = digest else {
                return Ok(None);
            };
            let Some(row) = read::manifest(view, name, &digest)? else {
                return Ok(None);
            };
            let body = if with_body {
                read::manifest_body(view, &digest)?
            } else {
                Bytes::new()
            };
            Ok(Some(StoredManifest {
                digest,
                media_type: row.media_type,
                size: row.size,
                body,
                unheld_since_ms: row.unheld_since_ms,
                is_local: false,
            }))
        };
        // What a digest names does not change; a tag does.
        let is_settled =
            matches!(reference, Reference::Digest(_)) || self.policy.reads().are_stale_tags_served;
        let seen = if is_settled {
            self.read_settled(look).await?
        } else {
            let found = self.metadata.read(look).await;
            let found = found.map_err(RegistryError::metadata)?;
            let is_local = false;
            Seen { found, is_local }
        };
        let Seen { found, is_local } = found_or(seen, || reference_unknown(reference))?;
        Ok(StoredManifest { is_local, ..found })
    }

    /// end-3, `HEAD`: who was told that an unheld manifest is there may rely on it.
    pub async fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<StoredManifest, RegistryError> {
        let found = self.manifest(repository, reference, false).await?;
        if let (Some(since_ms), Reference::Digest(digest)) = (found.unheld_since_ms, reference) {
            if found.is_local {
                return Err(outage());
            }
            let (now_ms, grace_ms) = self.now_and_grace().await?;
            let is_due = now_ms.saturating_sub(since_ms) >= grace_ms;
            if is_due && !self.renew_hold(repository, digest).await? {
                return Err(reference_unknown(reference));
            }
        }
        Ok(found)
    }

    /// end-7: stores a manifest and sets `tags`. With `expected`, the body must have that digest.
    pub async fn put_manifest(
        &self,
        repository: &RepositoryName,
        expected: Option<&Digest>,
        tags: &[Tag],
        declared: Option<&MediaType>,
        body: Bytes,
    ) -> Result<Pushed, RegistryError> {
        let algorithm = expected.map_or(Algorithm::Sha256, Digest::algorithm);
        let digest = algorithm.digest(&body);
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            let (expected, actual) = (expected.clone(), digest);
            return Err(RegistryError::DigestMismatch { expected, actual });
        }
        let manifest = Manifest::parse(&body, declared)?;
        self.policy.check_urls(&manifest)?;
        let subject = manifest
            .subject
            .as_ref()
            .map(|subject| subject.digest.clone());
        let put = PutManifest {
            repository: repository.to_string(),
            digest: digest.to_string(),
            media_type: manifest.media_type.to_string(),
            body,
            subject: subject.as_ref().map(Digest::to_string).unwrap_or_default(),
            artifact_type: manifest.artifact_type.clone().unwrap_or_default(),
            annotations: manifest.annotations.clone(),
            contents: self.contents(&manifest),
            tags: tags.iter().map(Tag::to_string).collect(),
        };
        let response = self.repositories.put_manifest(repository, put).await?;
        match outcome(response) {
            Ok(_) => Ok(Pushed { digest, subject }),
            Err(refused) if refused.reason == Reason::BlobUnknown => {
                Err(RegistryError::ManifestBlobsUnknown(refused.digests))
            }
            Err(refused) => Err(refused.other()),
        }
    }

    /// What the manifest points at, each once, and whether it must exist.
    fn contents(&self, manifest: &Manifest) -> Vec<Content> {
        let mut contents: Vec<Content> = Vec::new();
        let mut known = std::collections::HashMap::new();
        for requirement in manifest.requirements() {
            let is_required = self.policy.demands(&requirement);
            let digest = requirement.digest.to_string();
            if let Some(index) = known.get(&digest) {
                let content: &mut Content = &mut contents[*index];
                content.is_required |= is_required;
            } else {
                known.insert(digest.clone(), contents.len());
                contents.push(Content {
                    digest,
                    is_manifest: requirement.is_manifest,
                    is_required,
                });
            }
        }
        contents
    }

    /// end-9: deletes a tag, or a manifest with its tags.
    pub async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<(), RegistryError> {
        let name = repository.to_string();
        let response = match reference {
            Reference::Tag(tag) => {
                let delete = DeleteTag {
                    repository: name,
                    tag: tag.to_string(),
                };
                self.repositories.delete_tag(repository, delete).await?
            }
            Reference::Digest(digest) => {
                let delete = DeleteManifest {
                    repository: name,
                    digest: digest.to_string(),
                };
                self.repositories
                    .delete_manifest(repository, delete)
                    .await?
            }
        };
        match outcome(response) {
            Ok(_) => Ok(()),
            Err(refused) => Err(match refused.reason {
                Reason::TagUnknown => RegistryError::TagUnknown(reference.to_string()),
                Reason::ManifestUnknown => reference_unknown(reference),
                _ => refused.other(),
            }),
        }
    }
}
