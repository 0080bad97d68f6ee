//! The model test: random commands are applied to the state machine and to a naive model of the
//! registry (`model/naive.rs`), written independently of it.
//!
//! After each command both have the same answer and show the same facts, the state's own
//! invariants hold (`metadata::invariant`), and so do the architecture invariants
//! (`model/architecture.rs`). At the end the same commands are applied again in other ways - from
//! scratch, in batches, from a copy of the state in the middle - and must give the same state.
//!
//! A failure prints the shrunk steps; its seed is kept in `model.proptest-regressions`.
//! `PROPTEST_CASES` sets how many histories are tried.

#[path = "model/actions.rs"]
mod actions;
#[path = "model/architecture.rs"]
mod architecture;
#[path = "model/consequences.rs"]
mod consequences;
#[path = "model/facts.rs"]
mod facts;
#[path = "model/members.rs"]
mod members;
#[path = "model/naive.rs"]
mod naive;
#[path = "model/scenario.rs"]
mod scenario;
#[path = "model/steps.rs"]
mod steps;
#[path = "model/universe.rs"]
mod universe;

use std::collections::{BTreeMap, BTreeSet};

use expect_test::expect;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, TestCaseError, prop_assert, prop_assert_eq, proptest};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{FileFailurePersistence, TestRunner};
use prost::Message;
use roadstead_cluster::metadata::view::Memory;
use roadstead_cluster::metadata::{Table, Transaction, View, apply, invariant};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{Command, Response};
use roadstead_proto::rpc::state::Upload;

use architecture::Watch;
use facts::Facts;
use scenario::Scenario;
use steps::Step;

const STEPS_MAX: usize = 120;

fn configuration() -> ProptestConfig {
    let seeds = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/model.proptest-regressions"
    );
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(seeds))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(configuration())]

    #[test]
    fn the_state_machine_does_what_the_naive_model_says(
        steps in steps::sequences(STEPS_MAX),
        batches in vec(1..9_usize, 1..9),
        middle in 0..STEPS_MAX,
    ) {
        let (commands, state) = follow(&steps, |_, _, _| ())?;
        prop_assert_eq!(&apply_all(Memory::default(), &commands, &[1]), &state, "replayed");
        prop_assert_eq!(&apply_all(Memory::default(), &commands, &batches), &state, "batched");
        let (first, rest) = commands.split_at(middle.min(commands.len()));
        let copied = copy(&apply_all(Memory::default(), first, &batches));
        prop_assert_eq!(&apply_all(copied, rest, &batches), &state, "from a snapshot");
    }
}

/// Applies random steps one by one and checks each. Returns their commands and the last state.
fn follow(
    steps: &[Step],
    mut seen: impl FnMut(&Command, &Response, [&Facts; 2]),
) -> Result<(Vec<Command>, Memory), TestCaseError> {
    let mut scenario = Scenario::default();
    let (mut state, mut watch) = (Memory::default(), Watch::default());
    let founding = Scenario::founding().map(|action| Command {
        action: Some(action),
        ..Command::default()
    });
    for command in &founding {
        scenario.execute(command);
    }
    state = apply_all(state, &founding, &[1]);
    let mut before = Facts::of(&state);
    for step in steps {
        let command = scenario.command(step);
        let response = apply_one(&mut state, &decoded(&command)?);
        let predicted = scenario.execute(&command);
        prop_assert_eq!(&response, &predicted, "{:?}", command);
        let after = Facts::of(&state);
        after.must_equal(&scenario.naive.facts())?;
        let broken = invariant::check(&state).expect("rows that decode");
        prop_assert!(broken.is_empty(), "{:?} after {:?}", broken, command);
        watch.step(&before, &command, &after)?;
        seen(&command, &response, [&before, &after]);
        before = after;
    }
    Ok((scenario.commands, state))
}

/// The command as it comes back from the log.
fn decoded(command: &Command) -> Result<Command, TestCaseError> {
    let decoded = Command::decode(command.encode_to_vec().as_slice());
    let decoded = decoded.expect("a command that decodes");
    prop_assert_eq!(&decoded, command);
    Ok(decoded)
}

fn apply_one(state: &mut Memory, command: &Command) -> Response {
    let mut transaction = Transaction::new(state);
    let response = apply(&mut transaction, command).expect("no fault");
    let changes = transaction.into_changes();
    state.write(changes);
    response
}

/// Applies commands, as many in one transaction as `sizes` say in turn.
fn apply_all(mut state: Memory, commands: &[Command], sizes: &[usize]) -> Memory {
    let mut rest = commands;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (batch, later) = rest.split_at((*size).min(rest.len()));
        let mut transaction = Transaction::new(&state);
        for command in batch {
            apply(&mut transaction, command).expect("no fault");
        }
        let changes = transaction.into_changes();
        state.write(changes);
        rest = later;
    }
    state
}

/// The state as a snapshot carries it: row by row.
fn copy(state: &Memory) -> Memory {
    let mut copied = Memory::default();
    for table in Table::ALL {
        let rows = state.scan(table, &[], &[], usize::MAX).expect("a scan");
        for (key, row) in rows {
            copied.write([((table, key), Some(row))].into());
        }
    }
    copied
}

/// What the random commands reach, from one fixed seed: a checker that never sees a case does not
/// check it.
#[test]
fn random_commands_reach_every_outcome() {
    let mut runner = TestRunner::deterministic();
    let mut reached: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for _ in 0..800 {
        let steps = steps::sequences(STEPS_MAX).new_tree(&mut runner);
        let steps = steps.expect("steps").current();
        let seen = |command: &Command, response: &Response, facts: [&Facts; 2]| {
            if let Some((name, outcome)) = outcome(command, response, facts) {
                reached.entry(name).or_default().insert(outcome);
            }
        };
        follow(&steps, seen).expect("a history as predicted");
    }
    let line = |(name, outcomes): (&String, &BTreeSet<&str>)| {
        let outcomes: Vec<_> = outcomes.iter().copied().collect();
        format!("{name}: {}\n", outcomes.join(", "))
    };
    let lines: String = reached.iter().map(line).collect();
    expect![[r#"
        AdmitNode: FEATURE_LEVEL, IDENTITY_MISMATCH, admitted
        BeginUpload: DELETING, KEY_USED, done
        CancelUpload: EPOCH_STALE, UPLOAD_UNKNOWN, done
        ChangeSettings: done
        CheckpointUpload: EPOCH_STALE, OFFSET_BEHIND, UPLOAD_UNKNOWN, done
        ClaimUpload: EPOCH_STALE, KEY_USED, UPLOAD_UNKNOWN, resumed, taken over
        CommitUpload: BLOB_UNKNOWN, DELETING, EPOCH_STALE, UPLOAD_UNKNOWN, done
        Condemn: links, nothing, objects
        ConfirmMarker: IDENTITY_MISMATCH, done
        ConfirmVerified: done
        ContinueDeletion: finished, to be continued
        DeleteBlob: BLOB_UNKNOWN, STILL_REFERENCED, done
        DeleteManifest: MANIFEST_UNKNOWN, finished, to be continued
        DeleteRepository: REPOSITORY_UNKNOWN, finished, to be continued
        DeleteTag: TAG_UNKNOWN, done
        ExpireManifests: expired, nothing, parked
        ExpireUploads: expired, nothing
        Forget: done
        FoundCluster: IDENTITY_MISMATCH, done
        MarkDamaged: BLOB_UNKNOWN, done
        MountBlob: BLOB_UNKNOWN, DELETING, done
        PutManifest: BLOB_UNKNOWN, DELETING, done
        RaiseFeatureLevel: FEATURE_LEVEL, done
        ReleaseUpload: EPOCH_STALE, OFFSET_BEHIND, UPLOAD_UNKNOWN, done
        RemoveNode: IDENTITY_MISMATCH, done
        RenewHold: BLOB_UNKNOWN, done
        RestoreCluster: IDENTITY_MISMATCH, done
        StartNode: FEATURE_LEVEL, IDENTITY_MISMATCH, started
        any request: BOOT_STALE, SERIAL_FORGOTTEN
    "#]]
    .assert_eq(&lines);
}

/// What a command came to; of a request, only what is peculiar to requests, because a repeated
/// serial gets the answer of another command.
fn outcome(
    command: &Command,
    response: &Response,
    [before, after]: [&Facts; 2],
) -> Option<(String, &'static str)> {
    let action = command.action.as_ref().expect("an action");
    let debug = format!("{action:?}");
    let name = debug.split('(').next().unwrap_or_default();
    let outcome = match response.outcome.as_ref().expect("an outcome") {
        Outcome::Refusal(refusal) => refusal.reason().as_str_name(),
        Outcome::Done(_) => "done",
        Outcome::Started(_) => "started",
        Outcome::Admitted(_) => "admitted",
        Outcome::Claimed(claimed) => claim(action, claimed.upload.as_ref().expect("a row")),
        Outcome::Deletion(deletion) if deletion.is_finished => "finished",
        Outcome::Deletion(_) => "to be continued",
        Outcome::Condemned(condemned) => match (condemned.links, condemned.objects) {
            (0, _) => "nothing",
            (_, 0) => "links",
            _ => "objects",
        },
        Outcome::Expired(expired) if expired.count > 0 => "expired",
        // A living subject was found.
        Outcome::Expired(_) if after.unheld.len() < before.unheld.len() => "parked",
        Outcome::Expired(_) => "nothing",
    };
    match (&command.origin, outcome) {
        (None, outcome) => Some((name.to_owned(), outcome)),
        (Some(_), "BOOT_STALE" | "SERIAL_FORGOTTEN") => Some(("any request".to_owned(), outcome)),
        (Some(_), _) => None,
    }
}

fn claim(action: &Action, row: &Upload) -> &'static str {
    match action {
        Action::ClaimUpload(claim) if claim.fresh_key != row.object_key => "resumed",
        _ => "taken over",
    }
}
