//! The members of a cluster change while clients work: it grows from one node to five, loses one
//! and replaces it, and its leader is removed and comes back as another.

use std::time::Duration;

use roadstead_tests::asked::ask;

use super::run::{Scene, play, seed};
use super::stage::Staging;

/// Long enough for clients to notice.
const CALM: Duration = Duration::from_millis(1_500);

/// Has nodes that never ran join, two at once.
fn grow(scene: &mut Scene<'_, '_>, joining: [usize; 2]) {
    scene.tell(&format!("nodes {joining:?} join"));
    for node in joining {
        scene.stage.group.nodes[node].spawn();
    }
    scene.stage.has_voters(joining[1] + 1, 0);
    scene.last(CALM);
}

/// Removes a node by way of another, and has a fresh one come in its place.
fn replace(scene: &mut Scene<'_, '_>, node: usize, id: &str, by: usize) {
    ask(&scene.stage.group.nodes[by], &["cluster", "remove", id]).ended(0);
    scene.last(CALM);
    scene.stage.wipe(node);
    scene.stage.join(node, by);
    scene.stage.has_voters(5, by);
    scene.last(CALM);
}

#[test]
fn members_change_under_load() {
    let staging = Staging {
        founders: 1,
        ..Staging::of(5)
    };
    play("members change", &staging, &seed(), |mut scene| {
        scene.last(CALM);
        grow(&mut scene, [1, 2]);
        grow(&mut scene, [3, 4]);

        let leader = scene.stage.group.leader();
        let dead = scene.stage.others(leader)[0];
        let id = scene.stage.id(dead);
        scene.tell(&format!("node {dead} is lost and replaced"));
        scene.stage.group.nodes[dead].kill();
        scene.last(CALM);
        replace(&mut scene, dead, &id, leader);

        let leader = scene.stage.group.leader();
        let id = scene.stage.id(leader);
        let by = scene.stage.others(leader)[0];
        scene.tell(&format!(
            "node {leader}, which leads, is removed and joins anew"
        ));
        replace(&mut scene, leader, &id, by);
    });
}
