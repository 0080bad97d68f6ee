//! Chunks out of order, overlapping, of another size than they say, or broken off.

use roadstead_tests::raw::Raw;
use roadstead_tests::wait::{self, LONG};
use roadstead_tests::{Registry, Repository, Setup, Upload, fixture};

use super::refusal::{check_nothing_stored, check_stored};

const LENGTH: usize = 100_000;

/// Goes on at the offset that the registry gives, and checks that the blob is right.
#[track_caller]
fn finish(repository: &Repository, upload: &mut Upload, content: &[u8]) {
    let offset = upload.offset();
    if offset < content.len() {
        upload.chunk(offset, &content[offset..]).expect(202);
    }
    let digest = fixture::digest(content);
    upload.put(digest.as_str(), b"").expect(201);
    assert!(repository.get_blob(&digest).expect(200).body == content);
}

/// An upload that has taken the first half of the content.
#[track_caller]
fn half(repository: &Repository, content: &[u8]) -> Upload {
    let mut upload = repository.start_upload();
    upload.chunk(0, &content[..LENGTH / 2]).expect(202);
    upload
}

/// Chunks at these places are refused, and nothing is lost.
#[track_caller]
fn check_misplaced(registry: &Registry, starts: &[usize]) {
    let repository = registry.repository("chunks/misplaced");
    let content = fixture::random(1, LENGTH);
    let digest = fixture::digest(&content);
    let mut upload = half(&repository, &content);
    for start in starts {
        let piece = &content[*start..*start + 10];
        let answer = upload.chunk(*start, piece);
        let refusal = answer.clone().refused_somehow(416);
        refusal.names("50000");
        assert_eq!(answer.header("range"), "0-49999", "{answer}");
        let answer = upload.put_chunk(digest.as_str(), *start, piece);
        answer.refused_somehow(416).names("50000");
        assert_eq!(upload.offset(), LENGTH / 2, "after a chunk at {start}");
    }
    finish(&repository, &mut upload, &content);
    check_stored(registry, 1);
}

#[test]
fn chunk_out_of_order() {
    check_misplaced(
        &Registry::start(Setup::default()),
        &[50_001, 60_000, 99_990],
    );
}

#[test]
fn chunk_overlapping() {
    check_misplaced(&Registry::start(Setup::default()), &[0, 1, 49_990, 49_999]);
}

#[test]
fn first_chunk_out_of_order() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("chunks/first");
    let mut upload = repository.start_upload();
    upload.chunk(5, b"bytes").refused_somehow(416);
    assert_eq!(upload.offset(), 0);
    let digest = fixture::digest(b"bytes");
    upload
        .put_chunk(digest.as_str(), 5, b"bytes")
        .refused_somehow(416);
    upload.put_chunk(digest.as_str(), 0, b"bytes").expect(201);
    check_stored(&registry, 1);
}

#[test]
fn range_of_a_chunk_that_is_none() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("chunks/range");
    let mut upload = repository.start_upload();
    for range in [
        "",
        "x",
        "5",
        "-5",
        "5-",
        "9-5",
        "0-99999999999999999999",
        "-1-3",
        "0,4",
    ] {
        let request = upload.request("PATCH").header("content-range", range);
        let answer = request.body(*b"bytes").send();
        answer.refused_somehow(400).names("Content-Range");
        assert_eq!(upload.offset(), 0, "{range:?}");
    }
    upload.cancel().expect(204);
    check_nothing_stored(&registry);
}

/// Sends a chunk whose range says another length than `Content-Length` or the body has.
#[track_caller]
fn check_length(range: &str, is_streamed: bool) {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("chunks/length");
    let content = fixture::random(2, LENGTH);
    let mut upload = half(&repository, &content);
    let body = &content[50_000..50_100];
    for method in ["PATCH", "PUT"] {
        let request = if method == "PATCH" {
            upload.request("PATCH")
        } else {
            upload.closing(fixture::digest(&content).as_str())
        };
        let request = request.header("content-range", range);
        let request = if is_streamed {
            request.stream(body)
        } else {
            request.body(body)
        };
        request.send().refused(400, "SIZE_INVALID").names("100");
        assert_eq!(upload.offset(), LENGTH / 2, "{method} {range}");
    }
    finish(&repository, &mut upload, &content);
    check_stored(&registry, 1);
}

#[test]
fn chunk_smaller_than_its_range() {
    check_length("50000-50199", false);
}

#[test]
fn chunk_larger_than_its_range() {
    check_length("50000-50049", false);
}

#[test]
fn stream_smaller_than_its_range() {
    check_length("50000-50199", true);
}

#[test]
fn stream_larger_than_its_range() {
    check_length("50000-50049", true);
}

/// The head of a request to an upload that announces more bytes than will come.
fn head(registry: &Registry, method: &str, target: &str, length: usize) -> String {
    let host = registry.address();
    format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n")
}

/// More bytes than `Content-Length` says are not part of the chunk.
#[test]
fn body_larger_than_its_length() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("chunks/larger");
    let mut upload = repository.start_upload();
    let mut raw = Raw::connect(&registry.address());
    raw.send(head(&registry, "PATCH", &upload.path(), 5) + "bytes and more than that\r\n\r\n");
    assert_eq!(raw.answer().status, 202);
    // What follows is no request, and the connection is worth nothing any more.
    let (rest, _) = raw.rest();
    let rest = String::from_utf8_lossy(&rest);
    assert!(
        rest.is_empty() || rest.starts_with("HTTP/1.1 400"),
        "{rest}"
    );
    assert_eq!(upload.offset(), 5);
    finish(&repository, &mut upload, b"bytes");
    check_stored(&registry, 1);
}

/// The bytes that came are kept, and the upload goes on at the offset that `GET` gives.
#[track_caller]
fn check_broken_off(method: &str) {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("chunks/broken");
    let content = fixture::random(3, LENGTH);
    let digest = fixture::digest(&content);
    let mut upload = half(&repository, &content);
    let target = match method {
        "PUT" => format!("{}?digest={digest}", upload.path()),
        _ => upload.path(),
    };
    let mut raw = Raw::connect(&registry.address());
    raw.send(head(&registry, method, &target, LENGTH / 2));
    raw.send(&content[50_000..80_000]);
    raw.break_off();
    wait::until("the bytes that came are acknowledged", LONG, || {
        (upload.offset() == 80_000).then_some(())
    });
    repository.get_blob(&digest).expect(404);
    finish(&repository, &mut upload, &content);
    check_stored(&registry, 1);
}

#[test]
fn chunk_broken_off() {
    check_broken_off("PATCH");
}

#[test]
fn closing_put_broken_off() {
    check_broken_off("PUT");
}

/// A client that ends its side in the middle, and could still hear an answer, is told.
#[test]
fn body_that_ends_too_early() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("chunks/early");
    let content = fixture::random(4, LENGTH);
    let mut upload = half(&repository, &content);
    let mut raw = Raw::connect(&registry.address());
    raw.send(head(&registry, "PATCH", &upload.path(), LENGTH / 2));
    raw.send(&content[50_000..50_010]);
    raw.end();
    if let Ok(Some(answer)) = raw.try_answer() {
        answer.refused(400);
    }
    wait::until("the bytes that came are acknowledged", LONG, || {
        (upload.offset() == 50_010).then_some(())
    });
    finish(&repository, &mut upload, &content);
    check_stored(&registry, 1);
}

/// Pieces that contradict the encoding are a body that broke off.
#[test]
fn stream_with_a_broken_encoding() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("chunks/encoding");
    let content = fixture::random(5, LENGTH);
    let mut upload = half(&repository, &content);
    let host = registry.address();
    let mut raw = Raw::connect(&host);
    raw.send(format!(
        "PATCH {} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n",
        upload.path()
    ));
    raw.send("a\r\n");
    raw.send(&content[50_000..50_010]);
    raw.send("\r\nnot a length\r\n");
    if let Ok(Some(answer)) = raw.try_answer() {
        answer.refused(400);
    }
    let offset = wait::until("the upload goes on", LONG, || {
        Some(upload.offset()).filter(|offset| *offset == 50_000 || *offset == 50_010)
    });
    assert!(offset >= LENGTH / 2);
    finish(&repository, &mut upload, &content);
    check_stored(&registry, 1);
}

/// Nobody can go on with an upload whose id nobody was told: nothing of it may be seen.
#[test]
fn single_post_broken_off() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("chunks/post");
    let content = fixture::random(6, LENGTH);
    let digest = fixture::digest(&content);
    let target = format!("/v2/chunks/post/blobs/uploads/?digest={digest}");
    let mut raw = Raw::connect(&registry.address());
    raw.send(head(&registry, "POST", &target, LENGTH));
    raw.send(&content[..LENGTH / 2]);
    wait::until("the first bytes have come to the store", LONG, || {
        (registry.objects().partial == 1).then_some(())
    });
    raw.break_off();
    repository.get_blob(&digest).expect(404);
    check_nothing_stored(&registry);
}
