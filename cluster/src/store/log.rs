//! The Raft log and vote in RocksDB.
//!
//! Promise: what openraft is told to be on disk is on disk. One thread flushes: it takes all that
//! waits, syncs the write-ahead log once, and tells everybody. A vote, an append, a truncation and
//! a purge share that one write-ahead log, so that they are ordered.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use prost::Message;
use roadstead_crash::{Point, point};
use roadstead_proto::rpc::raft;
use rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DB, IteratorMode, WriteBatch};
use tokio::sync::{mpsc, oneshot};

use super::{Database, Watch, database_error, folder, options};
use crate::consensus::{
    Entry, LogId, TypeConfig, Vote, decode_entry, decode_log_id, decode_vote, encode_entry,
    encode_log_id, encode_vote,
};
use crate::identity::Identity;
use crate::limits::{ENTRIES_READ_BYTES_MAX, FLUSHES_WAITING_MAX};

const ENTRIES: &str = "entries";
const META: &str = "meta";

const VOTE: &[u8] = b"vote";
const PURGED: &[u8] = b"purged";
const COMMITTED: &[u8] = b"committed";

/// The log. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct LogStore {
    // Dropped first: whoever waits for the database to be closed may open the folder.
    identity: Option<Arc<Identity>>,
    database: Arc<Database>,
    flusher: Arc<Flusher>,
}

/// The thread that flushes, and the way to it.
#[derive(Debug)]
struct Flusher {
    // `None` only while it is being dropped.
    flushes: Option<mpsc::Sender<Flush>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Flusher {
    /// Waits for the thread: it holds the database, which has to be closed before the process
    /// ends.
    fn drop(&mut self) {
        drop(self.flushes.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that flushes the Raft log has panicked");
        }
    }
}

/// Somebody who waits for what was written so far to be on disk.
enum Flush {
    Append(IOFlushed<TypeConfig>),
    Write(oneshot::Sender<io::Result<()>>),
}

impl Flush {
    fn complete(self, result: io::Result<()>) {
        match self {
            Self::Append(callback) => callback.io_completed(result),
            // A waiter that is gone needs no answer.
            Self::Write(waiter) => drop(waiter.send(result)),
        }
    }
}

impl LogStore {
    /// Opens the log in `folder`, which is made if it is absent.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let cache = options::log_cache();
        let tables = [ENTRIES, META, options::UNUSED]
            .map(|name| ColumnFamilyDescriptor::new(name, options::log_table(&cache)));
        let database = DB::open_cf_descriptors(&options::log_database(), folder, tables)
            .map_err(database_error)?;
        folder::sync_parent(folder)?;
        let database = Arc::new(Database::new(database));
        let (flushes, waiting) = mpsc::channel(FLUSHES_WAITING_MAX);
        let flushed = Arc::clone(&database);
        let thread = thread::spawn(move || flush_all(&flushed, waiting));
        let flusher = Flusher {
            flushes: Some(flushes),
            thread: Some(thread),
        };
        Ok(Self {
            database,
            flusher: Arc::new(flusher),
            identity: None,
        })
    }

    /// Has the folder's identity say that there is a vote once one is on disk. This node takes part
    /// in nothing before that: neither a vote nor an entry is acknowledged without one.
    pub(crate) fn with_votes_said_in(mut self, identity: Arc<Identity>) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Tells whether the database is still open somewhere.
    pub(crate) fn watch(&self) -> Watch {
        self.database.watch()
    }

    /// For tests that look at what RocksDB takes.
    #[cfg(test)]
    pub(crate) fn database(&self) -> &DB {
        &self.database
    }

    /// How many writes may wait for the flusher.
    #[cfg(test)]
    pub(crate) fn flushes_waiting_max(&self) -> usize {
        let flushes = self.flusher.flushes.as_ref();
        flushes.map_or(0, mpsc::Sender::max_capacity)
    }

    /// Whether neither a vote nor an entry was ever written.
    pub(crate) fn is_fresh(&self) -> io::Result<bool> {
        Ok(self.meta(VOTE)?.is_none() && self.last_entry()?.is_none() && self.purged()?.is_none())
    }

    fn table(&self, name: &str) -> io::Result<&ColumnFamily> {
        let absent = || io::Error::other(format!("the Raft log has no table `{name}`"));
        self.database.cf_handle(name).ok_or_else(absent)
    }

    fn meta(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.database
            .get_cf(self.table(META)?, key)
            .map_err(database_error)
    }

    fn log_id(&self, key: &[u8]) -> io::Result<Option<LogId>> {
        let Some(bytes) = self.meta(key)? else {
            return Ok(None);
        };
        let log_id = raft::LogId::decode(bytes.as_slice()).map_err(io::Error::other)?;
        Ok(Some(decode_log_id(&log_id)))
    }

    fn purged(&self) -> io::Result<Option<LogId>> {
        self.log_id(PURGED)
    }

    fn last_entry(&self) -> io::Result<Option<LogId>> {
        let mut rows = self
            .database
            .iterator_cf(self.table(ENTRIES)?, IteratorMode::End);
        match rows.next() {
            Some(row) => {
                let (_, bytes) = row.map_err(database_error)?;
                Ok(Some(decode_entry(&bytes)?.log_id))
            }
            None => Ok(None),
        }
    }

    async fn flush(&self, flush: Flush) -> io::Result<()> {
        match &self.flusher.flushes {
            Some(flushes) => flushes.send(flush).await.map_err(flusher_is_gone),
            None => Err(flusher_is_gone(())),
        }
    }

    /// Writes, and waits until it is on disk.
    async fn write_durably(&self, batch: WriteBatch) -> io::Result<()> {
        self.database.write(batch).map_err(database_error)?;
        let (waiter, flushed) = oneshot::channel();
        self.flush(Flush::Write(waiter)).await?;
        flushed.await.map_err(flusher_is_gone)?
    }

    fn read(&self, start: u64, end: Option<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let from = start.to_be_bytes();
        let mode = IteratorMode::From(&from, rocksdb::Direction::Forward);
        let (mut entries, mut bytes_read) = (Vec::new(), 0);
        for row in self.database.iterator_cf(self.table(ENTRIES)?, mode) {
            let (_, bytes) = row.map_err(database_error)?;
            bytes_read += bytes.len();
            if bytes_read > bytes_max && !entries.is_empty() {
                break;
            }
            let entry = decode_entry(&bytes)?;
            if end.is_some_and(|end| entry.log_id.index >= end) {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

fn flusher_is_gone<E>(_: E) -> io::Error {
    io::Error::other("the thread that flushes the Raft log has ended")
}

/// The flusher: as long as one waits, it takes all that do, syncs once, and tells them.
fn flush_all(database: &DB, mut waiting: mpsc::Receiver<Flush>) {
    let mut group = Vec::new();
    while let Some(first) = waiting.blocking_recv() {
        group.push(first);
        while let Ok(next) = waiting.try_recv() {
            group.push(next);
        }
        point(Point::LogFlush);
        let result = database.flush_wal(true);
        point(Point::LogFlushed);
        for flush in group.drain(..) {
            // The text is enough: each waiter needs an error of its own.
            flush.complete(result.as_ref().copied().map_err(|error| {
                io::Error::other(format!("the Raft log cannot be written: {error}"))
            }));
        }
        if result.is_err() {
            // A later sync may succeed over pages that were lost: nothing is promised any more.
            return;
        }
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.checked_add(1),
            Bound::Excluded(end) => Some(*end),
            Bound::Unbounded => None,
        };
        self.read(start, end, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, Some(end), ENTRIES_READ_BYTES_MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.meta(VOTE)?.as_deref().map(decode_vote).transpose()
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let last_purged_log_id = self.purged()?;
        let last_log_id = self.last_entry()?.or(last_purged_log_id);
        Ok(LogState {
            last_purged_log_id,
            last_log_id,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.table(META)?, VOTE, encode_vote(vote));
        point(Point::VoteSave);
        self.write_durably(batch).await?;
        // Not before: the other way round, a loss of power in between would look like a lost log.
        match &self.identity {
            Some(identity) => identity.begin().map_err(io::Error::other),
            None => Ok(()),
        }
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        // A hint that spares a restarted node some work; losing it does no harm, so no sync.
        let Some(committed) = committed else {
            return Ok(());
        };
        let bytes = encode_log_id(&committed).encode_to_vec();
        self.database
            .put_cf(self.table(META)?, COMMITTED, bytes)
            .map_err(database_error)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        // The hint is not synced with the entries: it may be ahead of a log that lost its tail.
        let last = self.get_log_state().await?.last_log_id;
        Ok(self
            .log_id(COMMITTED)?
            .filter(|committed| last.as_ref() >= Some(committed)))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = WriteBatch::default();
        for entry in entries {
            let key = entry.log_id.index.to_be_bytes();
            batch.put_cf(self.table(ENTRIES)?, key, encode_entry(&entry));
        }
        point(Point::LogAppend);
        // Readable when this returns; the callback is for when it is on disk.
        self.database.write(batch).map_err(database_error)?;
        point(Point::LogAppended);
        self.flush(Flush::Append(callback)).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let start = last.map_or(0, |last| last.index + 1);
        let mut batch = WriteBatch::default();
        let table = self.table(ENTRIES)?;
        batch.delete_range_cf(table, start.to_be_bytes(), u64::MAX.to_be_bytes());
        self.write_durably(batch).await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let start = self.purged()?.map_or(0, |purged| purged.index + 1);
        let mut batch = WriteBatch::default();
        batch.put_cf(
            self.table(META)?,
            PURGED,
            encode_log_id(&upto).encode_to_vec(),
        );
        let end = upto.index + 1;
        if start < end {
            let table = self.table(ENTRIES)?;
            batch.delete_range_cf(table, start.to_be_bytes(), end.to_be_bytes());
        }
        point(Point::LogPurge);
        // Not synced: if it is lost, the entries and the former mark come back together.
        self.database.write(batch).map_err(database_error)?;
        point(Point::LogPurged);
        Ok(())
    }
}
