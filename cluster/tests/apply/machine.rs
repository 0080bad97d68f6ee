//! The state machine in memory, driven by lines of the notation.

use expect_test::Expect;
use roadstead_cluster::metadata::keys::Key;
use roadstead_cluster::metadata::view::Memory;
use roadstead_cluster::metadata::{Transaction, apply, invariant};
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{Command, Response};

use super::{notation, render};

/// What every test begins with: a grace of 100, so that a hold lasts 200, and two nodes.
const FOUNDING: &str = "
    found cluster 100 1
    start 1 instance1
    start 2 instance2
";

/// A state and the time of the last command.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(crate) state: Memory,
    now_ms: u64,
}

/// After `given`, the commands have the answers and change the rows that `expected` says.
pub(crate) fn check(given: &str, commands: &str, expected: Expect) {
    expected.assert_eq(&Machine::after(given).steps(commands));
}

impl Machine {
    /// A founded cluster in which the commands of `given` happened.
    pub(crate) fn after(given: &str) -> Self {
        let mut machine = Self::default();
        machine.given(FOUNDING);
        machine.given(given);
        machine
    }

    /// Applies commands that must not be refused. `push DIGEST in REPOSITORY` stands for an upload
    /// of its own, `u-DIGEST-REPOSITORY` at `k-DIGEST-REPOSITORY`, that is begun and committed.
    pub(crate) fn given(&mut self, lines: &str) {
        for line in commands(lines).flat_map(expand) {
            let response = self.apply(&line);
            let is_refused = matches!(response.outcome, Some(Outcome::Refusal(_)));
            assert!(!is_refused, "given `{line}`: {response:?}");
        }
    }

    /// As `given`, for many commands: the invariants are checked once, at the end.
    pub(crate) fn given_many(&mut self, lines: impl IntoIterator<Item = String>) {
        for line in lines.into_iter().flat_map(|line| expand(&line)) {
            let response = self.apply_unchecked(&line);
            let is_refused = matches!(response.outcome, Some(Outcome::Refusal(_)));
            assert!(!is_refused, "given `{line}`: {response:?}");
        }
        self.check_invariants("many commands");
    }

    /// Applies commands and says what each answered and changed.
    pub(crate) fn steps(&mut self, lines: &str) -> String {
        let count = commands(lines).count();
        let steps = commands(lines).map(|line| {
            let title = if count > 1 {
                format!("> {line}\n")
            } else {
                String::new()
            };
            title + &self.step(line)
        });
        steps.collect()
    }

    fn step(&mut self, line: &str) -> String {
        let before = render::rows(&self.state);
        let response = self.apply(line);
        let changes = render::changes(&before, &render::rows(&self.state));
        format!("{}\n{changes}", render::response(&response))
    }

    /// Applies one line; afterwards the invariants hold.
    pub(crate) fn apply(&mut self, line: &str) -> Response {
        let response = self.apply_unchecked(line);
        self.check_invariants(line);
        response
    }

    fn apply_unchecked(&mut self, line: &str) -> Response {
        let command = notation::parse(line, self.now_ms);
        self.now_ms = command.now_ms;
        self.execute(&command)
    }

    fn check_invariants(&self, line: &str) {
        let broken = invariant::check(&self.state).expect("rows that decode");
        assert!(broken.is_empty(), "after `{line}`: {broken:#?}");
    }

    /// Applies one command.
    pub(crate) fn execute(&mut self, command: &Command) -> Response {
        let mut transaction = Transaction::new(&self.state);
        let response = apply(&mut transaction, command).expect("no fault");
        let changes = transaction.into_changes();
        self.state.write(changes);
        response
    }

    /// Writes a row that no command can write yet.
    pub(crate) fn put<R: prost::Message>(&mut self, key: &Key<R>, row: &R) {
        let mut transaction = Transaction::new(&self.state);
        transaction.put(key, row);
        let changes = transaction.into_changes();
        self.state.write(changes);
    }
}

fn expand(line: &str) -> Vec<String> {
    let (stamp, rest) = match line.split_once(' ') {
        Some((stamp, rest)) if stamp.starts_with('@') => (stamp, rest),
        _ => ("", line),
    };
    let Some(("push", what)) = rest.split_once(' ') else {
        return vec![line.to_owned()];
    };
    let (digest, repository) = what.split_once(" in ").expect("push DIGEST in REPOSITORY");
    let name = format!("{digest}-{repository}");
    vec![
        format!("{stamp} begin u-{name} in {repository} at k-{name}"),
        format!("{stamp} commit u-{name} 1 as {digest} in {repository}"),
    ]
}

fn commands(lines: &str) -> impl Iterator<Item = &str> {
    lines.lines().map(str::trim).filter(|line| !line.is_empty())
}
