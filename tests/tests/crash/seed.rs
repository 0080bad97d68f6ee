//! The seed of a run, and how long the run is to be.

use roadstead_tests::seed::{Seed, number};

/// Random kills on each file system if nobody says how many.
const KILLS_SHORT: usize = 30;

/// The one that the environment gives, or a new one.
pub(super) fn take() -> Seed {
    Seed::take("ROADSTEAD_CRASH_SEED", "crash")
}

/// How many random kills a file system gets.
pub(super) fn kills() -> usize {
    let given = number("ROADSTEAD_CRASH_KILLS").and_then(|kills| usize::try_from(kills).ok());
    given.unwrap_or(KILLS_SHORT)
}
