//! A shutdown finishes what is in flight, and does not wait for what never ends.

use std::time::{Duration, Instant};

use roadstead_tests::raw::Raw;
use roadstead_tests::wait::{self, LONG};
use roadstead_tests::{Registry, Setup, fixture};
use rustix::process::Signal;

/// More than the kernel's buffers between two sockets take.
const LARGE: usize = 40 << 20;

/// How long a shutdown with nothing to wait for may take.
const SOON: Duration = Duration::from_secs(20);

/// Sends the signal and waits until nobody new is let in.
#[track_caller]
fn begin_shutdown(registry: &Registry, signal: Signal) {
    registry.signal(signal);
    let address = registry.address();
    wait::until("nobody new is let in", LONG, || {
        Raw::try_connect(&address).is_err().then_some(())
    });
}

#[test]
fn shutdown_with_nothing_to_do_is_a_success() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut registry = Registry::start(Setup::default());
        registry.serves();
        let began = Instant::now();
        registry.signal(signal);
        let status = registry.wait();
        assert_eq!(status.code(), Some(0), "{signal:?}: {}", registry.logs());
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
}

#[test]
fn download_in_flight_is_finished() {
    let mut registry = Registry::start(Setup::default());
    let repository = registry.repository("shutdown/download");
    let content = fixture::random(1, LARGE);
    let digest = repository.push_blob(&content);
    let host = registry.address();
    let mut raw = Raw::connect(&host);
    let path = format!("/v2/shutdown/download/blobs/{digest}");
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let head = raw
        .head()
        .expect("an answer begins")
        .expect("and is not empty");
    assert_eq!(head.status, 200);
    let first = raw.read(1 << 20).expect("bytes come");
    begin_shutdown(&registry, Signal::TERM);
    let rest = raw
        .read(content.len() - first.len())
        .expect("the rest comes");
    assert!([first, rest].concat() == content, "other bytes came");
    let status = registry.wait();
    assert_eq!(status.code(), Some(0), "{}", registry.logs());
}

#[test]
fn upload_in_flight_is_finished() {
    let mut registry = Registry::start(Setup::default());
    let repository = registry.repository("shutdown/upload");
    let content = fixture::random(2, 3 << 20);
    let digest = fixture::digest(&content);
    let half = content.len() / 2;
    let mut upload = repository.start_upload();
    let host = registry.address();
    let mut raw = Raw::connect(&host);
    let (path, length) = (upload.path(), content.len());
    raw.send(format!(
        "PATCH {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
    ));
    raw.send(&content[..half]);
    wait::until("the first bytes have come to the store", LONG, || {
        (registry.objects().partial == 1).then_some(())
    });
    begin_shutdown(&registry, Signal::TERM);
    assert!(
        registry.try_wait().is_none(),
        "it did not wait: {}",
        registry.logs()
    );
    raw.send(&content[half..]);
    let answer = raw.answer();
    assert_eq!(answer.status, 202, "{answer:?}");
    let status = registry.wait();
    assert_eq!(status.code(), Some(0), "{}", registry.logs());
    registry.kill();
    registry.run();
    assert_eq!(upload.offset(), content.len());
    upload.put(digest.as_str(), b"").expect(201);
    assert!(repository.get_blob(&digest).expect(200).body == content);
}

#[test]
fn closing_put_in_flight_is_finished() {
    let mut registry = Registry::start(Setup::default());
    let repository = registry.repository("shutdown/put");
    let content = fixture::random(3, 3 << 20);
    let digest = fixture::digest(&content);
    let half = content.len() / 2;
    let upload = repository.start_upload();
    let host = registry.address();
    let mut raw = Raw::connect(&host);
    let (path, length) = (upload.path(), content.len());
    raw.send(format!(
        "PUT {path}?digest={digest} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
    ));
    raw.send(&content[..half]);
    wait::until("the first bytes have come to the store", LONG, || {
        (registry.objects().partial == 1).then_some(())
    });
    begin_shutdown(&registry, Signal::TERM);
    raw.send(&content[half..]);
    let answer = raw.answer();
    assert_eq!(answer.status, 201, "{answer:?}");
    let status = registry.wait();
    assert_eq!(status.code(), Some(0), "{}", registry.logs());
    registry.kill();
    registry.run();
    assert!(repository.get_blob(&digest).expect(200).body == content);
}

/// Clients keep connections open for a next request: nobody waits for those.
#[test]
fn idle_connections_do_not_hold_it_up() {
    let mut registry = Registry::start(Setup::default());
    let host = registry.address();
    let mut used = Raw::connect(&host);
    for _ in 0..3 {
        used.send(format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(used.answer().status, 200);
    }
    let unused = Raw::connect(&host);
    let began = Instant::now();
    let status = registry.stop();
    assert_eq!(status.code(), Some(0), "{}", registry.logs());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    drop((used, unused));
}

/// A client that holds a chunk half sent.
fn stuck(registry: &Registry) -> Raw {
    let upload = registry.repository("shutdown/stuck").start_upload();
    let host = registry.address();
    let mut raw = Raw::connect(&host);
    let path = upload.path();
    raw.send(format!(
        "PATCH {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\nbytes"
    ));
    wait::until("the first bytes have come to the store", LONG, || {
        (registry.objects().partial == 1).then_some(())
    });
    raw
}

#[test]
fn time_to_finish_is_bounded() {
    let mut registry = Registry::start(Setup::default().with("http", "draintimeout: 2s"));
    let client = stuck(&registry);
    let began = Instant::now();
    registry.signal(Signal::INT);
    registry.wait();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    drop(client);
    registry.kill();
    registry.run();
    registry.serves();
}

#[test]
fn interrupt_ends_a_stopping_node_at_once() {
    let mut registry = Registry::start(Setup::default());
    let client = stuck(&registry);
    begin_shutdown(&registry, Signal::TERM);
    let began = Instant::now();
    registry.signal(Signal::INT);
    registry.wait();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    drop(client);
    registry.kill();
    registry.run();
    registry.serves();
}
