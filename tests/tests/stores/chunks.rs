//! Uploads in chunks of every size that matters to parts, by a node that is restarted or killed
//! between any two requests.

use roadstead_tests::fixture::{self, digest, random};
use roadstead_tests::{Place, Registry, Upload};

use super::stage::{PART_BYTES, Stage, collect_quickly};

/// What happens to the node between two requests.
#[derive(Debug, Clone, Copy)]
enum Between {
    /// It goes on.
    Nothing,
    /// It stops in order, and lets go of its uploads.
    Restart,
    /// It is gone at once, and may as well be alive: its uploads are taken over.
    Kill,
}

fn pass(registry: &mut Registry, between: Between) {
    match between {
        Between::Nothing => {}
        Between::Restart => registry.restart(),
        Between::Kill => {
            registry.kill();
            registry.run();
        }
    }
}

/// Pushes a blob in so many chunks, reads it back, and sees that nothing else is left.
#[track_caller]
fn chunks_make_a_blob(size: usize, count: usize, between: Between) {
    let place = Place::fresh();
    let mut registry = Registry::prepare(place.setup());
    collect_quickly(&mut registry);
    registry.run();
    let repository = registry.repository("chunks/app");
    let content = random(size as u64, size * count);
    let mut upload: Upload = repository.start_upload();
    for (number, chunk) in content.chunks(size).enumerate() {
        pass(&mut registry, between);
        let start = number * size;
        if start > 1 {
            // An offset that was acknowledged survives whatever happened.
            assert_eq!(upload.offset(), start);
        }
        let answer = upload.chunk(start, chunk).expect(202);
        let range = format!("0-{}", start + chunk.len() - 1);
        assert_eq!(answer.header("range"), range);
    }
    pass(&mut registry, between);
    let expected = digest(&content);
    upload.put(expected.as_str(), b"").expect(201);
    // Named by a manifest, or it would be collected.
    let config = b"{}";
    repository.push_blob(config);
    let config = fixture::descriptor(fixture::CONFIG, config);
    let layer = fixture::descriptor(fixture::LAYER, &content);
    let manifest = fixture::image(&config, &[layer]);
    repository.put_manifest("v1", &manifest).expect(201);
    pass(&mut registry, between);
    let answer = repository.get_blob(&expected).expect(200);
    assert!(answer.body == content, "other bytes came back");
    place.holds_exactly(&[expected, digest(b"{}")]);
}

#[track_caller]
fn chunks_make_a_blob_whatever_is_between(size: usize, count: usize) {
    for between in [Between::Nothing, Between::Restart, Between::Kill] {
        chunks_make_a_blob(size, count, between);
    }
}

#[test]
fn chunks_of_one_byte() {
    chunks_make_a_blob_whatever_is_between(1, 6);
}

#[test]
fn chunks_of_1_mib() {
    chunks_make_a_blob_whatever_is_between(1 << 20, 12);
}

#[test]
fn chunks_of_a_byte_less_than_a_part() {
    chunks_make_a_blob_whatever_is_between(PART_BYTES - 1, 4);
}

#[test]
fn chunks_of_a_byte_more_than_a_part() {
    chunks_make_a_blob_whatever_is_between(PART_BYTES + 1, 4);
}

#[test]
fn chunks_of_100_mib() {
    chunks_make_a_blob_whatever_is_between(100 << 20, 3);
}

/// The bytes of a body that broke off are kept as far as they were acknowledged, and no further.
#[test]
fn chunk_that_breaks_off_is_gone_on_with() {
    let place = Place::fresh();
    let mut registry = Registry::start(place.setup());
    let repository = registry.repository("chunks/broken");
    let content = random(3, 3 * PART_BYTES);
    let mut upload = repository.start_upload();
    upload.chunk(0, &content[..PART_BYTES + 7]).expect(202);
    let mut raw = roadstead_tests::raw::Raw::connect(&registry.address());
    let rest = content.len() - PART_BYTES - 7;
    raw.send(format!(
        "PATCH {} HTTP/1.1\r\nHost: registry\r\nContent-Length: {rest}\r\n\r\n",
        upload.path()
    ));
    raw.send(&content[PART_BYTES + 7..2 * PART_BYTES + 9]);
    raw.break_off();
    let offset = upload.offset();
    assert!(
        (PART_BYTES + 7..=2 * PART_BYTES + 9).contains(&offset),
        "{offset}"
    );
    registry.kill();
    registry.run();
    assert_eq!(upload.offset(), offset);
    upload.chunk(offset, &content[offset..]).expect(202);
    let expected = digest(&content);
    upload.put(expected.as_str(), b"").expect(201);
    let answer = repository.get_blob(&expected).expect(200);
    assert!(answer.body == content, "other bytes came back");
}
