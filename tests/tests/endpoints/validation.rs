//! What a manifest must be like to be accepted, and what the section `validation` changes.

use roadstead_proto::media_type::OCI_IMAGE_MANIFEST;
use roadstead_tests::fixture::{self, CONFIG, FOREIGN_LAYER, LAYER};
use roadstead_tests::{Registry, Setup, shared};
use serde_json::{Value, json};

#[test]
fn absent_content_is_named_whole() {
    let (repository, _registry) = shared::repository("validation/absent");
    let image = repository.push_content(1);
    let absent: Vec<_> = (0..20).map(fixture::unknown).collect();
    let describe = |digest| fixture::describe(LAYER, digest, 5);
    let mut layers: Vec<Value> = absent.iter().map(describe).collect();
    layers.push(image.manifest.value["layers"][0].clone());
    let broken = image.manifest.with("layers", json!(layers));
    let refusal = repository.put_manifest("latest", &broken);
    let refusal = refusal.refused(404, "MANIFEST_BLOB_UNKNOWN");
    for digest in &absent {
        let is_named = refusal.detail.to_string().contains(digest.as_str());
        assert!(is_named, "{digest} is not in the detail: {refusal}");
    }
    let present = fixture::digest(&image.layers[0]);
    assert!(
        !refusal.detail.to_string().contains(present.as_str()),
        "{refusal}"
    );
    repository.get_manifest("latest").expect(404);
    repository.get_manifest(broken.digest()).expect(404);
}

#[test]
fn absent_configuration_is_named() {
    let (repository, _registry) = shared::repository("validation/config");
    let image = repository.push_content(2).manifest;
    let digest = fixture::unknown(30);
    let broken = image.with("config", fixture::describe(CONFIG, &digest, 5));
    let refusal = repository.put_manifest("latest", &broken);
    refusal
        .refused(404, "MANIFEST_BLOB_UNKNOWN")
        .names(digest.as_str());
}

#[test]
fn absent_children_of_an_index_are_named() {
    let (repository, _registry) = shared::repository("validation/children");
    let image = repository.push_image("image", 3).manifest;
    let absent = [fixture::unknown(31), fixture::unknown(32)];
    let mut children = vec![image.descriptor()];
    for digest in &absent {
        children.push(fixture::describe(OCI_IMAGE_MANIFEST, digest, 5));
    }
    let index = fixture::index(&children);
    let refusal = repository.put_manifest("index", &index);
    let refusal = refusal.refused(404, "MANIFEST_BLOB_UNKNOWN");
    for digest in &absent {
        refusal.names(digest.as_str());
    }
    repository.get_manifest("index").expect(404);
}

/// A repository has only what was pushed or mounted there.
#[test]
fn content_of_another_repository_does_not_count() {
    let registry = shared::registry();
    let image = registry
        .repository("validation/mine")
        .push_image("latest", 4)
        .manifest;
    let other = registry.repository("validation/yours");
    other.push_blob(b"so that it exists");
    let refusal = other.put_manifest("latest", &image);
    refusal.refused(404, "MANIFEST_BLOB_UNKNOWN");
    let index = fixture::index(&[image.descriptor()]);
    let refusal = other.put_manifest("index", &index);
    refusal
        .refused(404, "MANIFEST_BLOB_UNKNOWN")
        .names(image.digest().as_str());
}

#[test]
fn without_validation_content_need_not_be_here() {
    let registry = Registry::start(Setup::default().with("validation", "disabled: true"));
    let repository = registry.repository("validation/sparse");
    let config = fixture::describe(CONFIG, &fixture::unknown(40), 5);
    let layer = fixture::describe(LAYER, &fixture::unknown(41), 5);
    let image = fixture::image(&config, &[layer]);
    repository.put_manifest("image", &image).expect(201);
    let child = fixture::describe(OCI_IMAGE_MANIFEST, &fixture::unknown(42), 5);
    let index = fixture::index(&[child, image.descriptor()]);
    repository.put_manifest("index", &index).expect(201);
    assert_eq!(
        repository.get_manifest("image").expect(200).body,
        image.bytes()
    );
    assert_eq!(
        repository.get_manifest("index").expect(200).body,
        index.bytes()
    );
    // What was not pushed is still not there.
    repository.get_blob(&fixture::unknown(41)).expect(404);
    // And what is no manifest is still none.
    let schema1 = json!({ "schemaVersion": 1, "fsLayers": [] });
    let request = repository.request("PUT", "manifests/schema1");
    request
        .body(schema1.to_string())
        .send()
        .refused_somehow(400);
}

#[test]
fn blob_that_came_after_its_manifest_is_referenced() {
    let registry = Registry::start(Setup::default().with("validation", "disabled: true"));
    let repository = registry.repository("validation/late");
    let layer = fixture::random(5, 100);
    let config = fixture::descriptor(CONFIG, b"{}");
    let image = fixture::image(&config, &[fixture::descriptor(LAYER, &layer)]);
    repository.put_manifest("latest", &image).expect(201);
    let digest = repository.push_blob(&layer);
    repository.delete_blob(&digest).refused(405, "UNSUPPORTED");
}

#[test]
fn schema_1_is_refused() {
    let (repository, _registry) = shared::repository("validation/schema1");
    let schema1 = json!({
        "schemaVersion": 1,
        "name": "validation/schema1",
        "tag": "latest",
        "architecture": "amd64",
        "fsLayers": [{ "blobSum": fixture::EMPTY }],
        "history": [{ "v1Compatibility": "{}" }],
    });
    for content_type in [
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/json",
        OCI_IMAGE_MANIFEST,
    ] {
        let request = repository.request("PUT", "manifests/latest");
        let request = request.header("content-type", content_type);
        request
            .body(schema1.to_string())
            .send()
            .refused_somehow(400);
    }
    repository.get_manifest("latest").expect(404);
}

#[test]
fn addresses_of_layers_are_allowed_or_denied_by_expressions() {
    let urls = "manifests:\n  urls:\n    allow:\n      - ^https://layers\\.example\\.org/\n    \
                deny:\n      - /private/";
    let registry = Registry::start(Setup::default().with("validation", urls));
    let repository = registry.repository("validation/urls");
    repository.push_blob(b"{}");
    let config = fixture::descriptor(CONFIG, b"{}");
    let image = |url: &str| {
        let mut layer = fixture::describe(FOREIGN_LAYER, &fixture::unknown(50), 5);
        layer["urls"] = json!([url]);
        fixture::image(&config, &[layer])
    };
    let good = image("https://layers.example.org/a");
    repository.put_manifest("good", &good).expect(201);
    for url in [
        "https://other.example.org/a",
        "https://layers.example.org/private/a",
        "file:///etc/passwd",
    ] {
        let answer = repository.put_manifest("bad", &image(url));
        answer.refused(400, "MANIFEST_INVALID").names(url);
    }
    repository.get_manifest("bad").expect(404);
}

/// Distribution's `platforms`: an index may be sparse where only some platforms are wanted.
#[test]
fn index_may_lack_platforms_that_are_not_wanted() {
    let wanted = "manifests:\n  indexes:\n    platforms: list\n    platformlist:\n      \
                  - {architecture: amd64, os: linux}";
    let none = "manifests:\n  indexes:\n    platforms: none";
    let child = |seed, architecture| {
        let digest = fixture::unknown(seed);
        let mut child = fixture::describe(OCI_IMAGE_MANIFEST, &digest, 5);
        child["platform"] = json!({ "architecture": architecture, "os": "linux" });
        child
    };
    for (setting, amd64) in [(wanted, 404), (none, 201)] {
        let registry = Registry::start(Setup::default().with("validation", setting));
        let repository = registry.repository("validation/platforms");
        let sparse = fixture::index(&[child(60, "arm64")]);
        repository.put_manifest("arm64", &sparse).expect(201);
        let lacking = fixture::index(&[child(61, "amd64")]);
        repository.put_manifest("amd64", &lacking).expect(amd64);
    }
}
