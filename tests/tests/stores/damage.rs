//! Objects that somebody removed or cut short behind the registry's back.

use roadstead_proto::Digest;
use roadstead_tests::fixture::random;
use roadstead_tests::raw::Raw;
use roadstead_tests::{Place, Registry};

use super::stage::{PART_BYTES, Stage};

const NAME: &str = "damage/app";

/// The key under which the blob of this size lies.
#[track_caller]
fn key(place: &Place, size: usize) -> String {
    let objects = place.objects();
    let found: Vec<_> = objects
        .iter()
        .filter(|one| one.size == size as u64)
        .collect();
    let [object] = found.as_slice() else {
        panic!("{size} bytes are not there once: {objects:?}");
    };
    object.key.clone()
}

/// A pull fails before the first byte, and says what is wrong; so does a part of it.
///
/// By hand, because nowhere else may an answer be 500: here the store is to blame, for good.
#[track_caller]
fn is_refused(registry: &Registry, digest: &Digest) {
    for range in ["", "Range: bytes=0-99\r\n"] {
        let request =
            format!("GET /v2/{NAME}/blobs/{digest} HTTP/1.1\r\nHost: registry\r\n{range}\r\n");
        let (_, text) = Raw::ask(&registry.address(), request).refused(500);
        assert!(text.contains(digest.as_str()), "{text}");
        assert!(text.contains("missing or damaged"), "{text}");
    }
    // Whoever operates it can find out.
    registry.says(&["damaged", digest.as_str()]);
    registry.serves();
}

fn damaged(size: usize, damage: impl FnOnce(&Place, &str)) {
    let place = Place::fresh();
    let registry = Registry::start(place.setup());
    let repository = registry.repository(NAME);
    let content = random(size as u64, size);
    let digest = repository.push_blob(&content);
    damage(&place, &key(&place, size));
    is_refused(&registry, &digest);
}

#[test]
fn object_that_was_removed() {
    for size in [1000, 2 * PART_BYTES + 1] {
        damaged(size, |place, key| place.bucket.delete(key));
    }
}

#[test]
fn object_that_was_cut_short() {
    for size in [1000, 2 * PART_BYTES + 1] {
        damaged(size, |place, key| {
            let content = place.bucket.get(key);
            place.bucket.put(key, &content[..size / 2]);
        });
    }
}

#[test]
fn object_that_has_become_longer() {
    damaged(1000, |place, key| {
        let mut content = place.bucket.get(key);
        content.push(b'x');
        place.bucket.put(key, &content);
    });
}
