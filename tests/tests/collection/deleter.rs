//! Deletes repositories as an operator does: by the binary's own command.

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
    /// Where the registry is administered.
    pub(super) address: String,
}

impl Deleter {
    pub(super) fn delete(&self, name: &str) -> Deletion {
        let mut command = process::command();
        command.args(["repository", "delete", name, "--yes"]);
        command.args(["--address", &self.address]);
        let output = match command.output() {
            Ok(output) => output,
            Err(error) => return Deletion::Refused(error.to_string()),
        };
        match output.status.code() {
            Some(0 | NOT_THERE) => Deletion::Done,
            _ => Deletion::Unanswered(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}
