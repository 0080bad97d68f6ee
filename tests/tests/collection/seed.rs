//! The seed of a run, and how long the run is to be.

use roadstead_tests::seed::{Seed, number};

const OPERATIONS_SHORT: u64 = 50_000;
const KILLS_SHORT: u64 = 12;

/// The one that the environment gives, or a new one.
pub(super) fn take() -> Seed {
    Seed::take("ROADSTEAD_COLLECT_SEED", "collect")
}

/// How many operations the clients do together.
pub(super) fn operations() -> u64 {
    number("ROADSTEAD_COLLECT_OPERATIONS").unwrap_or(OPERATIONS_SHORT)
}

/// How often the registry is killed meanwhile.
pub(super) fn kills() -> u64 {
    number("ROADSTEAD_COLLECT_KILLS").unwrap_or(KILLS_SHORT)
}
