//! A restart in order keeps everything.

use roadstead_tests::{Registry, Setup, fixture};

#[test]
fn restart_keeps_tags_manifests_blobs_and_referrers() {
    let mut registry = Registry::start(Setup::default());
    let repository = registry.repository("restart/all");
    let image = repository.push_image("latest", 1);
    let digest = image.manifest.digest();
    let index = fixture::index(&[]).with("subject", image.manifest.descriptor());
    repository.put_manifest(index.digest(), &index).expect(201);
    let loose = repository.push_blob(b"no manifest needs this");
    let deleted = repository.push_blob(b"deleted before");
    repository.delete_blob(&deleted).expect(202);
    repository.push_image("gone", 2);
    repository.delete_manifest("gone").expect(202);
    for _ in 0..2 {
        registry.restart();
        for reference in ["latest", digest.as_str()] {
            let answer = repository.get_manifest(reference).expect(200);
            assert_eq!(answer.body, image.manifest.bytes());
            assert_eq!(answer.header("content-type"), image.manifest.media_type);
        }
        for content in [&image.config, &image.layers[0]] {
            let answer = repository.get_blob(&fixture::digest(content)).expect(200);
            assert_eq!(answer.body, *content);
        }
        repository.get_blob(&loose).expect(200);
        repository.get_blob(&deleted).expect(404);
        repository.get_manifest("gone").expect(404);
        let tags = repository.tags("").expect(200).json();
        assert_eq!(tags["tags"], serde_json::json!(["latest"]));
        let referrers = repository.referrers(&digest, "").expect(200).json();
        assert_eq!(referrers["manifests"][0]["digest"], index.digest().as_str());
        let catalog = registry.client().get("/v2/_catalog").expect(200).json();
        assert_eq!(catalog["repositories"], serde_json::json!(["restart/all"]));
    }
    let refusal = repository.delete_blob(&fixture::digest(&image.config));
    refusal.refused(405, "UNSUPPORTED");
}

#[test]
fn unfinished_upload_goes_on_where_it_was() {
    let mut registry = Registry::start(Setup::default());
    let repository = registry.repository("restart/upload");
    let content = fixture::random(3, 300_000);
    for (algorithm, digest) in [
        ("sha256", fixture::digest(&content)),
        ("sha512", fixture::sha512(&content)),
    ] {
        let path = format!("blobs/uploads/?digest-algorithm={algorithm}");
        let answer = repository.request("POST", &path).send().expect(202);
        let mut upload = repository.upload(&answer);
        for (number, piece) in content.chunks(70_001).enumerate() {
            upload.chunk(number * 70_001, piece).expect(202);
            registry.restart();
            assert_eq!(upload.offset(), number * 70_001 + piece.len());
        }
        upload.put(digest.as_str(), b"").expect(201);
        assert!(repository.get_blob(&digest).expect(200).body == content);
    }
}

#[test]
fn upload_without_a_byte_goes_on() {
    let mut registry = Registry::start(Setup::default());
    let repository = registry.repository("restart/empty");
    let mut upload = repository.start_upload();
    let cancelled = repository.start_upload();
    cancelled.cancel().expect(204);
    registry.restart();
    assert_eq!(upload.offset(), 0);
    upload.patch(b"bytes").expect(202);
    let digest = fixture::digest(b"bytes");
    upload.put(digest.as_str(), b"").expect(201);
    let answer = cancelled.request("GET").send();
    answer.refused(404, "BLOB_UPLOAD_UNKNOWN");
}

/// The answer to the closing `PUT` may have been lost with the node.
#[test]
fn closing_put_may_be_repeated_after_a_restart() {
    let mut registry = Registry::start(Setup::default());
    let repository = registry.repository("restart/commit");
    let mut upload = repository.start_upload();
    upload.patch(b"bytes").expect(202);
    let digest = fixture::digest(b"bytes");
    upload.put(digest.as_str(), b"").expect(201);
    registry.restart();
    upload.put(digest.as_str(), b"").expect(201);
    assert_eq!(repository.get_blob(&digest).expect(200).body, "bytes");
}
