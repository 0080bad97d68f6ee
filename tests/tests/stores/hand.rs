//! The requests that are signed by hand, straight and through the proxy: what the other tests see
//! by them is there.

use roadstead_tests::bucket::Object;
use roadstead_tests::fixture::random;
use roadstead_tests::proxy::{Fault, Kind};
use roadstead_tests::{Bucket, Place, Proxy};

fn sizes(bucket: &Bucket, prefix: &str) -> Vec<(String, u64)> {
    let objects = bucket.objects(prefix).into_iter();
    objects.map(|Object { key, size }| (key, size)).collect()
}

#[test]
fn objects_are_written_listed_and_deleted() {
    let place = Place::fresh();
    let proxy = Proxy::before(place.bucket.address());
    for bucket in [place.bucket.clone(), place.bucket.by(&proxy.address())] {
        let key = format!("{}/a b+c", place.root);
        let content = random(1, 3 << 20);
        bucket.put(&key, &content);
        assert!(bucket.get(&key) == content, "other bytes came back");
        let prefix = format!("{}/", place.root);
        assert_eq!(sizes(&bucket, &prefix), [(key.clone(), 3 << 20)]);
        bucket.delete(&key);
        assert_eq!(sizes(&bucket, &prefix), []);
        bucket.ask("GET", &key, &[], b"").expect(404);
    }
    let kinds: Vec<_> = proxy.seen().iter().map(|one| one.kind).collect();
    let expected = [
        Kind::Put,
        Kind::Get,
        Kind::List,
        Kind::Delete,
        Kind::List,
        Kind::Get,
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn long_lists_are_read_to_their_end() {
    let place = Place::fresh();
    // More than a page of a thousand.
    for number in 0..1005 {
        place.bucket.put(&format!("{}/{number}", place.root), b"x");
    }
    let prefix = format!("{}/", place.root);
    let objects = place.bucket.objects(&prefix);
    assert_eq!(objects.len(), 1005);
    for object in objects {
        place.bucket.delete(&object.key);
    }
}

#[test]
fn unfinished_uploads_are_listed() {
    let place = Place::fresh();
    let key = format!("{}/begun", place.root);
    let begun = place.bucket.ask("POST", &key, &[("uploads", "")], b"");
    let text = String::from_utf8(begun.expect(200).body).unwrap();
    assert_eq!(
        place.bucket.uploads(&place.root),
        std::slice::from_ref(&key)
    );
    let (_, id) = text.split_once("<UploadId>").unwrap();
    let (id, _) = id.split_once('<').unwrap();
    let ended = place.bucket.ask("DELETE", &key, &[("uploadId", id)], b"");
    ended.expect(204);
    assert_eq!(place.bucket.uploads(&place.root), [""; 0]);
}

/// What the proxy does after the store has done its work is seen in the store.
#[test]
fn lost_answers_are_of_work_that_was_done() {
    let place = Place::fresh();
    let proxy = Proxy::before(place.bucket.address());
    let spoiled = place.bucket.by(&proxy.address());
    let key = format!("{}/lost", place.root);
    proxy.spoil(|_| Some(Fault::AnswerError));
    spoiled.ask("PUT", &key, &[], b"done").expect(500);
    assert_eq!(place.bucket.get(&key), b"done");
    proxy.spoil(|_| Some(Fault::Error));
    spoiled.ask("PUT", &key, &[], b"not done").expect(500);
    assert_eq!(place.bucket.get(&key), b"done");
    place.bucket.delete(&key);
}
