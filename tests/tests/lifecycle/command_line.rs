//! The command line: what each command says, and its exit status.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use roadstead_tests::process;

/// Runs a command in a folder of its own.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = process::command();
    let output = command.args(arguments).current_dir(folder).output();
    output.expect("the binary can be started")
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn check_status(output: &Output, status: i32) {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
}

#[test]
fn version_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let expected = format!("roadstead {}\n", env!("CARGO_PKG_VERSION"));
    for argument in ["version", "--version", "-V"] {
        let output = run(folder.path(), &[argument]);
        check_status(&output, 0);
        assert_eq!(said(&output.stdout), expected, "{argument}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn help_names_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["--help"]);
    check_status(&output, 0);
    for command in [
        "serve",
        "config",
        "gc",
        "repository",
        "upload",
        "version",
        "completions",
    ] {
        assert!(said(&output.stdout).contains(command), "{output:?}");
    }
}

#[test]
fn wrong_command_line_is_told_from_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &[][..],
        &["sevre"],
        &["serve", "a.yml", "b.yml"],
        &["config"],
        &["config", "chekc"],
        &["completions"],
        &["completions", "sh"],
        &["version", "--verbose"],
    ] {
        let output = run(folder.path(), arguments);
        check_status(&output, 2);
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    let output = run(folder.path(), &["sevre"]);
    assert!(said(&output.stderr).contains("serve"), "{output:?}");
}

#[test]
fn completions_are_scripts() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = run(folder.path(), &["completions", shell]);
        check_status(&output, 0);
        assert!(said(&output.stdout).contains("roadstead"), "{shell}");
    }
    let script = run(folder.path(), &["completions", "bash"]).stdout;
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .spawn()
        .expect("there is a bash");
    let mut input = bash.stdin.take().expect("it has an input");
    input.write_all(&script).expect("bash reads");
    drop(input);
    assert!(
        bash.wait().expect("bash ends").success(),
        "not a script of bash"
    );
}

#[test]
fn config_check_says_that_a_configuration_is_right_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yml");
    let data = folder.path().join("data");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n",
        data.display()
    );
    std::fs::write(&path, text).unwrap();
    for arguments in [&["config", "check", "config.yml"][..], &["config", "check"]] {
        let output = run(folder.path(), arguments);
        check_status(&output, 0);
        assert!(said(&output.stdout).contains("right"), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "something was made: {left:?}");
}

#[test]
fn config_check_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yml");
    for (text, words) in [
        ("version: 0.1\nstorage: {}\n", "storage has no driver"),
        (
            "version: 0.2\nstorage: {filesystem: }\n",
            "config.yml:1: version",
        ),
        (
            "version: 0.1\nstorage: {filesystem: }\nhttp: {adr: x}\n",
            "config.yml:3: http.adr",
        ),
        (
            "version: 0.1\nstorage: {filesystem: }\nvalidation: {manifests: {urls: {allow: \
             ['(']}}}\n",
            "validation.manifests.urls",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let output = run(folder.path(), &["config", "check", "config.yml"]);
        check_status(&output, 3);
        assert!(said(&output.stderr).contains(words), "{words}: {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn config_check_looks_at_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value, status, words) in [
        ("REGISTRY_HTTP_ADDR", "nonsense", 3, "REGISTRY_HTTP_ADDR"),
        (
            "REGISTRY_HTTP_ADR",
            ":5000",
            0,
            "did you mean REGISTRY_HTTP_ADDR?",
        ),
    ] {
        let mut command = process::command();
        command.args(["config", "check"]).current_dir(folder.path());
        let output = command
            .env(name, value)
            .output()
            .expect("it can be started");
        check_status(&output, status);
        assert!(said(&output.stderr).contains(words), "{output:?}");
    }
}
