//! Every bound of the log, of its way into the state, and of the handle, and why it is what it is.
//!
//! What one step of the state machine does at most is in `metadata/limits.rs`: it is part of its
//! meaning, and these are not. What RocksDB takes is in `store/options.rs`.

use std::time::Duration;

/// Largest command, encoded: a manifest of 4 MiB with its tags and annotations, which stand in it
/// twice.
pub(crate) const COMMAND_BYTES_MAX: usize = 12 << 20;

/// Entries that are applied and written in one batch: enough for the cost of a write not to count,
/// and few enough for the first of them to be answered soon.
pub(crate) const BATCH_ENTRIES_MAX: usize = 256;

/// Bytes of commands after which a batch is written: it lies in memory as a whole.
pub(crate) const BATCH_BYTES_MAX: usize = 8 << 20;

/// Writes that may wait for the flusher. Raft has few under way; more than this means that the
/// disk has stopped.
pub(crate) const FLUSHES_WAITING_MAX: usize = 1024;

/// Bytes of entries that one read of the log for replication returns.
pub(crate) const ENTRIES_READ_BYTES_MAX: usize = 8 << 20;

/// Entries that are purged at once, so that the log is not written for each.
pub(crate) const ENTRIES_PER_PURGE: u64 = 256;

/// How long Raft's tasks may take to let go of the databases.
pub(crate) const CLOSE_TIME: Duration = Duration::from_secs(10);

/// How often that is looked at.
pub(crate) const CLOSE_LOOK: Duration = Duration::from_millis(2);

/// How long a proposal that found no leader waits before it tries again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(20);

/// How often a leader says that it is there, in milliseconds.
pub(crate) const HEARTBEAT_MS: u64 = 200;

/// How long a follower hears nothing before it wants to lead, in milliseconds: at least three
/// heartbeats. A node alone campaigns at once.
pub(crate) const ELECTION_MS_MIN: u64 = 700;

/// The same at most: chance spreads the followers between the two.
pub(crate) const ELECTION_MS_MAX: u64 = 1_100;
