//! What is particular to files: their names on disk, what happens behind the driver's back, and
//! calls that are dropped half-way.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use tempfile::TempDir;

use super::*;
use crate::contract::{self, Differences};
use crate::limits::BATCH_CHUNKS;

async fn store() -> (TempDir, Filesystem) {
    let folder = tempfile::tempdir().unwrap();
    let store = Filesystem::open(folder.path()).await.unwrap();
    (folder, store)
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn put(store: &Filesystem, key: &ObjectKey, bytes: Vec<u8>) {
    let mut writer = store.create(key).await.unwrap();
    writer.write(Bytes::from(bytes)).await.unwrap();
    writer.finish().await.unwrap();
}

#[tokio::test]
async fn filesystem_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let root = || folder.path().join(uuid::Uuid::new_v4().to_string());
    contract::run_all(
        || async { Arc::new(Filesystem::open(root()).await.unwrap()) as Arc<dyn BlobStore> },
        &Differences::NONE,
    )
    .await;
}

#[tokio::test]
async fn unfinished_write_lies_beside_its_final_name() {
    let (folder, store) = store().await;
    let key = key("objects/ab/upload");
    let below = folder.path().join("objects/ab");
    let mut writer = store.create(&key).await.unwrap();
    assert_eq!(names(&below), ["upload.partial"]);
    writer.write(Bytes::from_static(b"bytes")).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(names(&below), ["upload"]);
    assert_eq!(fs::read(below.join("upload")).unwrap(), b"bytes");
}

#[tokio::test]
async fn partial_survives_a_dropped_writer_and_another_process_resumes_it() {
    let (folder, store) = store().await;
    let key = key("upload");
    let mut writer = store.create(&key).await.unwrap();
    writer.write(Bytes::from_static(b"first ")).await.unwrap();
    let checkpoint = writer.checkpoint().await.unwrap();
    drop((writer, store));
    assert_eq!(
        fs::read(folder.path().join("upload.partial")).unwrap(),
        b"first "
    );
    let other = Filesystem::open(folder.path()).await.unwrap();
    let mut writer = other.resume(&key, &checkpoint).await.unwrap();
    writer.write(Bytes::from_static(b"second")).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(
        fs::read(folder.path().join("upload")).unwrap(),
        b"first second"
    );
}

#[tokio::test]
async fn object_truncated_while_it_is_read_is_damaged() {
    let (folder, store) = store().await;
    let key = key("object");
    put(&store, &key, vec![7; 3_000_000]).await;
    let mut chunks = store.read(&key, None).await.unwrap().into_chunks();
    assert!(chunks.next().await.unwrap().is_ok());
    let file = fs::File::options()
        .write(true)
        .open(folder.path().join("object"))
        .unwrap();
    file.set_len(1_000_000).unwrap();
    let rest: Vec<_> = chunks.collect().await;
    let (last, before) = rest.split_last().unwrap();
    assert!(before.iter().all(Result::is_ok));
    assert_eq!(last.as_ref().unwrap_err().kind(), "corrupt");
}

#[tokio::test]
async fn deleted_object_is_read_to_its_end_by_who_has_it_open() {
    let (_folder, store) = store().await;
    let key = key("object");
    put(&store, &key, vec![7; 1_000_000]).await;
    let reader = store.read(&key, None).await.unwrap();
    assert!(store.delete(std::slice::from_ref(&key)).await[0].is_ok());
    assert_eq!(reader.collect(u64::MAX).await.unwrap().len(), 1_000_000);
}

#[tokio::test]
async fn reader_gives_the_file_and_the_range() {
    let (_folder, store) = store().await;
    let key = key("object");
    put(&store, &key, (0..100).collect()).await;
    let region = store
        .read(&key, Some(10..20))
        .await
        .unwrap()
        .file()
        .unwrap();
    let mut bytes = [0; 10];
    rustix::io::pread(&region.file, &mut bytes[..], region.range.start).unwrap();
    assert_eq!((region.range, bytes[0], bytes[9]), (10..20, 10, 19));
}

#[tokio::test]
async fn shortened_partial_is_not_resumed() {
    let (folder, store) = store().await;
    let (key, fresh) = (key("upload"), key("fresh"));
    let mut writer = store.create(&key).await.unwrap();
    writer.write(Bytes::from(vec![7; 100])).await.unwrap();
    let checkpoint = writer.checkpoint().await.unwrap();
    drop(writer);
    let partial = folder.path().join("upload.partial");
    fs::File::options()
        .write(true)
        .open(partial)
        .unwrap()
        .set_len(99)
        .unwrap();
    let resumed = store.resume(&key, &checkpoint).await;
    assert_eq!(resumed.unwrap_err().kind(), "invalid_checkpoint");
    let taken = store.take_over(&key, &checkpoint, &fresh).await;
    assert_eq!(taken.unwrap_err().kind(), "invalid_checkpoint");
    assert_eq!(names(folder.path()), ["upload.partial"]);
}

#[tokio::test]
async fn writer_stops_after_an_error() {
    let (folder, store) = store().await;
    let key = key("upload");
    let mut writer = store.create(&key).await.unwrap();
    writer.write(Bytes::from_static(b"bytes")).await.unwrap();
    // The first checkpoint fsyncs the folder: without it, it must not answer success.
    fs::remove_dir_all(folder.path()).unwrap();
    assert_eq!(writer.checkpoint().await.unwrap_err().kind(), "unavailable");
    assert_eq!(
        writer
            .write(Bytes::from_static(b"x"))
            .await
            .unwrap_err()
            .kind(),
        "stopped"
    );
    assert_eq!(writer.checkpoint().await.unwrap_err().kind(), "stopped");
    assert_eq!(writer.finish().await.unwrap_err().kind(), "stopped");
}

#[tokio::test]
async fn lost_root_is_unavailable_and_never_an_empty_store() {
    let (folder, store) = store().await;
    fs::remove_dir_all(folder.path()).unwrap();
    let listed: Vec<_> = store.list("roadstead/").collect().await;
    assert_eq!(listed[0].as_ref().unwrap_err().kind(), "unavailable");
    assert_eq!(
        store.create(&key("a")).await.unwrap_err().kind(),
        "unavailable"
    );
    assert_eq!(store.check().await.unwrap_err().kind(), "unavailable");
}

#[tokio::test]
async fn dropped_calls_do_not_reach_what_follows() {
    let (_folder, store) = store().await;
    for round in 0..50 {
        let key = key(&format!("upload-{round}"));
        let mut writer = store.create(&key).await.unwrap();
        writer.write(Bytes::from_static(b"kept ")).await.unwrap();
        let checkpoint = writer.checkpoint().await.unwrap();
        // Both are dropped while their work runs or waits for a thread.
        let _ = writer
            .write(Bytes::from(vec![0xff; 2_000_000]))
            .now_or_never();
        let _ = writer.checkpoint().now_or_never();
        drop(writer);
        let mut writer = store.resume(&key, &checkpoint).await.unwrap();
        writer.write(Bytes::from_static(b"right")).await.unwrap();
        writer.finish().await.unwrap();
        let found = store
            .read(&key, None)
            .await
            .unwrap()
            .collect(100)
            .await
            .unwrap();
        assert_eq!(found, "kept right", "round {round}");
    }
}

#[tokio::test]
async fn writer_goes_on_after_a_dropped_call() {
    let (_folder, store) = store().await;
    let key = key("upload");
    let mut writer = store.create(&key).await.unwrap();
    let mut expected = Vec::new();
    for byte in 0..20 {
        let bytes = vec![byte; 1_500_000];
        let before = writer.offset();
        let _ = writer.write(Bytes::from(bytes.clone())).now_or_never();
        if writer.offset() > before {
            expected.extend(bytes);
        }
        assert_eq!(
            writer.offset(),
            expected.len() as u64,
            "whole or not at all"
        );
        let _ = writer.checkpoint().now_or_never();
    }
    writer.finish().await.unwrap();
    let found = store
        .read(&key, None)
        .await
        .unwrap()
        .collect(u64::MAX)
        .await
        .unwrap();
    assert!(found == expected);
}

#[test]
fn dropped_writes_do_not_gather_without_bound() {
    // One batch under way, one gathered: of a chunk each, or of as many chunks as a batch may have.
    check_gathered(1024 * 1024, 2 * 1024 * 1024);
    check_gathered(1, 2 * BATCH_CHUNKS as u64);
}

/// Writes such chunks to a writer whose disk stands still, and looks how many bytes it takes.
#[track_caller]
fn check_gathered(chunk_bytes: usize, taken: u64) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder
        .worker_threads(1)
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (_folder, store) = store().await;
        let mut writer = store.create(&key("upload")).await.unwrap();
        // The only thread of the pool is busy, so nothing that the writer starts can end.
        let (release, held) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || held.recv());
        let chunk = Bytes::from(vec![7; chunk_bytes]);
        for _ in 0..3 * BATCH_CHUNKS {
            let _ = writer.write(chunk.clone()).now_or_never();
        }
        assert_eq!(writer.offset(), taken);
        drop(release);
        busy.await.unwrap().unwrap_err();
        assert_eq!(writer.finish().await.unwrap(), taken);
    });
}

#[tokio::test]
async fn delete_waits_for_a_dropped_create() {
    let (folder, store) = store().await;
    for round in 0..50 {
        let key = key(&format!("upload-{round}"));
        let _ = store.create(&key).now_or_never();
        assert!(store.delete(&[key]).await[0].is_ok());
        assert!(names(folder.path()).is_empty(), "round {round}");
    }
}

#[tokio::test]
async fn dropped_take_over_is_repeated() {
    let (_folder, store) = store().await;
    let (from, to) = (key("from"), key("to"));
    let mut writer = store.create(&from).await.unwrap();
    writer.write(Bytes::from(vec![7; 1_000_000])).await.unwrap();
    let checkpoint = writer.checkpoint().await.unwrap();
    for _ in 0..20 {
        let _ = store.take_over(&from, &checkpoint, &to).now_or_never();
    }
    let writer = store.take_over(&from, &checkpoint, &to).await.unwrap();
    assert_eq!(writer.finish().await.unwrap(), 1_000_000);
}

#[tokio::test]
async fn what_has_no_key_is_told_and_the_listing_goes_on() {
    let (folder, store) = store().await;
    let root = folder.path();
    put(&store, &key("objects/a"), vec![7]).await;
    fs::write(
        root.join("objects")
            .join(std::ffi::OsStr::from_bytes(b"b\xff")),
        "x",
    )
    .unwrap();
    fs::write(root.join("objects/.partial"), "x").unwrap();
    std::os::unix::fs::symlink(root, root.join("objects/loop")).unwrap();
    put(&store, &key("objects/z/z"), vec![7]).await;
    let (mut found, mut refused) = (Vec::new(), 0);
    for entry in store.list("objects/").collect::<Vec<_>>().await {
        match entry {
            Ok(entry) => found.push(entry.key.to_string()),
            Err(error) => {
                assert_eq!(error.kind(), "invalid_key", "{error}");
                refused += 1;
            }
        }
    }
    found.sort();
    assert_eq!(
        (found, refused),
        (vec!["objects/a".into(), "objects/z/z".into()], 3)
    );
}

#[tokio::test]
async fn names_that_no_file_can_have_are_refused_as_keys() {
    let (_folder, store) = store().await;
    for text in ["a.partial".to_owned(), "n".repeat(300)] {
        let error = store.create(&key(&text)).await.unwrap_err();
        assert_eq!(error.kind(), "invalid_key", "{error}");
    }
}

#[tokio::test]
async fn partial_beside_an_object_is_discarded_alone() {
    let (folder, store) = store().await;
    let (live, unfinished) = (key("a"), key("b"));
    put(&store, &live, vec![7]).await;
    // No call of the driver leaves this; what is done behind its back may.
    fs::write(folder.path().join("a.partial"), "left").unwrap();
    drop(store.create(&unfinished).await.unwrap());
    let results = store
        .discard_unfinished(&[key("c.partial"), live, unfinished])
        .await;
    assert_eq!(
        results.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [false, true, true]
    );
    assert_eq!(names(folder.path()), ["a"]);
}

#[tokio::test]
async fn marker_is_text_and_garbage_in_its_place_is_told() {
    let (folder, store) = store().await;
    let marker = Marker {
        cluster_id: uuid::Uuid::from_u128(7),
        incarnation: 3,
    };
    store.write_marker(&marker).await.unwrap();
    assert_eq!(names(&folder.path().join("roadstead/v1")), ["cluster"]);
    let path = folder.path().join("roadstead/v1/cluster");
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .ends_with("incarnation 3\n")
    );
    fs::write(&path, vec![b'x'; 10_000]).unwrap();
    assert_eq!(store.read_marker().await.unwrap_err().kind(), "corrupt");
    fs::write(&path, "").unwrap();
    assert_eq!(store.read_marker().await.unwrap_err().kind(), "corrupt");
}

#[tokio::test]
async fn one_bad_key_does_not_keep_others_from_being_deleted() {
    let (folder, store) = store().await;
    put(&store, &key("a"), vec![7]).await;
    put(&store, &key("c"), vec![7]).await;
    let results = store.delete(&[key("a"), key("b.partial"), key("c")]).await;
    assert_eq!(
        results.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true]
    );
    assert!(names(folder.path()).is_empty());
}
