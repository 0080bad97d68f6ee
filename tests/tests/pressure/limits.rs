//! Each count of the node's limits that can be reached from outside in seconds, and one more.
//!
//! Times are in `times.rs`; what cannot be seen from outside is tested beside its code.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use roadstead_tests::fixture::{self, Document, digest};
use roadstead_tests::raw::{Raw, RawAnswer};
use roadstead_tests::wait::{LONG, poll, until};
use roadstead_tests::{Client, Registry, Repository, Setup};
use serde_json::json;

/// How many clients push at once where it is only about numbers.
const CLIENTS: usize = 8;

/// A manifest that refers to another, and to nothing else.
fn referrer(subject: &Document, number: usize, padding: usize) -> Document {
    let annotations = json!({ "number": number.to_string(), "padding": "x".repeat(padding) });
    fixture::index(&[])
        .with("artifactType", json!("application/vnd.many"))
        .with("subject", subject.descriptor())
        .with("annotations", annotations)
}

fn push_referrers(repository: &Repository, subject: &Document, numbers: std::ops::Range<usize>) {
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let numbers = numbers.clone();
            scope.spawn(move || {
                for number in numbers.skip(client).step_by(CLIENTS) {
                    let manifest = referrer(subject, number, 0);
                    let pushed = repository.put_manifest(manifest.digest(), &manifest);
                    pushed.expect(201);
                }
            });
        }
    });
}

/// Up to where a snapshot of the metadata exists.
fn snapshot_index(registry: &Registry) -> u64 {
    let metrics = Client::new(&registry.debug_address()).get("/metrics");
    let text = String::from_utf8(metrics.expect(200).body.to_vec()).expect("metrics are text");
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("roadstead_raft_snapshot_index "));
    let index = line.and_then(|index| index.trim().parse::<f64>().ok());
    index.expect("the snapshot is measured") as u64
}

/// `SNAPSHOT_AFTER_ENTRIES`, `REFERRERS_PER_PAGE` and `REFERRERS_LOOKED_AT_MAX`.
#[test]
fn ten_thousand_referrers_come_in_pages_and_a_snapshot_is_taken() {
    const REFERRERS: usize = 10_050;
    let registry = Registry::start(Setup::default().with_debug());
    let repository = registry.repository("many/referrers");
    let subject = fixture::index(&[]);
    repository.put_manifest("subject", &subject).expect(201);
    push_referrers(&repository, &subject, 0..9_900);
    assert_eq!(snapshot_index(&registry), 0, "there are fewer entries yet");
    push_referrers(&repository, &subject, 9_900..REFERRERS);
    until("a snapshot is taken", LONG, || {
        (snapshot_index(&registry) >= 9_900).then_some(())
    });

    // A page holds a thousand.
    let (mut found, mut pages) = (BTreeSet::new(), Vec::new());
    let mut answer = repository.referrers(&subject.digest(), "").expect(200);
    loop {
        let body = answer.json();
        let list = body["manifests"].as_array().expect("a list");
        pages.push(list.len());
        found.extend(list.iter().map(|item| item["digest"].to_string()));
        let Some(next) = answer.next_page() else {
            break;
        };
        let request = registry.client().request_to("GET", &next);
        answer = request.send().expect(200);
    }
    assert_eq!(found.len(), REFERRERS);
    assert_eq!(pages, [[1_000; 10].as_slice(), &[50]].concat());

    // One request looks at ten thousand, give or take those that it reads at once.
    let none = repository.referrers(&subject.digest(), "?artifactType=application/vnd.none");
    let none = none.expect(200);
    assert_eq!(none.json()["manifests"], json!([]));
    let next = none.next_page().expect("it did not look at all of them");
    let rest = registry.client().request_to("GET", &next);
    let rest = rest.send().expect(200);
    assert_eq!(rest.json()["manifests"], json!([]));
    assert_eq!(rest.next_page(), None);
}

/// `REFERRERS_BYTES_MAX` and `REFERRERS_PER_READ`.
#[test]
fn large_referrers_come_two_at_a_time_and_few_are_in_memory() {
    const REFERRERS: usize = 80;
    const BYTES: usize = 3_500_000;
    const RESIDENT_KIB_MAX: u64 = 400_000;
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("large/referrers");
    let subject = fixture::index(&[]);
    for number in 0..REFERRERS {
        let manifest = referrer(&subject, number, BYTES);
        let pushed = repository.put_manifest(manifest.digest(), &manifest);
        pushed.expect(201);
    }
    let page = repository.referrers(&subject.digest(), "").expect(200);
    let body = page.json();
    assert_eq!(body["manifests"].as_array().map(Vec::len), Some(2));
    assert!(page.next_page().is_some());
    let peak = registry.peak_resident_kib();
    assert!(peak <= RESIDENT_KIB_MAX, "{peak} KiB were resident");
}

/// `TAGS_PER_READ`.
#[test]
fn a_whole_list_of_tags_is_sent_in_parts() {
    const TAGS: usize = 2_500;
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("streamed/tags");
    let manifest = fixture::index(&[]);
    let tags: Vec<_> = (0..TAGS).map(|n| format!("tag=t{n:05}")).collect();
    for tags in tags.chunks(50) {
        let path = format!("manifests/{}?{}", manifest.digest(), tags.join("&"));
        let put = repository.request("PUT", &path);
        let put = put.header("content-type", &manifest.media_type);
        put.body(manifest.bytes()).send().expect(201);
    }
    let mut raw = Raw::connect(&registry.address());
    raw.send("GET /v2/streamed/tags/tags/list HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    let head = raw.head().expect("an answer").expect("is there");
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    let (body, _) = raw.rest();
    let mut rest = String::from_utf8(body).expect("a list is text");
    let mut parts = Vec::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("the length of a chunk");
        if length == 0 {
            break;
        }
        parts.push(after[..length].matches("\"t0").count());
        rest = after[length + 2..].to_owned();
    }
    assert_eq!(parts, [1_000, 1_000, 500]);
}

/// `UPLOADS_OPEN_MAX`.
#[test]
fn so_many_uploads_are_open_and_not_one_more() {
    const UPLOADS: usize = 2_048;
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("many/uploads");
    let first = repository.start_upload();
    thread::scope(|scope| {
        for client in 1..=CLIENTS {
            let repository = &repository;
            scope.spawn(move || {
                for _ in (client..UPLOADS).step_by(CLIENTS) {
                    repository.start_upload();
                }
            });
        }
    });
    let refused = repository.request("POST", "blobs/uploads/").send();
    // `RETRY_AFTER_SECONDS`.
    assert_eq!(refused.header("retry-after"), "1");
    refused.refused(429, "TOOMANYREQUESTS").names("uploads");
    first.cancel().expect(204);
    until("there is room for another", LONG, || {
        let begun = repository.request("POST", "blobs/uploads/").send();
        (begun.status == 202).then_some(())
    });
}

/// `FILE_DESCRIPTORS_MIN`, `FILES_RESERVED`, and the part of the rest that is for uploads.
#[test]
fn few_files_are_divided() {
    let mut few = Registry::prepare(Setup::default().descriptors(1_023));
    few.run_to_end().failed_saying(&["1023", "1024", "ulimit"]);
    let registry = Registry::start(Setup::default().descriptors(1_024));
    let repository = registry.repository("few/files");
    let uploads = (1_024 - 640) / 6;
    for _ in 0..uploads {
        repository.start_upload();
    }
    let refused = repository.request("POST", "blobs/uploads/").send();
    refused.refused(429, "TOOMANYREQUESTS").names("uploads");
}

/// `CONNECTIONS_MAX`, or what of it the files allow: the others wait, and come next.
#[test]
fn more_connections_than_may_be_open_wait_for_their_turn() {
    const CONNECTIONS: usize = 300;
    const SERVED_MAX: usize = (1_024 - 640) / 3;
    let registry = Registry::start(Setup::default().descriptors(1_024));
    let (served, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut raw = Raw::connect(&registry.address());
                raw.send("GET /v2/ HTTP/1.1\r\nHost: here\r\n\r\n");
                assert_eq!(raw.answer().status, 200);
                served.fetch_add(1, Ordering::SeqCst);
                // Open until all have seen that there is no more room.
                until("the others have waited", LONG, || {
                    is_over.load(Ordering::SeqCst).then_some(())
                });
            });
        }
        until("as many as may be are served", LONG, || {
            (served.load(Ordering::SeqCst) > SERVED_MAX / 2).then_some(())
        });
        let too_many = poll(Duration::from_secs(3), || {
            let served = served.load(Ordering::SeqCst);
            (served > SERVED_MAX).then_some(served)
        });
        is_over.store(true, Ordering::SeqCst);
        assert_eq!(too_many, None, "more than {SERVED_MAX} were served at once");
    });
    assert_eq!(served.load(Ordering::SeqCst), CONNECTIONS);
}

/// `UPLOAD_MAILBOX`: one request is at work and seven wait.
#[test]
fn more_requests_for_an_upload_than_may_wait_are_told_so() {
    const WAITING: usize = 8;
    const ASKED: usize = 20;
    let registry = Registry::start(Setup::default());
    let host = registry.address();
    let path = registry.repository("busy/upload").start_upload().path();
    let mut stuck = Raw::connect(&host);
    stuck.send(format!(
        "PATCH {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\nbytes"
    ));
    until("the chunk is at work", LONG, || {
        (registry.objects().partial == 1).then_some(())
    });
    let (refused, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..ASKED {
            scope.spawn(|| {
                let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
                let answer: RawAnswer = Raw::ask(&host, text);
                match answer.status {
                    429 => refused.fetch_add(1, Ordering::SeqCst),
                    204 => answered.fetch_add(1, Ordering::SeqCst),
                    status => panic!("{status} {answer:?}"),
                };
            });
        }
        until("the others are refused", LONG, || {
            (refused.load(Ordering::SeqCst) == ASKED - (WAITING - 1)).then_some(())
        });
        assert_eq!(answered.load(Ordering::SeqCst), 0);
        stuck.break_off();
    });
    assert_eq!(answered.load(Ordering::SeqCst), WAITING - 1);
}

/// `QUOTED_MAX`, `QUOTED_PATH_MAX`, `QUOTED_METHOD_MAX` and `REQUEST_ID_BYTES_MAX`.
#[test]
fn answers_quote_only_the_beginning_of_what_was_wrong() {
    let registry = Registry::start(Setup::default());
    let client = registry.client();
    let long = "q".repeat(3_000);
    let digest = registry.repository("quoted").push_blob(b"content");
    let quoted_with = |method: &str, path: &str, range: &str| {
        let request = client.request(method, path).header("range", range);
        let answer = request.send();
        assert!(answer.status >= 400, "{answer}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let words = text.split(|c: char| !"qQ9".contains(c));
        words.map(str::len).max().unwrap_or_default()
    };
    let quoted = |method: &str, path: &str| quoted_with(method, path, "bytes=0-");
    // A path begins with what is known of it.
    let path = quoted("GET", &format!("/v2/{long}/what"));
    assert!((150..=200).contains(&path), "{path} of a path");
    assert_eq!(quoted("GET", &format!("/v2/a/blobs/uploads/{long}")), 80);
    assert_eq!(quoted("GET", &format!("/v2/a/tags/list?n={long}")), 80);
    assert_eq!(quoted(&"Q".repeat(50), "/v2/"), 20);
    let blob = format!("/v2/quoted/blobs/{digest}");
    let range = quoted_with("GET", &blob, &format!("bytes={}-", "9".repeat(3_000)));
    assert!((60..=80).contains(&range), "{range} of a range");

    for (length, is_kept) in [(128, true), (129, false)] {
        let id = "i".repeat(length);
        let answer = client.request("GET", "/v2/").header("x-request-id", &id);
        let answer = answer.send().expect(200);
        assert_eq!(answer.header("x-request-id") == id, is_kept, "{length}");
    }
}

/// `MOUNT_SOURCES_MAX`: more repositories than are looked at hold the blob.
#[test]
fn a_blob_that_many_hold_is_mounted_without_from() {
    let registry = Registry::start(Setup::default());
    let blob = digest(b"held by many");
    for number in 0..12 {
        let repository = registry.repository(&format!("holders/r{number}"));
        repository.push_blob(b"held by many");
    }
    let target = registry.repository("holders/another");
    let mount = format!("blobs/uploads/?mount={blob}");
    target.request("POST", &mount).send().expect(201);
    target.get_blob(&blob).expect(200);
}
