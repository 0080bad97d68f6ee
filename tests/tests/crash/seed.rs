//! The seed of a run, told when it fails, and how long the run is to be.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use roadstead_tests::Chance;

const SEED: &str = "ROADSTEAD_CRASH_SEED";
const KILLS: &str = "ROADSTEAD_CRASH_KILLS";

/// Random kills on each file system if nobody says how many.
const KILLS_SHORT: usize = 30;

/// Tells the seed when it goes in a panic.
#[derive(Debug)]
pub(super) struct Seed(u64);

impl Seed {
    /// The one that the environment gives, or a new one.
    pub(super) fn take() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let fresh = since.map_or(0, |since| u64::from(since.subsec_nanos()));
        Self(number(SEED).unwrap_or(fresh))
    }

    pub(super) fn chance(&self) -> Chance {
        Chance::new(self.0)
    }
}

impl Drop for Seed {
    #[expect(
        clippy::print_stderr,
        reason = "the test harness shows it with the failure"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat its choices: {SEED}={} make crash", self.0);
        }
    }
}

/// How many random kills a file system gets.
pub(super) fn kills() -> usize {
    let given = number(KILLS).and_then(|kills| usize::try_from(kills).ok());
    given.unwrap_or(KILLS_SHORT)
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
