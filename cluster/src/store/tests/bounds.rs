//! The bounds of log, state and machine under load.

use std::fs::{DirEntry, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{EntryPayload, RaftLogReader};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::{Command, PutManifest};
use roadstead_proto::rpc::raft;
use rocksdb::DB;
use rocksdb::perf::PerfMetric;
use rustix::fs::{self, FileType, Mode, OFlags};

use super::super::log::LogStore;
use super::super::machine::{Waiting, batch};
use super::super::options;
use super::super::state::StateStore;
use super::{counted, opened};
use crate::consensus::{Entry, Proposal, decode_log_id};
use crate::limits::{
    ARENA_BYTES, BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, ENTRIES_READ_BYTES_MAX, FLUSHES_WAITING_MAX,
    INFO_LOG_BYTES_MAX, INFO_LOGS_KEPT, LOG_CACHE_BYTES, LOG_UNWRITTEN_BYTES, STATE_CACHE_BYTES,
    STATE_UNWRITTEN_BYTES, TABLE_UNWRITTEN_BYTES, WRITE_AHEAD_BYTES,
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
    // One table is asked after the other, and the cache goes on meanwhile.
    let is_same = |bytes: &usize| bytes.abs_diff(used[0]) < bytes_max / 100;
    assert!(used.iter().all(is_same), "{used:?}");
    let expected = bytes_max / 2..=bytes_max + bytes_max / 8;
    assert!(expected.contains(&used[0]), "{used:?} of {bytes_max}");
}

/// Where in the state a row lies: each table has its share.
fn place(number: u64) -> (Table, Vec<u8>) {
    let table = Table::ALL[number as usize % Table::ALL.len()];
    (table, number.to_be_bytes().to_vec())
}

/// All rows, as many in each write as may be there at once.
fn writes() -> impl Iterator<Item = Changes> {
    (0..ROWS).step_by(ROWS_PER_WRITE as usize).map(|first| {
        let numbers = first..first + ROWS_PER_WRITE;
        let rows = numbers.map(|number| (place(number), Some(row(number))));
        rows.collect()
    })
}

#[test]
fn memory_of_the_state_is_bounded() {
    let (_folder, state, applied) = opened();
    let tables: Vec<&str> = Table::ALL.iter().map(|table| table.name()).collect();
    let mut most = 0;
    for changes in writes() {
        state.write(changes, &applied).unwrap();
        most = most.max(state.unwritten_bytes());
    }
    // A write and the beginnings of what comes after may lie on top.
    let expected = STATE_UNWRITTEN_BYTES / 2..=STATE_UNWRITTEN_BYTES + (4 << 20);
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
fn tables_with_few_rows_take_little() {
    let (_folder, state, applied) = opened();
    let tables = Table::ALL.len();
    // More than RocksDB has room for without taking any.
    let rows = (0..4 * tables as u64).map(|number| (place(number), Some(row(number))));
    state.write(rows.collect(), &applied).unwrap();
    let expected = tables * ARENA_BYTES..=2 * (tables + 2) * ARENA_BYTES;
    let taken = state.unwritten_bytes();
    assert!(expected.contains(&taken), "{taken} bytes are taken");
}

/// Puts pipes in the place of the next files of tables, and gives their reading ends: a table that
/// is written out waits when a pipe is full, and fails when nobody reads it any more.
fn hold_up_tables(folder: &Path) -> Vec<(PathBuf, File)> {
    let number = |file: io::Result<DirEntry>| {
        let name = file.unwrap().file_name();
        let digits = name
            .to_string_lossy()
            .replace(|c: char| !c.is_ascii_digit(), "");
        digits.parse().unwrap_or(0)
    };
    let last: u64 = std::fs::read_dir(folder)
        .unwrap()
        .map(number)
        .max()
        .unwrap();
    let pipe = |number| {
        let path = folder.join(format!("{number:06}.sst"));
        fs::mknodat(fs::CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let end = fs::open(&path, flags, Mode::empty()).unwrap();
        (path, File::from(end))
    };
    (last + 1..last + 100).map(pipe).collect()
}

#[test]
fn who_waits_for_the_state_to_be_written_out_hears_that_it_failed() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateStore::open(folder.path()).unwrap();
    let mut pipes = hold_up_tables(&folder.path().join("1"));
    let (result, ended) = mpsc::channel();
    let writer = state.clone();
    thread::spawn(move || {
        let applied = writer.applied().unwrap();
        let failed = writes().find_map(|changes| writer.write(changes, &applied).err());
        result.send(failed).unwrap();
    });
    // A table is being written out, and there is no room for another write.
    let (began, mut is_writing) = (Instant::now(), false);
    while !is_writing || state.unwritten_bytes() < STATE_UNWRITTEN_BYTES {
        assert!(ended.recv_timeout(Duration::from_millis(10)).is_err());
        assert!(began.elapsed() < Duration::from_secs(60), "{is_writing}");
        let mut byte = [0];
        is_writing |= pipes
            .iter_mut()
            .any(|(_, end)| end.read(&mut byte).is_ok_and(|n| n > 0));
    }
    for (path, _) in &pipes {
        std::fs::remove_file(path).unwrap();
    }
    drop(pipes);
    let failed = ended.recv_timeout(Duration::from_secs(60));
    let failed = failed.expect("the writer still waits").expect("it failed");
    assert!(failed.to_string().contains("roken pipe"), "{failed}");
}

/// Bytes of the files in `folder` whose names end so.
fn bytes_of(folder: &Path, end: &str) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let files = files.filter(|file| file.file_name().to_string_lossy().ends_with(end));
    // One that is just being removed has none.
    files
        .map(|file| file.metadata().map_or(0, |of| of.len()))
        .sum()
}

#[test]
fn write_ahead_log_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let log = LogStore::open(folder.path()).unwrap();
    let database = log.database();
    let [entries, meta] = ["entries", "meta"].map(|name| database.cf_handle(name).unwrap());
    let mut most = 0;
    for number in 0..WRITE_AHEAD_BYTES * 5 / 4 / ROW_BYTES as u64 {
        let key = number.to_be_bytes();
        if number % ROWS_PER_WRITE == 0 {
            // Few rows that are never written out for themselves keep all of the log.
            database.put_cf(meta, key, b"kept").unwrap();
            most = most.max(bytes_of(folder.path(), ".log"));
        }
        database.put_cf(entries, key, row(number)).unwrap();
    }
    let slack = 2 * LOG_UNWRITTEN_BYTES as u64;
    let expected = WRITE_AHEAD_BYTES / 4..=WRITE_AHEAD_BYTES + slack;
    assert!(expected.contains(&most), "{most} bytes of write-ahead log");
}

#[test]
fn notes_of_rocksdb_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 * INFO_LOGS_KEPT {
        drop(LogStore::open(folder.path()).unwrap());
    }
    let log = LogStore::open(folder.path()).unwrap();
    let meta = log.database().cf_handle("meta").unwrap();
    // Each is noted with a kilobyte or two.
    for number in 0..1_000_u64 {
        log.database()
            .put_cf(meta, b"key", number.to_be_bytes())
            .unwrap();
        log.database().flush_cf(meta).unwrap();
    }
    let files = std::fs::read_dir(folder.path())
        .unwrap()
        .map(Result::unwrap);
    let notes = files.filter(|file| file.file_name().to_string_lossy().starts_with("LOG"));
    let bytes: Vec<_> = notes.map(|file| file.metadata().unwrap().len()).collect();
    assert_eq!(bytes.len(), INFO_LOGS_KEPT);
    let largest = bytes.iter().max().copied().unwrap_or_default();
    let expected = INFO_LOG_BYTES_MAX as u64..=INFO_LOG_BYTES_MAX as u64 + (64 << 10);
    assert!(expected.contains(&largest), "{bytes:?}");
}

#[test]
fn memory_of_the_log_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let log = LogStore::open(folder.path()).unwrap();
    let database = log.database();
    let tables = ["entries", "meta", options::UNUSED];
    let entries = database.cf_handle("entries").unwrap();
    let (mut most, mut filling) = (0, 0);
    for number in 0..ROWS {
        database
            .put_cf(entries, number.to_be_bytes(), row(number))
            .unwrap();
        if number % ROWS_PER_WRITE == 0 {
            most = most.max(buffers(database, &tables));
            let active = each(database, &tables, "rocksdb.cur-size-active-mem-table");
            filling = filling.max(active[0]);
        }
    }
    let expected = TABLE_UNWRITTEN_BYTES / 2..=TABLE_UNWRITTEN_BYTES + (1 << 20);
    assert!(expected.contains(&filling), "{filling} bytes of a table");
    let expected = LOG_UNWRITTEN_BYTES / 4..=2 * LOG_UNWRITTEN_BYTES;
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

/// A scan ends where its prefix does, however much was deleted behind that.
#[test]
fn scan_does_not_go_over_what_was_deleted_behind_its_prefix() {
    let (_folder, state, applied) = opened();
    let key = |number: u64| [b"b".as_slice(), &number.to_be_bytes()].concat();
    for row in [Some(b"x".to_vec()), None] {
        for number in 0..5_000 {
            let changes = Changes::from([((Table::Requests, key(number)), row.clone())]);
            state.write(changes, &applied).unwrap();
        }
    }
    let passed = counted(PerfMetric::InternalDeleteSkippedCount, || {
        let found = state.view(|view| view.scan(Table::Requests, b"a", b"", 16));
        assert_eq!(found.unwrap().len(), 0);
    });
    assert_eq!(passed, 0);
}
