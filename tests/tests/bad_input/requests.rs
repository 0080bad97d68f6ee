//! Ranges that cannot be, methods that nobody knows, headers that are too long, and noise.

use roadstead_tests::raw::Raw;
use roadstead_tests::{Registry, Repository, Setup, fixture};

use super::refusal::{ask, check_nothing_stored, check_refused, check_stored};

/// A registry with one blob of a thousand bytes.
fn with_blob() -> (Registry, Repository, roadstead_proto::Digest, Vec<u8>) {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("requests/blob");
    let content = fixture::random(1, 1000);
    let digest = repository.push_blob(&content);
    (registry, repository, digest, content)
}

#[track_caller]
fn check_unsatisfiable(ranges: &[&str]) {
    let (registry, repository, digest, content) = with_blob();
    for range in ranges {
        let request = repository.request("GET", &format!("blobs/{digest}"));
        let answer = request.header("range", range).send().expect(416);
        assert_eq!(answer.header("content-range"), "bytes */1000", "{answer}");
        answer.refused_somehow(416).names("1000");
    }
    assert_eq!(repository.get_blob(&digest).expect(200).body, content);
    check_stored(&registry, 1);
}

#[test]
fn range_unsatisfiable() {
    check_unsatisfiable(&[
        "bytes=1000-",
        "bytes=1000-1000",
        "bytes=5000-6000",
        "bytes=-0",
        "bytes=99999999999999999999999-",
    ]);
}

#[test]
fn range_reversed() {
    check_unsatisfiable(&["bytes=500-0", "bytes=10-9", "bytes=999-1"]);
}

/// A server may ignore several ranges at once; a body of some other shape it may not send.
#[test]
fn range_multiple() {
    let (registry, repository, digest, content) = with_blob();
    for range in [
        "bytes=0-1,5-6",
        "bytes=0-0,-1",
        "bytes=0-,0-,0-,0-,0-,0-,0-,0-",
    ] {
        let request = repository.request("GET", &format!("blobs/{digest}"));
        let answer = request.header("range", range).send().expect(200);
        assert_eq!(answer.body, content, "{range}");
        assert!(!answer.has("content-range"), "{answer}");
    }
    check_stored(&registry, 1);
}

#[test]
fn method_unknown() {
    let (registry, repository, digest, _) = with_blob();
    repository.push_image("latest", 2);
    let upload = repository.start_upload();
    let id = upload
        .path()
        .rsplit('/')
        .next()
        .map(str::to_owned)
        .expect("a path has parts");
    for (path, allowed) in [
        ("tags/list".to_owned(), vec!["GET"]),
        (format!("blobs/{digest}"), vec!["GET", "HEAD", "DELETE"]),
        (
            "manifests/latest".to_owned(),
            vec!["GET", "HEAD", "PUT", "DELETE"],
        ),
        ("blobs/uploads/".to_owned(), vec!["POST"]),
        (
            format!("blobs/uploads/{id}"),
            vec!["GET", "PATCH", "PUT", "DELETE"],
        ),
        (format!("referrers/{digest}"), vec!["GET"]),
    ] {
        for method in ["BREW", "OPTIONS", "TRACE", "PROPFIND", "get"] {
            let answer = repository.request(method, &path).send();
            let listed = answer.list("allow");
            answer.refused(405, "UNSUPPORTED").names(method);
            for method in &allowed {
                assert!(
                    listed.iter().any(|found| found == method),
                    "{path}: {listed:?}"
                );
            }
        }
    }
    for (method, path) in [
        ("POST", "/v2/"),
        ("PUT", "/v2/_catalog"),
        ("DELETE", "/v2/_catalog"),
    ] {
        let answer = registry.client().request(method, path).send();
        answer.refused(405, "UNSUPPORTED").names(method);
    }
    repository.get_manifest("latest").expect(200);
    upload.cancel().expect(204);
    check_stored(&registry, 3);
}

#[test]
fn headers_too_long() {
    let registry = Registry::start(Setup::default());
    let host = registry.address();
    let long = format!("X-Long: {}\r\n", "x".repeat(1 << 20));
    let many: String = (0..5000)
        .map(|number| format!("X-{number}: y\r\n"))
        .collect();
    for headers in [long, many] {
        let mut raw = Raw::connect(&host);
        raw.send(format!(
            "GET /v2/ HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"
        ));
        // actix answers this before any handler of ours could give it a body.
        assert_eq!(raw.answer().status, 431);
    }
    check_nothing_stored(&registry);
}

#[test]
fn address_too_long() {
    let registry = Registry::start(Setup::default());
    let path = format!("/v2/{}/tags/list", "a".repeat(20_000));
    check_refused(&ask(&registry, "GET", &path), 400, "NAME_INVALID", "255");
    let query = format!("/v2/a/tags/list?last={}", "a".repeat(20_000));
    let answer = ask(&registry, "GET", &query);
    assert!(matches!(answer.status, 400 | 404 | 414), "{answer:?}");
    answer.refused(answer.status);
    check_nothing_stored(&registry);
}

#[test]
fn path_with_broken_encoding() {
    let registry = Registry::start(Setup::default());
    for path in [
        "/v2/%/tags/list",
        "/v2/%zz/tags/list",
        "/v2/%ff/tags/list",
        "/v2/a%00b/tags/list",
    ] {
        let answer = ask(&registry, "GET", path);
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        answer.refused(answer.status);
    }
    check_nothing_stored(&registry);
}

/// What is not HTTP is answered or closed, and hurts nobody.
#[test]
fn noise() {
    let registry = Registry::start(Setup::default());
    let random = fixture::random(3, 10_000);
    for noise in [
        &b"\r\n\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /v2/ HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /v2/ HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\
          Content-Length: 3\r\n\r\nabc",
        &random,
    ] {
        let mut raw = Raw::connect(&registry.address());
        raw.send(noise);
        raw.end();
        let (answer, _) = raw.rest();
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.starts_with("HTTP/1.1 5"), "{text}");
    }
    check_nothing_stored(&registry);
}
