//! `Policy`: which manifests that nothing holds are expired, and when.
//!
//! It is `gc.untagged` of the configuration, as the cluster knows it. `apply` judges the age again;
//! the patterns are looked at here alone, where a regular expression may change its meaning with
//! its library.

use regex::RegexSet;
use roadstead_cluster::metadata::untagged_age_ms;
use roadstead_proto::rpc::state::Settings;

/// Which are expired, and when.
#[derive(Debug)]
pub(crate) struct Policy {
    /// How long they stay, in milliseconds.
    pub(crate) age_ms: u64,
    patterns: RegexSet,
}

impl Policy {
    /// `None` where they stay for ever.
    ///
    /// # Errors
    /// A pattern that this version does not understand.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Self>, regex::Error> {
        let Some(age_ms) = untagged_age_ms(settings) else {
            return Ok(None);
        };
        let untagged = settings.untagged.as_ref();
        let patterns = untagged.map_or(&[][..], |untagged| &untagged.repositories);
        let patterns = RegexSet::new(patterns)?;
        Ok(Some(Self { age_ms, patterns }))
    }

    /// Whether it is for this repository: for all of them where no pattern is given.
    pub(crate) fn is_for(&self, repository: &str) -> bool {
        self.patterns.is_empty() || self.patterns.is_match(repository)
    }
}
