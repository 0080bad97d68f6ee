//! Start with a store that is another's: the marker says whose it is.

use std::fs;

use roadstead_tests::folder::{MARKER, snapshot};
use roadstead_tests::{Registry, Setup};

/// A setup with the metadata beside the store, and not below it.
fn apart() -> Setup {
    Setup::default().with("cluster", "datadir: {folder}/metadata")
}

fn stopped() -> Registry {
    let mut registry = Registry::start(apart());
    registry.repository("start/image").push_image("latest", 1);
    registry.stop();
    registry
}

fn marker(registry: &Registry) -> std::path::PathBuf {
    registry.data().join(MARKER)
}

#[track_caller]
fn check_refused(registry: &mut Registry, words: &[&str]) {
    let before = snapshot(&registry.data());
    let ended = registry.run_to_end();
    ended.failed_saying(words);
    assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
    assert!(
        snapshot(&registry.data()) == before,
        "the store was changed"
    );
}

#[test]
fn store_with_another_clusters_marker() {
    let mut registry = stopped();
    let other = stopped();
    let own = fs::read(marker(&registry)).expect("a marker is there");
    let text = fs::read_to_string(marker(&other)).expect("a marker is there");
    let id = text
        .lines()
        .nth(1)
        .and_then(|line| line.strip_prefix("cluster "));
    let id = id.expect("the marker names its cluster");
    fs::write(marker(&registry), &text).expect("it can be written");
    check_refused(
        &mut registry,
        &[id, "belongs to", "storage", "cluster.datadir"],
    );
    fs::write(marker(&registry), own).expect("it can be written");
    registry.run();
    registry
        .repository("start/image")
        .get_manifest("latest")
        .expect(200);
}

#[test]
fn store_with_a_marker_of_another_incarnation() {
    let mut registry = stopped();
    let own = fs::read_to_string(marker(&registry)).expect("a marker is there");
    let later = own
        .lines()
        .map(|line| match line.strip_prefix("incarnation ") {
            Some(number) => format!("incarnation {number}1\n"),
            None => format!("{line}\n"),
        });
    let later: String = later.collect();
    assert_ne!(later, own);
    fs::write(marker(&registry), later).expect("it can be written");
    check_refused(&mut registry, &["incarnation"]);
}

#[test]
fn store_with_a_marker_and_no_metadata() {
    let mut registry = stopped();
    fs::remove_dir_all(registry.folder().join("metadata")).expect("it can be removed");
    check_refused(
        &mut registry,
        &["belongs to", "metadata are empty", "restore", "join"],
    );
    // And a second try finds what the first one found.
    check_refused(&mut registry, &["belongs to", "metadata are empty"]);
}

#[test]
fn store_that_lost_its_marker() {
    let mut registry = stopped();
    let own = fs::read(marker(&registry)).expect("a marker is there");
    fs::remove_file(marker(&registry)).expect("it can be removed");
    check_refused(&mut registry, &["marker", "storage"]);
    fs::write(marker(&registry), own).expect("it can be written");
    registry.run();
    registry
        .repository("start/image")
        .get_manifest("latest")
        .expect(200);
}

#[test]
fn store_with_a_marker_that_is_none() {
    let mut registry = stopped();
    for text in [
        &b""[..],
        b"\xff\xff\xff",
        b"roadstead-marker 2\ncluster x\n",
    ] {
        fs::write(marker(&registry), text).expect("it can be written");
        check_refused(&mut registry, &[MARKER, "damaged"]);
    }
}
