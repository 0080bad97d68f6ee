//! What a push and a pull cost in requests to the store, counted between the two.

use std::collections::BTreeMap;

use roadstead_tests::fixture::{digest, random};
use roadstead_tests::proxy::{Kind, Seen};
use roadstead_tests::{Place, Proxy, Registry, Repository};

use super::stage::{PART_BYTES, Stage};

/// A registry behind a proxy that counts.
struct Counted {
    // Dropped in this order: the registry says goodbye to its store.
    registry: Registry,
    proxy: Proxy,
}

impl Counted {
    fn start() -> Self {
        let place = Place::fresh();
        let proxy = Proxy::before(place.bucket.address());
        let registry = Registry::start(place.setup_behind(&proxy));
        // What is asked once for all has been asked then.
        let repository = registry.repository("requests/app");
        repository.push_blob(b"the first");
        Self { registry, proxy }
    }

    fn repository(&self) -> Repository {
        self.registry.repository("requests/app")
    }

    /// The requests about blobs while something was done, deletes left out: they are not waited
    /// for. Looks at the marker and at the store's health are of the node, not of a push.
    fn requests(&self, done: impl FnOnce(&Repository)) -> Vec<Seen> {
        self.proxy.forget();
        done(&self.repository());
        let seen = self.proxy.seen();
        let is_about_blobs = |one: &Seen| {
            let is_delete = matches!(one.kind, Kind::Delete | Kind::DeleteMany | Kind::Abort);
            one.path.contains("/objects/") && !is_delete
        };
        seen.into_iter().filter(is_about_blobs).collect()
    }
}

fn shown(seen: &[Seen]) -> String {
    seen.iter().map(|one| format!("\n  {one}")).collect()
}

fn kinds(seen: &[Seen]) -> BTreeMap<Kind, usize> {
    let mut kinds = BTreeMap::new();
    for one in seen {
        *kinds.entry(one.kind).or_default() += 1;
    }
    kinds
}

/// A `POST` and a `PUT` with everything.
fn push_in_one(repository: &Repository, content: &[u8]) {
    repository.push_blob(content);
}

/// A `POST`, a `PATCH` with everything, and a `PUT`.
fn push_in_two(repository: &Repository, content: &[u8]) {
    let mut upload = repository.start_upload();
    upload.patch(content).expect(202);
    upload.put(digest(content).as_str(), b"").expect(201);
}

#[test]
fn push_of_less_than_a_part_is_one_request() {
    let counted = Counted::start();
    for (seed, size) in [(1, 1), (2, 1024), (3, 1 << 20), (4, PART_BYTES - 1)] {
        for (number, push) in [push_in_one, push_in_two].into_iter().enumerate() {
            let content = random(seed * 10 + number as u64, size);
            let seen = counted.requests(|repository| push(repository, &content));
            let shown = shown(&seen);
            assert_eq!(
                kinds(&seen),
                [(Kind::Put, 1)].into(),
                "{size} bytes:{shown}"
            );
            assert_eq!(seen[0].length, Some(size as u64));
        }
    }
}

#[test]
fn push_of_more_is_its_parts_and_three_requests() {
    let counted = Counted::start();
    for (seed, size) in [(1, PART_BYTES + 1), (2, 32 << 20), (3, (64 << 20) + 1)] {
        for (number, push) in [push_in_one, push_in_two].into_iter().enumerate() {
            let content = random(seed * 100 + number as u64, size);
            let seen = counted.requests(|repository| push(repository, &content));
            let shown = shown(&seen);
            let parts = size.div_ceil(PART_BYTES);
            assert!(
                seen.len() <= parts + 3,
                "{size} bytes in {parts} parts:{shown}"
            );
            // Nothing is copied in the store.
            let copies = [Kind::Copy, Kind::CopyPart].map(|kind| kinds(&seen).get(&kind).copied());
            assert_eq!(copies, [None, None], "{shown}");
            let sent: u64 = seen.iter().filter_map(|one| one.length).sum();
            let extra = sent.saturating_sub(size as u64);
            // What a checkpoint finds after the last whole part goes twice, and there is the list
            // of parts.
            let extra_max = PART_BYTES as u64 + (64 << 10);
            assert!(extra < extra_max, "{sent} bytes for {size}:{shown}");
        }
    }
}

#[test]
fn pull_is_one_request() {
    let counted = Counted::start();
    let content = random(7, 3 * PART_BYTES);
    let digest = counted.repository().push_blob(&content);
    let seen = counted.requests(|repository| {
        let answer = repository.get_blob(&digest).expect(200);
        assert!(answer.body == content, "other bytes came back");
    });
    assert_eq!(kinds(&seen), [(Kind::Get, 1)].into(), "{}", shown(&seen));
    let seen = counted.requests(|repository| {
        let answer = repository.request("GET", &format!("blobs/{digest}"));
        let answer = answer.header("range", "bytes=5-1004").send().expect(206);
        assert_eq!(answer.body, content[5..1005]);
    });
    assert_eq!(kinds(&seen), [(Kind::Get, 1)].into(), "{}", shown(&seen));
    let seen = counted.requests(|repository| {
        let answer = repository.head_blob(&digest).expect(200);
        assert_eq!(answer.header("content-length"), content.len().to_string());
    });
    assert!(seen.len() <= 1, "{}", shown(&seen));
}
