//! What must hold after every refusal.

use roadstead_tests::Registry;
use roadstead_tests::raw::{Raw, RawAnswer};

/// Panics unless the store holds nothing, and a blob can be pushed and pulled.
///
/// The push is deleted again, and its object may stay until collection.
#[track_caller]
pub(super) fn check_nothing_stored(registry: &Registry) {
    check_stored(registry, 0);
}

/// Panics unless the store holds that many whole objects and no unfinished write, and a blob can
/// be pushed and pulled.
#[track_caller]
pub(super) fn check_stored(registry: &Registry, objects: usize) {
    registry.holds_objects(objects);
    registry.serves();
}

/// Asks with a path that a client library would have tidied up.
#[track_caller]
pub(super) fn ask(registry: &Registry, method: &str, target: &str) -> RawAnswer {
    let host = registry.address();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Length: 0\r\n\r\n"
    );
    Raw::ask(&host, request)
}

/// Panics unless it is this status and code, and the error contains the word.
#[track_caller]
pub(super) fn check_refused(answer: &RawAnswer, status: u16, code: &str, named: &str) {
    let (found, text) = answer.refused(status);
    assert_eq!(found, code, "{text}");
    assert!(text.contains(named), "{named} is not named: {text}");
    assert_eq!(
        answer.header("docker-distribution-api-version"),
        Some("registry/2.0"),
        "{answer:?}"
    );
}
