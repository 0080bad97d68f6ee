//! Upload ids that are unknown, of another repository, or committed before.

use roadstead_tests::raw::Raw;
use roadstead_tests::{Registry, Repository, Setup, fixture};

use super::refusal::{check_nothing_stored, check_stored};

const CODE: &str = "BLOB_UPLOAD_UNKNOWN";

/// Every request to the upload is refused, and the error names its id.
#[track_caller]
fn check_unknown(repository: &Repository, id: &str, named: &str) {
    let digest = fixture::digest(b"bytes");
    let path = format!("blobs/uploads/{id}");
    let closing = format!("{path}?digest={digest}");
    for (method, path) in [
        ("GET", &path),
        ("PATCH", &path),
        ("PUT", &closing),
        ("DELETE", &path),
    ] {
        let request = repository.request(method, path);
        let request = match method {
            "PATCH" | "PUT" => request.body(*b"bytes"),
            _ => request,
        };
        request.send().refused(404, CODE).names(named);
    }
    repository.get_blob(&digest).expect(404);
}

#[test]
fn upload_id_unknown() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("sessions/unknown");
    let never_given = "0b9a1c58-3a3e-4b9f-9a52-6f6f0e3f5e11";
    let long = "x".repeat(3000);
    for (id, named) in [
        (never_given, never_given),
        (&never_given.to_uppercase(), "0B9A1C58"),
        (&never_given.replace('-', ""), "0b9a1c58"),
        ("nonsense", "nonsense"),
        (&long, "xxx"),
    ] {
        check_unknown(&repository, id, named);
    }
    check_nothing_stored(&registry);
}

#[test]
fn upload_id_of_another_repository() {
    let registry = Registry::start(Setup::default());
    let mine = registry.repository("sessions/mine");
    let yours = registry.repository("sessions/yours");
    let mut upload = mine.start_upload();
    upload.patch(b"mine").expect(202);
    let path = upload.path();
    let id = path.rsplit('/').next().expect("a path has parts");
    check_unknown(&yours, id, id);
    // Whose it is has not noticed.
    assert_eq!(upload.offset(), 4);
    let digest = fixture::digest(b"mine");
    upload.put(digest.as_str(), b"").expect(201);
    check_stored(&registry, 1);
}

#[test]
fn upload_id_committed_before() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("sessions/committed");
    let content = fixture::random(1, 1000);
    let digest = fixture::digest(&content);
    let mut upload = repository.start_upload();
    upload.patch(&content).expect(202);
    upload.put(digest.as_str(), b"").expect(201);
    upload.status().refused(404, CODE);
    upload.patch(b"more").refused(404, CODE);
    let other = fixture::digest(b"more");
    upload.put(other.as_str(), b"more").refused(404, CODE);
    upload.cancel().refused(404, CODE);
    assert_eq!(repository.get_blob(&digest).expect(200).body, content);
    repository.get_blob(&other).expect(404);
    check_stored(&registry, 1);
}

/// Two requests to one upload at once: one after the other, or one of them is refused; the
/// content is that of one order.
#[test]
fn upload_id_used_twice_at_once() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("sessions/twice");
    let content = fixture::random(2, 200_000);
    let digest = fixture::digest(&content);
    let upload = repository.start_upload();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (mut upload, content) = (upload.clone(), &content);
            scope.spawn(move || {
                let answer = upload.chunk(0, content);
                assert!(matches!(answer.status, 202 | 416 | 503 | 429), "{answer}");
            });
        }
    });
    upload.put(digest.as_str(), b"").expect(201);
    assert!(repository.get_blob(&digest).expect(200).body == content);
    check_stored(&registry, 1);
}

/// A client that sends a whole layer to an upload that is gone hears so, and not a reset.
#[test]
fn refusal_is_heard_over_a_large_body() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("sessions/large");
    let never_given = "0b9a1c58-3a3e-4b9f-9a52-6f6f0e3f5e11";
    let body = fixture::random(3, 600_000);
    let digest = fixture::digest(&body);
    let path = format!("blobs/uploads/{never_given}");
    let other = registry.repository("Not/A/Name");
    for _ in 0..10 {
        let request = repository.request("PATCH", &path).body(body.clone());
        request.send().refused(404, CODE);
        let closing = format!("{path}?digest={digest}");
        let request = repository.request("PUT", &closing).body(body.clone());
        request.send().refused(404, CODE);
        let closing = format!("{path}?digest=nonsense");
        let request = repository.request("PUT", &closing).body(body.clone());
        request.send().refused(400, "DIGEST_INVALID");
        let request = other.request("PATCH", &path).body(body.clone());
        request.send().refused(400, "NAME_INVALID");
        let request = repository.request("PUT", "manifests/-x").body(body.clone());
        request.send().refused(400, "TAG_INVALID");
        let request = repository.request("PUT", "tags/list").body(body.clone());
        request.send().refused(405, "UNSUPPORTED");
    }
    check_nothing_stored(&registry);
}

/// A connection goes on serving after a refusal, or is closed: its next answer is its own.
#[test]
fn connection_is_in_step_after_a_refusal() {
    let registry = Registry::start(Setup::default());
    let host = registry.address();
    let body = "GET /v2/smuggled HTTP/1.1\r\n\r\n".repeat(100);
    let length = body.len();
    for target in [
        "PATCH /v2/a/blobs/uploads/0b9a1c58-3a3e-4b9f-9a52-6f6f0e3f5e11",
        "PUT /v2/a/manifests/-x",
        "PUT /v2/A/manifests/x",
        "BREW /v2/",
        "GET /v2/",
    ] {
        let mut raw = Raw::connect(&host);
        raw.send(format!(
            "{target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
        ));
        raw.send(&body);
        let first = raw.answer();
        raw.send(format!("GET /v2/_catalog HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        if let Ok(Some(second)) = raw.try_answer() {
            assert_eq!(
                second.status, 200,
                "after {target}: {first:?} then {second:?}"
            );
            assert_eq!(second.body, b"{\"repositories\":[]}", "{second:?}");
        }
    }
    check_nothing_stored(&registry);
}
