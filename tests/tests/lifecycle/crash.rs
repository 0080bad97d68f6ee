//! A crash loses nothing that was acknowledged.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use roadstead_tests::client::Image;
use roadstead_tests::folder::MARKER;
use roadstead_tests::raw::Raw;
use roadstead_tests::wait::{self, LONG};
use roadstead_tests::{Registry, Repository, Setup, fixture};

/// Pushes an image without insisting: the node may be gone at any moment.
fn try_push(repository: &Repository, tag: &str, seed: u64) -> Result<Image, String> {
    let config = format!(r#"{{"seed":{seed}}}"#).into_bytes();
    let layer = fixture::random(seed, 30_000);
    for content in [&config, &layer] {
        let digest = fixture::digest(content);
        let path = format!("blobs/uploads/?digest={digest}");
        let request = repository.request("POST", &path).body(content.clone());
        created(request.try_send()?.status)?;
    }
    let layers = [fixture::descriptor(fixture::LAYER, &layer)];
    let config_of = fixture::descriptor(fixture::CONFIG, &config);
    let manifest = fixture::image(&config_of, &layers);
    let request = repository.request("PUT", &format!("manifests/{tag}"));
    let request = request.header("content-type", &manifest.media_type);
    created(request.body(manifest.bytes()).try_send()?.status)?;
    let layers = vec![layer];
    Ok(Image {
        manifest,
        config,
        layers,
    })
}

fn created(status: u16) -> Result<(), String> {
    match status {
        201 => Ok(()),
        503 => Err("the node is going".to_owned()),
        other => panic!("a push was answered with {other}"),
    }
}

#[test]
fn kill_in_the_middle_of_pushes_loses_nothing_acknowledged() {
    const ROUNDS: u64 = 3;
    const PUSHERS: u64 = 4;
    let mut registry = Registry::start(Setup::default());
    let mut acknowledged: Vec<(String, Image)> = Vec::new();
    for round in 0..ROUNDS {
        let count = AtomicUsize::new(0);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let pushers: Vec<_> = (0..PUSHERS)
                .map(|pusher| {
                    let repository = registry.repository(&format!("crash/{pusher}"));
                    let (count, is_over) = (&count, &is_over);
                    scope.spawn(move || {
                        let mut pushed = Vec::new();
                        while !is_over.load(Ordering::Acquire) {
                            let number = pushed.len() as u64;
                            let tag = format!("r{round}-{number}");
                            let seed = (round * PUSHERS + pusher) * 10_000 + number;
                            let Ok(image) = try_push(&repository, &tag, seed) else {
                                break;
                            };
                            pushed.push((format!("crash/{pusher}:{tag}"), image));
                            count.fetch_add(1, Ordering::AcqRel);
                        }
                        pushed
                    })
                })
                .collect();
            wait::until("some images are pushed", LONG, || {
                (count.load(Ordering::Acquire) >= 20).then_some(())
            });
            registry.kill();
            is_over.store(true, Ordering::Release);
            for pusher in pushers {
                acknowledged.extend(pusher.join().expect("a pusher does not panic"));
            }
        });
        registry.run();
        check_all(&registry, &acknowledged);
    }
    registry.restart();
    check_all(&registry, &acknowledged);
}

#[track_caller]
fn check_all(registry: &Registry, images: &[(String, Image)]) {
    for (name, image) in images {
        let (repository, tag) = name.split_once(':').expect("a name has a tag");
        let repository = registry.repository(repository);
        let answer = repository.get_manifest(tag).expect(200);
        assert_eq!(answer.body, image.manifest.bytes(), "{name}");
        for content in [&image.config, &image.layers[0]] {
            let answer = repository.get_blob(&fixture::digest(content)).expect(200);
            assert!(answer.body == *content, "{name}");
        }
    }
}

#[test]
fn acknowledged_chunks_survive_a_crash() {
    let mut registry = Registry::start(Setup::default());
    let repository = registry.repository("crash/chunks");
    let content = fixture::random(1, 400_000);
    let digest = fixture::digest(&content);
    let mut upload = repository.start_upload();
    for (number, piece) in content.chunks(90_000).enumerate() {
        upload.chunk(number * 90_000, piece).expect(202);
        registry.kill();
        registry.run();
        assert_eq!(upload.offset(), number * 90_000 + piece.len());
    }
    upload.put(digest.as_str(), b"").expect(201);
    registry.kill();
    registry.run();
    assert!(repository.get_blob(&digest).expect(200).body == content);
}

#[test]
fn upload_goes_on_after_a_crash_in_the_middle_of_a_chunk() {
    let mut registry = Registry::start(Setup::default());
    let repository = registry.repository("crash/middle");
    let content = fixture::random(2, 500_000);
    let digest = fixture::digest(&content);
    let mut upload = repository.start_upload();
    upload.chunk(0, &content[..100_000]).expect(202);
    let host = registry.address();
    let path = upload.path();
    let mut raw = Raw::connect(&host);
    raw.send(format!(
        "PATCH {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 400000\r\n\r\n"
    ));
    raw.send(&content[100_000..300_000]);
    registry.kill();
    registry.run();
    // What was not acknowledged may be lost; what was may not.
    let offset = upload.offset();
    assert!((100_000..=300_000).contains(&offset), "{offset}");
    upload.chunk(offset, &content[offset..]).expect(202);
    upload.put(digest.as_str(), b"").expect(201);
    assert!(repository.get_blob(&digest).expect(200).body == content);
}

#[test]
fn deletes_survive_a_crash() {
    let mut registry = Registry::start(Setup::default());
    let repository = registry.repository("crash/deletes");
    let image = repository.push_image("latest", 3);
    let digest = image.manifest.digest();
    let layer = fixture::digest(&image.layers[0]);
    repository.delete_manifest(&digest).expect(202);
    repository.delete_blob(&layer).expect(202);
    registry.kill();
    registry.run();
    repository.get_manifest("latest").expect(404);
    repository.get_manifest(&digest).expect(404);
    repository.get_blob(&layer).expect(404);
    repository.push_image("latest", 3);
}

/// Whenever the first start is cut short, the next one founds the cluster or goes on with it.
#[test]
fn crash_in_the_middle_of_the_first_start_is_harmless() {
    type Look = fn(&Registry) -> bool;
    let moments: [(&str, Look); 6] = [
        ("at once", |_| true),
        ("the data folder is there", |registry| {
            registry.data().exists()
        }),
        ("the metadata folder is there", |registry| {
            registry.metadata().exists()
        }),
        ("the node has an identity", |registry| {
            registry.metadata().join("identity").exists()
        }),
        ("the state is there", |registry| {
            registry.metadata().join("state").exists()
        }),
        ("the store has a marker", |registry| {
            registry.data().join(MARKER).exists()
        }),
    ];
    for (what, has_come) in moments {
        let mut registry = Registry::prepare(Setup::default());
        for _ in 0..2 {
            registry.spawn();
            wait::until(what, LONG, || has_come(&registry).then_some(()));
            registry.kill();
        }
        registry.run();
        registry.serves();
        registry.restart();
        registry.serves();
    }
}
