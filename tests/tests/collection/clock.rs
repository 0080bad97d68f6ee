//! A wall clock that jumps a day, forward or back: holds and ages go by real time all the same.

use std::fs;
use std::time::{Duration, Instant};

use roadstead_proto::Digest;
use roadstead_tests::fixture::{self, CONFIG, Document};
use roadstead_tests::wait::{LONG, poll, until};
use roadstead_tests::{Registry, Setup, Upload};

/// Twice the grace, and what it takes to look.
const HOLD: Duration = Duration::from_secs(4);

const COLLECTION: &str = "\
grace: 2s
readingdelay: 0s
rate: 100000
sweep: 2s
untagged:
  policy: expire
  age: 4s";

const MAINTENANCE: &str = "\
maintenance:
  uploadpurging:
    enabled: true
    age: 4s
    interval: 1s";

/// What nothing holds but its time.
#[derive(Debug)]
struct Left {
    since: Instant,
    blob: Digest,
    manifest: Document,
    upload: Upload,
}

fn leave(registry: &Registry, seed: u64) -> Left {
    let repository = registry.repository("clock/left");
    let named = fixture::random(seed + 1000, 3000);
    let config = fixture::descriptor(CONFIG, &named);
    let manifest = fixture::image(&config, &[]);
    repository.push_blob(&named);
    let mut upload = repository.start_upload();
    let since = Instant::now();
    let blob = repository.push_blob(&fixture::random(seed, 3000));
    let reference = manifest.digest();
    repository.put_manifest(&reference, &manifest).expect(201);
    upload
        .patch(&fixture::random(seed + 2000, 3000))
        .expect(202);
    Left {
        since,
        blob,
        manifest,
        upload,
    }
}

/// Until its time is over in truth, everything is there. None of these looks lets it stay longer.
#[track_caller]
fn stays(registry: &Registry, left: &Left) {
    let repository = registry.repository("clock/left");
    let mut looks = 0;
    let failed = poll(HOLD.saturating_sub(left.since.elapsed()), || {
        let found = [
            repository.get_blob(&left.blob).status,
            repository.get_manifest(left.manifest.digest()).status,
            left.upload.request("GET").send().status,
        ];
        // What was answered later does not count.
        let counts = left.since.elapsed() < HOLD;
        looks += usize::from(counts);
        (counts && found != [200, 200, 204]).then_some(found)
    });
    assert!(
        failed.is_none(),
        "{failed:?} after {:?}",
        left.since.elapsed()
    );
    assert!(looks > 10, "only {looks} looks");
}

#[track_caller]
fn goes(registry: &Registry, left: &Left) {
    let repository = registry.repository("clock/left");
    until("it is collected when its time is over", LONG, || {
        let is_gone = repository.get_blob(&left.blob).status == 404
            && repository.get_manifest(left.manifest.digest()).status == 404
            && registry.objects().partial == 0;
        is_gone.then_some(())
    });
    let more = left.upload.request("PATCH").body(b"more".to_vec()).send();
    more.expect(404);
    registry.holds_objects(0);
}

#[test]
fn a_clock_that_jumps_a_day_collects_nothing_early() {
    let clock = tempfile::NamedTempFile::new().expect("a file can be made");
    let set = |offset: &str| fs::write(clock.path(), offset).expect("the clock can be set");
    set("+0");
    let setup = Setup::default()
        .with("storage", MAINTENANCE)
        .with("gc", COLLECTION)
        .with_clock(clock.path());
    let mut registry = Registry::start(setup);
    // Such as `Sun, 22 Nov 2026`, of the header that every answer has.
    let day = |registry: &Registry| registry.client().get("/v2/").header("date")[..16].to_owned();
    for (number, offset) in ["+1d", "+0", "-1d", "+30d"].into_iter().enumerate() {
        let before = day(&registry);
        let left = leave(&registry, number as u64);
        set(offset);
        until("the clock is set", LONG, || {
            (day(&registry) != before).then_some(())
        });
        stays(&registry, &left);
        goes(&registry, &left);
    }
    // Set while the process is down: what it left in its log was stamped in another month.
    for (number, offset) in ["-1d", "+1d"].into_iter().enumerate() {
        let left = leave(&registry, 10 + number as u64);
        registry.kill();
        set(offset);
        registry.run();
        stays(&registry, &left);
        goes(&registry, &left);
    }
}
