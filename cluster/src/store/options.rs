//! How RocksDB is set up. What it may use is in `limits.rs`.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Options,
    SliceTransform, WriteBufferManager,
};

use crate::limits::{
    ARENA_BYTES, INDEX_PART_BYTES, INFO_LOG_BYTES_MAX, INFO_LOGS_KEPT, LOG_CACHE_BYTES,
    LOG_UNWRITTEN_BYTES, OPEN_FILES_MAX, STATE_CACHE_BYTES, STATE_UNWRITTEN_BYTES,
    TABLE_UNWRITTEN_BYTES, WRITE_AHEAD_BYTES,
};
use crate::metadata::keys::{Front, first_parts};

/// The table that every database of RocksDB has. Ours keep nothing in it, but it is opened with the
/// settings of the others: disk for a write-ahead log is taken in advance by the largest write
/// buffer of all, and this table's own would be 64 MB.
pub(crate) const UNUSED: &str = rocksdb::DEFAULT_COLUMN_FAMILY_NAME;

/// Settings of the state machine's database, which counts in `unwritten`.
pub(crate) fn state_database(unwritten: &WriteBufferManager) -> Options {
    let mut options = database();
    options.set_write_buffer_manager(unwritten);
    options
}

/// For a look at a database that is not ours yet, and must be there.
pub(crate) fn reading() -> Options {
    Options::default()
}

/// Counts what all tables of the state have not written out, and has it written out beyond a
/// bound. Who writes does not wait here but in `state.rs`: a writer that RocksDB makes wait
/// (`allow_stall`) is not told when the writing out fails, and a full disk would hold it for ever.
pub(crate) fn state_unwritten() -> WriteBufferManager {
    WriteBufferManager::new_write_buffer_manager(STATE_UNWRITTEN_BYTES, false)
}

/// Settings of each of its tables, which share one cache. Where a table is sought by the front of
/// its keys, its filters hold that and not the whole keys.
pub(crate) fn state_table(cache: &Cache, sought_by: Option<Front>) -> Options {
    let mut blocks = blocks(cache);
    blocks.set_whole_key_filtering(sought_by.is_none());
    let mut options = table(&blocks);
    if let Some(front) = sought_by {
        // A name stands for one function for ever: filters on disk were made by it. Another
        // function needs another name, and files with the old one are read unfiltered.
        options.set_prefix_extractor(match front {
            Front::One => extractor::<1>("first-part"),
            Front::Two => extractor::<2>("first-two-parts"),
        });
    }
    options
}

fn extractor<const PARTS: usize>(name: &str) -> SliceTransform {
    SliceTransform::create(
        name,
        |key| first_parts::<PARTS>(key).unwrap_or(key),
        Some(|key| first_parts::<PARTS>(key).is_some()),
    )
}

/// The state's cache.
pub(crate) fn state_cache() -> Cache {
    Cache::new_lru_cache(STATE_CACHE_BYTES)
}

/// Settings of the log's database.
pub(crate) fn log_database() -> Options {
    let mut options = database();
    options.set_db_write_buffer_size(LOG_UNWRITTEN_BYTES);
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
    table(&blocks(cache))
}

fn database() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(INFO_LOGS_KEPT);
    options.set_max_log_file_size(INFO_LOG_BYTES_MAX);
    options.set_max_total_wal_size(WRITE_AHEAD_BYTES);
    options.set_paranoid_checks(true);
    options
}

fn blocks(cache: &Cache) -> BlockBasedOptions {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    // Most tables are a few small files: to find their filters should cost nothing.
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_bloom_filter(10.0, false);
    // Index and filter of a large file are hundreds of kilobytes, and those of a million blobs more
    // than the cache holds. In parts, a lookup that finds neither there reads a few kilobytes.
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    blocks.set_metadata_block_size(INDEX_PART_BYTES);
    blocks.set_pin_top_level_index_and_filter(true);
    blocks
}

fn table(blocks: &BlockBasedOptions) -> Options {
    let mut options = Options::default();
    options.set_block_based_table_factory(blocks);
    options.set_write_buffer_size(TABLE_UNWRITTEN_BYTES);
    options.set_arena_block_size(ARENA_BYTES);
    options.set_compression_type(DBCompressionType::Lz4);
    options
}
