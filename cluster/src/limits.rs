//! Every bound of the log, of its way into the state, of RocksDB and of the handle, and why it is
//! what it is.
//!
//! What one step of the state machine does at most is in `metadata/limits.rs`: it is part of its
//! meaning, and these are not.
//!
//! RocksDB takes 100 MiB of memory at most: 32 for the cache of the state and 32 for what it has
//! not written out, 4 and 32 for the log. One batch of changes may come on top, and while a
//! snapshot is installed there are two states for a moment.

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

/// How long a proposal that found no leader waits before it tries again. No test reaches it: a node
/// alone always leads.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(20);

/// How often a leader says that it is there, in milliseconds. No test reaches it: a node alone has
/// nobody to tell.
pub(crate) const HEARTBEAT_MS: u64 = 200;

/// How long a follower hears nothing before it wants to lead, in milliseconds: at least three
/// heartbeats. A node alone campaigns at once. No test reaches it: the same.
pub(crate) const ELECTION_MS_MIN: u64 = 700;

/// The same at most: chance spreads the followers between the two. No test reaches it: the same.
pub(crate) const ELECTION_MS_MAX: u64 = 1_100;

/// Block cache of the state, shared by all its tables, in bytes: the tables of a hundred thousand
/// images are larger, and what it does not hold is read from the system's memory.
pub(crate) const STATE_CACHE_BYTES: usize = 32 << 20;

/// A part of a file's index or filter, in bytes: what a lookup reads of them at once.
pub(crate) const INDEX_PART_BYTES: usize = 4 << 10;

/// Unwritten data of all tables of the state together, in bytes, with what is being written out.
/// Seven eighths of it begin the writing out of one table; who finds all of it taken waits until
/// everything is written out, as a restart does that applies a long log faster than the disk is.
pub(crate) const STATE_UNWRITTEN_BYTES: usize = 32 << 20;

/// Unwritten data of one table, in bytes. Two may exist: one filling, one being written. It
/// holds the largest manifest, and most of what is pushed in a burst.
pub(crate) const TABLE_UNWRITTEN_BYTES: usize = 8 << 20;

/// Block cache of the log, shared by its tables, in bytes. What was just appended is read back
/// from what is not written out, so that little is cached.
pub(crate) const LOG_CACHE_BYTES: usize = 4 << 20;

/// Unwritten data of all tables of the log together, in bytes, beyond which it is written out: two
/// of the one that entries are in. As much again may be in writing.
pub(crate) const LOG_UNWRITTEN_BYTES: usize = 16 << 20;

/// What a table takes at once for unwritten data, in bytes. There are many tables and most are
/// nearly empty: with RocksDB's default each would count as a megabyte.
pub(crate) const ARENA_BYTES: usize = 64 << 10;

/// Write-ahead log of one database, in bytes; beyond it tables are written out. A start reads it
/// again, which takes a second.
pub(crate) const WRITE_AHEAD_BYTES: u64 = 128 << 20;

/// Files that one database holds open: the two and a few make `FILES_RESERVED` of the node. No test
/// reaches it: tables are merged before there are so many.
pub(crate) const OPEN_FILES_MAX: i32 = 256;

/// RocksDB's own notes on what it does, in bytes of one file.
pub(crate) const INFO_LOG_BYTES_MAX: usize = 1 << 20;

/// Files of such notes that are kept: those of this life and of the one before.
pub(crate) const INFO_LOGS_KEPT: usize = 2;

/// Bytes of a snapshot that travel at once: with those ahead, what a transfer takes of memory on
/// either side.
pub(crate) const SNAPSHOT_PIECE_BYTES: usize = 1 << 20;

/// Pieces of a snapshot that are read before the ones before them are sent.
pub(crate) const SNAPSHOT_PIECES_AHEAD: usize = 2;

/// Largest message between nodes: what one read of the log returns, and at least the largest
/// command, with what surrounds it.
pub(crate) const MESSAGE_BYTES_MAX: usize = ENTRIES_READ_BYTES_MAX + COMMAND_BYTES_MAX + (1 << 20);

/// How long a connection to another node may take to come about.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(2);

/// How often a silent connection is asked whether somebody is there. With the next it bounds how
/// long a call waits for a node that is paused.
pub(crate) const ALIVE_ASKED: Duration = Duration::from_secs(1);

/// How long that may remain unanswered.
pub(crate) const ALIVE_ANSWERED: Duration = Duration::from_secs(2);

/// How long both sides of a connection may take to prove who they are.
pub(crate) const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// Connections that may be at that at once: nodes have a handful each, and whoever only connects
/// keeps others from it for no longer than that.
pub(crate) const HANDSHAKES_MAX: usize = 256;

/// How long nobody is accepted after that has failed, as it does with too many files open.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long the calls of other nodes may take to end when a node stops.
pub(crate) const SERVED_STOP_TIME: Duration = Duration::from_secs(1);

/// How long a node without a cluster waits before it asks its members again.
pub(crate) const FORMATION_LOOK: Duration = Duration::from_millis(200);

/// How often it says in the log what it waits for.
pub(crate) const FORMATION_SAID: Duration = Duration::from_secs(10);

/// How long one question to a member may take.
pub(crate) const INTRODUCE_TIME: Duration = Duration::from_secs(2);

/// How long one question to the leader, or of the leader to a quorum, may take: longer than an
/// election, so that whoever asks in vain asks somebody else next.
pub(crate) const ASK_TIME: Duration = Duration::from_secs(3);

/// How long a change of the members is tried for, an election in between included.
pub(crate) const CHANGE_TIME: Duration = Duration::from_secs(30);

/// How long a node is asked how it is: whoever looks at a broken cluster does not want to wait.
pub(crate) const DESCRIBE_TIME: Duration = Duration::from_secs(2);

/// How long ago a follower may have answered to count as one that will: some heartbeats.
pub(crate) const ALIVE_TIME: Duration = Duration::from_secs(3);

/// Entries that a node may lag when it begins to vote: what it gets in moments. Until it has them
/// it helps no majority.
pub(crate) const PROMOTED_LAG_MAX: u64 = 5_000;

/// How long handing over the leadership may take: an election that nobody contests takes
/// milliseconds, and after this another one has begun by itself.
pub(crate) const TRANSFER_TIME: Duration = Duration::from_secs(5);

/// How long the leader takes to answer such a question, or to say that it cannot: less than that,
/// so that who asks can tell a leader that lags from one that is lost.
pub(crate) const LEADER_TIME: Duration = Duration::from_millis(2_500);

/// How long sending a snapshot may take, in milliseconds: tens of gigabytes over a slow network.
pub(crate) const SNAPSHOT_SENT_TIME: u64 = 3_600_000;
