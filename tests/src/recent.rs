//! `Recent`: the last events of a run, for a failure to show. What is older is forgotten.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Events from the threads of a test, in the order in which they were noted.
#[derive(Debug)]
pub struct Recent<T> {
    began: Instant,
    kept: usize,
    events: Mutex<VecDeque<T>>,
}

impl<T> Recent<T> {
    /// Keeps the last so many.
    pub fn new(kept: usize) -> Self {
        Self {
            began: Instant::now(),
            kept,
            events: Mutex::default(),
        }
    }

    /// Since when events are noted.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// How long after that a moment was.
    pub fn milliseconds(&self, at: Instant) -> u128 {
        at.duration_since(self.began).as_millis()
    }

    /// Notes an event.
    pub fn note(&self, event: T) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == self.kept {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// What `told` makes of the last events, at most `shown` of them, the earliest first; those of
    /// which it makes nothing do not count.
    pub fn last<R>(&self, shown: usize, told: impl FnMut(&T) -> Option<R>) -> Vec<R> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last: Vec<_> = events.iter().rev().filter_map(told).take(shown).collect();
        last.reverse();
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_and_shows_the_last_in_order() {
        let recent = Recent::new(5);
        for number in 0..9 {
            recent.note(number);
        }
        assert_eq!(recent.last(9, |number| Some(*number)), [4, 5, 6, 7, 8]);
        let even = |number: &i32| (number % 2 == 0).then_some(*number);
        assert_eq!(recent.last(2, even), [6, 8]);
    }
}
