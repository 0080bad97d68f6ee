//! Every bound of the object store, and why it is what it is.
//!
//! Bounds of what clients send are the node's.

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
