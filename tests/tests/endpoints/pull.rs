//! end-2 and end-3: blobs and manifests are served as they were pushed, with all that caches need.

use roadstead_proto::media_type::{DOCKER_MANIFEST, OCI_IMAGE_INDEX, OCI_IMAGE_MANIFEST};
use roadstead_tests::{Answer, fixture, shared};

const IMMUTABLE: &str = "public, max-age=31536000, immutable";

#[track_caller]
fn check_headers(answer: &Answer, digest: &str, length: usize, cache: &str) {
    assert_eq!(answer.header("docker-content-digest"), digest, "{answer}");
    assert_eq!(
        answer.header("content-length"),
        length.to_string(),
        "{answer}"
    );
    assert_eq!(answer.header("etag"), format!("\"{digest}\""), "{answer}");
    assert_eq!(answer.header("cache-control"), cache, "{answer}");
}

#[test]
fn blob_is_served_whole() {
    let (repository, _registry) = shared::repository("pull/blob");
    let content = fixture::random(1, 100_000);
    let digest = repository.push_blob(&content);
    let answer = repository.get_blob(&digest).expect(200);
    assert_eq!(answer.body, content);
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    check_headers(&answer, digest.as_str(), content.len(), IMMUTABLE);
}

#[test]
fn head_of_a_blob_says_the_same_without_a_body() {
    let (repository, _registry) = shared::repository("pull/head");
    let content = fixture::random(2, 1234);
    let digest = repository.push_blob(&content);
    let answer = repository.head_blob(&digest).expect(200);
    assert!(answer.body.is_empty());
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    check_headers(&answer, digest.as_str(), content.len(), IMMUTABLE);
}

#[test]
fn empty_blob_is_a_blob() {
    let (repository, _registry) = shared::repository("pull/empty");
    let digest = repository.push_blob(b"");
    assert_eq!(digest.as_str(), fixture::EMPTY);
    let answer = repository.get_blob(&digest).expect(200);
    assert!(answer.body.is_empty());
    check_headers(&answer, fixture::EMPTY, 0, IMMUTABLE);
    let answer = repository.head_blob(&digest).expect(200);
    check_headers(&answer, fixture::EMPTY, 0, IMMUTABLE);
}

#[test]
fn blob_is_served_under_its_sha512_digest() {
    let (repository, _registry) = shared::repository("pull/sha512");
    let content = fixture::random(3, 5000);
    let digest = fixture::sha512(&content);
    let upload = repository.start_upload();
    upload.put(digest.as_str(), &content).expect(201);
    let answer = repository.get_blob(&digest).expect(200);
    assert_eq!(answer.body, content);
    check_headers(&answer, digest.as_str(), content.len(), IMMUTABLE);
}

#[test]
fn unknown_blob_is_404_and_named() {
    let (repository, _registry) = shared::repository("pull/unknown-blob");
    repository.push_blob(b"so that the repository exists");
    let digest = fixture::unknown(1);
    let refusal = repository.get_blob(&digest).refused(404, "BLOB_UNKNOWN");
    refusal.names(digest.as_str());
    let answer = repository.head_blob(&digest).expect(404);
    assert!(answer.body.is_empty());
}

#[test]
fn blob_of_another_repository_is_unknown() {
    let registry = shared::registry();
    let digest = registry.repository("pull/one").push_blob(b"only in one");
    let other = registry.repository("pull/other");
    other.push_blob(b"something else");
    other.get_blob(&digest).refused(404, "BLOB_UNKNOWN");
    registry
        .repository("pull/absent")
        .get_blob(&digest)
        .refused_somehow(404);
}

#[test]
fn manifest_is_served_by_tag_and_by_digest() {
    let (repository, _registry) = shared::repository("pull/manifest");
    let image = repository.push_image("latest", 4);
    let bytes = image.manifest.bytes();
    let digest = image.manifest.digest();
    for (reference, cache) in [("latest", "no-cache"), (digest.as_str(), IMMUTABLE)] {
        for answer in [
            repository.get_manifest(reference).expect(200),
            repository.head_manifest(reference).expect(200),
        ] {
            assert_eq!(answer.header("content-type"), OCI_IMAGE_MANIFEST);
            check_headers(&answer, digest.as_str(), bytes.len(), cache);
            let is_head = answer.request.starts_with("HEAD ");
            let body: &[u8] = if is_head { b"" } else { &bytes };
            assert_eq!(answer.body, body, "{answer}");
        }
    }
}

/// Never converted, no platform picked, no 406.
#[test]
fn manifest_is_served_as_stored_whatever_accept_says() {
    let (repository, _registry) = shared::repository("pull/accept");
    let image = repository.push_image("image", 5);
    let index = fixture::index(&[image.manifest.descriptor()]);
    repository.put_manifest("index", &index).expect(201);
    let everything_else = "application/vnd.docker.distribution.manifest.v1+prettyjws, text/html";
    for accept in [
        OCI_IMAGE_MANIFEST,
        OCI_IMAGE_INDEX,
        DOCKER_MANIFEST,
        everything_else,
        "*/*;q=0",
        "not a media type",
    ] {
        for (tag, expected) in [("image", &image.manifest), ("index", &index)] {
            let request = repository.request("GET", &format!("manifests/{tag}"));
            let answer = request.header("accept", accept).send().expect(200);
            assert_eq!(
                answer.header("content-type"),
                expected.media_type,
                "{accept}"
            );
            assert_eq!(answer.body, expected.bytes(), "{accept}");
        }
    }
}

#[test]
fn unknown_manifest_is_404_and_named() {
    let (repository, _registry) = shared::repository("pull/unknown-manifest");
    repository.push_image("latest", 6);
    let digest = fixture::unknown(2);
    for reference in ["absent", digest.as_str()] {
        let answer = repository.get_manifest(reference);
        answer.refused(404, "MANIFEST_UNKNOWN").names(reference);
        let answer = repository.head_manifest(reference).expect(404);
        assert!(answer.body.is_empty());
    }
}

#[test]
fn manifest_of_a_repository_that_does_not_exist_is_404() {
    let (repository, _registry) = shared::repository("pull/never-pushed-to");
    repository.get_manifest("latest").refused_somehow(404);
    repository.head_manifest("latest").expect(404);
}

/// A registry that is no proxy may ignore `ns`.
#[test]
fn name_of_an_upstream_does_not_disturb() {
    let (repository, _registry) = shared::repository("pull/ns");
    let image = repository.push_image("latest", 7);
    let layer = fixture::digest(&image.layers[0]);
    for path in ["manifests/latest".to_owned(), format!("blobs/{layer}")] {
        let request = repository.request("GET", &format!("{path}?ns=upstream.example.org"));
        request.send().expect(200);
    }
}

#[test]
fn what_the_client_has_already_is_not_sent_again() {
    let (repository, _registry) = shared::repository("pull/conditional");
    let image = repository.push_image("latest", 8);
    let manifest = image.manifest.digest();
    let layer = fixture::digest(&image.layers[0]);
    for (path, digest) in [
        ("manifests/latest".to_owned(), &manifest),
        (format!("manifests/{manifest}"), &manifest),
        (format!("blobs/{layer}"), &layer),
    ] {
        for known in [
            format!("\"{digest}\""),
            format!("W/\"{digest}\""),
            format!("\"x\", \"{digest}\""),
            "*".to_owned(),
        ] {
            for method in ["GET", "HEAD"] {
                let request = repository.request(method, &path);
                let answer = request.header("if-none-match", &known).send().expect(304);
                assert!(answer.body.is_empty());
                assert_eq!(answer.header("etag"), format!("\"{digest}\""));
            }
        }
        let request = repository.request("GET", &path);
        request
            .header("if-none-match", "\"sha256:other\"")
            .send()
            .expect(200);
    }
}

#[test]
fn large_blob_comes_back_byte_for_byte() {
    let (repository, _registry) = shared::repository("pull/large");
    let content = fixture::random(9, 24 << 20);
    let digest = repository.push_blob(&content);
    let answer = repository.get_blob(&digest).expect(200);
    assert!(
        answer.body == content,
        "{} bytes came back",
        answer.body.len()
    );
}
