//! Whether requests are served at present, and how long they take: a moving average, no history.
//!
//! It is for a worker that has to step back when it is in the way, not for people. Two requests
//! that end at once may count as one, which does not matter for an average.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Each request moves the average by one part in so many.
const WEIGHT: u64 = 8;

/// What is older says nothing about the present.
const FRESH: Duration = Duration::from_secs(5);

/// The average, and when the last request was.
#[derive(Debug)]
pub(super) struct Latency {
    started: Instant,
    average_us: AtomicU64,
    // Milliseconds since `started`, plus one; 0: never.
    noted_ms: AtomicU64,
    // Likewise, of any request.
    served_ms: AtomicU64,
}

impl Latency {
    /// No request has been seen.
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            average_us: AtomicU64::new(0),
            noted_ms: AtomicU64::new(0),
            served_ms: AtomicU64::new(0),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// A request took so long.
    pub(super) fn note(&self, took: Duration) {
        // More than an hour is as slow as an hour, and the sum below stays small.
        let took_us = took.min(Duration::from_secs(3_600)).as_micros() as u64;
        let average_us = match self.recent() {
            Some(average) => (average.as_micros() as u64 * (WEIGHT - 1) + took_us) / WEIGHT,
            None => took_us,
        };
        self.average_us.store(average_us, Ordering::Relaxed);
        self.noted_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// A request was served, however long it took.
    pub(super) fn note_served(&self) {
        self.served_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// The average, if it is of late.
    pub(super) fn recent(&self) -> Option<Duration> {
        self.is_of_late(&self.noted_ms)
            .then(|| Duration::from_micros(self.average_us.load(Ordering::Relaxed)))
    }

    /// Whether a request was served of late.
    pub(super) fn is_serving(&self) -> bool {
        self.is_of_late(&self.served_ms)
    }

    fn is_of_late(&self, at_ms: &AtomicU64) -> bool {
        let at_ms = at_ms.load(Ordering::Relaxed);
        let age_ms = self.now_ms().saturating_sub(at_ms);
        at_ms > 0 && u128::from(age_ms) < FRESH.as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_follows_what_requests_take() {
        let latency = Latency::new();
        assert_eq!(latency.recent(), None);
        latency.note(Duration::from_millis(8));
        assert_eq!(latency.recent(), Some(Duration::from_millis(8)));
        latency.note(Duration::from_millis(16));
        assert_eq!(latency.recent(), Some(Duration::from_millis(9)));
        assert!(!latency.is_serving());
        latency.note_served();
        assert!(latency.is_serving());
        for _ in 0..200 {
            latency.note(Duration::from_millis(500));
        }
        let average = latency.recent().expect("requests were seen");
        assert!(average > Duration::from_millis(499), "{average:?}");
    }
}
