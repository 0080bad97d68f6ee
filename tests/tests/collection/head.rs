//! What `HEAD` has shown can be used for the length of the grace, however old it was.

use std::thread;
use std::time::{Duration, Instant};

use roadstead_proto::Digest;
use roadstead_tests::fixture::{self, CONFIG, Document};
use roadstead_tests::{Registry, Repository, Setup, folder, wait};

const GRACE: Duration = Duration::from_secs(3);
const HOLD: Duration = Duration::from_secs(6);

/// What a manifest needs to be taken, on a busy machine.
const SPARE: Duration = Duration::from_millis(250);

/// Attempts that a busy machine may spoil.
const ATTEMPTS: usize = 5;

/// Longer than the collector takes once a time is over.
const SOON: Duration = Duration::from_secs(20);

fn setup() -> Setup {
    let gc = "grace: 3s\nreadingdelay: 0s\nrate: 100000\nsweep: 2s";
    Setup::default().with_debug().with("gc", gc)
}

/// A pause that a scenario is made of.
fn wait_until(time: Instant) {
    let left = time.saturating_duration_since(Instant::now());
    let _ = wait::poll(left, || None::<()>);
}

fn document(digest: &Digest, size: usize) -> Document {
    fixture::image(&fixture::describe(CONFIG, digest, size), &[])
}

/// Pushes a blob, asks for it at this age, and uses it as late as was promised. `None` when the
/// machine was too busy for it to count.
fn attempt(repository: &Repository, seed: u64, age: Duration) -> Option<()> {
    let content = fixture::random(seed, 2000);
    let pushed = Instant::now();
    let digest = repository.push_blob(&content);
    wait_until(pushed + age);
    let asked = Instant::now();
    let answer = repository.head_blob(&digest);
    let answered = Instant::now();
    if answered >= pushed + HOLD {
        // It may have been collected, or not: then it can be used.
        if answer.status == 404 {
            return Some(());
        }
    }
    answer.expect(200);
    wait_until(asked + GRACE - SPARE);
    let answer = repository.put_manifest(format!("seed-{seed}"), &document(&digest, content.len()));
    let is_late = Instant::now() >= asked + GRACE;
    if is_late && answer.status != 201 {
        return None;
    }
    answer.expect(201);
    assert_eq!(repository.get_blob(&digest).expect(200).body, content);
    Some(())
}

#[test]
fn a_blob_seen_by_head_can_be_used_for_a_grace() {
    let registry = Registry::start(setup());
    let ages = [
        0, 1000, 2500, 2950, 3050, 4000, 5000, 5700, 5990, 6500, 7100,
    ];
    thread::scope(|scope| {
        for (number, age) in ages.into_iter().enumerate() {
            let repository = registry.repository(&format!("head/{number}"));
            scope.spawn(move || {
                let mut attempts = 0..ATTEMPTS;
                let counted = attempts.find_map(|attempt_number| {
                    let seed = (100 * number + attempt_number) as u64;
                    attempt(&repository, seed, Duration::from_millis(age))
                });
                assert!(counted.is_some(), "too busy {ATTEMPTS} times, at {age} ms");
            });
        }
    });
}

#[test]
fn a_blob_that_is_asked_for_stays_and_goes_when_nobody_asks() {
    let registry = Registry::start(setup());
    let repository = registry.repository("head/kept");
    let (asked_for, forgotten) = (fixture::random(1, 3000), fixture::random(2, 3000));
    let pushed = Instant::now();
    let kept = repository.push_blob(&asked_for);
    let alone = repository.push_blob(&forgotten);
    let is_stored = |digest: &Digest| {
        let mut objects = folder::digests(&registry.data()).into_iter();
        objects.any(|(_, found)| found == *digest)
    };
    // Every look lets it stay for a grace at least.
    let mut last = pushed;
    for _ in 0..6 {
        wait_until(last + GRACE - SPARE);
        last = Instant::now();
        let answer = repository.head_blob(&kept);
        if Instant::now() < last + GRACE {
            answer.expect(200);
        }
        if Instant::now() < pushed + HOLD {
            assert!(is_stored(&alone), "it was collected early");
        }
    }
    // Nobody has asked for the other one.
    assert!(
        !is_stored(&alone),
        "it is still there after {:?}",
        pushed.elapsed()
    );
    repository.get_blob(&alone).expect(404);
    let gone = wait::poll(HOLD + SOON, || (!is_stored(&kept)).then(Instant::now));
    let gone = gone.expect("it goes when nobody asks any more");
    assert!(
        gone >= last + GRACE,
        "{:?} after the last look",
        gone - last
    );
    repository.head_blob(&kept).expect(404);
    registry.holds_objects(0);
}
