//! Asking a node: by the built program, and by gRPC.

use std::process::Output;

use roadstead_proto::rpc::admin::administration_client::AdministrationClient;
use roadstead_tests::{Registry, process};
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

/// What a command of the program came to.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) error: String,
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
    pub(super) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.error.contains("panicked"), "{self:?}");
        self
    }

    /// Panics unless it ended so, and said all of this to the user.
    #[track_caller]
    pub(super) fn failed(self, code: i32, words: &[&str]) {
        let asked = self.ended(code);
        for word in words {
            assert!(asked.error.contains(word), "{word}: {asked:?}");
        }
        assert_eq!(asked.out, "", "a failure prints nothing");
    }
}

/// Runs the program against a node.
pub(super) fn ask(registry: &Registry, arguments: &[&str]) -> Asked {
    let mut command = process::command();
    command.args(arguments);
    command.args(["--address", &registry.administration()]);
    let output = command.output().expect("the binary can be started");
    output.into()
}

/// Runs the program against a node; the document that it prints.
#[track_caller]
pub(super) fn ask_json(registry: &Registry, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    let asked = ask(registry, &arguments).ended(0);
    serde_json::from_str(&asked.out).expect("one document")
}

/// Runs the program against a node; the events that it prints, one on each line.
#[track_caller]
pub(super) fn ask_events(registry: &Registry, arguments: &[&str]) -> Vec<Value> {
    let arguments = [arguments, &["--output", "json"]].concat();
    let asked = ask(registry, &arguments).ended(0);
    let event = |line| serde_json::from_str(line).expect("one document on a line");
    asked.out.lines().map(event).collect()
}

/// Waits for what is asked by gRPC.
pub(super) fn wait<T>(asking: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(asking)
}

/// A connection to the administration of a node.
pub(super) async fn channel(registry: &Registry) -> Channel {
    let uri = format!("http://{}", registry.administration());
    let endpoint = Endpoint::from_shared(uri).expect("an address");
    endpoint.connect().await.expect("it answers")
}

/// A client of the administration of a node.
pub(super) async fn client(registry: &Registry) -> AdministrationClient<Channel> {
    AdministrationClient::new(channel(registry).await)
}
