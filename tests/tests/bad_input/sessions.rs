//! Upload ids that are unknown, of another repository, or committed before.

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
