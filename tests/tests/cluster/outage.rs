//! What is answered while no majority is there: what cannot have changed, and nothing else.

use std::time::Instant;

use roadstead_tests::client::Image;
use roadstead_tests::wait::{LONG, until};
use roadstead_tests::{Group, fixture};

/// Three nodes of which one is left, and the image that they had.
fn cut_off(lines: &str) -> (Group, Image) {
    let mut group = Group::prepare_with(3, |_| lines.to_owned());
    for node in &mut group.nodes {
        node.spawn();
    }
    group.are_ready();
    let image = group.client(0).repository("a/b").push_image("t", 1);
    // The last one has heard of it too.
    let there = group.client(2).repository("a/b");
    there.get_manifest("t").expect(200);
    group.nodes[0].kill();
    group.nodes[1].kill();
    (group, image)
}

#[test]
fn pulls_by_digest_go_on_without_a_majority() {
    let (mut group, image) = cut_off("reads:\n  local_after: 1s");
    let alone = group.client(2).repository("a/b");
    let digest = image.manifest.digest();
    let manifest = alone.get_manifest(digest.as_str()).expect(200);
    assert_eq!(manifest.body, image.manifest.bytes());
    for layer in &image.layers {
        let digest = fixture::digest(layer);
        assert!(alone.get_blob(&digest).expect(200).body == *layer);
        // It is referenced, so that no hold has to be renewed.
        alone.head_blob(&digest).expect(200);
    }
    // Once it is known that nobody answers, nobody waits for that again.
    let began = Instant::now();
    alone.get_manifest(digest.as_str()).expect(200);
    let took = began.elapsed();
    assert!(took.as_millis() < 900, "{took:?}");
    // It may exist, and this node alone cannot say.
    let unknown = fixture::digest(b"never pushed");
    let answers = [
        alone.get_blob(&unknown),
        alone.get_manifest(unknown.as_str()),
        alone.get_manifest("t"),
    ];
    for answer in answers {
        assert_eq!(answer.status, 503, "{answer}");
        assert!(answer.has("retry-after"), "{answer}");
    }
    group.nodes[0].spawn();
    until("there is a majority again", LONG, || {
        (alone.get_manifest("t").status == 200).then_some(())
    });
    alone.get_blob(&unknown).refused(404, "BLOB_UNKNOWN");
}

#[test]
fn tags_are_served_with_a_warning_where_that_is_allowed() {
    let lines = "reads:\n  local_after: 1s\n  stale_tags: during-outage";
    let (group, image) = cut_off(lines);
    let alone = group.client(2).repository("a/b");
    let manifest = alone.get_manifest("t").expect(200);
    assert_eq!(manifest.body, image.manifest.bytes());
    let warning = manifest.header("warning");
    assert!(warning.starts_with("299 - "), "{warning}");
    let by_digest = alone.get_manifest(image.manifest.digest().as_str());
    assert!(!by_digest.expect(200).has("warning"));
}
