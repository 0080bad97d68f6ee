//! The seed of a run.

use roadstead_tests::seed::Seed;

/// The one that the environment gives, or a new one.
pub(super) fn take() -> Seed {
    Seed::take("ROADSTEAD_STORES_SEED", "stores")
}
