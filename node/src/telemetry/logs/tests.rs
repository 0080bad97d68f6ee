//! Lines as snapshots, and the process around them: panics, and standard error that is gone.

use std::collections::BTreeMap;
use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use expect_test::{Expect, expect};
use tracing::{debug, error, info, info_span, warn};

use super::*;
use crate::config::{Formatter, Log};
use crate::telemetry::spool::tests::{DEADLINE, Memory};

fn config(formatter: Formatter) -> Log {
    Log {
        level: config::Level::Info,
        formatter,
        fields: BTreeMap::new(),
        is_access_log_disabled: false,
        reports_caller: false,
    }
}

/// Everything that `events` logs.
fn logged(config: &Log, events: impl FnOnce()) -> String {
    let now = || SystemTime::UNIX_EPOCH + Duration::from_micros(971_186_136_123_456);
    let (memory, style) = (Memory::default(), Arc::new(Style::new(config)));
    let spool = spool(&style, Box::new(memory.clone())).unwrap();
    let lines = Lines::new(Arc::clone(&spool), style, now);
    let filter = filter(config.level, "").unwrap();
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    tracing::subscriber::with_default(subscriber, events);
    assert!(spool.flush(DEADLINE));
    memory.text()
}

#[derive(Debug, thiserror::Error)]
#[error("the blob is lost")]
struct Lost(#[source] io::Error);

/// Compares with a snapshot in which long lines are folded.
fn check(config: &Log, expected: &Expect) {
    let text = logged(config, || {
        let request = info_span!(
            "request",
            http.request.id = "4f2d",
            http.request.method = "PUT",
            vars.name = tracing::field::Empty,
        );
        let _entered = request.enter();
        request.record("vars.name", "library/alpine");
        info!(
            http.response.status = 201,
            duration = 0.25,
            "response completed"
        );
        let error: &dyn std::error::Error = &Lost(io::Error::other("the disk is gone"));
        warn!(error, retry = true, "cannot go on");
        debug!("nobody hears this");
        let _inner = info_span!("inner", http.request.method = "GET", size = 7u64).entered();
        error!(
            level = "mine",
            time = 1,
            msg = "mine",
            empty = "",
            "two\nlines \u{1b}[31m a=\"b\""
        );
    });
    let folded = text
        .replace(",\"", ",\n  \"")
        .replace(" http.request.id=", "\n  http.request.id=")
        .replace(" vars.name=", "\n  vars.name=");
    expected.assert_eq(&folded);
}

#[test]
fn text_is_for_people() {
    check(
        &config(Formatter::Text),
        &expect![[r#"
            2000-10-10T13:55:36.123456Z INFO  response completed
              http.request.id=4f2d http.request.method=PUT
              vars.name=library/alpine http.response.status=201 duration=0.25
            2000-10-10T13:55:36.123456Z WARN  cannot go on
              http.request.id=4f2d http.request.method=PUT
              vars.name=library/alpine error="the blob is lost: the disk is gone" retry=true
            2000-10-10T13:55:36.123456Z ERROR two\nlines \u{1b}[31m a="b"
              http.request.id=4f2d http.request.method=GET
              vars.name=library/alpine size=7 level=mine time=1 msg=mine empty=""
        "#]],
    );
}

#[test]
fn json_has_the_names_of_distribution() {
    let fields = [("environment", "production"), ("http.request.id", "hidden")];
    let mut config = config(Formatter::Json);
    config.fields = fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    check(
        &config,
        &expect![[r#"
            {"time":"2000-10-10T13:55:36.123456Z",
              "level":"info",
              "msg":"response completed",
              "environment":"production",
              "http.request.id":"4f2d",
              "http.request.method":"PUT",
              "vars.name":"library/alpine",
              "http.response.status":201,
              "duration":0.25}
            {"time":"2000-10-10T13:55:36.123456Z",
              "level":"warning",
              "msg":"cannot go on",
              "environment":"production",
              "http.request.id":"4f2d",
              "http.request.method":"PUT",
              "vars.name":"library/alpine",
              "error":"the blob is lost: the disk is gone",
              "retry":true}
            {"time":"2000-10-10T13:55:36.123456Z",
              "level":"error",
              "msg":"two\nlines \u001b[31m a=\"b\"",
              "environment":"production",
              "http.request.id":"4f2d",
              "http.request.method":"GET",
              "vars.name":"library/alpine",
              "size":7,
              "fields.level":"mine",
              "fields.time":1,
              "fields.msg":"mine",
              "empty":""}
        "#]],
    );
}

#[test]
fn logstash_has_the_names_of_logstash() {
    check(
        &config(Formatter::Logstash),
        &expect![[r#"
            {"@timestamp":"2000-10-10T13:55:36.123456Z",
              "@version":"1",
              "level":"info",
              "message":"response completed",
              "http.request.id":"4f2d",
              "http.request.method":"PUT",
              "vars.name":"library/alpine",
              "http.response.status":201,
              "duration":0.25}
            {"@timestamp":"2000-10-10T13:55:36.123456Z",
              "@version":"1",
              "level":"warning",
              "message":"cannot go on",
              "http.request.id":"4f2d",
              "http.request.method":"PUT",
              "vars.name":"library/alpine",
              "error":"the blob is lost: the disk is gone",
              "retry":true}
            {"@timestamp":"2000-10-10T13:55:36.123456Z",
              "@version":"1",
              "level":"error",
              "message":"two\nlines \u001b[31m a=\"b\"",
              "http.request.id":"4f2d",
              "http.request.method":"GET",
              "vars.name":"library/alpine",
              "size":7,
              "fields.level":"mine",
              "time":1,
              "msg":"mine",
              "empty":""}
        "#]],
    );
}

#[test]
fn caller_is_reported_when_asked_for() {
    let mut config = config(Formatter::Json);
    config.reports_caller = true;
    let (text, line) = (logged(&config, || info!("here")), line!());
    let target = module_path!();
    let ending = format!(
        "\"target\":\"{target}\",\"file\":\"{}:{line}\"}}\n",
        file!()
    );
    assert!(text.ends_with(&ending), "{text}");
}

#[test]
fn every_json_line_is_json_and_texts_stay_in_their_fields() {
    let nasty = "a\"b\\c\n{\"level\":\"error\"}\r\u{0}\u{2028}\u{7f}é";
    for formatter in [Formatter::Json, Formatter::Logstash] {
        let text = logged(&config(formatter), || {
            info!(value = nasty, not_a_number = f64::NAN, "{nasty}");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["value"], nasty);
        assert_eq!(object["level"], "info");
    }
    let text = logged(&config(Formatter::Text), || info!(value = nasty, "{nasty}"));
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.ends_with("\\u{7f}é\"\n"), "{text}");
}

#[test]
fn variable_refines_the_level_of_the_configuration() {
    let table = [
        ("", vec!["openraft=error", "info"]),
        ("debug", vec!["openraft=error", "debug"]),
        ("openraft=debug", vec!["openraft=debug", "info"]),
        (
            "warn,roadstead=trace",
            vec!["roadstead=trace", "openraft=error", "warn"],
        ),
    ];
    for (refinement, expected) in table {
        let text = filter(config::Level::Info, refinement).unwrap().to_string();
        // The other libraries have the level of this one.
        let shown = |directive: &&str| !directive.contains('=') || is_of(directive);
        let found: Vec<_> = text.split(',').filter(shown).collect();
        assert_eq!(found, expected, "{refinement}: {text}");
    }
    let refused = filter(config::Level::Info, "roadstead=loud").unwrap_err();
    let expected = "RUST_LOG has \"roadstead=loud\", which is not a filter such as \
                    info,roadstead=debug";
    assert_eq!(refused.to_string(), expected);
}

fn is_of(directive: &str) -> bool {
    ["openraft=", "roadstead="]
        .iter()
        .any(|target| directive.starts_with(target))
}

/// Runs one of the tests below again, in a process of its own that knows its part by a variable.
fn rerun(test: &str, stderr: Stdio) -> Child {
    let (_, module) = module_path!().split_once("::").unwrap();
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("{module}::{test}")])
        .env(CHILD, test)
        .env_remove(FILTER_VARIABLE)
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap()
}

const CHILD: &str = "ROADSTEAD_TEST_CHILD";

fn is_child(test: &str) -> bool {
    env::var_os(CHILD).is_some_and(|name| name == test)
}

#[test]
fn a_panic_is_logged_and_aborts() {
    const SIGABRT: i32 = 6;
    let test = "a_panic_is_logged_and_aborts";
    if is_child(test) {
        let _logs = install(&config(Formatter::Json)).unwrap();
        let _ = thread::Builder::new()
            .name("worker".to_owned())
            .spawn(|| panic!("the ledger does not add up: {}", 7))
            .unwrap()
            .join();
        unreachable!("a panic ends the process");
    }
    let output = rerun(test, Stdio::piped()).wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(SIGABRT));
    let text = String::from_utf8(output.stderr).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "error");
    assert_eq!(line["msg"], "panic: the ledger does not add up: 7");
    assert_eq!(line["thread"], "worker");
    assert!(
        line["place"].as_str().unwrap().contains("tests.rs:"),
        "{text}"
    );
    assert!(line["backtrace"].as_str().unwrap().contains('\n'), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_closed_standard_error_is_borne() {
    let test = "a_closed_standard_error_is_borne";
    if is_child(test) {
        let logs = install(&config(Formatter::Text)).unwrap();
        for number in 0..1_000 {
            info!(number, "nobody reads this");
        }
        assert!(logs.flush(DEADLINE));
        process::exit(7);
    }
    let mut child = rerun(test, Stdio::piped());
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn a_standard_error_that_stands_still_blocks_nobody() {
    let test = "a_standard_error_that_stands_still_blocks_nobody";
    if is_child(test) {
        let logs = install(&config(Formatter::Text)).unwrap();
        // More than the buffer and the pipe can take together.
        for _ in 0..10_000 {
            info!("{}", "x".repeat(1_000));
        }
        assert!(logs.dropped().count() > 0);
        assert!(!logs.flush(Duration::from_millis(1)));
        process::exit(7);
    }
    let mut child = rerun(test, Stdio::piped());
    let unread = child.stderr.take();
    assert_eq!(child.wait().unwrap().code(), Some(7));
    drop(unread);
}
