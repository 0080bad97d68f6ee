//! end-7: manifests are pushed by tag and by digest, and stay what they were.

use roadstead_proto::media_type::OCI_IMAGE_MANIFEST;
use roadstead_tests::fixture::{self, CONFIG, FOREIGN_LAYER, LAYER};
use roadstead_tests::shared;
use serde_json::json;

/// The largest manifest that is accepted.
const BYTES_MAX: usize = 4 << 20;

#[test]
fn manifest_is_pushed_by_tag() {
    let registry = shared::registry();
    let repository = registry.repository("manifests/by-tag");
    let image = repository.push_content(1);
    let answer = repository
        .put_manifest("v1.0_a-B", &image.manifest)
        .expect(201);
    let digest = image.manifest.digest();
    assert_eq!(answer.header("docker-content-digest"), digest.as_str());
    assert!(!answer.has("oci-subject"), "{answer}");
    let request = registry
        .client()
        .request_to("GET", answer.header("location"));
    assert_eq!(request.send().expect(200).body, image.manifest.bytes());
    repository.get_manifest("v1.0_a-B").expect(200);
}

#[test]
fn manifest_is_pushed_by_digest_of_any_algorithm() {
    let registry = shared::registry();
    let repository = registry.repository("manifests/by-digest");
    let image = repository.push_content(2);
    let bytes = image.manifest.bytes();
    for digest in [fixture::digest(&bytes), fixture::sha512(&bytes)] {
        let answer = repository
            .put_manifest(&digest, &image.manifest)
            .expect(201);
        assert_eq!(answer.header("docker-content-digest"), digest.as_str());
        let request = registry
            .client()
            .request_to("GET", answer.header("location"));
        request.send().expect(200);
        let answer = repository.get_manifest(&digest).expect(200);
        assert_eq!(answer.header("docker-content-digest"), digest.as_str());
        assert_eq!(answer.body, bytes);
    }
}

#[test]
fn push_by_digest_may_set_tags() {
    let (repository, _registry) = shared::repository("manifests/tags");
    let image = repository.push_content(3);
    let bytes = image.manifest.bytes();
    for (digest, prefix) in [
        (fixture::digest(&bytes), "a"),
        (fixture::sha512(&bytes), "b"),
    ] {
        let tags: Vec<_> = (0..12).map(|n| format!("{prefix}{n}")).collect();
        let path = format!("manifests/{digest}?tag={}", tags.join("&tag="));
        let request = repository.request("PUT", &path);
        let request = request.header("content-type", OCI_IMAGE_MANIFEST);
        let answer = request.body(bytes.clone()).send().expect(201);
        let mut accepted = answer.list("oci-tag");
        accepted.sort();
        let mut expected = tags.clone();
        expected.sort();
        assert_eq!(accepted, expected, "{answer}");
        for tag in &tags {
            let answer = repository.head_manifest(tag).expect(200);
            assert_eq!(answer.header("docker-content-digest"), digest.as_str());
        }
    }
}

#[test]
fn tags_of_which_one_is_none_are_refused_together() {
    let (repository, _registry) = shared::repository("manifests/bad-tag");
    let image = repository.push_content(4);
    let digest = image.manifest.digest();
    let path = format!("manifests/{digest}?tag=good&tag=-bad");
    let request = repository.request("PUT", &path);
    let request = request.header("content-type", OCI_IMAGE_MANIFEST);
    let answer = request.body(image.manifest.bytes()).send();
    answer.refused_somehow(400).names("-bad");
    repository.head_manifest("good").expect(404);
    repository.head_manifest(&digest).expect(404);
}

#[test]
fn overwritten_manifest_stays_under_its_digest() {
    let (repository, _registry) = shared::repository("manifests/overwritten");
    let first = repository.push_image("latest", 5).manifest;
    let second = repository.push_image("latest", 6).manifest;
    let answer = repository.get_manifest("latest").expect(200);
    assert_eq!(answer.body, second.bytes());
    let answer = repository.get_manifest(first.digest()).expect(200);
    assert_eq!(answer.body, first.bytes());
}

/// The bytes are stored, not what they mean: white space and order stay.
#[test]
fn manifest_comes_back_byte_for_byte() {
    let (repository, _registry) = shared::repository("manifests/bytes");
    let image = repository.push_content(7);
    let value = &image.manifest.value;
    let (config, layers) = (&value["config"], &value["layers"]);
    let body = format!(
        "\n {{ \"layers\" :\t{layers},\r\n\"x-unknown\": [1.0, \"\\u00e9\", null],\
         \"config\":{config},\"schemaVersion\": 2}} \n\n"
    );
    let request = repository.request("PUT", "manifests/odd");
    let request = request.header("content-type", OCI_IMAGE_MANIFEST);
    let answer = request.body(body.clone()).send().expect(201);
    let digest = fixture::digest(body.as_bytes());
    assert_eq!(answer.header("docker-content-digest"), digest.as_str());
    let answer = repository.get_manifest("odd").expect(200);
    assert_eq!(answer.body, body);
    assert_eq!(answer.header("content-type"), OCI_IMAGE_MANIFEST);
}

#[test]
fn every_type_of_manifest_keeps_its_type() {
    let (repository, _registry) = shared::repository("manifests/types");
    let image = repository.push_content(8);
    let (config, layers) = (
        &image.manifest.value["config"],
        &image.manifest.value["layers"],
    );
    let layers = layers.as_array().expect("a list");
    let docker = fixture::docker_manifest(config, layers);
    repository.put_manifest("oci", &image.manifest).expect(201);
    repository.put_manifest("docker", &docker).expect(201);
    let index = fixture::index(&[image.manifest.descriptor(), docker.descriptor()]);
    let list = fixture::docker_list(&[docker.descriptor()]);
    repository.put_manifest("oci-index", &index).expect(201);
    repository.put_manifest("docker-list", &list).expect(201);
    for (tag, expected) in [
        ("oci", &image.manifest),
        ("docker", &docker),
        ("oci-index", &index),
        ("docker-list", &list),
    ] {
        let answer = repository.get_manifest(tag).expect(200);
        assert_eq!(answer.header("content-type"), expected.media_type);
        assert_eq!(answer.body, expected.bytes());
    }
}

#[test]
fn type_may_stand_outside_or_inside_only() {
    let (repository, _registry) = shared::repository("manifests/one-type");
    let image = repository.push_content(9).manifest;
    let untyped = image.clone().without("mediaType");
    repository.put_manifest("outside", &untyped).expect(201);
    let request = repository.request("PUT", "manifests/inside");
    request.body(image.bytes()).send().expect(201);
    for tag in ["outside", "inside"] {
        let answer = repository.get_manifest(tag).expect(200);
        assert_eq!(answer.header("content-type"), OCI_IMAGE_MANIFEST, "{tag}");
    }
}

/// "The registry SHOULD ignore parameters on the `Content-Type` header."
#[test]
fn parameters_of_the_type_are_ignored() {
    let (repository, _registry) = shared::repository("manifests/parameters");
    let image = repository.push_content(10).manifest;
    let request = repository.request("PUT", "manifests/latest");
    let content_type = format!("{OCI_IMAGE_MANIFEST}; charset=utf-8");
    let request = request.header("content-type", &content_type);
    request.body(image.bytes()).send().expect(201);
    let answer = repository.get_manifest("latest").expect(200);
    assert_eq!(answer.header("content-type"), OCI_IMAGE_MANIFEST);
}

#[test]
fn image_may_have_no_layers() {
    let (repository, _registry) = shared::repository("manifests/no-layers");
    repository.push_blob(b"{}");
    let image = fixture::image(&fixture::descriptor(CONFIG, b"{}"), &[]);
    repository.put_manifest("latest", &image).expect(201);
    let index = fixture::index(&[]);
    repository.put_manifest("empty-index", &index).expect(201);
}

#[test]
fn layer_that_lies_elsewhere_need_not_be_here() {
    let (repository, _registry) = shared::repository("manifests/foreign");
    repository.push_blob(b"{}");
    let config = fixture::descriptor(CONFIG, b"{}");
    for media_type in [
        FOREIGN_LAYER,
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ] {
        let layer = fixture::describe(media_type, &fixture::unknown(1), 100);
        let image = fixture::image(&config, &[layer]);
        repository.put_manifest("latest", &image).expect(201);
    }
}

#[test]
fn subject_need_not_exist_and_is_answered() {
    let (repository, _registry) = shared::repository("manifests/subject");
    let image = repository.push_content(11).manifest;
    let subject = fixture::unknown(2);
    let descriptor = fixture::describe(OCI_IMAGE_MANIFEST, &subject, 7);
    let artifact = image.with("subject", descriptor.clone());
    let answer = repository.put_manifest("artifact", &artifact).expect(201);
    assert_eq!(answer.header("oci-subject"), subject.as_str());
    let index = fixture::index(&[]).with("subject", descriptor);
    let answer = repository.put_manifest(index.digest(), &index).expect(201);
    assert_eq!(answer.header("oci-subject"), subject.as_str());
}

#[test]
fn indexes_may_nest() {
    let (repository, _registry) = shared::repository("manifests/nested");
    let image = repository.push_image("image", 12).manifest;
    let inner = fixture::index(&[image.descriptor()]);
    repository.put_manifest(inner.digest(), &inner).expect(201);
    let outer = fixture::index(&[inner.descriptor(), image.descriptor()]);
    repository.put_manifest("outer", &outer).expect(201);
    assert_eq!(
        repository.get_manifest("outer").expect(200).body,
        outer.bytes()
    );
}

#[test]
fn same_manifest_may_be_in_many_repositories() {
    let registry = shared::registry();
    let names = ["manifests/shared-a", "manifests/shared-b"];
    let [first, second] = names.map(|name| {
        let repository = registry.repository(name);
        repository.push_image("latest", 13);
        repository
    });
    let digest = first.push_content(13).manifest.digest();
    first.delete_manifest(&digest).expect(202);
    first.get_manifest("latest").expect(404);
    second.get_manifest("latest").expect(200);
    second.get_manifest(&digest).expect(200);
}

#[test]
fn layer_may_be_named_twice() {
    let (repository, _registry) = shared::repository("manifests/twice");
    let image = repository.push_content(14).manifest;
    let layer = image.value["layers"][0].clone();
    let image = image.with("layers", json!([layer, layer]));
    repository.put_manifest("latest", &image).expect(201);
}

#[test]
fn manifest_of_exactly_the_largest_size_is_accepted() {
    let (repository, _registry) = shared::repository("manifests/largest");
    let image = repository.push_content(15).manifest;
    let padded = |length: usize| {
        let annotations = json!({ "padding": "x".repeat(length) });
        image.clone().with("annotations", annotations)
    };
    let image = padded(BYTES_MAX - padded(0).bytes().len());
    assert_eq!(image.bytes().len(), BYTES_MAX);
    repository.put_manifest("largest", &image).expect(201);
    let answer = repository.get_manifest("largest").expect(200);
    assert_eq!(answer.header("content-length"), BYTES_MAX.to_string());
    assert!(answer.body == image.bytes());
}

#[test]
fn manifest_may_have_thousands_of_layers() {
    let (repository, _registry) = shared::repository("manifests/thousands");
    repository.push_blob(b"{}");
    let layer = fixture::random(16, 10);
    repository.push_blob(&layer);
    let layers = vec![fixture::descriptor(LAYER, &layer); 5000];
    let image = fixture::image(&fixture::descriptor(CONFIG, b"{}"), &layers);
    repository.put_manifest("latest", &image).expect(201);
    assert!(repository.get_manifest("latest").expect(200).body == image.bytes());
}

/// Whichever comes last wins, and none is lost or torn.
#[test]
fn pushes_of_one_tag_at_once_end_with_one_of_them() {
    let (repository, _registry) = shared::repository("manifests/at-once");
    let images: Vec<_> = (20..28)
        .map(|seed| repository.push_content(seed).manifest)
        .collect();
    std::thread::scope(|scope| {
        for image in &images {
            scope.spawn(|| repository.put_manifest("latest", image).expect(201));
        }
    });
    let answer = repository.get_manifest("latest").expect(200);
    assert!(
        images.iter().any(|image| image.bytes() == answer.body),
        "{answer}"
    );
    for image in &images {
        repository.get_manifest(image.digest()).expect(200);
    }
}
