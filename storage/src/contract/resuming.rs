//! Promises about checkpoints and going on from them under the same key.

use bytes::Bytes;

use super::{
    Differences, assert_holds, assert_kind, checkpoint_to_go_on, key, pattern, remove, write,
};
use crate::checkpoint::Checkpoint;
use crate::path::ObjectKey;
use crate::store::BlobStore;

/// Writes the bytes, makes a checkpoint and drops the writer, which may be sealed.
pub(super) async fn begin(store: &dyn BlobStore, key: &ObjectKey, bytes: &Bytes) -> Checkpoint {
    let mut writer = store.create(key).await.expect("create");
    write(&mut writer, bytes).await;
    writer.checkpoint().await.expect("checkpoint")
}

/// Goes on from the checkpoint with the rest of `whole`, and checks what comes of it.
async fn complete(store: &dyn BlobStore, key: &ObjectKey, from: &Checkpoint, whole: &Bytes) {
    let mut writer = store.resume(key, from).await.expect("resume");
    assert_eq!(
        writer.offset(),
        from.offset(),
        "a resumed writer begins at its checkpoint"
    );
    let mut key = key.clone();
    if writer.is_sealed() {
        checkpoint_to_go_on(store, &mut key, &mut writer).await;
    }
    let offset = usize::try_from(from.offset()).expect("small");
    write(&mut writer, &whole.slice(offset..)).await;
    assert_eq!(writer.finish().await.expect("finish"), whole.len() as u64);
    assert_holds(store, &key, whole).await;
    remove(store, &[key]).await;
}

/// Dropping a writer leaves what was written, for `resume`.
pub async fn dropped_writer_is_resumed(store: &dyn BlobStore, _: &Differences) {
    let (key, whole) = (key("objects/a"), pattern(5_000_000));
    let checkpoint = begin(store, &key, &whole.slice(..3_000_001)).await;
    assert_eq!(checkpoint.offset(), 3_000_001);
    complete(store, &key, &checkpoint, &whole).await;
}

/// What lay beyond the checkpoint is dropped by `resume`, even if it was more than what follows.
pub async fn bytes_beyond_the_checkpoint_are_dropped(store: &dyn BlobStore, _: &Differences) {
    let (mut key, whole) = (key("objects/a"), pattern(1_000));
    let mut writer = store.create(&key).await.expect("create");
    write(&mut writer, &whole.slice(..900)).await;
    let checkpoint = checkpoint_to_go_on(store, &mut key, &mut writer).await;
    write(&mut writer, &Bytes::from(vec![0xff; 4_000_000])).await;
    drop(writer);
    complete(store, &key, &checkpoint, &whole).await;
}

/// What a checkpoint names stays until a later one was reported as applied.
pub async fn earlier_checkpoint_serves_until_a_later_one_is_applied(
    store: &dyn BlobStore,
    _: &Differences,
) {
    let (mut key, whole) = (key("objects/a"), pattern(2_000_000));
    let mut writer = store.create(&key).await.expect("create");
    write(&mut writer, &whole.slice(..1_000_000)).await;
    let earlier = checkpoint_to_go_on(store, &mut key, &mut writer).await;
    writer
        .checkpoint_applied()
        .await
        .expect("checkpoint_applied");
    write(&mut writer, &Bytes::from(vec![0xff; 100_000])).await;
    writer.checkpoint().await.expect("checkpoint");
    drop(writer);
    complete(store, &key, &earlier, &whole).await;
}

/// The latest checkpoint serves after it was reported as applied, also when nothing came between.
pub async fn checkpoint_serves_after_it_was_applied(store: &dyn BlobStore, _: &Differences) {
    let (mut key, whole) = (key("objects/a"), pattern(2_000_000));
    let mut writer = store.create(&key).await.expect("create");
    for end in [500_000, 1_500_000] {
        let start = usize::try_from(writer.offset()).expect("small");
        write(&mut writer, &whole.slice(start..end)).await;
        checkpoint_to_go_on(store, &mut key, &mut writer).await;
        writer
            .checkpoint_applied()
            .await
            .expect("checkpoint_applied");
    }
    let again = writer.checkpoint().await.expect("checkpoint");
    writer
        .checkpoint_applied()
        .await
        .expect("checkpoint_applied");
    assert_eq!(again.offset(), 1_500_000);
    drop(writer);
    complete(store, &key, &again, &whole).await;
}

/// A checkpoint before the first byte is one.
pub async fn checkpoint_without_bytes_is_resumed(store: &dyn BlobStore, _: &Differences) {
    let (key, whole) = (key("objects/a"), pattern(1_000));
    let checkpoint = begin(store, &key, &Bytes::new()).await;
    assert_eq!(checkpoint.offset(), 0);
    complete(store, &key, &checkpoint, &whole).await;
}

/// A checkpoint serves after it was encoded and decoded: it holds everything that is needed.
pub async fn checkpoint_survives_its_encoding(store: &dyn BlobStore, _: &Differences) {
    let (key, whole) = (key("objects/a"), pattern(2_000));
    let checkpoint = begin(store, &key, &whole.slice(..700)).await;
    let decoded = Checkpoint::decode(&checkpoint.encode()).expect("decode");
    assert_eq!(decoded, checkpoint);
    complete(store, &key, &decoded, &whole).await;
}

/// There is nothing to resume under a key without an unfinished write.
pub async fn resume_of_absent_key_is_not_found(store: &dyn BlobStore, _: &Differences) {
    let (used, absent) = (key("objects/used"), key("objects/absent"));
    let checkpoint = begin(store, &used, &pattern(10)).await;
    assert_kind(store.resume(&absent, &checkpoint).await, "not_found");
    remove(store, &[used]).await;
}

/// A finished object is not written again. (One that was sealed is resumed sealed.)
pub async fn resume_of_finished_object_is_refused(store: &dyn BlobStore, _: &Differences) {
    let (mut key, whole) = (key("objects/a"), pattern(10));
    let mut writer = store.create(&key).await.expect("create");
    write(&mut writer, &whole).await;
    let checkpoint = checkpoint_to_go_on(store, &mut key, &mut writer).await;
    writer.finish().await.expect("finish");
    assert_kind(store.resume(&key, &checkpoint).await, "already_exists");
    assert_holds(store, &key, &whole).await;
    remove(store, &[key]).await;
}

/// A checkpoint that names more than is stored is refused, and the right one still serves.
pub async fn checkpoint_beyond_the_bytes_is_refused(store: &dyn BlobStore, _: &Differences) {
    let (key, whole) = (key("objects/a"), pattern(1_000));
    let checkpoint = begin(store, &key, &whole.slice(..500)).await;
    for offset in [501, u64::MAX] {
        let beyond = Checkpoint::new(offset, checkpoint.payload().clone()).expect("small");
        assert_kind(store.resume(&key, &beyond).await, "invalid_checkpoint");
    }
    complete(store, &key, &checkpoint, &whole).await;
}

/// A checkpoint of another driver is refused, and the right one still serves.
pub async fn foreign_checkpoint_is_refused(store: &dyn BlobStore, _: &Differences) {
    let (key, fresh, whole) = (key("objects/a"), key("objects/b"), pattern(1_000));
    let checkpoint = begin(store, &key, &whole.slice(..500)).await;
    for payload in [&b""[..], b"another driver's", b"\0"] {
        let foreign = Checkpoint::new(500, payload).expect("small");
        assert_kind(store.resume(&key, &foreign).await, "invalid_checkpoint");
        assert_kind(
            store.take_over(&key, &foreign, &fresh).await,
            "invalid_checkpoint",
        );
    }
    complete(store, &key, &checkpoint, &whole).await;
}

/// A key with an open writer is not given to another, where the driver can tell.
pub async fn live_writer_keeps_its_key(store: &dyn BlobStore, differences: &Differences) {
    if !differences.refuses_live_writers {
        return;
    }
    let (mut key, source, whole) = (key("objects/a"), key("objects/source"), pattern(1_000));
    let of_source = begin(store, &source, &whole).await;
    let mut writer = store.create(&key).await.expect("create");
    write(&mut writer, &whole.slice(..500)).await;
    let checkpoint = checkpoint_to_go_on(store, &mut key, &mut writer).await;
    assert_kind(store.resume(&key, &checkpoint).await, "busy");
    assert_kind(store.take_over(&source, &of_source, &key).await, "busy");
    drop(writer);
    complete(store, &key, &checkpoint, &whole).await;
    remove(store, &[source]).await;
}
