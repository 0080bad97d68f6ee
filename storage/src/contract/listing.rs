//! Promises about listing.

use futures::StreamExt;
use futures::stream;

use super::{Differences, checkpoint_to_go_on, entries, key, pattern, put, remove, write};
use crate::store::{BlobStore, ObjectInfo};

async fn keys_under(store: &dyn BlobStore, prefix: &str) -> Vec<String> {
    entries(store, prefix)
        .await
        .iter()
        .map(|entry| entry.key.to_string())
        .collect()
}

/// Objects and unfinished writes are listed with their sizes, each once while nothing changes.
pub async fn objects_and_unfinished_writes_are_listed(
    store: &dyn BlobStore,
    differences: &Differences,
) {
    let (finished, mut unfinished) = (key("objects/a/finished"), key("objects/b/unfinished"));
    put(store, &finished, &pattern(10)).await;
    let mut writer = store.create(&unfinished).await.expect("create");
    write(&mut writer, &pattern(20)).await;
    checkpoint_to_go_on(store, &mut unfinished, &mut writer).await;
    drop(writer);
    let expected = [
        ObjectInfo {
            key: finished.clone(),
            size: 10,
            unfinished: false,
        },
        ObjectInfo {
            key: unfinished.clone(),
            size: 20,
            unfinished: true,
        },
    ];
    let table = [
        ("", &expected[..]),
        ("objects/", &expected[..]),
        ("objects/b/unfinished", &expected[1..]),
    ];
    for (prefix, expected) in table {
        let mut found = entries(store, prefix).await;
        for entry in found.iter_mut().filter(|entry| entry.unfinished) {
            // A store that cannot append does not know what the parts of a write add up to.
            if differences.seals_small_objects && entry.size <= 20 {
                entry.size = 20;
            }
        }
        assert_eq!(found, expected, "prefix {prefix:?}");
    }
    remove(store, &[finished, unfinished]).await;
}

/// A prefix is text, not a folder.
pub async fn prefix_is_text(store: &dyn BlobStore, _: &Differences) {
    let texts = ["a/b/c", "a/bc", "a/bd/e", "ab/c", "b"];
    let keys = texts.map(key);
    for key in &keys {
        put(store, key, &pattern(1)).await;
    }
    let table: [(&str, &[&str]); 8] = [
        ("", &texts),
        ("a", &["a/b/c", "a/bc", "a/bd/e", "ab/c"]),
        ("a/", &["a/b/c", "a/bc", "a/bd/e"]),
        ("a/b", &["a/b/c", "a/bc", "a/bd/e"]),
        ("a/b/", &["a/b/c"]),
        ("a/bd/e", &["a/bd/e"]),
        ("a/bd/e/", &[]),
        ("c", &[]),
    ];
    for (prefix, expected) in table {
        assert_eq!(
            keys_under(store, prefix).await,
            expected,
            "prefix {prefix:?}"
        );
    }
    remove(store, &keys).await;
}

/// Nothing is left out of a long listing.
pub async fn every_entry_of_many_is_listed(store: &dyn BlobStore, _: &Differences) {
    let keys: Vec<_> = (0..300)
        .map(|place| key(&format!("objects/{}/{place:04}", place % 3)))
        .collect();
    // At once, because each waits for the disk.
    let empty = pattern(0);
    stream::iter(&keys)
        .for_each_concurrent(16, |key| put(store, key, &empty))
        .await;
    let mut expected: Vec<_> = keys.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(keys_under(store, "objects/").await, expected);
    remove(store, &keys).await;
}

/// A prefix that would lead out of the store lists nothing; it may also be refused.
pub async fn prefix_out_of_the_store_lists_nothing(store: &dyn BlobStore, _: &Differences) {
    for prefix in ["../", "/", "a/../../", "./"] {
        let found: Vec<_> = store.list(prefix).collect().await;
        for entry in found {
            match entry {
                Ok(entry) => panic!("{prefix:?} lists {entry:?}"),
                Err(error) => assert_eq!(error.kind(), "invalid_key", "{prefix:?}"),
            }
        }
    }
}

/// What is not there is an empty listing, not an error.
pub async fn absent_prefix_lists_nothing(store: &dyn BlobStore, _: &Differences) {
    let key = key("objects/a");
    put(store, &key, &pattern(1)).await;
    for prefix in ["objects/absent/", "absent", "objects/a/below/"] {
        assert!(
            keys_under(store, prefix).await.is_empty(),
            "prefix {prefix:?}"
        );
    }
    remove(store, &[key]).await;
}
