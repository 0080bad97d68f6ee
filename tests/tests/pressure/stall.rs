//! A disk that takes nothing for ten seconds.

use std::time::{Duration, Instant};

use roadstead_tests::fixture::{digest, random};
use roadstead_tests::{Mount, Registry, Setup};

const STALL: Duration = Duration::from_secs(10);

#[test]
fn a_disk_that_stalls_delays_pushes_and_nothing_else() {
    let disk = Mount::ext4(512 << 20);
    let storage = format!(
        "filesystem:\n  rootdirectory: {}",
        disk.path().join("data").display()
    );
    let setup = Setup::empty()
        .with("storage", &storage)
        .with("http", "addr: 127.0.0.1:{port}");
    let mut registry = Registry::start(setup);
    let repository = registry.repository("team/app");
    let image = repository.push_image("kept", 1);

    // Last, so that a failure thaws it before it waits for the registry's end.
    let frozen = disk.freeze();
    let began = Instant::now();
    let pushes: Vec<_> = (0..8)
        .map(|seed| {
            let repository = repository.clone();
            std::thread::spawn(move || {
                let content = random(100 + seed, 1 << 20);
                // A push that was told to wait is made again, as clients do.
                loop {
                    let begun = repository.request("POST", "blobs/uploads/").send();
                    if begun.status == 202 {
                        let upload = repository.upload(&begun);
                        let answer = upload.put(digest(&content).as_str(), &content);
                        if answer.status == 201 {
                            return content;
                        }
                        assert_eq!(answer.status, 503, "{:?}", answer.body);
                    } else {
                        assert_eq!(begun.status, 503, "{:?}", begun.body);
                    }
                    assert!(began.elapsed() < STALL * 6, "it never went through");
                }
            })
        })
        .collect();
    // Pulls read what the kernel holds in memory, and are answered while writers wait.
    let mut slowest = Duration::ZERO;
    while began.elapsed() < STALL {
        let asked = Instant::now();
        repository.get_manifest("kept").expect(200);
        let layer = image.layers.first().unwrap();
        repository.get_blob(&digest(layer)).expect(200);
        registry.client().get("/livez").expect(200);
        slowest = slowest.max(asked.elapsed());
    }
    // Nothing can be acknowledged that a disk which takes nothing would have to hold.
    let ended = pushes.iter().filter(|push| push.is_finished()).count();
    assert_eq!(ended, 0, "pushes have ended while the disk stood still");
    frozen.thaw();
    assert!(slowest < Duration::from_secs(3), "a pull took {slowest:?}");

    for push in pushes {
        let content = push.join().unwrap();
        assert!(repository.get_blob(&digest(&content)).expect(200).body == content);
    }
    registry.restart();
    registry
        .repository("team/app")
        .get_manifest("kept")
        .expect(200);
    registry.stop();
}
