//! Promises about checkpoints that store a small object as the object itself.
//!
//! Those that begin with a sealed writer are kept by a driver that never seals, too: it has none.

use super::resuming::begin;
use super::taking_over::append_rest;
use super::{Differences, assert_holds, assert_kind, entries, key, pattern, remove, write};
use crate::store::BlobStore;

/// A checkpoint of a few bytes seals where the driver does that, and the object is there; without
/// that nothing is readable. `finish` serves in any case.
pub async fn small_checkpoint_seals_where_the_driver_does(
    store: &dyn BlobStore,
    differences: &Differences,
) {
    let (key, bytes) = (key("objects/a"), pattern(10));
    let mut writer = store.create(&key).await.expect("create");
    assert!(!writer.is_sealed(), "only a checkpoint seals");
    write(&mut writer, &bytes).await;
    assert!(!writer.is_sealed(), "only a checkpoint seals");
    writer.checkpoint().await.expect("checkpoint");
    assert_eq!(writer.is_sealed(), differences.seals_small_objects);
    let listed = entries(store, "").await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0].unfinished, !writer.is_sealed());
    if writer.is_sealed() {
        assert_holds(store, &key, &bytes).await;
    } else {
        assert_kind(store.size(&key).await, "not_found");
    }
    assert_eq!(writer.finish().await.expect("finish"), 10);
    assert_holds(store, &key, &bytes).await;
    remove(store, &[key]).await;
}

/// A sealed writer takes no more bytes, and everything else goes on as before.
pub async fn sealed_writer_refuses_bytes_and_is_not_stopped(
    store: &dyn BlobStore,
    differences: &Differences,
) {
    if !differences.seals_small_objects {
        return;
    }
    let (key, bytes) = (key("objects/a"), pattern(10));
    let mut writer = store.create(&key).await.expect("create");
    write(&mut writer, &bytes).await;
    let sealing = writer.checkpoint().await.expect("checkpoint");
    assert_eq!(sealing.offset(), 10);
    for _ in 0..2 {
        assert_kind(writer.write(pattern(3)).await, "sealed");
        assert_eq!((writer.offset(), writer.is_sealed()), (10, true));
        let again = writer.checkpoint().await.expect("checkpoint");
        assert_eq!(again.offset(), 10);
        let applied = writer.checkpoint_applied().await;
        applied.expect("checkpoint_applied");
    }
    assert_eq!(writer.finish().await.expect("finish"), 10);
    assert_holds(store, &key, &bytes).await;
    remove(store, &[key]).await;
}

/// What was sealed is resumed as sealed, whether it was finished or not.
pub async fn sealed_upload_is_resumed_sealed(store: &dyn BlobStore, differences: &Differences) {
    if !differences.seals_small_objects {
        return;
    }
    let (key, bytes) = (key("objects/a"), pattern(10));
    let checkpoint = begin(store, &key, &bytes).await;
    for _ in 0..2 {
        let mut writer = store.resume(&key, &checkpoint).await.expect("resume");
        assert_eq!((writer.offset(), writer.is_sealed()), (10, true));
        assert_kind(writer.write(pattern(3)).await, "sealed");
        assert_eq!(writer.finish().await.expect("finish"), 10);
        assert_holds(store, &key, &bytes).await;
    }
    remove(store, &[key]).await;
}

/// An upload goes on under a fresh key while its sealed writer is open, which can still finish.
pub async fn sealed_object_stays_when_the_upload_moves_on(
    store: &dyn BlobStore,
    differences: &Differences,
) {
    if !differences.seals_small_objects {
        return;
    }
    let (from, to, whole) = (key("objects/former"), key("objects/fresh"), pattern(2_000));
    let bytes = whole.slice(..10);
    let mut sealed = store.create(&from).await.expect("create");
    write(&mut sealed, &bytes).await;
    let checkpoint = sealed.checkpoint().await.expect("checkpoint");
    let taken = store.take_over(&from, &checkpoint, &to).await;
    let mut writer = taken.expect("take_over");
    assert_eq!(writer.offset(), 10);
    append_rest(&mut writer, &whole).await;
    assert_eq!(sealed.finish().await.expect("finish"), 10);
    assert_eq!(writer.finish().await.expect("finish"), 2_000);
    assert_holds(store, &from, &bytes).await;
    assert_holds(store, &to, &whole).await;
    remove(store, &[from, to]).await;
}

/// A sealed object is an object: it is not discarded as an unfinished write.
pub async fn sealed_object_is_no_unfinished_write(
    store: &dyn BlobStore,
    differences: &Differences,
) {
    if !differences.seals_small_objects {
        return;
    }
    let (key, bytes) = (key("objects/a"), pattern(10));
    let checkpoint = begin(store, &key, &bytes).await;
    let discarded = store.discard_unfinished(std::slice::from_ref(&key)).await;
    assert!(discarded.iter().all(Result::is_ok), "{discarded:?}");
    let writer = store.resume(&key, &checkpoint).await.expect("resume");
    assert_eq!(writer.finish().await.expect("finish"), 10);
    assert_holds(store, &key, &bytes).await;
    remove(store, &[key]).await;
}

/// What was taken over is never sealed, nor after a resume, so that an upload moves only once.
pub async fn taken_over_upload_is_not_sealed(store: &dyn BlobStore, _: &Differences) {
    let (from, to, whole) = (key("objects/former"), key("objects/fresh"), pattern(40));
    let checkpoint = begin(store, &from, &whole.slice(..10)).await;
    let taken = store.take_over(&from, &checkpoint, &to).await;
    let mut writer = taken.expect("take_over");
    for end in [10, 20, 30] {
        let start = usize::try_from(writer.offset()).expect("small");
        write(&mut writer, &whole.slice(start..end)).await;
        let checkpoint = writer.checkpoint().await.expect("checkpoint");
        assert!(!writer.is_sealed(), "at {end}");
        assert_kind(store.size(&to).await, "not_found");
        let applied = writer.checkpoint_applied().await;
        applied.expect("checkpoint_applied");
        drop(writer);
        writer = store.resume(&to, &checkpoint).await.expect("resume");
        assert!(!writer.is_sealed(), "resumed at {end}");
    }
    append_rest(&mut writer, &whole).await;
    assert_eq!(writer.finish().await.expect("finish"), 40);
    assert_holds(store, &to, &whole).await;
    remove(store, &[from, to]).await;
}
