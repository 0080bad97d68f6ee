//! Any node takes any request.

use roadstead_tests::{Client, Group, fixture};

/// What was pushed through one node is there for the next request through another.
#[test]
fn what_one_node_took_every_node_has_at_once() {
    let group = Group::start(3);
    for node in 0..3 {
        let tag = format!("t{node}");
        let image = group.client(node).repository("a/b").push_image(&tag, 7);
        for other in 0..3 {
            let there = group.client(other).repository("a/b");
            let manifest = there.get_manifest(&tag).expect(200);
            assert_eq!(manifest.body, image.manifest.bytes());
            for layer in &image.layers {
                let blob = there.get_blob(&fixture::digest(layer)).expect(200);
                assert!(blob.body == *layer, "through node {other}");
            }
        }
        let next = group.client((node + 1) % 3).repository("a/b");
        next.delete_manifest(&tag).expect(202);
        let here = group.client(node).repository("a/b");
        here.get_manifest(&tag).refused(404, "MANIFEST_UNKNOWN");
    }
}

/// `POST`, each `PATCH` and the `PUT` of one upload go round the nodes.
#[test]
fn every_request_of_an_upload_may_hit_another_node() {
    let group = Group::start(3);
    let content = fixture::random(1, 5_000_000);
    let clients: Vec<Client> = (0..3).map(|node| group.client(node)).collect();
    let mut turns = clients.iter().cycle();
    let mut next = || turns.next().expect("round and round");
    let mut upload = next().repository("a/b").start_upload();
    for chunk in content.chunks(700_000) {
        upload = upload.through(next());
        upload.patch(chunk).expect(202);
    }
    upload = upload.through(next());
    assert_eq!(upload.offset(), content.len());
    let digest = fixture::digest(&content);
    let closing = upload.through(next());
    closing.put(digest.as_str(), b"").expect(201);
    for client in &clients {
        let blob = client.repository("a/b").get_blob(&digest).expect(200);
        assert!(blob.body == content);
    }
    // The repeated `PUT` of a client that was not answered.
    let again = upload.through(next());
    again.put(digest.as_str(), b"").expect(201);
}
