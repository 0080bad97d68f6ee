//! The state machine's database, and which of its generations is in use.
//!
//! Writes are not synced one by one: the log is, and is kept until a snapshot has the state on
//! disk. An installed snapshot becomes a new generation; readers of the old one finish first.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use openraft::StoredMembership;
use roadstead_proto::digest::{Algorithm, Digest, Hasher};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    Cache, ColumnFamily, ColumnFamilyDescriptor, DB, FlushOptions, IteratorMode, ReadOptions,
    Snapshot, WriteBatch, WriteBufferManager,
};

use super::{Database, Watch, database_error, folder, options};
use crate::consensus::{Applied, Membership, decode_applied, encode_applied};
use crate::limits::STATE_UNWRITTEN_BYTES;
use crate::metadata::keys::Front;
use crate::metadata::transaction::Changes;
use crate::metadata::view::Row;
use crate::metadata::{Fault, Table, View};

/// The column family of the position in the log.
const RAFT: &str = "raft";
const APPLIED: &[u8] = b"applied";

/// The file that names the generation in use.
const CURRENT: &str = "current";

/// The state. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct StateStore {
    root: PathBuf,
    generation: Arc<RwLock<Arc<Generation>>>,
}

/// One database. Its fields are dropped in their order: first the database closes, then its
/// folder goes if it is done with.
struct Generation {
    number: u64,
    database: Database,
    unwritten: WriteBufferManager,
    files: Files,
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// The folder of a generation.
#[derive(Debug)]
struct Files {
    path: PathBuf,
    is_obsolete: AtomicBool,
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.is_obsolete.load(Ordering::Acquire)
            && let Err(error) = folder::remove(&self.path)
        {
            // It is removed at the next start instead.
            tracing::warn!(path = %self.path.display(), %error, "old metadata remain on disk");
        }
    }
}

impl StateStore {
    /// Opens the generation in use below `root`; the first one if there is none.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        folder::create(root)?;
        let number = match fs::read_to_string(root.join(CURRENT)) {
            Ok(text) => text.trim().parse().map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the file `current` holds no number",
                )
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                folder::replace_file(&root.join(CURRENT), b"1\n")?;
                1
            }
            Err(error) => return Err(error),
        };
        let store = Self {
            root: root.to_owned(),
            generation: Arc::new(RwLock::new(Arc::new(Generation::open(root, number)?))),
        };
        store.remove_others(number)?;
        Ok(store)
    }

    /// What a crash in the middle of an installation has left.
    fn remove_others(&self, number: u64) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let is_generation = entry.file_type()?.is_dir();
            if is_generation && entry.file_name().to_str() != Some(&number.to_string()) {
                folder::remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Tells whether the generation in use is still open somewhere.
    pub(crate) fn watch(&self) -> Watch {
        self.current().database.watch()
    }

    fn current(&self) -> Arc<Generation> {
        // A panic while the lock is held aborts the process; the pointer is whole in any case.
        let guard = self
            .generation
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&guard)
    }

    /// What is not written out, in bytes, as RocksDB counts it.
    #[cfg(test)]
    pub(crate) fn unwritten_bytes(&self) -> usize {
        self.current().unwritten.get_usage()
    }

    /// For tests that look at what RocksDB takes.
    #[cfg(test)]
    pub(crate) fn with_database<T>(&self, look: impl FnOnce(&DB) -> T) -> T {
        look(&self.current().database)
    }

    /// Has everything written out.
    #[cfg(test)]
    pub(crate) fn write_out(&self) -> io::Result<()> {
        self.current().write_out()
    }

    /// Looks at the state as it is at one moment.
    pub(crate) fn view<T>(&self, look: impl FnOnce(&dyn View) -> T) -> T {
        let generation = self.current();
        let snapshot = generation.database.snapshot();
        let mut at = ReadOptions::default();
        at.set_snapshot(&snapshot);
        look(&SnapshotView {
            generation: &generation,
            snapshot: &snapshot,
            at,
        })
    }

    /// A hash over all rows of all tables as they are at one moment, and the last applied entry.
    /// Equal states have equal hashes, however they came to be.
    pub(crate) fn hash(&self) -> Result<(u64, Digest), Fault> {
        let generation = self.current();
        let snapshot = generation.database.snapshot();
        let read = |error: io::Error| Fault::Read(error.into());
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        for table in Table::ALL {
            part(table.name().as_bytes());
            let family = generation.table(table.name()).map_err(read)?;
            let mut at = ReadOptions::default();
            at.set_snapshot(&snapshot);
            at.set_total_order_seek(true);
            let rows = snapshot.iterator_cf_opt(family, at, IteratorMode::Start);
            for row in rows {
                let (key, row) = row.map_err(|error| read(database_error(error)))?;
                part(&key);
                part(&row);
            }
        }
        let table = generation.table(RAFT).map_err(read)?;
        let applied = snapshot.get_cf(table, APPLIED);
        let applied = applied.map_err(|error| read(database_error(error)))?;
        let applied = applied.map(|bytes| decode_applied(&bytes)).transpose();
        let index = applied.map_err(read)?.and_then(|(log_id, _)| log_id);
        Ok((index.map_or(0, |log_id| log_id.index), hasher.finish()))
    }

    /// Looks at the newest state without a snapshot: for the one who writes.
    pub(crate) fn latest<T>(&self, look: impl FnOnce(&dyn View) -> T) -> T {
        look(&LatestView {
            generation: &self.current(),
            at: ReadOptions::default(),
        })
    }

    /// How far the state is.
    pub(crate) fn applied(&self) -> io::Result<Applied> {
        let generation = self.current();
        let table = generation.table(RAFT)?;
        match generation
            .database
            .get_cf(table, APPLIED)
            .map_err(database_error)?
        {
            Some(bytes) => decode_applied(&bytes),
            None => Ok((None, StoredMembership::new(None, Membership::default()))),
        }
    }

    /// Writes changes and the position that they lead to, in one batch. Waits while too much is
    /// not written out.
    pub(crate) fn write(&self, changes: Changes, applied: &Applied) -> io::Result<()> {
        let generation = self.current();
        if generation.unwritten.get_usage() >= STATE_UNWRITTEN_BYTES {
            generation.write_out()?;
        }
        let mut batch = WriteBatch::default();
        for ((table, key), row) in changes {
            let table = generation.table(table.name())?;
            match row {
                Some(row) => batch.put_cf(table, key, row),
                None => batch.delete_cf(table, key),
            }
        }
        batch.put_cf(generation.table(RAFT)?, APPLIED, encode_applied(applied));
        generation.database.write(batch).map_err(database_error)
    }

    /// Puts a copy of the state, as it is now, on disk under `target`, which must not exist.
    pub(crate) fn checkpoint(&self, target: &Path) -> io::Result<()> {
        let generation = self.current();
        // The state itself has to be on disk too before the log that led to it may go.
        generation
            .database
            .flush_wal(true)
            .map_err(database_error)?;
        let checkpoint = Checkpoint::new(&generation.database).map_err(database_error)?;
        checkpoint
            .create_checkpoint(target)
            .map_err(database_error)?;
        folder::sync_files(target)
    }

    /// Takes a copy of the database in `source` as the state.
    pub(crate) fn install(&self, source: &Path) -> io::Result<()> {
        let number = self.current().number + 1;
        let target = self.root.join(number.to_string());
        folder::remove(&target)?;
        folder::copy_database(source, &target)?;
        let fresh = Arc::new(Generation::open(&self.root, number)?);
        folder::replace_file(&self.root.join(CURRENT), format!("{number}\n").as_bytes())?;
        let mut generation = self
            .generation
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        generation.files.is_obsolete.store(true, Ordering::Release);
        *generation = fresh;
        Ok(())
    }
}

/// The position of a whole state in a folder, which is not changed by looking.
///
/// # Errors
/// When it cannot be opened, or has no position.
pub(crate) fn position_in(folder: &Path) -> io::Result<Applied> {
    let database = DB::open_cf_for_read_only(&options::reading(), folder, [RAFT], false);
    let database = database.map_err(database_error)?;
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "a state without a position");
    let table = database.cf_handle(RAFT).ok_or_else(missing)?;
    let bytes = database.get_cf(table, APPLIED).map_err(database_error)?;
    decode_applied(&bytes.ok_or_else(missing)?)
}

/// Gives a whole state in a folder another position.
///
/// # Errors
/// When it cannot be opened or written.
pub(crate) fn place_in(folder: &Path, applied: &Applied) -> io::Result<()> {
    let cache = options::state_cache();
    let tables = descriptors(&cache);
    let settings = options::state_database(&options::state_unwritten());
    let database = DB::open_cf_descriptors(&settings, folder, tables).map_err(database_error)?;
    let absent = || io::Error::other("a state without a table for its position");
    let table = database.cf_handle(RAFT).ok_or_else(absent)?;
    let mut batch = WriteBatch::default();
    batch.put_cf(table, APPLIED, encode_applied(applied));
    database.write(batch).map_err(database_error)?;
    database.flush_wal(true).map_err(database_error)?;
    database.cancel_all_background_work(true);
    Ok(())
}

/// The names of all tables, and what they are sought by.
fn tables() -> impl Iterator<Item = (&'static str, Option<Front>)> {
    let own = Table::ALL.map(|table| (table.name(), table.sought_by()));
    let others = [RAFT, options::UNUSED].map(|name| (name, None));
    own.into_iter().chain(others)
}

/// All tables with their settings.
fn descriptors(cache: &Cache) -> Vec<ColumnFamilyDescriptor> {
    tables()
        .map(|(name, sought_by)| {
            ColumnFamilyDescriptor::new(name, options::state_table(cache, sought_by))
        })
        .collect()
}

/// The least key that is above every key with this prefix, if there is one.
fn after_all(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

impl Generation {
    fn open(root: &Path, number: u64) -> io::Result<Self> {
        let (cache, unwritten) = (options::state_cache(), options::state_unwritten());
        let tables = descriptors(&cache);
        let path = root.join(number.to_string());
        let settings = options::state_database(&unwritten);
        let database = DB::open_cf_descriptors(&settings, &path, tables).map_err(database_error)?;
        folder::sync_parent(&path)?;
        let database = Database::new(database);
        let files = Files {
            path,
            is_obsolete: AtomicBool::new(false),
        };
        Ok(Self {
            number,
            database,
            unwritten,
            files,
        })
    }

    /// Waits until all tables are written out, or one of them cannot be.
    fn write_out(&self) -> io::Result<()> {
        let tables = tables().map(|(name, _)| self.table(name));
        let tables = tables.collect::<io::Result<Vec<_>>>()?;
        self.database
            .flush_cfs_opt(&tables, &FlushOptions::default())
            .map_err(database_error)
    }

    fn table(&self, name: &str) -> io::Result<&ColumnFamily> {
        let absent = || io::Error::other(format!("the metadata have no table `{name}`"));
        self.database.cf_handle(name).ok_or_else(absent)
    }

    fn get(&self, table: Table, key: &[u8], at: &ReadOptions) -> Result<Option<Vec<u8>>, Fault> {
        let table = self
            .table(table.name())
            .map_err(|error| Fault::Read(error.into()))?;
        let row = self.database.get_cf_opt(table, key, at);
        row.map_err(|error| Fault::Read(error.into()))
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
        mut at: ReadOptions,
    ) -> Result<Vec<Row>, Fault> {
        // Without it the last step of a scan goes over all that was deleted behind the prefix.
        if let Some(end) = after_all(prefix) {
            at.set_iterate_upper_bound(end);
        }
        // Filters may be asked only for what all keys have that are sought.
        let front = table.sought_by().and_then(|front| front.of(prefix));
        at.set_total_order_seek(front.is_none());
        let table = self
            .table(table.name())
            .map_err(|error| Fault::Read(error.into()))?;
        let mut rows = self.database.raw_iterator_cf_opt(table, at);
        rows.seek(prefix.max(from));
        let mut found = Vec::new();
        while found.len() < limit {
            match (rows.key(), rows.value()) {
                (Some(key), Some(row)) if key.starts_with(prefix) => {
                    found.push((key.to_vec(), row.to_vec()));
                }
                _ => break,
            }
            rows.next();
        }
        rows.status().map_err(|error| Fault::Read(error.into()))?;
        Ok(found)
    }
}

/// The state as it was when the view was made.
struct SnapshotView<'a> {
    generation: &'a Generation,
    snapshot: &'a Snapshot<'a>,
    /// For single rows: a scan takes options of its own.
    at: ReadOptions,
}

impl View for SnapshotView<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.generation.get(table, key, &self.at)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        let mut at = ReadOptions::default();
        at.set_snapshot(self.snapshot);
        self.generation.scan(table, prefix, from, limit, at)
    }
}

/// The state as it is at each read.
struct LatestView<'a> {
    generation: &'a Generation,
    at: ReadOptions,
}

impl View for LatestView<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.generation.get(table, key, &self.at)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        self.generation
            .scan(table, prefix, from, limit, ReadOptions::default())
    }
}
