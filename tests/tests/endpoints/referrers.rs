//! end-12: what refers to a manifest: signatures, SBOMs and the like.

use roadstead_proto::Digest;
use roadstead_proto::media_type::{OCI_IMAGE_INDEX, OCI_IMAGE_MANIFEST};
use roadstead_tests::fixture::{self, Document};
use roadstead_tests::{Repository, shared};
use serde_json::{Value, json};

#[track_caller]
fn referrers(repository: &Repository, digest: &Digest, query: &str) -> Vec<Value> {
    let answer = repository.referrers(digest, query).expect(200);
    assert_eq!(answer.header("content-type"), OCI_IMAGE_INDEX);
    let filters = if query.is_empty() {
        vec![]
    } else {
        vec!["artifactType"]
    };
    assert_eq!(answer.list("oci-filters-applied"), filters, "{answer}");
    let body = answer.json();
    assert_eq!(body["schemaVersion"], 2, "{answer}");
    assert_eq!(body["mediaType"], OCI_IMAGE_INDEX, "{answer}");
    let list = body["manifests"].as_array();
    list.unwrap_or_else(|| panic!("not a list: {answer}"))
        .clone()
}

#[track_caller]
fn digests(list: &[Value]) -> Vec<&str> {
    let mut digests: Vec<_> = list
        .iter()
        .map(|item| item["digest"].as_str().unwrap_or_default())
        .collect();
    digests.sort_unstable();
    digests
}

/// Pushes an artifact that refers to the subject.
#[track_caller]
fn refer(repository: &Repository, subject: &Document, seed: u64, kind: Option<&str>) -> Document {
    let artifact = repository.push_content(seed).manifest;
    let artifact = artifact.with("subject", subject.descriptor());
    let artifact = match kind {
        Some(kind) => artifact.with("artifactType", json!(kind)),
        None => artifact,
    };
    let answer = repository
        .put_manifest(artifact.digest(), &artifact)
        .expect(201);
    assert_eq!(answer.header("oci-subject"), subject.digest().as_str());
    artifact
}

#[test]
fn nothing_refers_to_what_is_unknown() {
    let registry = shared::registry();
    let repository = registry.repository("referrers/unknown");
    repository.push_image("latest", 1);
    for digest in [fixture::unknown(1), fixture::sha512(b"nobody has this")] {
        assert!(referrers(&repository, &digest, "").is_empty());
        assert!(referrers(&repository, &digest, "?artifactType=a/b").is_empty());
        // "MUST NOT return a 404": clients would take it for a registry without the API.
        let absent = registry.repository("referrers/never-pushed-to");
        assert!(referrers(&absent, &digest, "").is_empty());
    }
}

#[test]
fn descriptor_tells_type_and_annotations() {
    let (repository, _registry) = shared::repository("referrers/descriptor");
    let subject = repository.push_image("latest", 2).manifest;
    let annotations = json!({ "org.example.format": "json", "b": "\"<&>\u{e9}" });
    let artifact = repository.push_content(3).manifest;
    let artifact = artifact
        .with("subject", subject.descriptor())
        .with("artifactType", json!("application/vnd.example.sbom.v1"))
        .with("annotations", annotations.clone());
    repository.put_manifest("sbom", &artifact).expect(201);
    let found = referrers(&repository, &subject.digest(), "");
    let expected = json!([{
        "mediaType": OCI_IMAGE_MANIFEST,
        "digest": artifact.digest().as_str(),
        "size": artifact.bytes().len(),
        "artifactType": "application/vnd.example.sbom.v1",
        "annotations": annotations,
    }]);
    assert_eq!(Value::from(found), expected);
}

#[test]
fn type_is_that_of_the_configuration_if_there_is_no_other() {
    let (repository, _registry) = shared::repository("referrers/fallback");
    let subject = repository.push_image("latest", 4).manifest;
    for (seed, kind) in [(5, None), (6, Some(""))] {
        let artifact = refer(&repository, &subject, seed, kind);
        let found = referrers(&repository, &subject.digest(), "");
        let mine = found
            .iter()
            .find(|item| item["digest"] == artifact.digest().as_str());
        let mine = mine.unwrap_or_else(|| panic!("not in {found:?}"));
        assert_eq!(mine["artifactType"], fixture::CONFIG);
    }
}

#[test]
fn index_may_refer_with_or_without_a_type() {
    let (repository, _registry) = shared::repository("referrers/index");
    let subject = repository.push_image("latest", 7).manifest;
    let plain = fixture::index(&[]).with("subject", subject.descriptor());
    let typed = plain.clone().with("artifactType", json!("a/b"));
    for index in [&plain, &typed] {
        repository.put_manifest(index.digest(), index).expect(201);
    }
    for item in referrers(&repository, &subject.digest(), "") {
        assert_eq!(item["mediaType"], OCI_IMAGE_INDEX);
        let is_typed = item["digest"] == typed.digest().as_str();
        let expected = is_typed.then_some("a/b");
        assert_eq!(
            item.get("artifactType").and_then(Value::as_str),
            expected,
            "{item}"
        );
    }
}

#[test]
fn list_is_filtered_by_type() {
    let (repository, _registry) = shared::repository("referrers/filter");
    let subject = repository.push_image("latest", 8).manifest;
    let a = refer(
        &repository,
        &subject,
        9,
        Some("application/vnd.example.a+json"),
    );
    let b = refer(&repository, &subject, 10, Some("application/vnd.example.b"));
    let c = refer(&repository, &subject, 11, None);
    let digest = subject.digest();
    let all = referrers(&repository, &digest, "");
    let mut expected = [a.digest(), b.digest(), c.digest()].map(|digest| digest.to_string());
    expected.sort();
    assert_eq!(digests(&all), expected);
    for (kind, expected) in [
        ("application/vnd.example.a%2Bjson", &a),
        ("application/vnd.example.b", &b),
        (fixture::CONFIG.replace('+', "%2B").as_str(), &c),
    ] {
        let found = referrers(&repository, &digest, &format!("?artifactType={kind}"));
        assert_eq!(digests(&found), [expected.digest().as_str()], "{kind}");
    }
    assert!(referrers(&repository, &digest, "?artifactType=other/type").is_empty());
}

#[test]
fn referrers_may_come_before_their_subject() {
    let (repository, _registry) = shared::repository("referrers/before");
    let subject = repository.push_content(12).manifest;
    let artifact = refer(&repository, &subject, 13, Some("a/b"));
    assert_eq!(referrers(&repository, &subject.digest(), "").len(), 1);
    repository.put_manifest("latest", &subject).expect(201);
    let found = referrers(&repository, &subject.digest(), "");
    assert_eq!(digests(&found), [artifact.digest().as_str()]);
}

#[test]
fn deleted_referrer_is_gone_and_deleted_subject_leaves_them() {
    let (repository, _registry) = shared::repository("referrers/deleted");
    let subject = repository.push_image("latest", 14).manifest;
    let first = refer(&repository, &subject, 15, Some("a/b"));
    let second = refer(&repository, &subject, 16, Some("a/b"));
    repository.delete_manifest(first.digest()).expect(202);
    let found = referrers(&repository, &subject.digest(), "");
    assert_eq!(digests(&found), [second.digest().as_str()]);
    repository.delete_manifest(subject.digest()).expect(202);
    let found = referrers(&repository, &subject.digest(), "");
    assert_eq!(digests(&found), [second.digest().as_str()]);
    repository.get_manifest(second.digest()).expect(200);
}

#[test]
fn referrers_are_those_of_the_repository() {
    let registry = shared::registry();
    let here = registry.repository("referrers/here");
    let there = registry.repository("referrers/there");
    let subject = here.push_image("latest", 17).manifest;
    there.push_image("latest", 17);
    refer(&here, &subject, 18, Some("a/b"));
    assert_eq!(referrers(&here, &subject.digest(), "").len(), 1);
    assert!(referrers(&there, &subject.digest(), "").is_empty());
}

#[test]
fn subject_may_be_named_by_sha512() {
    let (repository, _registry) = shared::repository("referrers/sha512");
    let subject = fixture::sha512(b"some manifest");
    let artifact = repository.push_content(19).manifest;
    let descriptor = fixture::describe(OCI_IMAGE_MANIFEST, &subject, 13);
    let artifact = artifact.with("subject", descriptor);
    let digest = fixture::sha512(&artifact.bytes());
    repository.put_manifest(&digest, &artifact).expect(201);
    let found = referrers(&repository, &subject, "");
    assert_eq!(digests(&found), [digest.as_str()]);
}

#[test]
fn digest_that_is_none_is_refused() {
    let (repository, _registry) = shared::repository("referrers/bad");
    repository.push_image("latest", 20);
    for (digest, named) in [
        ("sha256:short", "sha256:short"),
        ("md5:d41d8cd98f00b204e9800998ecf8427e", "md5"),
        ("latest", "latest"),
    ] {
        let answer = repository
            .request("GET", &format!("referrers/{digest}"))
            .send();
        answer.refused(400, "DIGEST_INVALID").names(named);
    }
}

/// More than fit on any page: whatever the pages are, all of them together are all there are.
#[test]
fn long_list_is_whole() {
    let (repository, registry) = shared::repository("referrers/many");
    let subject = repository.push_image("latest", 21).manifest;
    let mut expected = Vec::new();
    for number in 0..150 {
        let annotations = json!({ "number": number.to_string(), "padding": "x".repeat(500) });
        let artifact = fixture::index(&[])
            .with("subject", subject.descriptor())
            .with("annotations", annotations);
        repository
            .put_manifest(artifact.digest(), &artifact)
            .expect(201);
        expected.push(artifact.digest().to_string());
    }
    expected.sort();
    let mut found = Vec::new();
    let mut answer = repository.referrers(&subject.digest(), "").expect(200);
    loop {
        let list = answer.json()["manifests"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        found.extend(digests(&list).into_iter().map(str::to_owned));
        assert!(found.len() <= expected.len(), "the pages do not end");
        let Some(next) = answer.next_page() else {
            break;
        };
        answer = registry
            .client()
            .request_to("GET", &next)
            .send()
            .expect(200);
    }
    found.sort();
    assert_eq!(found, expected);
}
