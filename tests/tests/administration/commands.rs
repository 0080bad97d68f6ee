//! The commands as such: help, pipes, and what a read-only registry refuses.

use std::process::Stdio;

use roadstead_tests::{Registry, Setup, process};

use roadstead_tests::asked::{Asked, ask, ask_events, ask_json};

#[test]
fn help_names_the_exit_codes() {
    for arguments in [
        &["gc", "--help"][..],
        &["gc", "run", "--help"],
        &["gc", "explain", "--help"],
        &["repository", "delete", "--help"],
        &["upload", "list", "--help"],
    ] {
        let output = process::command().args(arguments).output();
        let asked = Asked::from(output.expect("it can be started")).ended(0);
        for words in [
            "Exit codes",
            "--address",
            "ROADSTEAD_ADMIN_ADDR",
            "--output",
        ] {
            assert!(asked.out.contains(words), "{words}: {asked:?}");
        }
    }
}

#[test]
fn wrong_command_lines_ask_no_node() {
    for arguments in [
        &["gc"][..],
        &["gc", "stop"],
        &["gc", "explain"],
        &["gc", "status", "--output", "yaml"],
        &["repository", "list", "--limit", "0"],
        &["repository", "list", "--limit", "1001"],
        &["upload", "cancel"],
    ] {
        let output = process::command().args(arguments).output();
        Asked::from(output.expect("it can be started")).ended(2);
    }
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let registry = Registry::start(Setup::default());
    let address = registry.administration();
    for arguments in [
        &["gc", "status"][..],
        &["gc", "run", "--output", "json"],
        &["repository", "list"],
        &["upload", "list", "--output", "json"],
    ] {
        let mut command = process::command();
        command.args(arguments).args(["--address", &address]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it can be started");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let asked = Asked::from(output);
        assert!(asked.code.is_some(), "{asked:?}");
        assert_eq!(asked.error, "", "{arguments:?}");
    }
}

#[test]
fn a_read_only_registry_refuses_what_changes_it() {
    let mut registry = Registry::start(Setup::default());
    let repository = registry.repository("kept/here");
    repository.push_image("latest", 1);
    let mut upload = repository.start_upload();
    upload.patch(b"some bytes").expect(202);
    assert!(registry.stop().success());
    registry.variable("REGISTRY_STORAGE_MAINTENANCE_READONLY", "{enabled: true}");
    registry.run();
    let words = &["read-only", "storage.maintenance.readonly"];
    ask(&registry, &["repository", "delete", "kept/here", "--yes"]).failed(7, words);
    let listed = ask_json(&registry, &["upload", "list"]);
    let id = listed["uploads"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    ask(&registry, &["upload", "cancel", &id]).failed(7, words);
    ask(&registry, &["gc", "run"]).failed(7, words);
    let events = ask_events(&registry, &["gc", "run", "--dry-run"]);
    assert_eq!(events.last().expect("an event")["is_finished"], true);
    let status = ask_json(&registry, &["gc", "status"]);
    assert_eq!(status["is_read_only"], true);
    repository.get_manifest("latest").expect(200);
}
