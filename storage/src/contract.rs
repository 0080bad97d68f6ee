//! The suite that every driver must pass: one function for each promise of the trait.
//!
//! Each function takes an empty store, checks one promise, and removes what it wrote.
//! They are plain functions, so that a driver can also call one alone.
//! It is not a test of one driver's files or requests; those lie beside the driver.
//!
//! Invariant: a promise that is not in the trait's documentation is not checked here.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;

use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::path::ObjectKey;
use crate::store::{BlobStore, BlobWriter, ObjectInfo};

pub mod listing;
pub mod marking;
pub mod reading;
pub mod resuming;
pub mod sealing;
pub mod taking_over;
pub mod writing;

/// What a driver does besides the promises that all drivers keep.
#[derive(Clone, Copy, Debug)]
pub struct Differences {
    /// It can tell, at no cost, that a key was used before.
    pub refuses_used_keys: bool,
    /// It can tell that a writer of this process is still open.
    pub refuses_live_writers: bool,
    /// It can give URLs that clients fetch directly.
    pub gives_redirect_urls: bool,
    /// Its checkpoints store a small object as the object itself. How small is the driver's own
    /// matter, but every checkpoint of ten bytes seals.
    pub seals_small_objects: bool,
}

impl Differences {
    /// As the `inmemory` driver.
    pub const NONE: Self = Self {
        refuses_used_keys: true,
        refuses_live_writers: true,
        gives_redirect_urls: false,
        seals_small_objects: false,
    };

    /// As the `inmemory` driver where it seals, like one that cannot append.
    pub const SEALING: Self = Self {
        seals_small_objects: true,
        ..Self::NONE
    };
}

/// Checks every promise, each on a store of its own, which must be empty and is so afterwards.
///
/// # Panics
///
/// When a promise is broken; the backtrace names it.
pub async fn run_all<F, S>(make_store: F, differences: &Differences)
where
    F: Fn() -> S,
    S: Future<Output = Arc<dyn BlobStore>>,
{
    macro_rules! check {
        ($($module:ident: $($promise:ident)+;)+) => {$($(
            let store = make_store().await;
            assert_empty(&*store, concat!("before ", stringify!($promise))).await;
            Box::pin($module::$promise(&*store, differences)).await;
            assert_empty(&*store, concat!("after ", stringify!($promise))).await;
        )+)+};
    }
    check! {
        writing:
            finished_object_is_readable
            empty_object_is_an_object
            nothing_is_readable_before_checkpoint_or_finish
            writes_of_any_size_keep_their_order
            offset_counts_what_was_taken
            used_key_is_refused
            deleted_object_is_gone
            unfinished_write_is_deleted
            only_unfinished_writes_are_discarded
            absent_key_is_deleted_with_success
            delete_answers_for_each_key;
        reading:
            range_yields_exactly_its_bytes
            range_beyond_the_object_is_refused
            absent_object_is_not_found
            unfinished_write_is_not_found
            chunks_are_bounded
            redirect_url_is_given_where_the_store_can;
        resuming:
            dropped_writer_is_resumed
            bytes_beyond_the_checkpoint_are_dropped
            earlier_checkpoint_serves_until_a_later_one_is_applied
            checkpoint_serves_after_it_was_applied
            checkpoint_without_bytes_is_resumed
            checkpoint_survives_its_encoding
            resume_of_absent_key_is_not_found
            resume_of_finished_object_is_refused
            checkpoint_beyond_the_bytes_is_refused
            foreign_checkpoint_is_refused
            live_writer_keeps_its_key;
        sealing:
            small_checkpoint_seals_where_the_driver_does
            sealed_writer_refuses_bytes_and_is_not_stopped
            sealed_upload_is_resumed_sealed
            sealed_object_stays_when_the_upload_moves_on
            sealed_object_is_no_unfinished_write
            taken_over_upload_is_not_sealed;
        taking_over:
            taken_over_upload_is_finished_under_its_fresh_key
            source_stays_and_take_over_is_repeated
            finished_source_is_taken_over
            take_over_without_bytes_begins_anew
            former_writer_does_not_reach_the_fresh_key
            take_over_of_absent_source_is_not_found
            take_over_beyond_the_bytes_is_refused
            take_over_onto_an_object_is_refused
            upload_does_not_take_over_itself;
        listing:
            objects_and_unfinished_writes_are_listed
            prefix_is_text
            every_entry_of_many_is_listed
            prefix_out_of_the_store_lists_nothing
            absent_prefix_lists_nothing;
        marking:
            fresh_store_has_no_marker
            marker_is_read_back_and_replaced
            marker_is_listed_where_the_prefix_covers_it
            healthy_store_passes_its_check;
    }
}

async fn assert_empty(store: &dyn BlobStore, when: &str) {
    let found = entries(store, "").await;
    assert!(found.is_empty(), "{when} the store holds {found:?}");
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("the suite uses valid keys")
}

/// Bytes that differ from place to place, so that a shift or a swap shows.
fn pattern(length: usize) -> Bytes {
    (0..length)
        .map(|place| (place ^ (place >> 8) ^ (place >> 16)) as u8)
        .collect()
}

async fn write(writer: &mut Box<dyn BlobWriter>, bytes: &Bytes) {
    writer.write(bytes.clone()).await.expect("write");
}

/// Makes a checkpoint after which more bytes can be written: where the writer is sealed by it, the
/// upload goes on under a fresh key as every caller does, and its former key is deleted.
async fn checkpoint_to_go_on(
    store: &dyn BlobStore,
    key: &mut ObjectKey,
    writer: &mut Box<dyn BlobWriter>,
) -> Checkpoint {
    let checkpoint = writer.checkpoint().await.expect("checkpoint");
    if !writer.is_sealed() {
        return checkpoint;
    }
    let fresh: ObjectKey = format!("{key}-moved").parse().expect("a valid key");
    let taken = store.take_over(key, &checkpoint, &fresh).await;
    *writer = taken.expect("take_over");
    let checkpoint = writer.checkpoint().await.expect("checkpoint");
    assert!(!writer.is_sealed(), "an upload moves only once");
    let applied = writer.checkpoint_applied().await;
    applied.expect("checkpoint_applied");
    let former = std::mem::replace(key, fresh);
    remove(store, &[former]).await;
    checkpoint
}

async fn put(store: &dyn BlobStore, key: &ObjectKey, bytes: &Bytes) {
    let mut writer = store.create(key).await.expect("create");
    write(&mut writer, bytes).await;
    let size = writer.finish().await.expect("finish");
    assert_eq!(size, bytes.len() as u64, "size of {key}");
}

async fn get(store: &dyn BlobStore, key: &ObjectKey) -> Result<Bytes> {
    store.read(key, None).await?.collect(u64::MAX).await
}

async fn assert_holds(store: &dyn BlobStore, key: &ObjectKey, expected: &Bytes) {
    let found = get(store, key)
        .await
        .unwrap_or_else(|error| panic!("read {key}: {error}"));
    // Not assert_eq: nobody wants to see megabytes.
    assert!(found == expected, "{key} holds {} other bytes", found.len());
    assert_eq!(store.size(key).await.expect("size"), expected.len() as u64);
}

fn assert_kind<T>(result: Result<T>, expected: &str) {
    match result {
        Ok(_) => panic!("succeeded where {expected} was expected"),
        Err(error) => assert_eq!(error.kind(), expected, "{error}"),
    }
}

async fn remove(store: &dyn BlobStore, keys: &[ObjectKey]) {
    let results = store.delete(keys).await;
    assert_eq!(results.len(), keys.len(), "one result for each key");
    for (key, result) in keys.iter().zip(results) {
        result.unwrap_or_else(|error| panic!("delete {key}: {error}"));
    }
}

/// The entries under the prefix in the order of their keys.
async fn entries(store: &dyn BlobStore, prefix: &str) -> Vec<ObjectInfo> {
    let found: Vec<_> = store.list(prefix).collect().await;
    let found: Result<Vec<_>> = found.into_iter().collect();
    let mut found = found.unwrap_or_else(|error| panic!("list {prefix:?}: {error}"));
    found.sort_by(|one, other| one.key.cmp(&other.key));
    found
}
