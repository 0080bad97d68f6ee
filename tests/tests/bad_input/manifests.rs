//! Manifests that are none, contradict themselves, or are too large, too deep or too many.

use std::time::Duration;

use roadstead_proto::media_type::{DOCKER_MANIFEST, OCI_IMAGE_INDEX, OCI_IMAGE_MANIFEST};
use roadstead_tests::fixture::{self, CONFIG, LAYER};
use roadstead_tests::raw::Raw;
use roadstead_tests::{Answer, Registry, Repository, Setup};
use serde_json::{Value, json};

use super::refusal::check_stored;

const BYTES_MAX: usize = 4 << 20;

/// A registry in which one image's blobs lie, and the image.
fn with_content(name: &str) -> (Registry, Repository, fixture::Document) {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository(name);
    let image = repository.push_content(1).manifest;
    (registry, repository, image)
}

#[track_caller]
fn push(repository: &Repository, media_type: &str, body: impl Into<Vec<u8>>) -> Answer {
    let request = repository.request("PUT", "manifests/latest");
    request.header("content-type", media_type).body(body).send()
}

/// Nothing was stored but the two blobs that were pushed before.
#[track_caller]
fn check_refused(registry: &Registry, repository: &Repository) {
    repository.get_manifest("latest").expect(404);
    let tags = repository.tags("").expect(200).json();
    assert_eq!(tags["tags"].as_array().map(Vec::len), Some(0), "{tags}");
    check_stored(registry, 2);
}

#[test]
fn manifest_that_is_not_json() {
    let (registry, repository, image) = with_content("manifests/json");
    let good = image.value.to_string();
    let cut = &good[..good.len() - 1];
    let trailing = format!("{good}x");
    let twice = good.replacen('{', r#"{"schemaVersion":2,"#, 1);
    for body in [
        &b""[..],
        b" ",
        b"<html>",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b"\"manifest\"",
        b"{}",
        b"{\"schemaVersion\":2}",
        cut.as_bytes(),
        trailing.as_bytes(),
        twice.as_bytes(),
    ] {
        for media_type in [OCI_IMAGE_MANIFEST, OCI_IMAGE_INDEX, DOCKER_MANIFEST] {
            let refusal = push(&repository, media_type, body);
            refusal.refused(400, "MANIFEST_INVALID").names("manifest");
        }
    }
    check_refused(&registry, &repository);
}

#[test]
fn manifest_whose_media_type_contradicts_its_content_type() {
    let (registry, repository, image) = with_content("manifests/contradiction");
    let index = fixture::index(&[]);
    for (outside, document) in [
        (DOCKER_MANIFEST, &image),
        (OCI_IMAGE_INDEX, &image),
        (OCI_IMAGE_MANIFEST, &index),
    ] {
        let refusal = push(&repository, outside, document.bytes());
        let refusal = refusal.refused(400, "MANIFEST_INVALID");
        refusal.names(outside).names(&document.media_type);
    }
    // Neither may the fields: clients could read it in two ways.
    let both = image.with("manifests", json!([]));
    push(&repository, OCI_IMAGE_MANIFEST, both.bytes()).refused(400, "MANIFEST_INVALID");
    let layered = index.with("layers", json!([]));
    push(&repository, OCI_IMAGE_INDEX, layered.bytes()).refused(400, "MANIFEST_INVALID");
    check_refused(&registry, &repository);
}

#[test]
fn manifest_of_a_type_that_is_none() {
    let (registry, repository, image) = with_content("manifests/type");
    for media_type in ["text/plain", "application/json", "nonsense", CONFIG] {
        let untyped = image.clone().without("mediaType");
        let refusal = push(&repository, media_type, untyped.bytes());
        refusal.refused(400, "MANIFEST_INVALID").names(media_type);
    }
    check_refused(&registry, &repository);
}

#[test]
fn manifest_over_4_mebibytes() {
    let (registry, repository, image) = with_content("manifests/large");
    let padded = |length: usize| {
        let padding = json!({ "padding": "x".repeat(length) });
        image.clone().with("annotations", padding).bytes()
    };
    let smallest = padded(BYTES_MAX + 1 - padded(0).len());
    assert_eq!(smallest.len(), BYTES_MAX + 1);
    for body in [smallest, padded(5 << 20), padded(40 << 20)] {
        let answer = push(&repository, OCI_IMAGE_MANIFEST, body.clone());
        answer.refused_somehow(413).names("4194304");
        let request = repository.request("PUT", "manifests/latest");
        let request = request.header("content-type", OCI_IMAGE_MANIFEST);
        // The connection may be closed while the client still sends.
        if let Ok(answer) = request.stream(body).try_send() {
            answer.refused_somehow(413).names("4194304");
        }
    }
    check_refused(&registry, &repository);
}

/// The length alone says that it is too large: nobody waits for the bytes.
#[test]
fn manifest_that_announces_a_terabyte() {
    let (registry, repository, _) = with_content("manifests/terabyte");
    let host = registry.address();
    let mut raw = Raw::connect(&host);
    raw.set_limit(Duration::from_secs(25));
    raw.send(format!(
        "PUT /v2/manifests/terabyte/manifests/latest HTTP/1.1\r\nHost: {host}\r\n\
         Content-Type: {OCI_IMAGE_MANIFEST}\r\nContent-Length: 1099511627776\r\n\r\n"
    ));
    let (_, text) = raw.answer().refused(413);
    assert!(text.contains("4194304"), "{text}");
    check_refused(&registry, &repository);
}

#[test]
fn manifest_nested_ten_thousand_deep() {
    let (registry, repository, image) = with_content("manifests/deep");
    let good = image.value.to_string();
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let core = if open == "[" { "" } else { "1" };
        let (open, close) = (open.repeat(10_000), close.repeat(10_000));
        let deep = format!("{open}{core}{close}");
        let inside = good.replacen('{', &format!(r#"{{"x":{deep},"#), 1);
        for body in [deep, inside] {
            let refusal = push(&repository, OCI_IMAGE_MANIFEST, body);
            refusal.refused(400, "MANIFEST_INVALID").names("nested");
        }
    }
    check_refused(&registry, &repository);
}

#[test]
fn manifest_with_a_hundred_thousand_descriptors() {
    let (registry, repository, image) = with_content("manifests/many");
    let layer = &image.value["layers"][0];
    // As many as fit into the largest manifest are too many, and all of them are too large.
    let with_layers = |layers: Vec<Value>| image.clone().with("layers", json!(layers)).bytes();
    let many = with_layers(vec![layer.clone(); 20_000]);
    assert!(many.len() < BYTES_MAX);
    let refusal = push(&repository, OCI_IMAGE_MANIFEST, many);
    refusal.refused(400, "MANIFEST_INVALID").names("20000");
    let all = with_layers(vec![layer.clone(); 100_000]);
    push(&repository, OCI_IMAGE_MANIFEST, all)
        .refused_somehow(413)
        .names("4194304");
    let empty = with_layers(vec![json!({}); 100_000]);
    push(&repository, OCI_IMAGE_MANIFEST, empty).refused(400, "MANIFEST_INVALID");
    let child = json!({ "mediaType": "a/b", "digest": fixture::EMPTY, "size": 0 });
    let index = fixture::index(&vec![child; 20_000]);
    let refusal = push(&repository, OCI_IMAGE_INDEX, index.bytes());
    refusal.refused(400, "MANIFEST_INVALID").names("20000");
    check_refused(&registry, &repository);
}

#[test]
fn manifest_naming_absent_blobs() {
    let (registry, repository, image) = with_content("manifests/absent");
    let digest = fixture::unknown(1);
    let layers = json!([fixture::describe(LAYER, &digest, 10)]);
    let broken = image.with("layers", layers);
    let refusal = push(&repository, OCI_IMAGE_MANIFEST, broken.bytes());
    refusal
        .refused(404, "MANIFEST_BLOB_UNKNOWN")
        .names(digest.as_str());
    repository.get_manifest(broken.digest()).expect(404);
    check_refused(&registry, &repository);
}

#[test]
fn manifest_with_sizes_that_are_none() {
    let (registry, repository, image) = with_content("manifests/sizes");
    let good = image.value.to_string();
    let size = format!(r#""size":{}"#, image.value["layers"][0]["size"]);
    assert!(good.contains(&size), "{good}");
    for wrong in [
        "-1",
        "-9223372036854775808",
        "1.5",
        "1e400",
        "\"5\"",
        "null",
        "[]",
    ] {
        let body = good.replacen(&size, &format!(r#""size":{wrong}"#), 1);
        let refusal = push(&repository, OCI_IMAGE_MANIFEST, body);
        refusal.refused(400, "MANIFEST_INVALID").names("manifest");
    }
    check_refused(&registry, &repository);
}

/// Digests inside are held to the same grammar as those outside.
#[test]
fn manifest_with_digests_that_are_none() {
    let (registry, repository, image) = with_content("manifests/digests");
    for (wrong, named) in [
        ("", "digest"),
        ("sha256:x", "sha256:x"),
        ("md5:d41d8cd98f00b204e9800998ecf8427e", "md5"),
        ("../../etc/passwd", "digest"),
    ] {
        let mut layer = image.value["layers"][0].clone();
        layer["digest"] = json!(wrong);
        let broken = image.clone().with("layers", json!([layer]));
        let refusal = push(&repository, OCI_IMAGE_MANIFEST, broken.bytes());
        refusal.refused(400, "MANIFEST_INVALID").names(named);
        let broken = image.clone().with("subject", json!({ "digest": wrong }));
        push(&repository, OCI_IMAGE_MANIFEST, broken.bytes()).refused(400, "MANIFEST_INVALID");
    }
    check_refused(&registry, &repository);
}

#[test]
fn more_tags_than_one_push_may_set() {
    const TAGS_MAX: usize = 64;
    let (registry, repository, image) = with_content("manifests/tags");
    // As long as tags can be: this is also the longest answer.
    let push = |count: usize| {
        let tags: Vec<_> = (0..count).map(|n| format!("tag={n:0>128}")).collect();
        let path = format!("manifests/{}?{}", image.digest(), tags.join("&"));
        let request = repository.request("PUT", &path);
        let request = request.header("content-type", OCI_IMAGE_MANIFEST);
        request.body(image.bytes()).send()
    };
    for count in [TAGS_MAX + 1, 300] {
        let refused = push(count).refused_somehow(414);
        refused.names("at most 64").names(&count.to_string());
    }
    repository.get_manifest(image.digest()).expect(404);
    check_refused(&registry, &repository);
    // Our client is made with hyper, as many are: it reads all headers of the answer.
    let pushed = push(TAGS_MAX).expect(201);
    assert_eq!(pushed.headers.get_all("oci-tag").iter().count(), TAGS_MAX);
    let tags = repository.tags("").expect(200).json();
    assert_eq!(tags["tags"].as_array().map(Vec::len), Some(TAGS_MAX));
}
