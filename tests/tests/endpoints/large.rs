//! end-2 over HTTP/1.1: bodies that go from a file to the client past the server's memory, and
//! what follows them on the same connection.

use std::fs::File;
use std::path::PathBuf;

use roadstead_proto::Digest;
use roadstead_tests::raw::{Raw, RawAnswer};
use roadstead_tests::wait::{self, LONG};
use roadstead_tests::{Registry, Setup, fixture, folder, shared};
use rustix::fs::Advice;

/// More than the kernel's buffers between two sockets take.
const LARGE: usize = 40 << 20;

/// Several times what is sent at once, and no multiple of anything.
const ODD: usize = (9 << 20) + 12_345;

fn request(method: &str, repository: &str, digest: &Digest, lines: &[&str]) -> String {
    let head = format!("{method} /v2/{repository}/blobs/{digest} HTTP/1.1\r\nHost: here\r\n");
    let lines = lines.iter().map(|line| format!("{line}\r\n"));
    head + &lines.collect::<String>() + "\r\n"
}

#[track_caller]
fn check(answer: &RawAnswer, status: u16, expected: &[u8]) {
    assert_eq!(answer.status, status, "{:?}", answer.headers);
    let length = expected.len().to_string();
    assert_eq!(answer.header("content-length"), Some(length.as_str()));
    assert_eq!(answer.header("transfer-encoding"), None);
    assert!(answer.body == expected, "other bytes came");
}

/// The file of the only object that is as large as that.
#[track_caller]
fn object(registry: &Registry, length: usize) -> PathBuf {
    let is_meant = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|found| found.len() == length as u64)
    };
    let objects = registry.data().join("roadstead/v1/objects");
    let mut found = folder::files(&objects).into_iter().filter(is_meant);
    let object = found.next().expect("the object has a file");
    assert_eq!(found.next(), None, "only one is that large");
    object
}

/// How often the bodies of objects were read into the server's memory.
fn bodies_read(registry: &Registry) -> String {
    let client = roadstead_tests::Client::new(&registry.debug_address());
    let answer = client.get("/metrics").expect(200);
    let text = String::from_utf8(answer.body.to_vec()).expect("metrics are text");
    let mut lines = text.lines().filter(|line| {
        line.starts_with("registry_storage_action_seconds_count")
            && line.contains("action=\"read_body\"")
    });
    lines.next().unwrap_or("none").to_owned()
}

#[test]
fn one_connection_serves_parts_heads_and_the_whole() {
    let (repository, registry) = shared::repository("large/together");
    let content = fixture::random(600, ODD);
    let digest = repository.push_blob(&content);
    let ask = |method, lines: &[&str]| request(method, "large/together", &digest, lines);
    let mut raw = Raw::connect(&registry.address());
    for round in 0..3 {
        raw.send(ask("GET", &[]));
        check(&raw.answer(), 200, &content);
        for (first, last) in [
            (0, 0),
            (4095, 4096),
            (1 << 20, ODD - 1),
            (7, (8 << 20) + round),
        ] {
            raw.send(ask("GET", &[&format!("Range: bytes={first}-{last}")]));
            let answer = raw.answer();
            check(&answer, 206, &content[first..=last]);
            let range = format!("bytes {first}-{last}/{ODD}");
            assert_eq!(answer.header("content-range"), Some(range.as_str()));
        }
        raw.send(ask("HEAD", &[]));
        let head = raw
            .head()
            .expect("an answer comes")
            .expect("and is not empty");
        assert_eq!(
            head.header("content-length"),
            Some(ODD.to_string().as_str())
        );
        raw.send("GET /v2/ HTTP/1.1\r\nHost: here\r\n\r\n");
        check(&raw.answer(), 200, b"{}");
        raw.send(ask("GET", &[&format!("Range: bytes={ODD}-")]));
        raw.answer().refused(416);
    }
}

#[test]
fn requests_that_come_at_once_are_answered_in_order() {
    let (repository, registry) = shared::repository("large/pipelined");
    let contents = [
        fixture::random(601, ODD),
        fixture::random(602, 10),
        fixture::random(603, 2 << 20),
    ];
    let digests = contents.each_ref().map(|it| repository.push_blob(it));
    let mut raw = Raw::connect(&registry.address());
    let ask = |digest| request("GET", "large/pipelined", digest, &[]);
    let base = "GET /v2/ HTTP/1.1\r\nHost: here\r\n\r\n".to_owned();
    let [first, second, third] = digests.each_ref().map(ask);
    raw.send([first.clone(), base.clone(), second, third, base, first].concat());
    check(&raw.answer(), 200, &contents[0]);
    check(&raw.answer(), 200, b"{}");
    check(&raw.answer(), 200, &contents[1]);
    check(&raw.answer(), 200, &contents[2]);
    check(&raw.answer(), 200, b"{}");
    check(&raw.answer(), 200, &contents[0]);
}

#[test]
fn connection_that_is_to_close_does_so_after_the_whole() {
    let (repository, registry) = shared::repository("large/close");
    let content = fixture::random(604, ODD);
    let digest = repository.push_blob(&content);
    let close = request("GET", "large/close", &digest, &["Connection: close"]);
    let old = close
        .replace("HTTP/1.1", "HTTP/1.0")
        .replace("Connection: close\r\n", "");
    for text in [close, old] {
        let mut raw = Raw::connect(&registry.address());
        raw.send(text);
        check(&raw.answer(), 200, &content);
        assert_eq!(raw.rest(), (Vec::new(), true));
    }
    // Who has said all is still answered.
    let mut raw = Raw::connect(&registry.address());
    raw.send(request("GET", "large/close", &digest, &[]));
    raw.end();
    check(&raw.answer(), 200, &content);
    assert_eq!(raw.rest(), (Vec::new(), true));
}

#[test]
fn only_http_1_goes_past_the_servers_memory() {
    let setup = Setup::default().with_debug();
    let registry = Registry::start(setup.with("http", "h2c:\n  enabled: true"));
    let repository = registry.repository("large/protocols");
    let content = fixture::random(605, ODD);
    let digest = repository.push_blob(&content);
    let before = bodies_read(&registry);
    let mut raw = Raw::connect(&registry.address());
    raw.send(request("GET", "large/protocols", &digest, &[]));
    check(&raw.answer(), 200, &content);
    assert_eq!(bodies_read(&registry), before);

    let client = registry.client().by_http2();
    let repository = client.repository("large/protocols");
    assert!(repository.get_blob(&digest).expect(200).body == content);
    let part = repository.request("GET", &format!("blobs/{digest}"));
    let part = part.header("range", "bytes=5-4000000").send().expect(206);
    assert!(part.body == content[5..=4_000_000]);
    assert_ne!(bodies_read(&registry), before);
}

#[test]
fn file_that_is_not_in_memory_is_served_as_well() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("large/cold");
    let content = fixture::random(606, ODD);
    let digest = repository.push_blob(&content);
    let file = File::open(object(&registry, ODD)).expect("the object can be opened");
    let mut raw = Raw::connect(&registry.address());
    for range in [0..ODD, 5_000_000..5_000_001, 3..ODD - 3] {
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).expect("it is a file");
        let line = format!("Range: bytes={}-{}", range.start, range.end - 1);
        raw.send(request("GET", "large/cold", &digest, &[&line]));
        check(&raw.answer(), 206, &content[range]);
    }
}

#[test]
fn log_says_how_much_a_client_took() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("large/broken");
    let content = fixture::random(607, LARGE);
    let digest = repository.push_blob(&content);
    let mut raw = Raw::connect(&registry.address());
    raw.send(request(
        "GET",
        "large/broken",
        &digest,
        &["User-Agent: leaves"],
    ));
    let head = raw
        .head()
        .expect("an answer begins")
        .expect("and is not empty");
    assert_eq!(head.status, 200);
    let taken = 3 << 20;
    assert!(raw.read(taken).expect("bytes come") == content[..taken]);
    raw.break_off();
    let line = registry.says(&["GET /v2/large/broken/blobs/", "\"leaves\""]);
    let rest = line.split_once("HTTP/1.1\" 200 ").expect("it was answered");
    let bytes = rest
        .1
        .split_once(' ')
        .and_then(|(bytes, _)| bytes.parse().ok());
    let bytes: usize = bytes.expect("the bytes are a number");
    assert!((taken..LARGE).contains(&bytes), "{line}");

    // Nobody else notices, and who takes all is logged with all.
    let mut raw = Raw::connect(&registry.address());
    let lines = ["User-Agent: stays", "Range: bytes=10-"];
    raw.send(request("GET", "large/broken", &digest, &lines));
    check(&raw.answer(), 206, &content[10..]);
    registry.says(&[&format!("HTTP/1.1\" 206 {} ", LARGE - 10), "\"stays\""]);
}

#[test]
fn file_that_ends_too_early_breaks_the_connection() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("large/truncated");
    let content = fixture::random(608, LARGE);
    let digest = repository.push_blob(&content);
    let mut raw = Raw::connect(&registry.address());
    raw.send(request("GET", "large/truncated", &digest, &[]));
    let head = raw
        .head()
        .expect("an answer begins")
        .expect("and is not empty");
    assert_eq!(
        head.header("content-length"),
        Some(LARGE.to_string().as_str())
    );
    let kept = 30 << 20;
    let object = File::options()
        .write(true)
        .open(object(&registry, LARGE))
        .expect("the object can be opened");
    object.set_len(kept as u64).expect("it can be cut");
    // The client sees an end before the promised one, and no second answer.
    raw.send("GET /v2/ HTTP/1.1\r\nHost: here\r\n\r\n");
    let (body, _) = raw.rest();
    assert!(body.len() <= kept && body[..] == content[..body.len()]);
    registry.says(&["broke off in the middle", "ends at"]);
    wait::until("others are served", LONG, || {
        registry.client().is_ready().then_some(())
    });
}
