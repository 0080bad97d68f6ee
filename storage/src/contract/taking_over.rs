//! Promises about going on under a fresh key while the former writer may be alive.

use bytes::Bytes;

use super::resuming::begin;
use super::{
    Differences, assert_holds, assert_kind, checkpoint_to_go_on, key, pattern, put, remove, write,
};
use crate::checkpoint::Checkpoint;
use crate::path::ObjectKey;
use crate::store::{BlobStore, BlobWriter};

pub(super) async fn append_rest(writer: &mut Box<dyn BlobWriter>, whole: &Bytes) {
    let offset = usize::try_from(writer.offset()).expect("small");
    write(writer, &whole.slice(offset..)).await;
}

fn keys() -> [ObjectKey; 2] {
    [key("objects/former"), key("objects/fresh")]
}

/// The bytes before the checkpoint move to the fresh key, and the writer goes on there.
pub async fn taken_over_upload_is_finished_under_its_fresh_key(
    store: &dyn BlobStore,
    _: &Differences,
) {
    let ([from, to], whole) = (keys(), pattern(4_000_000));
    let checkpoint = begin(store, &from, &whole.slice(..2_500_000)).await;
    let mut writer = store
        .take_over(&from, &checkpoint, &to)
        .await
        .expect("take_over");
    assert_eq!(writer.offset(), 2_500_000);
    append_rest(&mut writer, &whole).await;
    let checkpoint = writer.checkpoint().await.expect("checkpoint");
    drop(writer);
    let writer = store.resume(&to, &checkpoint).await.expect("resume");
    assert_eq!(writer.finish().await.expect("finish"), whole.len() as u64);
    assert_holds(store, &to, &whole).await;
    remove(store, &[from, to]).await;
}

/// The source stays, so a take-over can be repeated: onto the same key, and onto another.
pub async fn source_stays_and_take_over_is_repeated(store: &dyn BlobStore, _: &Differences) {
    let ([from, to], whole) = (keys(), pattern(2_000));
    let other = key("objects/other");
    let checkpoint = begin(store, &from, &whole.slice(..1_000)).await;
    let mut writer = store
        .take_over(&from, &checkpoint, &to)
        .await
        .expect("take_over");
    write(&mut writer, &Bytes::from(vec![0xff; 5_000])).await;
    writer.checkpoint().await.expect("checkpoint");
    drop(writer);
    for to in [&to, &other] {
        let mut writer = store
            .take_over(&from, &checkpoint, to)
            .await
            .expect("take_over");
        assert_eq!(writer.offset(), 1_000);
        append_rest(&mut writer, &whole).await;
        writer.finish().await.expect("finish");
        assert_holds(store, to, &whole).await;
    }
    remove(store, &[from, to, other]).await;
}

/// A source that its former writer has finished is accepted, and stays as it is.
pub async fn finished_source_is_taken_over(store: &dyn BlobStore, _: &Differences) {
    let ([mut from, to], whole) = (keys(), pattern(2_000));
    let mut writer = store.create(&from).await.expect("create");
    write(&mut writer, &whole.slice(..1_000)).await;
    let checkpoint = checkpoint_to_go_on(store, &mut from, &mut writer).await;
    let finished = Bytes::from([&whole[..1_000], &[0xff; 10]].concat());
    write(&mut writer, &finished.slice(1_000..)).await;
    writer.finish().await.expect("finish");
    let mut writer = store
        .take_over(&from, &checkpoint, &to)
        .await
        .expect("take_over");
    append_rest(&mut writer, &whole).await;
    writer.finish().await.expect("finish");
    assert_holds(store, &to, &whole).await;
    assert_holds(store, &from, &finished).await;
    remove(store, &[from, to]).await;
}

/// A checkpoint before the first byte is taken over as well.
pub async fn take_over_without_bytes_begins_anew(store: &dyn BlobStore, _: &Differences) {
    let ([from, to], whole) = (keys(), pattern(2_000));
    let checkpoint = begin(store, &from, &Bytes::new()).await;
    let mut writer = store
        .take_over(&from, &checkpoint, &to)
        .await
        .expect("take_over");
    assert_eq!(writer.offset(), 0);
    append_rest(&mut writer, &whole).await;
    writer.finish().await.expect("finish");
    assert_holds(store, &to, &whole).await;
    remove(store, &[from, to]).await;
}

/// Whatever the former writer still does, it does not reach the fresh key.
pub async fn former_writer_does_not_reach_the_fresh_key(store: &dyn BlobStore, _: &Differences) {
    let ([mut from, to], whole) = (keys(), pattern(2_000_000));
    let mut former = store.create(&from).await.expect("create");
    write(&mut former, &whole.slice(..1_000_000)).await;
    let checkpoint = checkpoint_to_go_on(store, &mut from, &mut former).await;
    let mut writer = store
        .take_over(&from, &checkpoint, &to)
        .await
        .expect("take_over");
    // The former writer may succeed or be refused; both are well.
    let _ = former.write(Bytes::from(vec![0xff; 3_000_000])).await;
    let _ = former.checkpoint().await;
    let _ = former.finish().await;
    append_rest(&mut writer, &whole).await;
    writer.finish().await.expect("finish");
    assert_holds(store, &to, &whole).await;
    remove(store, &[from, to]).await;
}

/// There is nothing to take over from a key that holds nothing.
pub async fn take_over_of_absent_source_is_not_found(store: &dyn BlobStore, _: &Differences) {
    let [from, to] = keys();
    let checkpoint = begin(store, &from, &pattern(10)).await;
    let absent = key("objects/absent");
    assert_kind(
        store.take_over(&absent, &checkpoint, &to).await,
        "not_found",
    );
    remove(store, &[from, to]).await;
}

/// A checkpoint that names more than is stored is refused.
pub async fn take_over_beyond_the_bytes_is_refused(store: &dyn BlobStore, _: &Differences) {
    let [from, to] = keys();
    let checkpoint = begin(store, &from, &pattern(10)).await;
    let beyond = Checkpoint::new(11, checkpoint.payload().clone()).expect("small");
    assert_kind(
        store.take_over(&from, &beyond, &to).await,
        "invalid_checkpoint",
    );
    remove(store, &[from, to]).await;
}

/// A finished object is not overwritten by a take-over, where the driver can tell.
pub async fn take_over_onto_an_object_is_refused(store: &dyn BlobStore, differences: &Differences) {
    if !differences.refuses_used_keys {
        return;
    }
    let ([from, to], whole) = (keys(), pattern(20));
    let checkpoint = begin(store, &from, &pattern(10)).await;
    put(store, &to, &whole).await;
    assert_kind(
        store.take_over(&from, &checkpoint, &to).await,
        "already_exists",
    );
    assert_holds(store, &to, &whole).await;
    remove(store, &[from, to]).await;
}

/// A take-over onto its own source is refused, and the source is not harmed.
pub async fn upload_does_not_take_over_itself(store: &dyn BlobStore, _: &Differences) {
    let ([from, _], whole) = (keys(), pattern(10));
    let checkpoint = begin(store, &from, &whole).await;
    assert_kind(
        store.take_over(&from, &checkpoint, &from).await,
        "invalid_key",
    );
    let writer = store.resume(&from, &checkpoint).await.expect("resume");
    writer.finish().await.expect("finish");
    assert_holds(store, &from, &whole).await;
    remove(store, &[from]).await;
}
