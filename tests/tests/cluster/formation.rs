//! How nodes find each other, and who is kept out.

use std::fs;

use roadstead_tests::Group;

#[test]
fn nodes_that_start_one_after_the_other_form_one_cluster() {
    let mut group = Group::prepare(3);
    for node in (0..3).rev() {
        assert!(!group.client(node).is_ready());
        group.nodes[node].spawn();
    }
    group.are_ready();
    group.client(2).repository("a/b").push_image("t", 1);
    group
        .client(0)
        .repository("a/b")
        .get_manifest("t")
        .expect(200);
}

#[test]
fn node_that_waits_for_the_others_says_so_and_ends_when_told() {
    let mut group = Group::prepare(3);
    let node = &mut group.nodes[0];
    node.spawn();
    node.says(&["waiting for the cluster", "cannot be reached"]);
    for client in [node.client(), node.debug_client()] {
        client.get("/livez").expect(200);
        let waiting = client.get("/readyz").expect(503);
        assert!(waiting.has("retry-after"), "{waiting}");
        let refusal = client.get("/v2/").refused(503, "UNAVAILABLE");
        refusal.names("has not found its cluster yet");
    }
    assert!(node.stop().success());
}

#[test]
fn node_added_later_has_everything_and_takes_part() {
    let mut group = Group::start(1);
    group.client(0).repository("a/b").push_image("before", 1);
    group.add().run();
    let added = group.client(1).repository("a/b");
    added.get_manifest("before").expect(200);
    added.push_image("after", 2);
    group
        .client(0)
        .repository("a/b")
        .get_manifest("after")
        .expect(200);
    // Its configuration still says `join`, which a restart ignores.
    group.nodes[1].restart();
    group
        .client(1)
        .repository("a/b")
        .get_manifest("after")
        .expect(200);
}

#[test]
fn node_whose_folder_was_wiped_is_told_what_to_do() {
    let mut group = Group::start(3);
    group.client(0).repository("a/b").push_image("t", 1);
    for wiped in [0, 2] {
        let node = &mut group.nodes[wiped];
        node.kill();
        let folder = node.folder().join("metadata");
        let aside = node.folder().join("aside");
        fs::rename(&folder, &aside).expect("its folder can be moved");
        let ended = node.run_to_end();
        assert!(!ended.status.success());
        assert!(
            ended.stderr.contains("has to be removed from the cluster"),
            "{}",
            ended.stderr
        );
        let others = (wiped + 1) % 3;
        group
            .client(others)
            .repository("a/b")
            .get_manifest("t")
            .expect(200);
        let node = &mut group.nodes[wiped];
        fs::remove_dir_all(&folder).expect("what the refused start has left goes");
        fs::rename(&aside, &folder).expect("its folder can be moved back");
        node.run();
    }
}
