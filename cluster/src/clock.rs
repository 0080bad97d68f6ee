//! Cluster time: what the leader stamps commands with.
//!
//! It is the cluster time that was applied when the leader's term began, plus the leader's own
//! monotonic time since, a clock that also counts suspend. No wall clock is looked at, so that
//! setting one does not end a hold.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// The leader's clock.
#[derive(Debug, Default)]
pub(crate) struct LeaderClock {
    term: Mutex<Option<Term>>,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    number: u64,
    base_ms: u64,
    began: Duration,
}

impl LeaderClock {
    /// Cluster time now, in `term`. `base_ms` is asked for once in a term: the cluster time that
    /// was applied when it began.
    pub(crate) fn now_ms<E>(
        &self,
        term: u64,
        base_ms: impl FnOnce() -> Result<u64, E>,
    ) -> Result<u64, E> {
        let mut current = self.term.lock().unwrap_or_else(PoisonError::into_inner);
        let term = match *current {
            Some(known) if known.number == term => known,
            _ => {
                let fresh = Term {
                    number: term,
                    base_ms: base_ms()?,
                    began: monotonic(),
                };
                *current.insert(fresh)
            }
        };
        let elapsed = monotonic().saturating_sub(term.began);
        Ok(term.base_ms.saturating_add(milliseconds(elapsed)))
    }
}

/// Time since the machine started, suspend included.
fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// The wall clock, for people to read.
pub(crate) fn unix_ms() -> u64 {
    // Before 1970 the clock is wrong anyway, and nothing depends on it.
    milliseconds(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_from_what_was_applied_when_the_term_began() {
        let clock = LeaderClock::default();
        let first = clock.now_ms(1, || Ok::<_, ()>(1_000)).unwrap();
        assert!((1_000..60_000).contains(&first));
        let second = clock
            .now_ms(1, || Err(()))
            .expect("the base is asked for once");
        assert!(second >= first);
        let other_term = clock.now_ms(2, || Ok::<_, ()>(500_000)).unwrap();
        assert!(other_term >= 500_000);
        assert_eq!(clock.now_ms(3, || Err("no state")), Err("no state"));
    }
}
