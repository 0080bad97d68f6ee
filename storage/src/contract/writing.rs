//! Promises about writing an object and removing it.

use bytes::Bytes;

use super::{
    Differences, assert_holds, assert_kind, checkpoint_to_go_on, entries, get, key, pattern, put,
    remove, write,
};
use crate::store::BlobStore;

/// What was written is read back, and its size is known.
pub async fn finished_object_is_readable(store: &dyn BlobStore, _: &Differences) {
    let (key, bytes) = (key("objects/a"), pattern(300_000));
    put(store, &key, &bytes).await;
    assert_holds(store, &key, &bytes).await;
    remove(store, &[key]).await;
}

/// An object may be empty.
pub async fn empty_object_is_an_object(store: &dyn BlobStore, _: &Differences) {
    let key = key("objects/empty");
    let writer = store.create(&key).await.expect("create");
    assert_eq!(writer.finish().await.expect("finish"), 0);
    assert_holds(store, &key, &Bytes::new()).await;
    assert_eq!(entries(store, "").await.len(), 1);
    remove(store, &[key]).await;
}

/// Nothing is readable under a key before `checkpoint` or `finish`.
pub async fn nothing_is_readable_before_checkpoint_or_finish(
    store: &dyn BlobStore,
    _: &Differences,
) {
    let (key, bytes) = (key("objects/a"), pattern(3_000_000));
    let mut writer = store.create(&key).await.expect("create");
    assert_kind(get(store, &key).await, "not_found");
    write(&mut writer, &bytes).await;
    assert_kind(get(store, &key).await, "not_found");
    assert_kind(store.size(&key).await, "not_found");
    writer.finish().await.expect("finish");
    assert_holds(store, &key, &bytes).await;
    remove(store, &[key]).await;
}

/// Writes of any size, empty ones among them, make one object in their order.
pub async fn writes_of_any_size_keep_their_order(store: &dyn BlobStore, _: &Differences) {
    let (key, bytes) = (key("objects/a"), pattern(5_000_000));
    let mut writer = store.create(&key).await.expect("create");
    let mut rest = bytes.clone();
    let sizes = [1, 0, 7, 4095, 4096, 65_536, 1_048_576, 1_048_577, 3];
    for size in sizes.into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let part = rest.split_to(size.min(rest.len()));
        write(&mut writer, &part).await;
    }
    // Many small ones at the end: more than any batch has places for.
    let tail = pattern(3_000);
    for place in 0..tail.len() {
        write(&mut writer, &tail.slice(place..=place)).await;
    }
    writer.finish().await.expect("finish");
    let whole = Bytes::from([bytes, tail].concat());
    assert_holds(store, &key, &whole).await;
    remove(store, &[key]).await;
}

/// A writer's offset is what it has taken.
pub async fn offset_counts_what_was_taken(store: &dyn BlobStore, _: &Differences) {
    let mut key = key("objects/a");
    let mut writer = store.create(&key).await.expect("create");
    assert_eq!(writer.offset(), 0);
    write(&mut writer, &pattern(10)).await;
    assert_eq!(writer.offset(), 10);
    let checkpoint = checkpoint_to_go_on(store, &mut key, &mut writer).await;
    assert_eq!((checkpoint.offset(), writer.offset()), (10, 10));
    write(&mut writer, &pattern(2_000_000)).await;
    assert_eq!(writer.offset(), 2_000_010);
    assert_eq!(writer.finish().await.expect("finish"), 2_000_010);
    remove(store, &[key]).await;
}

/// A key that was used is refused, where the driver can tell.
pub async fn used_key_is_refused(store: &dyn BlobStore, differences: &Differences) {
    if !differences.refuses_used_keys {
        return;
    }
    let (finished, unfinished) = (key("objects/finished"), key("objects/unfinished"));
    put(store, &finished, &pattern(1)).await;
    assert_kind(store.create(&finished).await, "already_exists");
    let mut writer = store.create(&unfinished).await.expect("create");
    assert_kind(store.create(&unfinished).await, "already_exists");
    writer.checkpoint().await.expect("checkpoint");
    drop(writer);
    assert_kind(store.create(&unfinished).await, "already_exists");
    remove(store, &[finished, unfinished]).await;
}

/// A deleted object is not found and not listed.
pub async fn deleted_object_is_gone(store: &dyn BlobStore, _: &Differences) {
    let key = key("objects/a");
    put(store, &key, &pattern(10)).await;
    remove(store, std::slice::from_ref(&key)).await;
    assert_kind(get(store, &key).await, "not_found");
    assert_kind(store.size(&key).await, "not_found");
    assert!(entries(store, "").await.is_empty());
}

/// Deleting a key removes its unfinished write, and nothing can be resumed there.
pub async fn unfinished_write_is_deleted(store: &dyn BlobStore, _: &Differences) {
    for can_be_sealed in [true, false] {
        let mut key = key("objects/a");
        let mut writer = store.create(&key).await.expect("create");
        write(&mut writer, &pattern(10)).await;
        let checkpoint = if can_be_sealed {
            writer.checkpoint().await.expect("checkpoint")
        } else {
            checkpoint_to_go_on(store, &mut key, &mut writer).await
        };
        drop(writer);
        remove(store, std::slice::from_ref(&key)).await;
        assert!(entries(store, "").await.is_empty());
        assert_kind(store.resume(&key, &checkpoint).await, "not_found");
    }
}

/// Discarding unfinished writes leaves objects, answers for each key, and can be repeated.
pub async fn only_unfinished_writes_are_discarded(store: &dyn BlobStore, _: &Differences) {
    let (finished, absent, bytes) = (key("objects/a"), key("objects/absent"), pattern(10));
    put(store, &finished, &bytes).await;
    let (mut unfinished, mut kept) = (key("objects/b"), key("objects/c"));
    let mut checkpoints = Vec::new();
    for key in [&mut unfinished, &mut kept] {
        let mut writer = store.create(key).await.expect("create");
        write(&mut writer, &bytes).await;
        checkpoints.push(checkpoint_to_go_on(store, key, &mut writer).await);
    }
    assert!(store.discard_unfinished(&[]).await.is_empty());
    for _ in 0..2 {
        let keys = [finished.clone(), unfinished.clone(), absent.clone()];
        let results = store.discard_unfinished(&keys).await;
        assert_eq!(results.len(), keys.len(), "one result for each key");
        for (key, result) in keys.iter().zip(results) {
            result.unwrap_or_else(|error| panic!("discard {key}: {error}"));
        }
        assert_holds(store, &finished, &bytes).await;
        let left = entries(store, unfinished.as_str()).await;
        assert!(left.is_empty(), "{left:?} is left");
    }
    assert_kind(
        store.resume(&unfinished, &checkpoints[0]).await,
        "not_found",
    );
    let resumed = store.resume(&kept, &checkpoints[1]).await.expect("resume");
    assert_eq!(resumed.finish().await.expect("finish"), bytes.len() as u64);
    remove(store, &[finished, kept]).await;
}

/// Deleting what is not there succeeds, as often as one likes.
pub async fn absent_key_is_deleted_with_success(store: &dyn BlobStore, _: &Differences) {
    let key = key("objects/a");
    remove(store, std::slice::from_ref(&key)).await;
    put(store, &key, &pattern(10)).await;
    remove(store, &[key.clone(), key.clone()]).await;
    remove(store, &[key]).await;
}

/// One call deletes many keys, and only these.
pub async fn delete_answers_for_each_key(store: &dyn BlobStore, _: &Differences) {
    let keys = ["a/1", "a/2", "b/1", "b/absent", "c"].map(key);
    let kept = key("a/kept");
    for key in [&keys[0], &keys[1], &keys[2], &keys[4], &kept] {
        put(store, key, &pattern(10)).await;
    }
    assert!(store.delete(&[]).await.is_empty());
    remove(store, &keys).await;
    let left = entries(store, "").await;
    assert_eq!(
        left.iter().map(|entry| &entry.key).collect::<Vec<_>>(),
        [&kept]
    );
    remove(store, &[kept]).await;
}
