//! Waiting on conditions with a deadline: the only place that sleeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Far longer than anything takes: reaching it means that something hangs.
pub const LONG: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(5);

/// Looks again and again until there is something, and panics when the time is over.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    match poll(limit, &mut look) {
        Some(found) => found,
        None => panic!("after {limit:?} still not: {what}"),
    }
}

/// Looks again and again until there is something or the time is over.
pub fn poll<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// Has a fault last for this time, or until it is over; whether it lasted.
///
/// The time is what a test is about: nothing that comes after relies on it.
pub fn last(time: Duration, is_over: impl Fn() -> bool) -> bool {
    poll(time, || is_over().then_some(())).is_none()
}

/// Says that something is over when it goes, after a panic too: threads that go on until then end,
/// and so does a scope that waits for them.
#[derive(Debug)]
pub struct Over<'a>(pub &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_when_the_condition_holds() {
        let mut looks = 0;
        let found = poll(LONG, || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found, Some(3));
    }

    #[test]
    fn gives_up_at_the_deadline() {
        assert_eq!(poll(Duration::ZERO, || None::<()>), None);
    }
}
