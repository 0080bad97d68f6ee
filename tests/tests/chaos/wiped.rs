//! A node that has lost its data neither votes nor founds.

use std::fs;
use std::time::Duration;

use roadstead_tests::wait::{LONG, last, until};

use super::stage::{Stage, Staging, with_nodes};

/// Some elections.
const A_WHILE: Duration = Duration::from_secs(5);

/// Whether a write through the node is taken.
fn takes(stage: &Stage<'_>, node: usize) -> bool {
    let repository = stage.group.client(node).repository("a/b");
    let begun = repository.request("POST", "blobs/uploads/").try_send();
    begun.is_ok_and(|answer| answer.status == 202)
}

#[test]
fn wiped_voter_does_not_make_a_quorum() {
    with_nodes(&Staging::of(3), |mut stage| {
        let image = stage.group.client(0).repository("a/b").push_image("t", 1);
        // The first of the members, which once founded the cluster, and another.
        for wiped in [0, 2] {
            let [whole, lost] = [(wiped + 1) % 3, (wiped + 2) % 3];
            let data = stage.disks[wiped].path().join("metadata");
            let aside = stage.disks[wiped].path().join("aside");
            stage.group.nodes[wiped].kill();
            fs::rename(&data, &aside).expect("its folder can be moved");
            stage.group.nodes[lost].kill();
            stage.group.nodes[wiped].spawn();
            let is_taken = || takes(&stage, whole) || takes(&stage, wiped);
            assert!(last(A_WHILE, is_taken), "{wiped} has made a quorum");
            // With the data that it had it is itself again.
            stage.group.nodes[wiped].kill();
            fs::remove_dir_all(&data).expect("what the wiped node has left goes");
            fs::rename(&aside, &data).expect("its folder can be moved back");
            stage.group.nodes[wiped].spawn();
            stage.group.nodes[lost].spawn();
            stage.heal();
            until("there is a quorum again", LONG, || {
                takes(&stage, wiped).then_some(())
            });
            let there = stage.group.client(wiped).repository("a/b");
            let found = there.get_manifest("t").expect(200);
            assert_eq!(found.body, image.manifest.bytes());
        }
    });
}

#[test]
fn wiped_majority_does_not_found_another_cluster() {
    with_nodes(&Staging::of(3), |mut stage| {
        stage.group.client(0).repository("a/b").push_image("t", 1);
        stage.group.nodes[2].kill();
        // The founder among them.
        for node in [0, 1] {
            stage.wipe(node);
        }
        for node in [0, 1] {
            stage.group.nodes[node].spawn();
        }
        let is_taken = || takes(&stage, 0) || takes(&stage, 1);
        assert!(last(A_WHILE, is_taken), "two wiped nodes have founded");
        stage.group.nodes[2].spawn();
        let is_taken = || (0..3).any(|node| takes(&stage, node));
        assert!(last(A_WHILE, is_taken), "wiped nodes have voted");
    });
}
