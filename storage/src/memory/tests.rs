//! The reference driver against the contract.

use std::sync::Arc;

use super::*;
use crate::contract::{self, Differences};

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract::run_all(
        || async { Arc::new(Memory::new()) as Arc<dyn BlobStore> },
        &Differences::NONE,
    )
    .await;
}

#[tokio::test]
async fn sealing_memory_keeps_the_contract() {
    // Below and above what most promises write, so that they meet both.
    for bytes_max in [10, 1_500, 5 << 20] {
        contract::run_all(
            || async move { Arc::new(Memory::sealing(bytes_max)) as Arc<dyn BlobStore> },
            &Differences::SEALING,
        )
        .await;
    }
}

#[tokio::test]
async fn clones_share_their_objects() {
    let store = Memory::new();
    let key = ObjectKey::parse("a").unwrap();
    let mut writer = store.create(&key).await.unwrap();
    writer.write(Bytes::from_static(b"bytes")).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(store.clone().size(&key).await.unwrap(), 5);
}

#[tokio::test]
async fn writer_of_a_deleted_key_cannot_finish() {
    let store = Memory::new();
    let key = ObjectKey::parse("a").unwrap();
    let writer = store.create(&key).await.unwrap();
    store.delete(std::slice::from_ref(&key)).await;
    assert_eq!(writer.finish().await.unwrap_err().kind(), "not_found");
}
