//! Every bound of the node, and why it is what it is.
//!
//! Memory is a function of these and of the configuration, not of load. The bounds of the state
//! machine are in `cluster/src/metadata/limits.rs`, since they are part of its meaning.

use std::time::Duration;

/// Largest manifest, in bytes: Distribution's limit, which clients know. More answers 413.
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Tags that one `PUT` of a manifest may set (end-7b demands at least 10). More answers 414.
pub const TAGS_PER_PUT_MAX: usize = 100;

/// Referrers in one answer; a `Link` leads to the next. A page stays below a few megabytes.
pub const REFERRERS_PER_PAGE: usize = 1_000;

/// Bytes of one page of referrers, since annotations can be large.
pub const REFERRERS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Names that `_catalog` lists when no `n` is given, as in Distribution.
pub const CATALOG_PAGE: usize = 100;

/// Tags that are read at once while a whole list is streamed.
pub const TAGS_PER_READ: usize = 1_000;

/// Repositories that are looked at for a mount without `from`.
pub const MOUNT_SOURCES_MAX: usize = 10;

/// Pieces of a body that may wait for the upload session: enough to hash and write one while the
/// next is being received. A piece is at most what the HTTP layer reads at once, 128 KiB.
pub const BODY_PIECES_WAITING: usize = 8;

/// How long a body may stand still before it counts as broken.
pub const BODY_IDLE: Duration = Duration::from_secs(30);

/// How long the body of a manifest may take as a whole: it is at most 4 MiB.
pub const MANIFEST_BODY_TIME: Duration = Duration::from_secs(120);

/// Bytes of an unwanted body that are read and dropped, so that the client sees the answer rather
/// than a reset.
pub const DRAINED_BYTES_MAX: usize = 1024 * 1024;

/// How long that may take.
pub const DRAINED_TIME: Duration = Duration::from_secs(5);

/// How long a client may take to send the head of a request.
pub const REQUEST_HEAD_TIME: Duration = Duration::from_secs(15);

/// How long an idle connection stays open: longer than the idle time of common load balancers.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a closing connection may linger.
pub const DISCONNECT_TIME: Duration = Duration::from_secs(5);

/// Connections of one worker that are open at once; further ones wait in the kernel.
pub const CONNECTIONS_PER_WORKER: usize = 8_192;

/// Upload sessions that are open on a node at once. Each may hold a file; further ones get 429.
pub const UPLOADS_OPEN_MAX: usize = 2_048;

/// How long an upload session may be idle before the node lets go of it. The upload lives on: the
/// next request claims it.
pub const UPLOAD_IDLE: Duration = Duration::from_secs(60);

/// Requests for one upload that may wait while one is at work. A client sends one at a time.
pub const UPLOAD_MAILBOX: usize = 8;

/// Requests for the registry of uploads that may wait; each takes microseconds.
pub const REGISTRY_MAILBOX: usize = 4_096;

/// Manifest writes of one repository that may wait; each takes one write of the log.
pub const REPOSITORY_MAILBOX: usize = 256;

/// Repositories with an actor on a node at once.
pub const REPOSITORIES_ACTIVE_MAX: usize = 10_000;

/// How long a repository may be idle before its actor ends.
pub const REPOSITORY_IDLE: Duration = Duration::from_secs(60);

/// Locks that keep two requests from claiming the same upload at once.
pub const CLAIM_LOCKS: usize = 64;

/// Times that a claim is tried when another owner was faster.
pub const CLAIM_TRIES: usize = 5;

/// Deletions left over from a crash that are taken up at once.
pub const DELETIONS_RESUMED: usize = 100;

/// File descriptors without which the node does not start: databases, connections and uploads.
pub const FILE_DESCRIPTORS_MIN: u64 = 1_024;

/// How long a write waits for the cluster (`cluster.proposaltimeout`).
pub const PROPOSAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Log entries after which a snapshot is taken. A restart replays at most about as many.
pub const SNAPSHOT_AFTER_ENTRIES: u64 = 10_000;

/// Log entries that stay after a snapshot.
pub const LOG_ENTRIES_KEPT: u64 = 1_000;

/// How long what a client has seen can be used at least, in a new cluster.
pub const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// What `Retry-After` says when the node cannot answer now, in seconds.
pub const RETRY_AFTER_SECONDS: u64 = 1;
