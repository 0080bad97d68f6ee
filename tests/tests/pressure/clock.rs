//! A clock that is set back by a day while a node runs, and while it is down.
//!
//! By libfaketime, since the machine's own clock is not a test's to set.

use std::fs;

use roadstead_tests::wait::{LONG, until};
use roadstead_tests::{Registry, Setup};

#[test]
fn a_clock_that_is_set_back_a_day_changes_nothing_for_clients() {
    let clock = tempfile::NamedTempFile::new().unwrap();
    fs::write(clock.path(), "+0").unwrap();
    let setup = Setup::default().with_clock(clock.path());
    let mut registry = Registry::start(setup);
    let repository = registry.repository("team/app");
    let before = repository.push_image("before", 1);
    let mut upload = repository.start_upload();
    upload.patch(b"half of it").expect(202);
    // Such as `Sun, 22 Nov 2026`, of the header that every answer has.
    let day = || registry.client().get("/v2/").header("date")[..16].to_owned();
    let today = day();

    fs::write(clock.path(), "-1d").unwrap();
    until("the clock is set", LONG, || (day() != today).then_some(()));
    let during = repository.push_image("during", 2);
    assert_eq!(upload.offset(), 10);
    let digest = roadstead_tests::fixture::digest(b"half of it");
    upload.put(digest.as_str(), &[]).expect(201);
    for (tag, image) in [("before", &before), ("during", &during)] {
        assert_eq!(
            repository.get_manifest(tag).expect(200).body,
            image.manifest.bytes()
        );
    }
    repository.get_blob(&digest).expect(200);

    // Started with the clock a day behind what it has written before.
    fs::write(clock.path(), "-2d").unwrap();
    registry.restart();
    let repository = registry.repository("team/app");
    for (tag, image) in [("before", &before), ("during", &during)] {
        assert_eq!(
            repository.get_manifest(tag).expect(200).body,
            image.manifest.bytes()
        );
    }
    repository.head_blob(&digest).expect(200);
    repository.push_image("after", 3);
    repository.delete_manifest("after").expect(202);

    fs::write(clock.path(), "+1d").unwrap();
    repository.push_image("tomorrow", 4);
    registry.restart();
    registry
        .repository("team/app")
        .get_manifest("tomorrow")
        .expect(200);
}
