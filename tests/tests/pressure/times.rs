//! Each time of the node's limits that passes from outside: who waits longer is told so, or ended.
//!
//! The times of bodies pass on a paused clock, beside their code.

use std::thread;
use std::time::{Duration, Instant};

use roadstead_tests::fixture::{self, digest};
use roadstead_tests::raw::Raw;
use roadstead_tests::wait::until;
use roadstead_tests::{Client, Mount, Registry, Setup};

/// Longer than everything here takes.
const LIMIT: Duration = Duration::from_secs(100);

#[track_caller]
fn check_between(began: Instant, least: u64, most: u64) {
    let taken = began.elapsed();
    let expected = Duration::from_secs(least)..Duration::from_secs(most);
    assert!(expected.contains(&taken), "{taken:?}, not {expected:?}");
}

/// `KEEP_ALIVE`.
fn an_idle_connection_is_closed(registry: &Registry) {
    let mut raw = Raw::connect(&registry.address());
    raw.set_limit(LIMIT);
    raw.send("GET /v2/ HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_eq!(raw.answer().status, 200);
    let began = Instant::now();
    assert_eq!(raw.rest(), (Vec::new(), true));
    check_between(began, 74, 82);
}

/// `REQUEST_HEAD_TIME`.
fn a_slow_head_is_refused(registry: &Registry) {
    let mut raw = Raw::connect(&registry.address());
    let began = Instant::now();
    raw.send("GET /v2/ HTTP/1.1\r\nHost: he");
    let answer = raw.try_answer().expect("the connection ends in order");
    assert!(answer.is_none_or(|answer| answer.status == 408));
    check_between(began, 14, 22);
}

/// `BODY_IDLE`.
fn a_body_that_stands_still_is_refused(registry: &Registry) {
    let repository = registry.repository("times/body");
    let upload = repository.start_upload();
    let path = upload.path();
    let mut raw = Raw::connect(&registry.address());
    let began = Instant::now();
    raw.send(format!(
        "PATCH {path} HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\nbytes"
    ));
    raw.answer().refused(408);
    check_between(began, 29, 40);
    upload.cancel().expect(204);
}

/// `UPLOAD_IDLE`: its file is closed, and it goes on.
fn an_idle_upload_is_let_go(registry: &Registry) {
    let repository = registry.repository("times/upload");
    let content = b"first and second";
    let mut upload = repository.start_upload();
    upload.patch(&content[..5]).expect(202);
    let began = Instant::now();
    until("its file is closed", LIMIT, || {
        let files = registry.open_files();
        let is_partial = |path: &std::path::PathBuf| {
            path.extension()
                .is_some_and(|extension| extension == "partial")
        };
        // Another test of this registry has an upload too, for a shorter time.
        (!files.iter().any(is_partial)).then_some(())
    });
    check_between(began, 59, 90);
    assert_eq!(upload.offset(), 5);
    upload.chunk(5, &content[5..]).expect(202);
    upload.put(digest(content).as_str(), b"").expect(201);
}

/// `MANIFEST_BYTES_AT_WORK` and `MANIFEST_ROOM_TIME`: eight of the largest manifests are at work.
fn a_manifest_that_finds_no_room_waits(registry: &Registry) {
    let host = registry.address();
    let repository = registry.repository("times/manifests");
    let large: Vec<_> = (0..8)
        .map(|number| {
            let mut raw = Raw::connect(&host);
            raw.send(format!(
                "PUT /v2/times/manifests/manifests/t{number} HTTP/1.1\r\nHost: here\r\n\
                 Content-Length: {}\r\n\r\n{{",
                4 << 20
            ));
            raw
        })
        .collect();
    let manifest = fixture::index(&[]);
    // Until all of them are at work there is room.
    until("there is no room", LIMIT, || {
        let began = Instant::now();
        let answer = repository.put_manifest("small", &manifest);
        if answer.status == 201 {
            return None;
        }
        answer.refused(429, "TOOMANYREQUESTS").names("manifests");
        check_between(began, 9, 15);
        Some(())
    });
    for raw in large {
        raw.break_off();
    }
    repository.put_manifest("small", &manifest).expect(201);
}

#[test]
fn who_waits_too_long_is_ended() {
    let registry = Registry::start(Setup::default());
    let registry = &registry;
    thread::scope(|scope| {
        scope.spawn(|| an_idle_connection_is_closed(registry));
        scope.spawn(|| a_slow_head_is_refused(registry));
        scope.spawn(|| a_body_that_stands_still_is_refused(registry));
        scope.spawn(|| an_idle_upload_is_let_go(registry));
        scope.spawn(|| a_manifest_that_finds_no_room_waits(registry));
    });
    registry.serves();
}

/// A registry whose metadata, or blobs, lie on a disk that can stand still.
fn with_disk(blobs: &str, metadata: &str) -> Setup {
    Setup::empty()
        .with(
            "storage",
            &format!("filesystem:\n  rootdirectory: {blobs}\ndelete:\n  enabled: true"),
        )
        .with("cluster", &format!("datadir: {metadata}"))
        .with("http", "addr: 127.0.0.1:{port}\ndraintimeout: 1s")
}

/// `PROPOSAL_TIMEOUT`.
#[test]
fn a_write_that_the_log_does_not_take_is_given_up() {
    let disk = Mount::ext4(256 << 20);
    let metadata = disk.path().join("metadata").display().to_string();
    let registry = Registry::start(with_disk("{folder}/data", &metadata));
    let repository = registry.repository("times/write");
    repository.push_image("before", 1);
    let frozen = disk.freeze();
    let began = Instant::now();
    let answer = repository.request("POST", "blobs/uploads/").send();
    frozen.thaw();
    answer.refused_somehow(503);
    check_between(began, 9, 15);
    repository.push_image("after", 2);
}

/// `RELEASE_TIME`.
#[test]
fn an_upload_that_cannot_be_let_go_does_not_hold_up_the_end() {
    let disk = Mount::ext4(256 << 20);
    let blobs = disk.path().join("data").display().to_string();
    let mut registry = Registry::start(with_disk(&blobs, "{folder}/metadata").with_debug());
    let path = registry.repository("times/release").start_upload().path();
    let frozen = disk.freeze();
    let mut raw = Raw::connect(&registry.address());
    let length = 8 << 20;
    raw.send(format!(
        "PATCH {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {length}\r\n\r\n"
    ));
    raw.send(fixture::random(1, 2 << 20));
    let operators = Client::new(&registry.debug_address());
    until("the chunk is being taken in", LIMIT, || {
        let metrics = operators.get("/metrics").body;
        let in_flight = "registry_http_in_flight_requests{handler=\"blob_upload_chunk\"} 1";
        let metrics = String::from_utf8_lossy(&metrics);
        metrics.contains(in_flight).then_some(())
    });
    let began = Instant::now();
    registry.signal(rustix::process::Signal::TERM);
    registry.says(&["some uploads were not released in time"]);
    check_between(began, 10, 25);
    frozen.thaw();
    registry.wait();
    registry.kill();
    registry.run();
    registry.serves();
}
