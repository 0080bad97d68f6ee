//! The numbers of this node's requests: what makes a proposal happen once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Gives out serials, and knows the lowest that is not answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Serials {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    outstanding: BTreeSet<u64>,
}

/// A serial in use. It counts as answered when this is dropped: nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct Serial {
    number: u64,
    state: Arc<Mutex<State>>,
}

impl Serials {
    /// The next serial.
    pub(crate) fn next(&self) -> Serial {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last += 1;
        let number = state.last;
        state.outstanding.insert(number);
        Serial {
            number,
            state: Arc::clone(&self.state),
        }
    }
}

impl Serial {
    /// The number, at least 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The lowest serial that is not answered, this one included.
    pub(crate) fn lowest_outstanding(&self) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.outstanding.first().copied().unwrap_or(self.number)
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.outstanding.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_outstanding_follows_the_answers() {
        let serials = Serials::default();
        let (first, second, third) = (serials.next(), serials.next(), serials.next());
        assert_eq!((first.number(), third.lowest_outstanding()), (1, 1));
        drop(second);
        assert_eq!(third.lowest_outstanding(), 1);
        drop(first);
        assert_eq!(third.lowest_outstanding(), 3);
    }
}
