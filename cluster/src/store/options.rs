//! How RocksDB is set up, and the bounds on what it may use.
//!
//! All in all 84 MiB of memory: 32 for the cache of the state and 32 for what it has not written
//! out, 4 and 16 for the log, of which as much again may be in writing. One batch of changes
//! may come on top, and while a snapshot is installed there are two states for a moment.

use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Options, WriteBufferManager,
};

/// Block cache of the state, shared by all tables, in bytes.
pub(super) const STATE_CACHE_BYTES: usize = 32 << 20;

/// Unwritten data of all tables of the state together, in bytes, with what is being written out.
/// Who writes more waits.
pub(super) const STATE_WRITE_BUFFER_BYTES: usize = 32 << 20;

/// Unwritten data of one table, in bytes. Two may exist: one filling, one being written.
const TABLE_WRITE_BUFFER_BYTES: usize = 8 << 20;

/// Block cache of the log, shared by its tables, in bytes. What was just appended is read back from
/// the write buffer, so that little is cached.
pub(super) const LOG_CACHE_BYTES: usize = 4 << 20;

/// Unwritten data of all tables of the log together, in bytes: two of the one that entries are in.
pub(super) const LOG_WRITE_BUFFER_BYTES: usize = 16 << 20;

/// What a table takes at once for unwritten data, in bytes. There are many tables and most are
/// nearly empty: with RocksDB's default each would count as a megabyte.
const ARENA_BYTES: usize = 64 << 10;

/// Write-ahead log of one database, in bytes; beyond it tables are written out.
const WRITE_AHEAD_BYTES: u64 = 128 << 20;

/// Files that one database holds open.
const OPEN_FILES_MAX: i32 = 256;

/// The table that every database of RocksDB has. Ours keep nothing in it, but it is opened with the
/// settings of the others: disk for a write-ahead log is taken in advance by the largest write
/// buffer of all, and this table's own would be 64 MB.
pub(crate) const UNUSED: &str = rocksdb::DEFAULT_COLUMN_FAMILY_NAME;

/// Settings of the state machine's database.
pub(crate) fn state_database() -> Options {
    let mut options = database();
    // It stalls who writes faster than the disk takes it. Without that the bound would only start
    // the writing out, and each of the tables might hold two buffers meanwhile: a restart that
    // applies a long log again fills them as fast as it reads.
    let buffers = WriteBufferManager::new_write_buffer_manager(STATE_WRITE_BUFFER_BYTES, true);
    options.set_write_buffer_manager(&buffers);
    options
}

/// Settings of each of its tables, which share one cache.
pub(crate) fn state_table(cache: &Cache) -> Options {
    let mut options = table(cache);
    options.set_write_buffer_size(TABLE_WRITE_BUFFER_BYTES);
    options
}

/// The state's cache.
pub(crate) fn state_cache() -> Cache {
    Cache::new_lru_cache(STATE_CACHE_BYTES)
}

/// Settings of the log's database.
pub(crate) fn log_database() -> Options {
    let mut options = database();
    options.set_db_write_buffer_size(LOG_WRITE_BUFFER_BYTES);
    // An entry that was fsynced and then damaged in the middle of the log must stop the node. Only
    // a torn tail, which nobody was told of, may be cut off.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options
}

/// The log's cache.
pub(crate) fn log_cache() -> Cache {
    Cache::new_lru_cache(LOG_CACHE_BYTES)
}

/// Settings of each of the log's tables, which share one cache.
pub(crate) fn log_table(cache: &Cache) -> Options {
    let mut options = table(cache);
    options.set_write_buffer_size(TABLE_WRITE_BUFFER_BYTES);
    options
}

fn database() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_max_total_wal_size(WRITE_AHEAD_BYTES);
    options.set_paranoid_checks(true);
    options
}

fn table(cache: &Cache) -> Options {
    let mut block = BlockBasedOptions::default();
    block.set_block_cache(cache);
    block.set_cache_index_and_filter_blocks(true);
    // Most tables are a few small files: to find their filters should cost nothing.
    block.set_pin_l0_filter_and_index_blocks_in_cache(true);
    block.set_bloom_filter(10.0, false);
    let mut options = Options::default();
    options.set_block_based_table_factory(&block);
    options.set_arena_block_size(ARENA_BYTES);
    options.set_compression_type(DBCompressionType::Lz4);
    options
}
