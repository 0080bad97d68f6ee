//! Deletes that the store refused: when each may be tried again.
//!
//! A key that fails waits twice as long each time, and holds up no other. Nothing is lost when the
//! process ends: the rows of reclaimed objects are the record, this is only patience.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{DELETE_BACKOFF_MAX, DELETE_BACKOFF_MIN, DELETE_FAILURES_KEPT};

/// Keys whose delete failed.
#[derive(Debug, Default)]
pub(super) struct Failures {
    keys: HashMap<String, Failure>,
}

#[derive(Debug)]
struct Failure {
    wait: Duration,
    until: Instant,
}

impl Failures {
    /// Whether the key is not to be tried yet.
    pub(super) fn is_waiting(&self, key: &str, now: Instant) -> bool {
        self.keys
            .get(key)
            .is_some_and(|failure| failure.until > now)
    }

    /// Whether so many keys fail that no more can be remembered: the store as a whole is ill.
    pub(super) fn is_full(&self) -> bool {
        self.keys.len() >= DELETE_FAILURES_KEPT
    }

    /// The delete of this key failed.
    pub(super) fn note(&mut self, key: &str, now: Instant) {
        let is_full = self.is_full();
        match self.keys.get_mut(key) {
            Some(failure) => {
                failure.wait = (failure.wait * 2).min(DELETE_BACKOFF_MAX);
                failure.until = now + failure.wait;
            }
            None if is_full => {}
            None => {
                let wait = DELETE_BACKOFF_MIN;
                let until = now + wait;
                self.keys.insert(key.to_owned(), Failure { wait, until });
            }
        }
    }

    /// The key is gone from the store.
    pub(super) fn forget(&mut self, key: &str) {
        self.keys.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_waits_twice_as_long_each_time_and_no_longer_than_the_bound() {
        let (mut failures, mut now) = (Failures::default(), Instant::now());
        let mut expected = DELETE_BACKOFF_MIN;
        for _ in 0..20 {
            failures.note("a", now);
            let shortly_before = expected - Duration::from_millis(1);
            assert!(failures.is_waiting("a", now + shortly_before));
            assert!(!failures.is_waiting("a", now + expected));
            assert!(!failures.is_waiting("b", now));
            now += expected;
            expected = (expected * 2).min(DELETE_BACKOFF_MAX);
        }
        failures.forget("a");
        assert!(!failures.is_waiting("a", now));
    }

    #[test]
    fn no_more_keys_are_kept_than_the_bound() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for number in 0..=DELETE_FAILURES_KEPT {
            failures.note(&number.to_string(), now);
        }
        assert!(failures.is_full());
        assert_eq!(failures.keys.len(), DELETE_FAILURES_KEPT);
        failures.forget("0");
        assert!(!failures.is_full());
    }
}
