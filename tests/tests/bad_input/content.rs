//! Content that is not what its digest says.

use roadstead_tests::{Registry, Setup, fixture};

use super::refusal::{check_nothing_stored, check_stored};

#[test]
fn digest_of_an_upload_does_not_match() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("content/upload");
    let content = fixture::random(1, 10_000);
    for digest in [fixture::unknown(1), fixture::sha512(b"something else")] {
        for sent in [0, 6000, 10_000] {
            let mut upload = repository.start_upload();
            upload.patch(&content[..sent]).expect(202);
            let answer = upload.put(digest.as_str(), &content[sent..]);
            let refusal = answer.refused(400, "DIGEST_INVALID");
            refusal.names(digest.as_str());
            repository.get_blob(&digest).expect(404);
            repository.get_blob(&fixture::digest(&content)).expect(404);
            upload.status().refused(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    check_nothing_stored(&registry);
}

#[test]
fn digest_of_a_single_post_does_not_match() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("content/post");
    let digest = fixture::unknown(2);
    let request = repository.request("POST", &format!("blobs/uploads/?digest={digest}"));
    let answer = request.body(fixture::random(2, 5000)).send();
    answer.refused(400, "DIGEST_INVALID").names(digest.as_str());
    repository.get_blob(&digest).expect(404);
    check_nothing_stored(&registry);
}

/// What was pushed before under the right digest is not hurt by a push under a wrong one.
#[test]
fn digest_of_other_content_that_is_there() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("content/other");
    let content = fixture::random(3, 5000);
    let digest = repository.push_blob(&content);
    let answer = repository.start_upload().put(digest.as_str(), b"not that");
    answer.refused(400, "DIGEST_INVALID").names(digest.as_str());
    assert_eq!(repository.get_blob(&digest).expect(200).body, content);
    check_stored(&registry, 1);
}

#[test]
fn digest_of_a_manifest_does_not_match() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("content/manifest");
    let index = fixture::index(&[]);
    for digest in [fixture::unknown(3), fixture::sha512(b"something else")] {
        let answer = repository.put_manifest(&digest, &index);
        answer.refused(400, "DIGEST_INVALID").names(digest.as_str());
        let path = format!("manifests/{digest}?tag=latest");
        let request = repository.request("PUT", &path);
        let request = request.header("content-type", &index.media_type);
        request
            .body(index.bytes())
            .send()
            .refused(400, "DIGEST_INVALID");
        repository.get_manifest(&digest).expect(404);
    }
    repository.get_manifest("latest").expect(404);
    repository.get_manifest(index.digest()).expect(404);
    check_nothing_stored(&registry);
}
