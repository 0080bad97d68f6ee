//! What the built program's commands say when they are asked of a running node.

use std::process::Output;

use serde_json::Value;

use crate::{Registry, process};

/// What a command of the program came to.
#[derive(Debug)]
pub struct Asked {
    /// How it ended; `None` when it was killed.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub error: String,
}

impl From<Output> for Asked {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            out: text(&output.stdout),
            error: text(&output.stderr),
        }
    }
}

impl Asked {
    /// Panics unless it ended so.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.error.contains("panicked"), "{self:?}");
        self
    }

    /// Panics unless it ended so, and said all of this to the user.
    #[track_caller]
    pub fn failed(self, code: i32, words: &[&str]) {
        let asked = self.ended(code);
        for word in words {
            assert!(asked.error.contains(word), "{word}: {asked:?}");
        }
        assert_eq!(asked.out, "", "a failure prints nothing");
    }
}

/// Runs the program against a node.
pub fn ask(registry: &Registry, arguments: &[&str]) -> Asked {
    let mut command = process::clean(registry.program(&process::binary()));
    command.args(arguments);
    command.args(["--address", &registry.administration()]);
    let output = command.output().expect("the binary can be started");
    output.into()
}

/// Runs the program against a node; the document that it prints.
#[track_caller]
pub fn ask_json(registry: &Registry, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    let asked = ask(registry, &arguments).ended(0);
    serde_json::from_str(&asked.out).expect("one document")
}

/// Runs the program against a node; the events that it prints, one on each line.
#[track_caller]
pub fn ask_events(registry: &Registry, arguments: &[&str]) -> Vec<Value> {
    let arguments = [arguments, &["--output", "json"]].concat();
    let asked = ask(registry, &arguments).ended(0);
    let event = |line| serde_json::from_str(line).expect("one document on a line");
    asked.out.lines().map(event).collect()
}
