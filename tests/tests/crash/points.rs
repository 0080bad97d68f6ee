//! A kill at each crash point, and then a loss of power.

use std::os::unix::process::ExitStatusExt;

use roadstead_crash::Point;
use roadstead_tests::wait::{self, LONG};

use super::seed;
use super::stage::Stage;

/// SIGKILL.
pub(super) const KILL: i32 = 9;

/// Where a point is passed once in a while and not with every request.
fn is_rare(point: Point) -> bool {
    matches!(
        point,
        Point::ObjectCopied
            | Point::ObjectTakenOver
            | Point::ObjectDelete
            | Point::ObjectDeleted
            | Point::VoteSave
            | Point::SnapshotTake
            | Point::SnapshotFilled
            | Point::SnapshotRename
            | Point::SnapshotRenamed
            | Point::SnapshotKept
            | Point::SnapshotRetired
            | Point::SnapshotTaken
            | Point::LogPurge
            | Point::LogPurged
            | Point::FileRename
            | Point::FileRenamed
    )
}

/// The marker is written when a cluster is founded: `first_start` kills there, and says so if it
/// is not.
pub(super) fn is_of_founding(point: Point) -> bool {
    matches!(point, Point::MarkerRename | Point::MarkerRenamed)
}

#[test]
fn kill_at_each_point_loses_nothing_acknowledged() {
    let seed = seed::take();
    let mut stage = Stage::on_volume(seed.chance()).with_many_snapshots();
    let points = Point::ALL.iter().copied();
    for point in points.filter(|point| !is_of_founding(*point)) {
        let most = if is_rare(point) { 1 } else { 80 };
        let passages = 1 + stage.chance.below(most);
        let aim = format!("{}:{passages}", point.name());
        stage.registry.variable("ROADSTEAD_CRASH", &aim);
        if let Err(complaints) = kill_at(&mut stage) {
            panic!("{aim}: {complaints}");
        }
        stage.registry.variable("ROADSTEAD_CRASH", "");
        if let Err(complaints) = stage.start_and_check() {
            panic!("after a kill at {aim}: {complaints}");
        }
        stage.lose_power();
    }
}

/// What the first life of a node has made must be durable before the log behind it goes: no later
/// start has synced its folders once more.
#[test]
fn kill_after_a_purge_in_the_first_life_loses_nothing_acknowledged() {
    let seed = seed::take();
    let stage = Stage::on_volume(seed.chance()).with_many_snapshots();
    let mut stage = stage.merciless();
    // By the second purge the first one is synced.
    let aim = format!("{}:2", Point::LogPurged.name());
    stage.registry.variable("ROADSTEAD_CRASH", &aim);
    let killed = kill_at(&mut stage);
    stage.registry.variable("ROADSTEAD_CRASH", "");
    if let Err(complaints) = killed.and_then(|()| stage.start_and_check()) {
        panic!("{complaints}");
    }
}

/// A former snapshot loses its name and then its files. If the files can go first, half of one has
/// the name of a whole one.
#[test]
fn kills_behind_removed_snapshots_leave_none_that_is_half_removed() {
    const KILLS: usize = 10;
    let seed = seed::take();
    let mut stage = Stage::on_volume(seed.chance())
        .with_many_snapshots()
        .merciful();
    for _ in 0..KILLS {
        let aim = format!("{}:2", Point::SnapshotTaken.name());
        stage.registry.variable("ROADSTEAD_CRASH", &aim);
        let killed = kill_at(&mut stage);
        stage.registry.variable("ROADSTEAD_CRASH", "");
        if let Err(complaints) = killed.and_then(|()| stage.start_and_check()) {
            panic!("{complaints}");
        }
        stage.lose_power();
    }
}

/// Runs until the registry kills itself, and loses power.
fn kill_at(stage: &mut Stage) -> Result<(), String> {
    stage.spawn_until_ready_or_ended();
    let status = stage.work(|registry, _| wait::poll(LONG, || registry.try_wait()))?;
    let logs = stage.registry.logs();
    stage.lose_power();
    match status.map(|status| status.signal()) {
        Some(Some(KILL)) => Ok(()),
        other => Err(format!("was not passed: {other:?}\n{logs}")),
    }
}
