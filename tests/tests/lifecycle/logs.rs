//! Logs: an access log as Apache writes it, and events with the id of their request.

use roadstead_tests::{Registry, Setup};
use serde_json::Value;

#[test]
fn requests_are_logged_as_apache_does() {
    let registry = Registry::start(Setup::default());
    let request = registry.client().request("GET", "/v2/_catalog?n=5");
    let request = request.header("user-agent", "black-box \"test\"");
    request
        .header("referer", "http://example.org/")
        .send()
        .expect(200);
    let line = registry.says(&["GET /v2/_catalog?n=5 HTTP/1.1"]);
    let (client, rest) = line
        .split_once(" - - [")
        .expect("it begins with the client");
    assert_eq!(client, "127.0.0.1");
    let (_time, rest) = rest.split_once("] ").expect("the time follows");
    let expected = "\"GET /v2/_catalog?n=5 HTTP/1.1\" 200 19 \"http://example.org/\" ";
    assert!(rest.starts_with(expected), "{line}");
    // A quote of the client's must not end the field.
    assert!(!rest.contains("\"black-box \"test\"\""), "{line}");
}

#[test]
fn access_log_can_be_turned_off() {
    let setup = Setup::default().with("log", "accesslog:\n  disabled: true");
    let mut registry = Registry::start(setup);
    registry.client().get("/v2/").expect(200);
    registry.stop();
    assert!(
        !registry.stdout().contains("GET /v2/"),
        "{}",
        registry.stdout()
    );
}

#[test]
fn events_carry_the_id_of_their_request() {
    let log = "level: debug\nformatter: json\nfields:\n  service: under-test";
    let mut registry = Registry::start(Setup::default().with("log", log));
    let answer = registry.client().get("/v2/logs/tags/list").expect(404);
    let id = answer.header("x-request-id");
    let line = registry.says(&[id]);
    let event: Value = serde_json::from_str(&line).expect("a line is JSON");
    assert!(event.to_string().contains("under-test"), "{event}");
    // The id that a proxy gave goes through.
    let request = registry.client().request("GET", "/v2/logs/tags/list");
    let answer = request
        .header("x-request-id", "given-by-a-proxy-7")
        .send()
        .expect(404);
    assert_eq!(answer.header("x-request-id"), "given-by-a-proxy-7");
    registry.says(&["given-by-a-proxy-7"]);
    registry.stop();
    for line in registry.stderr().lines() {
        let event = serde_json::from_str::<Value>(line);
        assert!(
            event.is_ok_and(|event| event.is_object()),
            "not an object: {line}"
        );
    }
}

#[test]
fn level_bounds_what_is_logged() {
    let mut registry = Registry::start(Setup::default().with("log", "level: error"));
    registry.client().get("/v2/logs/tags/list").expect(404);
    registry.stop();
    for level in ["INFO", "DEBUG", "WARN"] {
        assert!(!registry.stderr().contains(level), "{}", registry.stderr());
    }
}
