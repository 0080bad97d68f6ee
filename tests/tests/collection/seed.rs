//! The seed of a run, told when it fails, and how long the run is to be.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use roadstead_tests::Chance;

const SEED: &str = "ROADSTEAD_COLLECT_SEED";
const OPERATIONS: &str = "ROADSTEAD_COLLECT_OPERATIONS";
const KILLS: &str = "ROADSTEAD_COLLECT_KILLS";

const OPERATIONS_SHORT: u64 = 50_000;
const KILLS_SHORT: u64 = 12;

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
            eprintln!("to repeat its choices: {SEED}={} make collect", self.0);
        }
    }
}

/// How many operations the clients do together.
pub(super) fn operations() -> u64 {
    number(OPERATIONS).unwrap_or(OPERATIONS_SHORT)
}

/// How often the registry is killed meanwhile.
pub(super) fn kills() -> u64 {
    number(KILLS).unwrap_or(KILLS_SHORT)
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
