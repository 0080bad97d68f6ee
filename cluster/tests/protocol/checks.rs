//! The checks: that scenarios hold, and that seeded mistakes are seen.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use proptest::test_runner::FileFailurePersistence;
use stateright::{Checker, HasDiscoveries, Model};

use super::command::Command;
use super::machine::{Machine, execute};
use super::mistake::Mistake;
use super::properties::{
    BYTES_KEPT, GARBAGE_ENDS, GRACE_KEPT, MANIFESTS_HAVE_BYTES, NOT_DELETED_IN_USE, ONE_WRITER,
    WRITTEN_BEFORE_LINKED,
};
use super::relative;
use super::scenario::{CLAIM_AND_PUSH, CLAIMS, CLAIMS_AGAIN, GRACE, PUSHES, Scenario};
use super::universe::{NOW_MS, Set, TICK_MS};
use super::world::{Action, Protocol};

/// Far more than any scenario takes: a check that was cut off must not pass.
const DEADLINE: Duration = Duration::from_secs(600);

/// Looks at every state of the scenario: all properties hold, and all its hard cases are met.
#[expect(
    clippy::print_stdout,
    reason = "shown by `--nocapture`: what silence stands for"
)]
fn holds(scenario: Scenario) {
    let began = Instant::now();
    let checker = Protocol::new(scenario).checker();
    let checker = checker
        .threads(2)
        .timeout(DEADLINE)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    let (name, seconds) = (scenario.name, began.elapsed().as_secs_f32());
    let tables = checker.model().machine.count();
    println!("{name}: {states} states by {steps} steps, {tables} of the tables, {seconds:.1} s");
    assert!(began.elapsed() < DEADLINE, "{name} was cut off");
    checker.assert_properties();
    assert!(
        states >= scenario.states_min,
        "{name} has shrunk to {states} states"
    );
}

#[test]
fn pushes() {
    holds(PUSHES);
}

#[test]
fn grace() {
    holds(GRACE);
}

#[test]
fn claims() {
    holds(CLAIMS);
}

#[test]
fn claims_again() {
    holds(CLAIMS_AGAIN);
}

#[test]
fn claim_and_push() {
    holds(CLAIM_AND_PUSH);
}

/// With the mistake, the property fails: the shortest way to that is printed.
#[expect(
    clippy::print_stdout,
    reason = "shown by `--nocapture`: how the mistake does harm"
)]
fn fails(scenario: Scenario, mistake: Mistake, name: &'static str) {
    let mistake = Some(mistake);
    // One thread looks at states in the order of their distance.
    let checker = Protocol::new(Scenario {
        mistake,
        ..scenario
    })
    .checker();
    let checker = checker
        .timeout(DEADLINE)
        .finish_when(HasDiscoveries::AnyOf([name].into()))
        .spawn_bfs()
        .join();
    let states = checker.unique_state_count();
    let path = checker.discovery(name);
    let path = path.unwrap_or_else(|| panic!("{mistake:?} is not seen in {states} states"));
    let condition = checker.model().property(name).condition;
    let mut actions: Vec<Action> = Vec::new();
    // The checker goes on for a moment after the first discovery.
    for (world, action) in path.into_vec() {
        if !condition(checker.model(), &world) {
            break;
        }
        actions.extend(action);
    }
    println!("{mistake:?}: not true that {name}: {actions:?}");
}

#[test]
fn a_reused_key_is_seen() {
    fails(PUSHES, Mistake::ReusedKey, NOT_DELETED_IN_USE);
    fails(PUSHES, Mistake::ReusedKey, WRITTEN_BEFORE_LINKED);
}

#[test]
fn no_second_check_in_condemn_is_seen() {
    fails(PUSHES, Mistake::NoSecondCheck, MANIFESTS_HAVE_BYTES);
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
    fails(PUSHES, Mistake::NoSweep, GARBAGE_ENDS);
}

/// Any command of the model, of whom and what the bytes say.
fn command(kind: u8, which: u8, epoch: u8) -> Command {
    let (upload, repository, manifest) = (which % 2, which % 2, which % 4);
    let (key, links, keys) = (
        which / 4 % 3,
        Set::from_iter([0, 1]),
        Set::from_iter([0, 1, 2]),
    );
    let (owner, epoch_seen, fresh_key) = (which % 3, epoch, key);
    match kind % 15 {
        0 | 1 => Command::BeginUpload {
            upload,
            repository,
            key,
            owner,
        },
        2 => Command::CheckpointUpload { upload, epoch },
        3 => Command::ReleaseUpload { upload, epoch },
        4 => Command::ClaimUpload {
            upload,
            epoch_seen,
            owner,
            fresh_key,
        },
        5 | 6 => Command::CommitUpload {
            upload,
            epoch,
            repository,
        },
        7 => Command::CancelUpload { upload, epoch },
        8 => Command::MountBlob,
        9 => Command::RenewHold { repository },
        10 => Command::PutManifest { manifest },
        11 => Command::DeleteManifest { manifest },
        12 => Command::Condemn { links },
        13 => Command::Forget { keys },
        _ => Command::Advance,
    }
}

fn configuration() -> ProptestConfig {
    let seeds = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/protocol.proptest-regressions"
    );
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(seeds))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(configuration())]

    /// The model's tables, in which now is always the same, against real ones, in which time
    /// passes: every command has the same answer, and seen from now they are the same.
    #[test]
    fn time_as_a_distance_from_now_is_as_good_as_time(
        kinds in vec((any::<u8>(), any::<u8>(), 1..4_u8), 1..120),
    ) {
        let machine = Machine::new(2);
        let (mut state, mut now_ms) = (machine.founding(), NOW_MS);
        let mut metadata = machine.founded();
        for (kind, which, epoch) in kinds {
            let command = command(kind, which, epoch);
            if command == Command::Advance {
                now_ms += TICK_MS;
            }
            let is_done = execute(&mut state, now_ms, command.action());
            let (next, is_done_too) = machine.apply(&metadata, command);
            prop_assert_eq!(is_done, is_done_too, "{:?}", command);
            metadata = next;
            prop_assert_eq!(&relative::rows(&state), &metadata.rows, "{:?}", command);
        }
    }
}
