//! end-11: a blob of one repository is linked into another without sending its bytes.

use roadstead_proto::Digest;
use roadstead_tests::{Answer, Repository, fixture, shared};

#[track_caller]
fn mount(repository: &Repository, digest: &Digest, from: Option<&str>) -> Answer {
    let from = from.map_or_else(String::new, |from| format!("&from={from}"));
    let path = format!("blobs/uploads/?mount={digest}{from}");
    repository.request("POST", &path).send()
}

#[test]
fn blob_is_mounted_from_a_repository() {
    let registry = shared::registry();
    let content = fixture::random(1, 5000);
    let digest = registry.repository("mount/source").push_blob(&content);
    let target = registry.repository("mount/target");
    let answer = mount(&target, &digest, Some("mount/source")).expect(201);
    assert_eq!(answer.header("docker-content-digest"), digest.as_str());
    let request = registry
        .client()
        .request_to("GET", answer.header("location"));
    assert_eq!(request.send().expect(200).body, content);
    assert_eq!(target.get_blob(&digest).expect(200).body, content);
}

#[test]
fn mounted_blob_outlives_its_source() {
    let registry = shared::registry();
    let source = registry.repository("mount/leaves");
    let target = registry.repository("mount/stays");
    let digest = source.push_blob(b"mounted, then deleted at the source");
    mount(&target, &digest, Some("mount/leaves")).expect(201);
    source.delete_blob(&digest).expect(202);
    source.get_blob(&digest).expect(404);
    target.get_blob(&digest).expect(200);
}

#[test]
fn blob_is_found_without_from() {
    let registry = shared::registry();
    let digest = registry
        .repository("mount/somewhere")
        .push_blob(b"somewhere");
    let target = registry.repository("mount/anywhere");
    let answer = mount(&target, &digest, None).expect(201);
    assert_eq!(answer.header("docker-content-digest"), digest.as_str());
    assert_eq!(target.get_blob(&digest).expect(200).body, "somewhere");
}

#[track_caller]
fn check_begun(repository: &Repository, answer: &Answer) {
    assert!(answer.has("docker-upload-uuid"), "{answer}");
    let content = fixture::random(2, 10);
    let digest = fixture::digest(&content);
    let upload = repository.upload(answer);
    upload.put(digest.as_str(), &content).expect(201);
}

#[test]
fn upload_begins_where_nothing_can_be_mounted() {
    let registry = shared::registry();
    registry.repository("mount/here").push_blob(b"here");
    let elsewhere = registry
        .repository("mount/elsewhere")
        .push_blob(b"elsewhere");
    let target = registry.repository("mount/nothing");
    let unknown = fixture::unknown(3);
    for (digest, from) in [
        (&unknown, Some("mount/here")),
        (&unknown, Some("mount/never-pushed-to")),
        (&unknown, None),
        (&elsewhere, Some("mount/here")),
    ] {
        let answer = mount(&target, digest, from).expect(202);
        check_begun(&target, &answer);
        target.get_blob(digest).expect(404);
    }
}

#[test]
fn blob_may_be_mounted_where_it_is() {
    let (repository, _registry) = shared::repository("mount/itself");
    let digest = repository.push_blob(b"itself");
    mount(&repository, &digest, Some("mount/itself")).expect(201);
    mount(&repository, &digest, None).expect(201);
    repository.get_blob(&digest).expect(200);
}

#[test]
fn image_may_use_what_was_mounted() {
    let registry = shared::registry();
    let image = registry.repository("mount/base").push_content(4);
    let target = registry.repository("mount/derived");
    target
        .put_manifest("latest", &image.manifest)
        .refused(404, "MANIFEST_BLOB_UNKNOWN");
    for content in [&image.config, &image.layers[0]] {
        let digest = fixture::digest(content);
        mount(&target, &digest, Some("mount/base")).expect(201);
    }
    target.put_manifest("latest", &image.manifest).expect(201);
}
