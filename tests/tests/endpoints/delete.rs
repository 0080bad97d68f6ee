//! end-9 and end-10: what is deleted is gone at once, and nothing else is.

use roadstead_tests::{fixture, shared};

#[test]
fn deleted_tag_leaves_its_manifest() {
    let (repository, _registry) = shared::repository("delete/tag");
    let image = repository.push_image("one", 1).manifest;
    repository.put_manifest("two", &image).expect(201);
    repository.delete_manifest("one").expect(202);
    repository.head_manifest("one").expect(404);
    repository
        .get_manifest("one")
        .refused(404, "MANIFEST_UNKNOWN");
    repository.get_manifest("two").expect(200);
    repository.get_manifest(image.digest()).expect(200);
    repository
        .delete_manifest("one")
        .refused(404, "MANIFEST_UNKNOWN")
        .names("one");
}

#[test]
fn deleted_manifest_takes_its_tags_along() {
    let (repository, _registry) = shared::repository("delete/manifest");
    let image = repository.push_image("one", 2);
    let digest = image.manifest.digest();
    repository.put_manifest("two", &image.manifest).expect(201);
    repository.push_image("other", 3);
    repository.delete_manifest(&digest).expect(202);
    for reference in ["one", "two", digest.as_str()] {
        repository.head_manifest(reference).expect(404);
        repository
            .get_manifest(reference)
            .refused(404, "MANIFEST_UNKNOWN");
    }
    repository.get_manifest("other").expect(200);
    let refusal = repository.delete_manifest(&digest);
    refusal
        .refused(404, "MANIFEST_UNKNOWN")
        .names(digest.as_str());
    // Its blobs stay, and it may come back.
    repository
        .get_blob(&fixture::digest(&image.layers[0]))
        .expect(200);
    repository.put_manifest("one", &image.manifest).expect(201);
    repository.get_manifest(&digest).expect(200);
}

/// More tags than are removed in one step: the manifest is gone at once all the same.
#[test]
fn manifest_with_many_tags_is_gone_at_once() {
    let (repository, _registry) = shared::repository("delete/many-tags");
    let image = repository.push_content(4).manifest;
    let digest = image.digest();
    let tags: Vec<_> = (0..600).map(|n| format!("t{n}")).collect();
    for tags in tags.chunks(20) {
        let path = format!("manifests/{digest}?tag={}", tags.join("&tag="));
        let request = repository.request("PUT", &path);
        let request = request.header("content-type", &image.media_type);
        request.body(image.bytes()).send().expect(201);
    }
    repository.delete_manifest(&digest).expect(202);
    for reference in [digest.as_str(), "t0", "t300", "t599"] {
        repository.head_manifest(reference).expect(404);
    }
    let list = repository.tags("").expect(200).json();
    assert_eq!(list["tags"].as_array().map(Vec::len), Some(0), "{list}");
}

#[test]
fn child_of_an_index_may_be_deleted() {
    let (repository, _registry) = shared::repository("delete/child");
    let image = repository.push_image("image", 5).manifest;
    let index = fixture::index(&[image.descriptor()]);
    repository.put_manifest("index", &index).expect(201);
    repository.delete_manifest(image.digest()).expect(202);
    repository.get_manifest(image.digest()).expect(404);
    repository.get_manifest("index").expect(200);
}

#[test]
fn deleted_blob_is_gone_at_once() {
    let registry = shared::registry();
    let repository = registry.repository("delete/blob");
    let other = registry.repository("delete/blob-elsewhere");
    let content = fixture::random(6, 5000);
    let digest = repository.push_blob(&content);
    other.push_blob(&content);
    repository.delete_blob(&digest).expect(202);
    repository.head_blob(&digest).expect(404);
    repository.get_blob(&digest).refused(404, "BLOB_UNKNOWN");
    let refusal = repository.delete_blob(&digest);
    refusal.refused(404, "BLOB_UNKNOWN").names(digest.as_str());
    assert_eq!(other.get_blob(&digest).expect(200).body, content);
    // And it may come back, also when nobody else has it any more.
    other.delete_blob(&digest).expect(202);
    other.head_blob(&digest).expect(404);
    repository.push_blob(&content);
    assert_eq!(repository.get_blob(&digest).expect(200).body, content);
}

#[test]
fn blob_that_a_manifest_needs_stays() {
    let (repository, _registry) = shared::repository("delete/referenced");
    let image = repository.push_image("latest", 7);
    let manifest = image.manifest.digest();
    for content in [&image.config, &image.layers[0]] {
        let digest = fixture::digest(content);
        let refusal = repository.delete_blob(&digest).refused(405, "UNSUPPORTED");
        refusal.names(manifest.as_str());
        repository.get_blob(&digest).expect(200);
    }
    // Without its tag the manifest still needs it; without the manifest nobody does.
    let layer = fixture::digest(&image.layers[0]);
    repository.delete_manifest("latest").expect(202);
    repository.delete_blob(&layer).refused(405, "UNSUPPORTED");
    repository.delete_manifest(&manifest).expect(202);
    repository.delete_blob(&layer).expect(202);
    repository.get_blob(&layer).expect(404);
}

#[test]
fn up_to_ten_manifests_are_named() {
    let (repository, _registry) = shared::repository("delete/ten");
    let image = repository.push_content(8);
    let digests: Vec<_> = (0..12)
        .map(|number| {
            let annotations = serde_json::json!({ "number": number.to_string() });
            let manifest = image.manifest.clone().with("annotations", annotations);
            repository
                .put_manifest(manifest.digest(), &manifest)
                .expect(201);
            manifest.digest()
        })
        .collect();
    let layer = fixture::digest(&image.layers[0]);
    let refusal = repository.delete_blob(&layer).refused(405, "UNSUPPORTED");
    let text = format!("{} {}", refusal.message, refusal.detail);
    let named = digests
        .iter()
        .filter(|digest| text.contains(digest.as_str()));
    assert_eq!(named.count(), 10, "{refusal}");
}

#[test]
fn what_does_not_exist_cannot_be_deleted() {
    let (repository, _registry) = shared::repository("delete/never-pushed-to");
    let digest = fixture::unknown(1);
    repository.delete_manifest("latest").refused_somehow(404);
    repository.delete_manifest(&digest).refused_somehow(404);
    repository.delete_blob(&digest).refused_somehow(404);
}
