//! Nodes are lost and come back.

use roadstead_tests::wait::{LONG, until};
use roadstead_tests::{Client, Group, fixture};

/// A push as a client with retries makes it: each node in turn, until one takes it.
fn push(clients: &[Client], tag: &str, seed: u64) {
    let mut turn = 0;
    until("an image is pushed", LONG, || {
        let client = &clients[turn % clients.len()];
        turn += 1;
        is_pushed(client, tag, seed).then_some(())
    });
}

fn is_pushed(client: &Client, tag: &str, seed: u64) -> bool {
    let repository = client.repository("a/b");
    let config = format!(r#"{{"seed":{seed}}}"#).into_bytes();
    let layer = fixture::random(seed, 2_000);
    let blobs = [&config, &layer].into_iter().all(|content| {
        let answer = repository.request("POST", "blobs/uploads/").try_send();
        let Ok(answer) = answer.map(|answer| only(answer, 202)) else {
            return false;
        };
        let Some(answer) = answer else { return false };
        let upload = repository.upload(&answer);
        let closing = upload.closing(fixture::digest(content).as_str());
        let closed = closing.body(content.clone()).try_send();
        closed.is_ok_and(|answer| only(answer, 201).is_some())
    });
    let layers = [fixture::descriptor(fixture::LAYER, &layer)];
    let manifest = fixture::image(&fixture::descriptor(fixture::CONFIG, &config), &layers);
    let put = repository.request("PUT", &format!("manifests/{tag}"));
    let put = put.header("content-type", &manifest.media_type);
    blobs
        && put
            .body(manifest.bytes())
            .try_send()
            .is_ok_and(|answer| only(answer, 201).is_some())
}

/// An answer with the status that is expected, or none: anything else than that the cluster has
/// nobody to decide just now is wrong.
#[track_caller]
fn only(answer: roadstead_tests::Answer, status: u16) -> Option<roadstead_tests::Answer> {
    if answer.status == status {
        return Some(answer);
    }
    assert!(matches!(answer.status, 502..=504), "{answer}");
    None
}

fn has_all(client: &Client, tags: usize) {
    for number in 0..tags {
        let repository = client.repository("a/b");
        repository.get_manifest(format!("t{number}")).expect(200);
        let layer = fixture::random(number as u64, 2_000);
        let blob = repository.get_blob(&fixture::digest(&layer)).expect(200);
        assert!(blob.body == layer, "t{number}");
    }
}

#[test]
fn two_go_on_when_the_leader_is_killed_and_it_comes_back() {
    let mut group = Group::start(3);
    let mut tags = 0;
    for _round in 0..2 {
        let lost = group.leader();
        group.nodes[lost].kill();
        let left: Vec<_> = (0..3).filter(|node| *node != lost).collect();
        let clients: Vec<_> = left.iter().map(|node| group.client(*node)).collect();
        for _ in 0..5 {
            push(&clients, &format!("t{tags}"), tags as u64);
            tags += 1;
        }
        group.nodes[lost].run();
        has_all(&group.client(lost), tags);
    }
}

#[test]
fn all_are_killed_at_once_and_nothing_is_lost() {
    let mut group = Group::start(3);
    let clients: Vec<_> = (0..3).map(|node| group.client(node)).collect();
    for number in 0..6 {
        push(
            &clients[number % 3..=number % 3],
            &format!("t{number}"),
            number as u64,
        );
    }
    for node in &mut group.nodes {
        node.kill();
    }
    for node in &mut group.nodes {
        node.spawn();
    }
    group.are_ready();
    for client in &clients {
        has_all(client, 6);
    }
}

/// Pulls by digest of what is known go on for as long as nobody can decide; see DESIGN 8.
#[test]
fn minority_refuses_writes_and_never_says_that_something_is_not_there() {
    let mut group = Group::start(3);
    group.client(0).repository("a/b").push_image("t", 1);
    group.nodes[1].kill();
    group.nodes[2].kill();
    let alone = group.client(0).repository("a/b");
    let answers = [
        alone.get_manifest("t"),
        alone.get_manifest("other"),
        alone.request("POST", "blobs/uploads/").send(),
    ];
    for answer in answers {
        assert_eq!(answer.status, 503, "{answer}");
        assert!(answer.has("retry-after"), "{answer}");
    }
    group.nodes[1].spawn();
    let client = group.client(0);
    until("there is a quorum again", LONG, || {
        let manifest = client.repository("a/b").get_manifest("t");
        only(manifest, 200)
    });
}

/// An upload goes on through another node when the one that took its bytes is killed.
#[test]
fn upload_outlives_the_node_that_took_it() {
    let mut group = Group::start(3);
    let content = fixture::random(3, 3_000_000);
    let mut upload = group.client(1).repository("a/b").start_upload();
    upload.patch(&content[..2_000_000]).expect(202);
    // Not acknowledged by anything that follows, so that it may be lost.
    let unheard = upload.clone();
    group.nodes[1].kill();
    let mut upload = unheard.through(&group.client(0));
    let offset = until("somebody leads", LONG, || {
        only(upload.status(), 204).map(|_| upload.offset())
    });
    assert_eq!(offset, 2_000_000, "what was acknowledged is there");
    upload.patch(&content[offset..]).expect(202);
    let digest = fixture::digest(&content);
    let closing = upload.through(&group.client(2));
    closing.put(digest.as_str(), b"").expect(201);
    let blob = group.client(0).repository("a/b").get_blob(&digest);
    assert!(blob.expect(200).body == content);
}
