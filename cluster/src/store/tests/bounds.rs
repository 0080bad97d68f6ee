//! The bounds of log, state and machine under load.

use futures::{StreamExt, stream};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{EntryPayload, RaftLogReader};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::{Command, PutManifest};
use roadstead_proto::rpc::raft;
use rocksdb::DB;

use super::super::log::LogStore;
use super::super::machine::{Waiting, batch};
use super::super::options::{
    self, LOG_CACHE_BYTES, LOG_WRITE_BUFFER_BYTES, STATE_CACHE_BYTES, STATE_WRITE_BUFFER_BYTES,
};
use super::super::state::StateStore;
use crate::consensus::{Entry, Proposal, decode_log_id};
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, ENTRIES_READ_BYTES_MAX, FLUSHES_WAITING_MAX,
};
use crate::metadata::Table;
use crate::metadata::transaction::Changes;

const ROWS: u64 = 200_000;
const ROW_BYTES: usize = 600;
const ROWS_PER_WRITE: u64 = 200;

/// Bytes that nothing makes smaller.
fn row(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..ROW_BYTES / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    });
    words.collect()
}

/// What each of these tables says.
fn each(database: &DB, tables: &[&str], property: &str) -> Vec<usize> {
    let of = |table: &&str| {
        let table = database.cf_handle(table).expect("the table is there");
        let number = database.property_int_value_cf(table, property);
        let number = number.expect("it can be asked").expect("it is known");
        usize::try_from(number).expect("it fits")
    };
    tables.iter().map(of).collect()
}

fn buffers(database: &DB, tables: &[&str]) -> usize {
    each(database, tables, "rocksdb.size-all-mem-tables")
        .iter()
        .sum()
}

/// The cache is one for all tables, within its bound, and filled.
#[track_caller]
fn check_cache(database: &DB, tables: &[&str], bytes_max: usize) {
    let capacities = each(database, tables, "rocksdb.block-cache-capacity");
    assert_eq!(capacities, vec![bytes_max; tables.len()]);
    let used = each(database, tables, "rocksdb.block-cache-usage");
    assert!(used.iter().all(|bytes| *bytes == used[0]), "{used:?}");
    let expected = bytes_max / 2..=bytes_max + bytes_max / 8;
    assert!(expected.contains(&used[0]), "{used:?} of {bytes_max}");
}

#[test]
fn memory_of_the_state_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateStore::open(folder.path()).unwrap();
    let applied = state.applied().unwrap();
    let tables: Vec<&str> = Table::ALL.iter().map(|table| table.name()).collect();
    let place = |number: u64| {
        let table = Table::ALL[number as usize % Table::ALL.len()];
        (table, number.to_be_bytes().to_vec())
    };
    let mut most = 0;
    for first in (0..ROWS).step_by(ROWS_PER_WRITE as usize) {
        let numbers = first..first + ROWS_PER_WRITE;
        let changes: Changes = numbers
            .map(|number| (place(number), Some(row(number))))
            .collect();
        state.write(changes, &applied).unwrap();
        most = most.max(state.with_database(|database| buffers(database, &tables)));
    }
    // It was reached; a batch of changes and the beginnings of other tables may come on top.
    let expected = STATE_WRITE_BUFFER_BYTES / 2..=STATE_WRITE_BUFFER_BYTES + (8 << 20);
    assert!(expected.contains(&most), "{most} bytes were not written");
    state.view(|view| {
        for number in 0..ROWS {
            let (table, key) = place(number * 7_919 % ROWS);
            assert!(view.get(table, &key).unwrap().is_some());
        }
    });
    state.with_database(|database| check_cache(database, &tables, STATE_CACHE_BYTES));
}

#[test]
fn memory_of_the_log_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let log = LogStore::open(folder.path()).unwrap();
    let database = log.database();
    let tables = ["entries", "meta", options::UNUSED];
    let entries = database.cf_handle("entries").unwrap();
    let mut most = 0;
    for number in 0..ROWS {
        database
            .put_cf(entries, number.to_be_bytes(), row(number))
            .unwrap();
        if number % ROWS_PER_WRITE == 0 {
            most = most.max(buffers(database, &tables));
        }
    }
    let expected = LOG_WRITE_BUFFER_BYTES / 4..=2 * LOG_WRITE_BUFFER_BYTES;
    assert!(expected.contains(&most), "{most} bytes were not written");
    for number in 0..ROWS {
        let key = (number * 7_919 % ROWS).to_be_bytes();
        assert!(database.get_cf(entries, key).unwrap().is_some());
    }
    check_cache(database, &tables, LOG_CACHE_BYTES);
}

fn entry(index: u64, body_bytes: usize) -> Entry {
    let put = PutManifest {
        body: vec![0; body_bytes].into(),
        ..PutManifest::default()
    };
    let command = Command {
        action: Some(Action::PutManifest(put)),
        ..Command::default()
    };
    Entry {
        log_id: decode_log_id(&raft::LogId { term: 1, index }),
        payload: EntryPayload::Normal(Proposal(command)),
    }
}

/// How many of the entries go into each batch.
async fn batches(entries: Vec<Entry>) -> Vec<usize> {
    let mut waiting =
        stream::iter(entries).map(|entry| Ok((entry, None)) as std::io::Result<Waiting>);
    let mut sizes = Vec::new();
    while let Some(first) = waiting.next().await {
        sizes.push(batch(first.unwrap(), &mut waiting).unwrap().len());
    }
    sizes
}

#[tokio::test]
async fn a_batch_of_entries_is_bounded() {
    let small = (0..600).map(|index| entry(index, 1)).collect();
    let rest = 600 - 2 * BATCH_ENTRIES_MAX;
    assert_eq!(
        batches(small).await,
        [BATCH_ENTRIES_MAX, BATCH_ENTRIES_MAX, rest]
    );
    // The second of them reaches the bound.
    let large = (0..5)
        .map(|index| entry(index, BATCH_BYTES_MAX / 2))
        .collect();
    assert_eq!(batches(large).await, [2, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_for_replication_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = LogStore::open(folder.path()).unwrap();
    // Two fit, and a third does not.
    let entries = (0..5).map(|index| entry(index, ENTRIES_READ_BYTES_MAX / 5 * 2));
    log.append(entries.collect::<Vec<_>>(), IOFlushed::noop())
        .await
        .unwrap();
    assert_eq!(log.limited_get_log_entries(0, 5).await.unwrap().len(), 2);
    assert_eq!(log.try_get_log_entries(0..5).await.unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_wait_for_the_flusher_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let log = LogStore::open(folder.path()).unwrap();
    assert_eq!(log.flushes_waiting_max(), FLUSHES_WAITING_MAX);
}
