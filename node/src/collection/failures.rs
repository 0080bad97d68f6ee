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

    /// The delete of this key failed. With as many known as are kept it is tried again without a
    /// wait.
    pub(super) fn note(&mut self, key: &str, now: Instant) {
        if self.keys.len() >= DELETE_FAILURES_KEPT {
            // Those that nobody has met for long were deleted by the collector of another node.
            self.keys
                .retain(|_, failure| failure.until + 2 * DELETE_BACKOFF_MAX > now);
        }
        let is_full = self.keys.len() >= DELETE_FAILURES_KEPT;
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
        assert_eq!(failures.keys.len(), DELETE_FAILURES_KEPT);
        let late = now + 3 * DELETE_BACKOFF_MAX;
        failures.note("late", late);
        assert_eq!(
            failures.keys.len(),
            1,
            "what nobody met for long is forgotten"
        );
    }
}
