//! Disks that are nearly full, and full.

use std::fs;

use roadstead_tests::fixture::{digest, random};
use roadstead_tests::wait::{LONG, until};
use roadstead_tests::{Mount, Registry, Repository, Setup};

/// A registry whose blobs, and metadata, lie where they are told to.
fn on(blobs: &Mount, metadata: &Mount, reserve: &str) -> Setup {
    let storage = format!(
        "filesystem:\n  rootdirectory: {}\ndelete:\n  enabled: true\nreserve: {reserve}",
        blobs.path().join("data").display()
    );
    let cluster = format!("datadir: {}", metadata.path().join("metadata").display());
    Setup::empty()
        .with("storage", &storage)
        .with("cluster", &cluster)
        .with("http", "addr: 127.0.0.1:{port}")
}

fn takes_a_blob(repository: &Repository) -> bool {
    let begun = repository.request("POST", "blobs/uploads/").send();
    if begun.status != 202 {
        return false;
    }
    let upload = repository.upload(&begun);
    upload.put(digest(b"probe").as_str(), b"probe").status == 201
}

#[test]
fn below_the_reserve_pushes_wait_while_pulls_and_deletes_go_on() {
    let disk = Mount::memory(128 << 20);
    let registry = Registry::start(on(&disk, &disk, "32MiB"));
    let repository = registry.repository("team/app");
    let image = repository.push_image("kept", 1);
    let other = repository.push_image("doomed", 2);

    let filler = disk.path().join("filler");
    fs::write(&filler, vec![0; 90 << 20]).unwrap();
    let refused = until("a push is refused", LONG, || {
        let answer = repository.request("POST", "blobs/uploads/").send();
        (answer.status == 503).then_some(answer)
    });
    refused
        .refused(503, "UNAVAILABLE")
        .names("kept in reserve")
        .names("pulls and deletes go on");
    let manifest = repository.put_manifest("another", &image.manifest);
    manifest
        .refused(503, "UNAVAILABLE")
        .names("kept in reserve");

    repository.get_manifest("kept").expect(200);
    for layer in &image.layers {
        let digest = digest(layer);
        assert_eq!(
            repository.get_blob(&digest).expect(200).body,
            layer.as_slice()
        );
    }
    repository.delete_manifest("doomed").expect(202);
    repository
        .delete_manifest(other.manifest.digest())
        .expect(202);

    fs::remove_file(filler).unwrap();
    until("a push is taken again", LONG, || {
        let answer = repository.request("POST", "blobs/uploads/").send();
        (answer.status == 202).then_some(())
    });
    repository.push_image("later", 3);
}

#[test]
fn an_upload_ends_at_the_reserve_and_goes_on_from_there() {
    const CHUNK: usize = 1 << 20;
    let disk = Mount::memory(512 << 20);
    let registry = Registry::start(on(&disk, &disk, "256MiB"));
    let repository = registry.repository("team/app");
    let content = random(7, 200 << 20);
    let mut upload = repository.start_upload();
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![0; 190 << 20]).unwrap();
    // There is room for it, but not for it and the reserve.
    let refused = content
        .chunks(CHUNK)
        .enumerate()
        .map(|(number, chunk)| upload.chunk(number * CHUNK, chunk))
        .find(|answer| answer.status != 202);
    let refused = refused.expect("the disk was never short");
    refused.refused(503, "UNAVAILABLE").names("kept in reserve");

    fs::remove_file(filler).unwrap();
    until("there is room", LONG, || {
        takes_a_blob(&repository).then_some(())
    });
    let offset = upload.offset();
    assert!(0 < offset && offset < content.len(), "at {offset}");
    upload.chunk(offset, &content[offset..]).expect(202);
    let digest = digest(&content);
    upload.put(digest.as_str(), &[]).expect(201);
    assert!(repository.get_blob(&digest).expect(200).body == content);
}

#[test]
fn a_full_disk_of_blobs_fails_the_push_and_nothing_else() {
    let blobs = Mount::memory(64 << 20);
    let metadata = Mount::memory(256 << 20);
    let mut registry = Registry::start(on(&blobs, &metadata, "0"));
    let repository = registry.repository("team/app");
    let image = repository.push_image("kept", 1);

    let content = random(9, 100 << 20);
    let mut upload = repository.start_upload();
    let answer = upload.request("PATCH").body(content.clone()).send();
    answer.refused(503, "UNAVAILABLE").names("out of space");
    // What was acknowledged of it is still there, and it can be given up.
    assert!(upload.offset() < content.len());
    upload.cancel().expect(204);
    repository.get_manifest("kept").expect(200);
    until("its bytes are gone", LONG, || {
        takes_a_blob(&repository).then_some(())
    });
    repository.push_image("later", 2);

    let filler = blobs.fill();
    // The metadata takes the upload, the disk of blobs takes none of its bytes.
    let content = random(10, 1 << 20);
    let upload = repository.start_upload();
    let answer = upload.put(digest(&content).as_str(), &content);
    answer.refused(503, "UNAVAILABLE").names("out of space");
    repository.get_blob(&digest(&content)).expect(404);
    repository.get_manifest("later").expect(200);
    repository.delete_manifest("later").expect(202);
    fs::remove_file(filler).unwrap();
    repository.push_blob(&content);
    repository.push_image("latest", 3);
    registry.restart();
    let repository = registry.repository("team/app");
    assert_eq!(
        repository.get_manifest("kept").expect(200).body,
        image.manifest.bytes()
    );
    repository.get_manifest("latest").expect(200);
}

#[test]
fn a_full_disk_of_metadata_loses_nothing_that_was_acknowledged() {
    let blobs = Mount::memory(256 << 20);
    let metadata = Mount::memory(64 << 20);
    let mut registry = Registry::start(on(&blobs, &metadata, "0"));
    let repository = registry.repository("team/app");
    let image = repository.push_content(1);
    let filler = metadata.fill();

    // Until the log cannot take another entry, which ends the node: what it holds is on disk.
    let mut acknowledged = Vec::new();
    let bounded = 20_000;
    for number in 0..bounded {
        let tag = format!("t{number}");
        let put = repository.request("PUT", &format!("manifests/{tag}"));
        let put = put
            .header("Content-Type", &image.manifest.media_type)
            .body(image.manifest.bytes());
        match put.try_send() {
            Ok(answer) if answer.status == 201 => acknowledged.push(tag),
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{:?}", answer.body);
                break;
            }
            Err(_) => break,
        }
    }
    assert!(acknowledged.len() < bounded, "the disk never became full");
    let status = registry.wait();
    assert_eq!(status.code(), Some(1), "{}", registry.logs());
    registry.says(&["No space left"]);
    registry.kill();

    fs::remove_file(filler).unwrap();
    registry.run();
    let repository = registry.repository("team/app");
    for tag in &acknowledged {
        let found = repository.get_manifest(tag).expect(200);
        assert_eq!(found.body, image.manifest.bytes());
    }
    repository.push_image("later", 2);
}
