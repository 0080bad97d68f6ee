//! Kills at random moments, under eight clients.

use std::time::Duration;

use roadstead_tests::Chance;

use super::seed::{self, kills};
use super::stage::{Stage, pass};

/// Kills after which a run begins anew with an empty folder, so that long runs stay small.
const KILLS_PER_FOLDER: usize = 60;

/// The longest time that a registry has before it is killed while it serves.
const LIFE: Duration = Duration::from_millis(700);

/// The longest time that it has before it is killed while it starts.
const BIRTH: Duration = Duration::from_millis(150);

#[track_caller]
fn survives(stage: impl Fn(Chance) -> Stage) {
    let seed = seed::take();
    let (mut left, mut chance) = (kills(), seed.chance());
    while left > 0 {
        let mut stage = stage(Chance::new(chance.number()));
        let kills = left.min(KILLS_PER_FOLDER);
        left -= kills;
        if let Err(complaints) = run(&mut stage, kills) {
            panic!("{complaints}");
        }
        let acknowledged = stage.acknowledged();
        assert!(acknowledged > 5 * kills, "only {acknowledged} writes");
    }
}

fn run(stage: &mut Stage, kills: usize) -> Result<(), String> {
    for _ in 0..kills {
        if stage.chance.percent(15) {
            stage.registry.spawn();
            pass(&mut stage.chance, BIRTH);
        } else {
            stage.start_and_check()?;
            stage.work(|_, chance| pass(chance, LIFE))?;
        }
        stage.lose_power();
    }
    stage.start_and_check()?;
    // Once more after an orderly end: nothing was only in memory.
    let status = stage.registry.stop();
    if !status.success() {
        return Err(format!("ended with {status}\n{}", stage.registry.logs()));
    }
    stage.start_and_check()
}

#[test]
fn kills_at_random_moments_lose_nothing_acknowledged() {
    survives(Stage::on_folder);
}

#[test]
fn kills_with_unsynced_writes_lost_lose_nothing_acknowledged() {
    survives(|chance| Stage::on_volume(chance).with_many_snapshots());
}

/// The state is not synced, because it can be made again: from the newest snapshot, and from the
/// log, which is purged only up to there.
#[test]
fn kills_with_the_state_lost_lose_nothing_acknowledged() {
    survives(|chance| {
        let stage = Stage::on_volume(chance).with_many_snapshots();
        stage.losing_the_state()
    });
}
