//! Every bound of the object store, and why it is what it is.
//!
//! Bounds of what clients send are the node's.

use std::time::Duration;

/// Longest key, in bytes: what S3 allows.
pub const KEY_BYTES_MAX: usize = 1024;

/// Largest payload of a driver's checkpoint, in bytes: the list of 10,000 parts of an S3 upload
/// fits.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// More than any marker takes, in bytes: a larger object under the marker's key is something else.
pub const MARKER_BYTES_MAX: u64 = 4096;

/// Bytes that a reader gives at once: large enough for the hop to the blocking pool not to count,
/// small enough to be kept twice for every reader.
pub(crate) const READ_CHUNK_BYTES: usize = 256 * 1024;

/// Bytes that a writer gathers before they go to the blocking pool, whose hop costs less than
/// copying this. Each open upload may hold two batches: one gathered, one on its way.
pub(crate) const BATCH_BYTES: usize = 512 * 1024;

/// Chunks in such a batch: below the 1024 that one call of the system takes.
pub(crate) const BATCH_CHUNKS: usize = 512;

/// A smaller chunk is copied, in bytes: it may be a small part of a large buffer, which it would
/// keep alive.
pub(crate) const SMALL_CHUNK_BYTES: usize = 4096;

/// Bytes that are copied at a time when an upload is taken over, so that an abandoned copy of a
/// large one ends soon. No test reaches it: what is copied is the same without it, and only ends
/// later when it is abandoned.
pub(crate) const COPY_BYTES: u64 = 64 * 1024 * 1024;

/// Folders that are remembered as durable. Past it they are forgotten and fsynced once more.
pub(crate) const KNOWN_FOLDERS_MAX: usize = 4096;

/// Objects that a listing reads at once: enough for the hop to the blocking pool not to count.
pub(crate) const PAGE_ENTRIES: usize = 256;

/// Characters of a wrong key that an error shows.
pub(crate) const KEY_CHARACTERS_SHOWN_MAX: usize = 128;

/// Smallest part of an S3 upload but the last, in bytes: what S3 allows.
pub const PART_BYTES_MIN: u64 = 5 << 20;

/// Size of the first parts of an S3 upload, in bytes, unless configured: as `chunksize` of
/// Distribution.
pub const PART_BYTES_DEFAULT: u64 = 10 << 20;

/// Bytes that all S3 uploads of a node hold in memory, unless configured: two dozen first parts.
pub const BUFFER_BYTES_DEFAULT: u64 = 256 << 20;

/// Largest part that is sent, in bytes. S3 takes five times as much; it is held in memory.
pub(crate) const PART_BYTES_MAX: u64 = 1 << 30;

/// Parts after which the next are twice as large: with it 10,000 parts hold [`OBJECT_BYTES_MAX`].
pub(crate) const PART_GROWTH_NUMBERS: u32 = 700;

/// Highest number of a part: what S3 takes.
pub(crate) const PART_NUMBER_MAX: u32 = 10_000;

/// Largest object, in bytes: what S3 holds.
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;

/// Parts of one upload that are sent at once, which hides how long a store takes to answer. More
/// would let one upload have all the memory.
pub(crate) const PARTS_AT_ONCE: usize = 4;

/// What an upload takes from the budget at first, in bytes; then as much again each time.
pub(crate) const BUFFER_BYTES_FIRST: u64 = 64 << 10;

/// What one upload may take beyond the budget's free part when all of it is held by uploads that
/// wait for more, in bytes: a smallest part and the chunks around it.
pub(crate) const BUFFER_BYTES_SPARE: u64 = PART_BYTES_MIN + (3 << 20);

/// Time for a connection to an object store to come about.
pub(crate) const STORE_CONNECT_TIME: Duration = Duration::from_secs(5);

/// Time for one attempt of a request to an object store, besides what sending its bytes may take.
pub(crate) const STORE_ATTEMPT_TIME: Duration = Duration::from_secs(10);

/// Time for a request to an object store with all its attempts, besides what sending its bytes may
/// take: clients wait a minute before they give up.
pub(crate) const STORE_OPERATION_TIME: Duration = Duration::from_secs(30);

/// Time for a request that has the store put together or copy an object, besides what its bytes may
/// take. Some stores write all of them anew.
pub(crate) const STORE_ASSEMBLY_TIME: Duration = Duration::from_secs(60);

/// Bytes a second that a store is expected to copy at least.
pub(crate) const STORE_COPIED_PER_SECOND_MIN: u64 = 32 << 20;

/// Bytes a second that a store is expected to take at least: what a part's attempt may take longer.
pub(crate) const STORE_BYTES_PER_SECOND_MIN: u64 = 512 << 10;

/// Attempts of a request to an object store, the first included: throttling passes within seconds.
pub(crate) const STORE_ATTEMPTS_MAX: u32 = 6;

/// First wait between two attempts at reading on; each is twice as long as the one before.
pub(crate) const STORE_BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// Longest wait between two attempts.
pub(crate) const STORE_BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Time in which an object store has to send something of an object that is read.
pub(crate) const STORE_READ_TIME: Duration = Duration::from_secs(30);

/// How often the reading of one object is gone on with after it broke off.
pub(crate) const STORE_REREADS_MAX: u32 = 5;

/// Connections to an object store that are kept open without use: as many as parts of a few
/// uploads.
pub(crate) const STORE_CONNECTIONS_IDLE: usize = 64;

/// Time that such a connection is kept: less than most servers keep theirs.
pub(crate) const STORE_IDLE_TIME: Duration = Duration::from_secs(20);

/// Objects that one request deletes: what S3 takes.
pub(crate) const STORE_DELETED_AT_ONCE: usize = 1000;

/// Keys that are looked up at once for a deletion, so that it does not take all connections.
pub(crate) const STORE_DELETES_AT_ONCE: usize = 8;

/// Time that an upload waits for memory before it is refused: less than clients wait.
pub(crate) const BUFFER_WAIT_TIME: Duration = Duration::from_secs(30);
