//! Promises about the marker and the health check.

use uuid::Uuid;

use super::{Differences, entries, key, pattern, put, remove};
use crate::marker::Marker;
use crate::path::{MARKER_KEY, OBJECTS_PREFIX, ObjectKey};
use crate::store::BlobStore;

fn marker(incarnation: u64) -> Marker {
    Marker {
        cluster_id: Uuid::from_u128(7),
        incarnation,
    }
}

/// A store that was never marked has no marker, whatever else it holds.
pub async fn fresh_store_has_no_marker(store: &dyn BlobStore, _: &Differences) {
    assert_eq!(store.read_marker().await.expect("read_marker"), None);
    let key = key("roadstead/v1/objects/a");
    put(store, &key, &pattern(1)).await;
    assert_eq!(store.read_marker().await.expect("read_marker"), None);
    remove(store, &[key]).await;
}

/// A marker is read back and replaced.
pub async fn marker_is_read_back_and_replaced(store: &dyn BlobStore, _: &Differences) {
    for incarnation in [1, 2, u64::MAX] {
        store
            .write_marker(&marker(incarnation))
            .await
            .expect("write_marker");
        let found = store.read_marker().await.expect("read_marker");
        assert_eq!(found, Some(marker(incarnation)));
    }
    remove(store, &[ObjectKey::marker()]).await;
    assert_eq!(store.read_marker().await.expect("read_marker"), None);
}

/// The marker is listed where the prefix covers it, and is not among the objects.
pub async fn marker_is_listed_where_the_prefix_covers_it(store: &dyn BlobStore, _: &Differences) {
    store.write_marker(&marker(1)).await.expect("write_marker");
    for (prefix, expected) in [
        ("", 1),
        (MARKER_KEY, 1),
        ("roadstead/v1/", 1),
        (OBJECTS_PREFIX, 0),
    ] {
        assert_eq!(
            entries(store, prefix).await.len(),
            expected,
            "prefix {prefix:?}"
        );
    }
    remove(store, &[ObjectKey::marker()]).await;
}

/// A store that can be used passes its check, which leaves nothing behind.
pub async fn healthy_store_passes_its_check(store: &dyn BlobStore, _: &Differences) {
    store.check().await.expect("check");
}
