//! Invariants 6, 8, 9 and 10: what may be named where.

use super::source::{File, files, lines_with, none};

/// Files under these paths may name the library; nobody else may, tests included.
const LIBRARIES: [(&str, &[&str]); 3] = [
    (
        "openraft",
        &[
            "cluster/src/store",
            "cluster/src/consensus",
            "cluster/src/network",
            "cluster/src/handle",
        ],
    ),
    ("rocksdb", &["cluster/src/store"]),
    ("prometheus_client", &["node/src/telemetry/metrics"]),
];

/// Whether a path is `base.rs` or lies in the folder `base/`.
fn is_of(path: &str, base: &str) -> bool {
    let rest = path.strip_prefix(base);
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn libraries(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for (library, owners) in LIBRARIES {
            if owners.iter().any(|owner| is_of(&file.path, owner)) {
                continue;
            }
            for line in lines_with(&file.code(), library) {
                complaints.push(format!("{}:{line}: must not name {library}", file.path));
            }
        }
    }
    complaints
}

/// Files below a path, with words that their code must not have, and why.
struct Ban {
    base: &'static str,
    words: &'static [&'static str],
    reason: &'static str,
}

const BANS: [Ban; 3] = [
    Ban {
        base: "cluster/src/metadata",
        words: &[
            "SystemTime",
            "Instant",
            "std::time",
            "HashMap",
            "HashSet",
            "RandomState",
            "rand",
            "random",
            "Uuid",
            "async",
            "await",
            "std::fs",
            "std::env",
            "std::io",
            "std::net",
            "std::process",
            "std::thread",
            "tokio",
            "rustix",
            "tracing",
            "println",
        ],
        reason: "`apply` is a pure function: no clock, randomness, I/O, await or hash order",
    },
    Ban {
        base: "proto/src",
        words: &[
            "SystemTime",
            "Instant",
            "std::fs",
            "std::env",
            "std::io",
            "std::net",
            "std::process",
            "std::thread",
            "async",
            "tokio",
            "println",
        ],
        reason: "`proto` does no I/O and reads no clock",
    },
    Ban {
        base: "cluster/src/clock",
        words: &["Realtime", "RealtimeCoarse", "RealtimeAlarm", "Tai"],
        // The test that sets the wall clock sees calls of the C library only.
        reason: "what has an age goes by a clock that nobody sets",
    },
];

fn bans(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for ban in &BANS {
        let below: Vec<_> = files
            .iter()
            .filter(|file| file.is_rust() && is_of(&file.path, ban.base))
            .collect();
        if below.is_empty() {
            complaints.push(format!("there is nothing in {}: did it move?", ban.base));
        }
        for file in below {
            let code = file.production();
            for word in ban.words {
                for line in lines_with(&code, word) {
                    let (path, reason) = (&file.path, ban.reason);
                    complaints.push(format!("{path}:{line}: {word}: {reason}"));
                }
            }
        }
    }
    complaints
}

/// actix-web's names of errors, as functions of `HttpResponse`.
const REFUSALS: [&str; 30] = [
    "BadRequest",
    "Unauthorized",
    "PaymentRequired",
    "Forbidden",
    "NotFound",
    "MethodNotAllowed",
    "NotAcceptable",
    "ProxyAuthenticationRequired",
    "RequestTimeout",
    "Conflict",
    "Gone",
    "LengthRequired",
    "PreconditionFailed",
    "PreconditionRequired",
    "PayloadTooLarge",
    "UriTooLong",
    "UnsupportedMediaType",
    "RangeNotSatisfiable",
    "ExpectationFailed",
    "UnprocessableEntity",
    "TooManyRequests",
    "RequestHeaderFieldsTooLarge",
    "UnavailableForLegalReasons",
    "InternalServerError",
    "NotImplemented",
    "BadGateway",
    "ServiceUnavailable",
    "GatewayTimeout",
    "VersionNotSupported",
    "InsufficientStorage",
];

/// Only one file chooses the status of an error: elsewhere in `node` nothing may name a status by
/// number or constant, nor build an answer that is an error.
fn statuses(files: &[File]) -> Vec<String> {
    const OWNER: &str = "node/src/http/error.rs";
    let mut complaints = Vec::new();
    let is_meant = |file: &&File| file.path.starts_with("node/src/") && file.path != OWNER;
    for file in files.iter().filter(|file| file.is_rust()).filter(is_meant) {
        let code = file.production();
        let mut words = vec!["StatusCode".to_owned(), "InternalError".to_owned()];
        for name in REFUSALS {
            words.push(format!("HttpResponse::{name}"));
            words.push(format!("Error{name}"));
        }
        for word in words {
            for line in lines_with(&code, &word) {
                let path = &file.path;
                complaints.push(format!(
                    "{path}:{line}: {word}: only {OWNER} chooses a status"
                ));
            }
        }
    }
    complaints
}

/// Literals that only one file may hold.
fn literals(files: &[File]) -> Vec<String> {
    let is_key = |text: &str| text.contains("roadstead/v1");
    let is_metric = |text: &str| {
        let begins = ["registry_", "roadstead_", "process_"];
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        begins.iter().any(|begin| text.starts_with(begin)) && text.chars().all(is_name)
    };
    type Rule<'a> = (&'static str, &'a dyn Fn(&str) -> bool, &'static str);
    let rules: [Rule<'_>; 2] = [
        ("storage/src/path", &is_key, "an object key"),
        (
            "node/src/telemetry/metrics",
            &is_metric,
            "the name of a metric",
        ),
    ];
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for (line, text) in file.literals() {
            for (owner, is_meant, what) in rules {
                if !is_of(&file.path, owner) && is_meant(&text) {
                    let path = &file.path;
                    complaints.push(format!("{path}:{line}: {text:?} is {what}: {owner}"));
                }
            }
        }
    }
    complaints
}

/// Queues without a bound, whatever they are for.
fn queues(files: &[File]) -> Vec<String> {
    const WORDS: [&str; 4] = [
        "unbounded_channel",
        "unbounded",
        "std::sync::mpsc::channel",
        "UnboundedSender",
    ];
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let code = file.production();
        for word in WORDS {
            for line in lines_with(&code, word) {
                let path = &file.path;
                complaints.push(format!(
                    "{path}:{line}: {word}: every queue has a named bound"
                ));
            }
        }
    }
    complaints
}

#[test]
fn libraries_are_named_only_where_they_are_wrapped() {
    none(libraries(&files()));
}

#[test]
fn apply_is_pure_and_proto_does_no_io() {
    none(bans(&files()));
}

#[test]
fn one_file_chooses_the_status_of_errors() {
    none(statuses(&files()));
}

#[test]
fn one_file_holds_object_keys_and_one_the_names_of_metrics() {
    let files = files();
    for owner in ["storage/src/path.rs", "node/src/telemetry/metrics.rs"] {
        assert!(
            files.iter().any(|file| file.path == owner),
            "{owner} has moved"
        );
    }
    none(literals(&files));
}

#[test]
fn every_queue_has_a_bound() {
    none(queues(&files()));
}

/// Each rule with a file that breaks it on its second line, and one that only seems to.
#[test]
fn each_wrong_name_is_seen() {
    type Rule = fn(&[File]) -> Vec<String>;
    let table: [(Rule, &str, &str, &str); 14] = [
        (
            libraries,
            "cluster/src/metadata/apply.rs",
            "use openraft::Raft;",
            "// openraft",
        ),
        (
            libraries,
            "cluster/src/handle.rs",
            "use rocksdb::DB;",
            "use openraft::Raft;",
        ),
        (
            libraries,
            "cluster/src/storefront.rs",
            "use rocksdb::DB;",
            "\"rocksdb\"",
        ),
        (
            libraries,
            "node/src/http/base.rs",
            "use prometheus_client::a;",
            "let a = prometheus;",
        ),
        (
            bans,
            "cluster/src/metadata/tag.rs",
            "let now = SystemTime::now();",
            "let at = now_ms;",
        ),
        (
            bans,
            "cluster/src/metadata/tag.rs",
            "let id = Uuid::new_v4();",
            "// Uuid",
        ),
        (
            bans,
            "cluster/src/metadata.rs",
            "use std::collections::HashMap;",
            "BTreeMap",
        ),
        (
            bans,
            "proto/src/digest.rs",
            "std::fs::read(path)",
            "\"std::fs\"",
        ),
        (
            bans,
            "cluster/src/clock.rs",
            "let now = clock_gettime(ClockId::Realtime);",
            "let now = clock_gettime(ClockId::Boottime);",
        ),
        (
            statuses,
            "node/src/http/tags.rs",
            "HttpResponse::NotFound()",
            "HttpResponse::Ok()",
        ),
        (
            statuses,
            "node/src/service.rs",
            "StatusCode::CONFLICT",
            "// StatusCode",
        ),
        (
            literals,
            "node/src/upload.rs",
            "\"roadstead/v1/objects/\"",
            "\"roadstead\"",
        ),
        (
            literals,
            "node/src/http.rs",
            "\"registry_http_requests\"",
            "\"registry of uploads\"",
        ),
        (
            queues,
            "node/src/actor.rs",
            "mpsc::unbounded_channel()",
            "mpsc::channel(8)",
        ),
    ];
    let rest = [
        File::seeded("cluster/src/metadata/other.rs", "//! x\n"),
        File::seeded("proto/src/other.rs", "//! x\n"),
        File::seeded("cluster/src/clock.rs", "//! x\n"),
    ];
    for (rule, path, bad, good) in table {
        let with = |line: &str| {
            let mut files = rest.to_vec();
            files.push(File::seeded(path, &format!("//! x\n{line}\n")));
            rule(&files)
        };
        let complaints = with(bad);
        assert_eq!(complaints.len(), 1, "{path} {bad}: {complaints:?}");
        assert!(
            complaints[0].starts_with(&format!("{path}:2:")),
            "{complaints:?}"
        );
        assert_eq!(with(good), [""; 0], "{path} {good}");
    }
}

/// Tests may use clocks and write keys out; what wraps a library wraps it for them too.
#[test]
fn rules_about_production_leave_tests_alone() {
    type Rule = fn(&[File]) -> Vec<String>;
    let table: [(Rule, &str, &str, usize); 5] = [
        (libraries, "node/src/a.rs", "use openraft::Raft;", 1),
        (
            bans,
            "cluster/src/metadata/a.rs",
            "use std::time::Instant;",
            0,
        ),
        (statuses, "node/src/a.rs", "StatusCode::CONFLICT;", 0),
        (literals, "node/src/a.rs", "\"roadstead/v1/objects/\";", 0),
        (queues, "node/src/a.rs", "mpsc::unbounded_channel();", 0),
    ];
    for (rule, path, line, expected) in table {
        let text = format!("//! x\n#[cfg(test)]\nmod tests {{ {line} }}\n");
        let files = [
            File::seeded(path, &text),
            File::seeded("cluster/src/metadata/other.rs", "//! x\n"),
            File::seeded("proto/src/other.rs", "//! x\n"),
            File::seeded("cluster/src/clock.rs", "//! x\n"),
        ];
        assert_eq!(rule(&files).len(), expected, "{line}");
    }
}

#[test]
fn folder_that_is_gone_is_seen() {
    assert_eq!(bans(&[]).len(), BANS.len());
}
