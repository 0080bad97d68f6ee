//! A marker that changes under a running node: collection stops with an alarm, and goes on when
//! the marker is back.

use std::fs;
use std::time::Duration;

use roadstead_tests::wait::{LONG, poll, until};
use roadstead_tests::{Registry, Setup, fixture, folder};

use super::measured::alarm_is;

/// Several times as long as the collector would need.
const WAIT: Duration = Duration::from_secs(6);

/// What is done to the marker.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// It is another cluster's.
    Foreign,
    /// It cannot be read.
    Broken,
    /// It is not there.
    Gone,
}

fn setup() -> Setup {
    let gc = "grace: 1s\nreadingdelay: 0s\nrate: 100000\nsweep: 2s";
    Setup::default().with_debug().with("gc", gc)
}

fn change(registry: &Registry, change: Change) -> String {
    let path = registry.data().join(folder::MARKER);
    let text = fs::read_to_string(&path).expect("the marker can be read");
    let write = |text: &str| fs::write(&path, text).expect("the marker can be written");
    match change {
        Change::Foreign => {
            // Another id of the same form: every digit of it is another one.
            let other = |line: &str| match line.split_once(' ') {
                Some(("cluster", id)) => format!("cluster {}", shift(id)),
                _ => line.to_owned(),
            };
            let lines: Vec<_> = text.lines().map(other).collect();
            let foreign = lines.join("\n") + "\n";
            assert_ne!(foreign, text);
            write(&foreign);
        }
        Change::Broken => write("nonsense"),
        Change::Gone => fs::remove_file(&path).expect("the marker can be removed"),
    }
    text
}

fn shift(id: &str) -> String {
    let other = |c: char| match c.to_digit(16) {
        Some(digit) => char::from_digit(digit ^ 1, 16).unwrap_or(c),
        None => c,
    };
    id.chars().map(other).collect()
}

fn restore(registry: &Registry, text: &str) {
    let path = registry.data().join(folder::MARKER);
    fs::write(path, text).expect("the marker can be written");
}

/// With something to delete, so that the marker is looked at before that.
fn collection_stops_and_goes_on(kind: Change) {
    let registry = Registry::start(setup());
    let repository = registry.repository("marker/app");
    let image = repository.push_image("kept", 1);
    let alone = repository.push_blob(&fixture::random(2, 3000));
    let mut upload = repository.start_upload();
    upload.patch(b"half of it").expect(202);
    let marker = change(&registry, kind);
    let before = folder::digests(&registry.data());
    assert_eq!(before.len(), 3);
    alarm_is(&registry, true);
    registry.says(&["nothing is collected, and pushes are refused"]);

    // Pushes are refused, and told why.
    let begun = repository.request("POST", "blobs/uploads/").send();
    let refusal = begun.refused_somehow(503);
    assert!(refusal.message.contains("store"), "{refusal}");
    upload
        .request("PATCH")
        .body(b"more".to_vec())
        .send()
        .refused_somehow(503);
    repository
        .put_manifest("other", &image.manifest)
        .refused_somehow(503);
    // Pulls go on.
    assert_eq!(
        repository.get_manifest("kept").expect(200).body,
        image.manifest.bytes()
    );
    let layer = fixture::digest(&image.layers[0]);
    assert_eq!(
        repository.get_blob(&layer).expect(200).body,
        image.layers[0]
    );
    // Nothing is deleted, though its time is over.
    let changed = poll(WAIT, || {
        let found = folder::digests(&registry.data());
        (found != before).then_some(found)
    });
    assert!(changed.is_none(), "{before:?} became {changed:?}");

    restore(&registry, &marker);
    alarm_is(&registry, false);
    until("what was due is collected", LONG, || {
        (registry.objects().finished == 2).then_some(())
    });
    repository.get_blob(&alone).expect(404);
    upload.patch(b" and more").expect(202);
    repository.push_image("other", 3);
}

#[test]
fn a_foreign_marker_stops_collection() {
    collection_stops_and_goes_on(Change::Foreign);
}

#[test]
fn a_broken_marker_stops_collection() {
    collection_stops_and_goes_on(Change::Broken);
}

#[test]
fn a_marker_that_is_gone_stops_collection() {
    collection_stops_and_goes_on(Change::Gone);
}

/// Nothing is to be deleted: the marker is looked at from time to time.
#[test]
fn a_marker_is_missed_where_nothing_is_collected() {
    let gc = "grace: 1h\nsweep: 24h";
    let registry = Registry::start(Setup::default().with_debug().with("gc", gc));
    let marker = change(&registry, Change::Gone);
    alarm_is(&registry, true);
    let repository = registry.repository("marker/quiet");
    repository
        .request("POST", "blobs/uploads/")
        .send()
        .refused_somehow(503);
    restore(&registry, &marker);
    alarm_is(&registry, false);
    repository.push_image("latest", 1);
}
