//! Deletes repositories as an operator does: by the binary's own command.

use std::process::{Command, Stdio};

use roadstead_tests::process;

/// The exit code that says that there is no such repository: nobody has pushed there since it was
/// deleted.
const NOT_THERE: i32 = 5;

/// What came of it.
#[derive(Debug)]
pub(super) enum Deletion {
    Done,
    /// There was nobody to ask, or no answer.
    Unanswered(String),
    Refused(String),
}

/// Runs `roadstead repository delete`.
#[derive(Debug)]
pub(super) struct Deleter {
    // Where the registry is administered; `None` when this binary does not know the command.
    address: Option<String>,
}

impl Deleter {
    /// Asks the registry that is administered at `address`.
    pub(super) fn new(address: &str) -> Self {
        let knows = process::command()
            .args(["repository", "delete", "--help"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        Self {
            address: knows.then(|| address.to_owned()),
        }
    }

    pub(super) fn can_delete(&self) -> bool {
        self.address.is_some()
    }

    pub(super) fn delete(&self, name: &str) -> Deletion {
        let Some(address) = &self.address else {
            return Deletion::Refused("this binary does not know the command".to_owned());
        };
        let mut command: Command = process::command();
        command.args(["repository", "delete", name, "--yes", "--address", address]);
        let output = match command.output() {
            Ok(output) => output,
            Err(error) => return Deletion::Refused(error.to_string()),
        };
        if output.status.success() {
            return Deletion::Done;
        }
        match output.status.code() {
            Some(NOT_THERE) => Deletion::Done,
            _ => Deletion::Unanswered(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}
