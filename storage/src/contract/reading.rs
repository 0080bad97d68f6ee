//! Promises about reading an object.

use std::time::Duration;

use futures::StreamExt;

use super::{Differences, assert_kind, get, key, pattern, put, remove, write};
use crate::error::Error;
use crate::store::BlobStore;

/// The most that a chunk of any driver holds.
const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// A range yields exactly its bytes, and the reader tells both sizes.
pub async fn range_yields_exactly_its_bytes(store: &dyn BlobStore, _: &Differences) {
    let (key, bytes) = (key("objects/a"), pattern(700_000));
    put(store, &key, &bytes).await;
    let table = [
        0..700_000,
        0..1,
        699_999..700_000,
        262_143..262_145,
        262_144..524_288,
        1..699_999,
        0..0,
        700_000..700_000,
    ];
    for range in table {
        let reader = store.read(&key, Some(range.clone())).await.expect("read");
        assert_eq!((reader.size(), reader.range()), (700_000, range.clone()));
        let found = reader.collect(u64::MAX).await.expect("collect");
        let expected = bytes.slice(range.start as usize..range.end as usize);
        assert!(found == expected, "{range:?} yields other bytes");
    }
    remove(store, &[key]).await;
}

/// A range that is not within the object is refused, and the error tells the size.
pub async fn range_beyond_the_object_is_refused(store: &dyn BlobStore, _: &Differences) {
    let key = key("objects/a");
    put(store, &key, &pattern(10)).await;
    let reversed = std::ops::Range { start: 5, end: 4 };
    for range in [0..11, 10..11, 11..11, 0..u64::MAX, reversed] {
        match store.read(&key, Some(range.clone())).await {
            Err(Error::RangeUnsatisfiable { requested, size }) => {
                assert_eq!((requested, size), (range, 10));
            }
            other => panic!("{range:?} answers {other:?}"),
        }
    }
    remove(store, &[key]).await;
}

/// What was never written is not found, nor is a folder on the way to an object or a name below it.
pub async fn absent_object_is_not_found(store: &dyn BlobStore, _: &Differences) {
    let stored = key("objects/folder/a");
    put(store, &stored, &pattern(10)).await;
    for text in [
        "absent",
        "objects/folder",
        "objects/folder/b",
        "objects/folder/a/below",
    ] {
        let key = key(text);
        assert_kind(store.read(&key, Some(0..1)).await, "not_found");
        assert_kind(get(store, &key).await, "not_found");
        assert_kind(store.size(&key).await, "not_found");
        remove(store, &[key]).await;
    }
    remove(store, &[stored]).await;
}

/// An unfinished write is no object before its first checkpoint, dropped or not.
pub async fn unfinished_write_is_not_found(store: &dyn BlobStore, _: &Differences) {
    let key = key("objects/a");
    let mut writer = store.create(&key).await.expect("create");
    write(&mut writer, &pattern(10)).await;
    drop(writer);
    assert_kind(get(store, &key).await, "not_found");
    assert_kind(store.size(&key).await, "not_found");
    remove(store, &[key]).await;
}

/// A reader holds a bounded part of the object in memory.
pub async fn chunks_are_bounded(store: &dyn BlobStore, _: &Differences) {
    let (key, bytes) = (key("objects/a"), pattern(3_000_000));
    put(store, &key, &bytes).await;
    let mut chunks = store.read(&key, None).await.expect("read").into_chunks();
    let mut total = 0;
    while let Some(chunk) = chunks.next().await {
        let length = chunk.expect("chunk").len();
        assert!(
            (1..=CHUNK_BYTES_MAX).contains(&length),
            "a chunk of {length} bytes"
        );
        total += length;
    }
    assert_eq!(total, bytes.len());
    remove(store, &[key]).await;
}

/// A URL is given where the store can give one, and never an error for lack of the ability.
pub async fn redirect_url_is_given_where_the_store_can(
    store: &dyn BlobStore,
    differences: &Differences,
) {
    let key = key("objects/a");
    put(store, &key, &pattern(10)).await;
    let url = store
        .redirect_url(&key, Duration::from_secs(60))
        .await
        .expect("redirect_url");
    assert_eq!(url.is_some(), differences.gives_redirect_urls);
    remove(store, &[key]).await;
}
