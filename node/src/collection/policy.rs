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

    /// From when on a manifest of this repository is expired that nothing has held since
    /// `unheld_since_ms`, in cluster time; `None`: never.
    pub(crate) fn due_ms(&self, repository: &str, unheld_since_ms: u64) -> Option<u64> {
        let due_ms = unheld_since_ms.saturating_add(self.age_ms);
        self.is_for(repository).then_some(due_ms)
    }

    /// Whether it is for this repository: for all of them where no pattern is given.
    pub(crate) fn is_for(&self, repository: &str) -> bool {
        self.patterns.is_empty() || self.patterns.is_match(repository)
    }
}

#[cfg(test)]
mod tests {
    use roadstead_proto::rpc::state::Untagged;

    use super::*;

    fn policy(age_ms: u64, patterns: &[&str]) -> Option<Policy> {
        let repositories = patterns.iter().map(|pattern| (*pattern).to_owned());
        let settings = Settings {
            grace_ms: 10,
            untagged: Some(Untagged {
                age_ms,
                repositories: repositories.collect(),
            }),
            ..Settings::default()
        };
        Policy::of(&settings).expect("patterns")
    }

    #[test]
    fn each_repository_has_its_time() {
        let some = policy(100, &["^ci/", "^try$"]).expect("a policy");
        for (repository, expected) in [
            ("ci/app", Some(107)),
            ("try", Some(107)),
            ("try/it", None),
            ("prod/ci/app", None),
        ] {
            assert_eq!(some.due_ms(repository, 7), expected, "{repository}");
        }
        let all = policy(100, &[]).expect("a policy");
        assert_eq!(all.due_ms("prod", 7), Some(107));
        // No sooner than a hold.
        let short = policy(1, &[]).expect("a policy");
        assert_eq!(short.due_ms("prod", 7), Some(27));
        assert_eq!(short.due_ms("prod", u64::MAX), Some(u64::MAX));
        assert!(policy(0, &[]).is_none());
        assert!(Policy::of(&Settings::default()).expect("none").is_none());
    }
}
