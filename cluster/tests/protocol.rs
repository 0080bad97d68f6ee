//! The protocol of uploads, manifests and garbage collection, checked by a model checker.
//!
//! The model (`protocol/world.rs`) is a world of uploaders, mounters, clients that rely on a
//! `HEAD`, collectors that crash or sleep, and a sweep, around the real tables, the real `apply`
//! and an object store. `stateright` goes through every interleaving of a scenario
//! (`protocol/scenario.rs`) and looks at every state (`protocol/properties.rs`). Time has no end:
//! `protocol/relative.rs`. For each seeded mistake (`protocol/mistake.rs`) a property must fail.
//!
//! Not here: that `apply` does what it says, which `model.rs` and `apply.rs` test, and that nodes
//! do what the model's actors do, which tests with real processes have to show.

#[path = "protocol/cases.rs"]
mod cases;
#[path = "protocol/client.rs"]
mod client;
#[path = "protocol/collector.rs"]
mod collector;
#[path = "protocol/command.rs"]
mod command;
#[path = "protocol/facts.rs"]
mod facts;
#[path = "protocol/machine.rs"]
mod machine;
#[path = "protocol/mistake.rs"]
mod mistake;
#[path = "protocol/properties.rs"]
mod properties;
#[path = "protocol/relative.rs"]
mod relative;
#[path = "protocol/scenario.rs"]
mod scenario;
#[path = "protocol/session.rs"]
mod session;
#[path = "protocol/universe.rs"]
mod universe;
#[path = "protocol/world.rs"]
mod world;

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use mistake::Mistake;
use properties::{BYTES_KEPT, GARBAGE_ENDS, GRACE_KEPT, NOT_DELETED_IN_USE, ONE_WRITER};
use scenario::{CLAIM_AND_PUSH, CLAIMS, GRACE, PUSHES, Scenario};
use world::Protocol;

/// Far more than any scenario takes: a check that does not end must not pass.
const DEADLINE: Duration = Duration::from_secs(600);

/// Looks at every state of the scenario: all properties hold, and all its hard cases are met.
fn holds(scenario: Scenario) {
    let began = Instant::now();
    let checker = Protocol::new(scenario).checker();
    let checker = checker
        .threads(2)
        .timeout(DEADLINE)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let (states, tables) = (
        checker.unique_state_count(),
        checker.model().machine.count(),
    );
    let (name, seconds) = (scenario.name, began.elapsed().as_secs_f32());
    let steps = checker.state_count();
    println!("{name}: {states} states, {steps} steps, {tables} of tables, {seconds:.1} s");
    assert!(
        began.elapsed() < DEADLINE,
        "{name} was not looked at to its end"
    );
    checker.assert_properties();
    assert!(states >= scenario.states_min, "{name} has shrunk");
}

#[test]
fn pushes() {
    holds(PUSHES);
}

#[test]
fn claims() {
    holds(CLAIMS);
}

#[test]
fn claim_and_push() {
    holds(CLAIM_AND_PUSH);
}

#[test]
fn grace() {
    holds(GRACE);
}

/// With the mistake, the property fails; the checker prints how.
fn fails(scenario: Scenario, mistake: Mistake, property: &'static str) {
    let mistake = Some(mistake);
    let checker = Protocol::new(Scenario {
        mistake,
        ..scenario
    })
    .checker();
    let checker = checker
        .threads(2)
        .timeout(DEADLINE)
        .finish_when(HasDiscoveries::AnyOf([property].into()))
        .spawn_bfs()
        .join();
    let states = checker.unique_state_count();
    let found = checker.discovery(property);
    let path = found.unwrap_or_else(|| panic!("{mistake:?} is not seen in {states} states"));
    let actions = path.into_actions();
    println!("{mistake:?}, of {states} states: {property}? {actions:?}");
}

#[test]
fn a_reused_key_is_seen() {
    fails(PUSHES, Mistake::ReusedKey, NOT_DELETED_IN_USE);
}

#[test]
fn no_second_check_in_condemn_is_seen() {
    fails(
        PUSHES,
        Mistake::NoSecondCheck,
        properties::MANIFESTS_HAVE_BYTES,
    );
}

#[test]
fn a_sweep_that_looks_up_before_it_lists_is_seen() {
    fails(PUSHES, Mistake::LookUpBeforeList, NOT_DELETED_IN_USE);
}

#[test]
fn a_claim_that_keeps_a_key_which_was_not_released_is_seen() {
    fails(CLAIMS, Mistake::ClaimKeepsKey, ONE_WRITER);
}

#[test]
fn a_release_with_a_write_unanswered_is_seen() {
    fails(CLAIMS, Mistake::ReleaseUnanswered, ONE_WRITER);
}

#[test]
fn a_sweep_that_takes_a_former_key_is_seen() {
    fails(CLAIMS, Mistake::SweepTakesFormerKey, BYTES_KEPT);
}

#[test]
fn a_head_that_renews_nothing_is_seen() {
    fails(GRACE, Mistake::HeadRenewsNothing, GRACE_KEPT);
}

#[test]
fn a_cluster_that_never_sweeps_is_seen() {
    fails(CLAIMS, Mistake::NoSweep, GARBAGE_ENDS);
}
