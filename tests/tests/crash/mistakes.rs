//! These tests notice a missing fsync: each kind is left out in turn, and something must be lost.
//!
//! The file system leaves it out, so that RocksDB's are tried as well.
//! `docs/durability.md` has the table of those that were taken out of the code.

use std::time::Duration;

use super::seed;
use super::stage::{Stage, pass};

/// Kills after which a mistake must have been noticed.
const KILLS_MAX: usize = 12;

const LIFE: Duration = Duration::from_millis(500);

/// What to forget: kind and path, as `Volume::ignore` takes them.
type Mistake = (&'static str, &'static str);

const OF_THE_STORE: [Mistake; 6] = [
    ("folder", ""),
    ("file", "root/roadstead/v1/cluster.*"),
    ("folder", "root/roadstead/v1"),
    ("folder", "root/roadstead/v1/objects"),
    ("folder", "root/roadstead/v1/objects/*"),
    ("file", "root/roadstead/v1/objects/*"),
];

const OF_THE_METADATA: [Mistake; 8] = [
    ("folder", "root/roadstead/metadata"),
    ("file", "root/roadstead/metadata/identity.new"),
    ("folder", "root/roadstead/metadata/log"),
    ("file", "root/roadstead/metadata/log/*.log"),
    ("file", "root/roadstead/metadata/log/*.sst"),
    ("file", "root/roadstead/metadata/log/MANIFEST-*"),
    ("file", "root/roadstead/metadata/log/*.dbtmp"),
    ("file", "root/roadstead/metadata/state/1/*.sst"),
];

/// What is lost without it, or nothing. A complaint counts only when power was lost before it and
/// an fsync was left out: a registry that never starts notices nothing.
fn noticed((kind, pattern): Mistake, seed: &roadstead_tests::seed::Seed) -> Option<String> {
    let mut stage = Stage::on_volume(seed.chance())
        .with_many_snapshots()
        .merciless();
    let volume = stage.volume.as_mut().expect("it is on a volume");
    volume.ignore(kind, pattern);
    for losses in 0..KILLS_MAX {
        let lived = stage
            .start_and_check()
            .and_then(|()| stage.work(|_, chance| pass(chance, LIFE)));
        // It may have failed while it was starting.
        stage.registry.kill();
        let volume = stage.volume.as_mut().expect("it is on a volume");
        let ignored = volume.ignored();
        match lived {
            Ok(()) => {}
            Err(complaints) if losses == 0 => {
                panic!("{kind} {pattern:?}, and no power was lost yet: {complaints}")
            }
            Err(complaints) => {
                assert!(
                    ignored > 0,
                    "nobody fsyncs a {kind} {pattern:?}: {complaints}"
                );
                return Some(complaints);
            }
        }
        stage.lose_power();
    }
    let volume = stage.volume.as_mut().expect("it is on a volume");
    let ignored = volume.ignored();
    assert!(ignored > 0, "nobody fsyncs a {kind} {pattern:?}");
    None
}

#[track_caller]
fn all_are_noticed(mistakes: &[Mistake]) {
    let seed = seed::take();
    let missed: Vec<_> = mistakes
        .iter()
        .filter(|mistake| noticed(**mistake, &seed).is_none())
        .collect();
    assert!(missed.is_empty(), "nothing was lost without {missed:?}");
}

#[test]
fn fsync_that_is_left_out_in_the_store_is_noticed() {
    all_are_noticed(&OF_THE_STORE);
}

#[test]
fn fsync_that_is_left_out_in_the_metadata_is_noticed() {
    all_are_noticed(&OF_THE_METADATA);
}
