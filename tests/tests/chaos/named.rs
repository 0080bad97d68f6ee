//! One kind of fault at a time, each at its worst place.

use std::time::Duration;

use super::fault::{Fault, Role, Step, Way};
use super::run::{endure, play, seed};
use super::stage::Staging;

const NODES: usize = 3;

fn step(fault: Fault, lasting_ms: u64, calm_ms: u64) -> Step {
    Step {
        fault,
        beside: None,
        lasting: Duration::from_millis(lasting_ms),
        calm: Duration::from_millis(calm_ms),
    }
}

#[test]
fn leader_is_killed_again_and_again() {
    let kill = Fault::Kill(Role::Leader);
    let steps = [(100, 1_500), (3_000, 500), (500, 0), (1_500, 1_000)];
    let steps = steps.map(|(lasting, calm)| step(kill, lasting, calm));
    endure("leader killed", NODES, &seed(), |_| steps.to_vec());
}

#[test]
fn leader_is_paused_and_wakes_up_among_others() {
    let pause = Fault::Pause(Role::Leader);
    // Shorter than an election, and longer.
    let steps = [(600, 500), (4_000, 1_000), (5_000, 1_000)];
    let steps = steps.map(|(lasting, calm)| step(pause, lasting, calm));
    endure("leader paused", NODES, &seed(), |_| steps.to_vec());
}

#[test]
fn minority_is_cut_off() {
    let cut = |way| Fault::Cut(Role::Follower, way);
    let steps = [
        step(cut(Way::Both), 4_000, 500),
        step(cut(Way::In), 4_000, 500),
        step(cut(Way::Out), 4_000, 1_000),
    ];
    endure("minority cut off", NODES, &seed(), |_| steps.to_vec());
}

#[test]
fn leader_is_cut_off() {
    let cut = |way| Fault::Cut(Role::Leader, way);
    let steps = [
        step(cut(Way::Both), 5_000, 500),
        step(cut(Way::In), 5_000, 500),
        step(cut(Way::Out), 5_000, 1_000),
    ];
    endure("leader cut off", NODES, &seed(), |_| steps.to_vec());
}

/// The leader's an hour ahead and another's an hour behind, while the leader changes; then they are
/// set right, which is one more jump.
#[test]
fn clocks_are_an_hour_off() {
    let staging = Staging {
        has_clocks: true,
        ..Staging::of(3)
    };
    play("clocks", &staging, &seed(), |mut scene| {
        let kill = [step(Fault::Kill(Role::Leader), 1_500, 1_500)];
        let leader = scene.stage.group.leader();
        let follower = scene.stage.others(leader)[0];
        scene.tell("two clocks are an hour off");
        scene.stage.set_clock(leader, "+1h");
        scene.stage.set_clock(follower, "-1h");
        scene.last(Duration::from_secs(3));
        let told = [leader, follower].map(|node| {
            let answer = scene.stage.group.client(node).get("/livez");
            let hour = answer.header("date").split(' ').nth(4);
            hour.and_then(|time| time.split(':').next())
                .map(str::to_owned)
        });
        assert_ne!(told[0], told[1], "they go by the same clock");
        scene.suffer(&kill);
        scene.tell("all clocks are right");
        for node in [leader, follower] {
            scene.stage.set_clock(node, "+0");
        }
        scene.last(Duration::from_secs(1));
        scene.suffer(&kill);
    });
}

/// Of three, so that nobody can decide until one is back.
#[test]
fn two_are_lost_at_once() {
    let with = |fault, beside| Step {
        beside: Some(beside),
        ..step(fault, 7_500, 500)
    };
    let steps = [
        with(Fault::Pause(Role::Leader), Fault::Kill(Role::Follower)),
        with(
            Fault::Cut(Role::Leader, Way::Both),
            Fault::Pause(Role::Follower),
        ),
        with(
            Fault::Kill(Role::Leader),
            Fault::Cut(Role::Follower, Way::In),
        ),
    ];
    endure("two lost", NODES, &seed(), |_| steps.to_vec());
}

/// Of five, so that the rest decides without them; and while one more of the five is killed.
#[test]
fn two_of_five_are_cut_off() {
    let steps = [
        step(Fault::CutTwo(Role::Leader), 5_000, 500),
        step(Fault::CutTwo(Role::Follower), 4_000, 500),
        Step {
            beside: Some(Fault::Kill(Role::Follower)),
            ..step(Fault::CutTwo(Role::Leader), 6_000, 500)
        },
    ];
    endure("two of five cut off", 5, &seed(), |_| steps.to_vec());
}

#[test]
fn all_are_killed_at_once() {
    let steps = [(200, 2_500), (1_000, 1_000), (0, 500), (500, 2_000)];
    let steps = steps.map(|(lasting, calm)| step(Fault::KillAll, lasting, calm));
    endure("all killed", NODES, &seed(), |_| steps.to_vec());
}

#[test]
fn disks_are_full_stand_still_and_are_slow() {
    let steps = [
        step(Fault::Fill(Role::Follower), 2_000, 500),
        step(Fault::Stall(Role::Leader), 4_000, 500),
        step(Fault::Fill(Role::Leader), 2_000, 1_000),
        step(Fault::Stall(Role::Follower), 3_000, 500),
        step(Fault::Slow(Role::Leader), 4_000, 500),
        step(Fault::Slow(Role::Follower), 4_000, 500),
    ];
    endure("disks", NODES, &seed(), |_| steps.to_vec());
}
