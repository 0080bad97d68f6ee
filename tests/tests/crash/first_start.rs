//! A first start that is cut short at each crash point: the next one founds the cluster or goes on.

use std::os::unix::process::ExitStatusExt;

use roadstead_crash::Point;
use roadstead_tests::Chance;

use super::points::{KILL, is_of_founding};
use super::seed;
use super::stage::Stage;

/// How often each point is tried: the first start passes most of them a few times.
const PASSAGES: usize = 4;

#[test]
fn first_start_that_is_cut_short_is_gone_on_with() {
    let seed = seed::take();
    let (mut killed_at, mut chance) = (Vec::new(), seed.chance());
    for point in Point::ALL {
        for passage in 1..=PASSAGES {
            let mut stage = Stage::on_volume(Chance::new(chance.number()));
            if !is_cut_short(&mut stage, *point, passage) {
                // It is not passed so often.
                break;
            }
            killed_at.push(*point);
        }
    }
    let kills = killed_at.len();
    assert!(kills > 20, "only {kills} points are passed at the start");
    // Nobody else kills at these.
    for point in Point::ALL.iter().filter(|point| is_of_founding(**point)) {
        let name = point.name();
        assert!(
            killed_at.contains(point),
            "{name} is not passed at the start"
        );
    }
}

#[test]
fn first_start_relies_on_no_log_that_is_not_flushed() {
    let seed = seed::take();
    let mut chance = seed.chance();
    for passage in 1..=2 {
        let mut stage = Stage::on_volume(Chance::new(chance.number())).merciless();
        // As long as a slow disk may take.
        stage.registry.variable("ROADSTEAD_CRASH_AFTER_MS", "500");
        let flushes = is_cut_short(&mut stage, Point::LogFlush, passage);
        assert!(flushes, "the log is not flushed {passage} times");
    }
}

/// Whether the first start comes to the point so often: then it is killed there and loses power.
/// The next start has to serve in any case.
fn is_cut_short(stage: &mut Stage, point: Point, passage: usize) -> bool {
    let aim = format!("{}:{passage}", point.name());
    stage.registry.variable("ROADSTEAD_CRASH", &aim);
    let ended = stage.spawn_until_ready_or_ended();
    if let Some(status) = ended {
        let logs = stage.registry.logs();
        assert_eq!(status.signal(), Some(KILL), "at {aim}: {status}\n{logs}");
    }
    stage.lose_power();
    stage.registry.variable("ROADSTEAD_CRASH", "");
    if let Err(complaints) = stage.start_and_check() {
        panic!("after a kill at {aim}: {complaints}");
    }
    stage.registry.serves();
    ended.is_some()
}
