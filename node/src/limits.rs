//! Every bound of the node, and why it is what it is.
//!
//! Memory is a function of these and of the configuration, not of load. What bounds the log and the
//! databases is in `cluster/src/limits.rs`; one step of the state machine in
//! `cluster/src/metadata/limits.rs`, since it is part of its meaning; the object store in
//! `storage/src/limits.rs`; names, tags, digests and manifests in `proto/src/limits.rs`.

use std::time::Duration;

/// Largest manifest, in bytes: Distribution's limit, which clients know. More answers 413.
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Tags that one `PUT` of a manifest may set (end-7b demands at least 10). More answers 414. Each
/// is a header of the answer, and hyper, which many clients are made with, reads no more than 100
/// headers: this leaves a third of them to the rest of the answer and to `http.headers`.
pub const TAGS_PER_PUT_MAX: usize = 64;

/// Referrers in one answer; a `Link` leads to the next. A page stays below a few megabytes.
pub const REFERRERS_PER_PAGE: usize = 1_000;

/// Referrers that are read at once: each may carry annotations of megabytes.
pub const REFERRERS_PER_READ: usize = 16;

/// Referrers that one request looks at to find those of a wanted type; a `Link` leads on.
pub const REFERRERS_LOOKED_AT_MAX: usize = 10_000;

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

/// How long a client may take nothing of an answer before its connection is ended: as nginx does.
pub const ANSWER_IDLE: Duration = Duration::from_secs(60);

/// How long a body may stand still before it counts as broken.
pub const BODY_IDLE: Duration = Duration::from_secs(30);

/// Bytes of manifests that are at work on a node at once, by their announced length. Each is held
/// a few times over on its way through the log; one that finds no room waits, then gets 429.
pub const MANIFEST_BYTES_AT_WORK: usize = 32 * 1024 * 1024;

/// How long a manifest waits for room.
pub const MANIFEST_ROOM_TIME: Duration = Duration::from_secs(10);

/// How long the body of a manifest may take as a whole: it is at most 4 MiB.
pub const MANIFEST_BODY_TIME: Duration = Duration::from_secs(120);

/// Bytes of an unwanted body that are read and dropped, so that the client sees the answer rather
/// than a reset.
pub const DRAINED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long that may take.
pub const DRAINED_TIME: Duration = Duration::from_secs(5);

/// How long a client may take to send the head of a request.
pub const REQUEST_HEAD_TIME: Duration = Duration::from_secs(15);

/// How long nobody is turned away after a connection was not accepted, as happens with too many
/// files open.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long an idle connection stays open: longer than the idle time of common load balancers.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a closing connection may linger. No test reaches it: what is last sent fits into what
/// the system keeps for a client.
pub const DISCONNECT_TIME: Duration = Duration::from_secs(5);

/// How long a stopping node waits for requests of operators, in seconds: it has waited for those of
/// clients before, and metrics and health take no time. No test reaches it: none of these requests
/// is held up.
pub const DEBUG_DRAIN_SECONDS: u64 = 1;

/// Connections that are open at once on a node; further ones wait in the kernel.
pub const CONNECTIONS_MAX: usize = 16_384;

/// Bytes of a file that a connection looks for in memory, or has loaded, at once. It is also what
/// one `sendfile` sends at most.
pub const FILE_WINDOW_BYTES: u64 = 1024 * 1024;

/// Bytes of a file that a connection sends before the others of its worker get their turn.
pub const FILE_TURN_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes of a file that are read at once only to have them in memory.
pub const FILE_READ_BYTES: usize = 128 * 1024;

/// Upload sessions that are open on a node at once; further ones get 429.
pub const UPLOADS_OPEN_MAX: usize = 2_048;

/// Files that the databases hold open, and a few for the rest of the process.
pub const FILES_RESERVED: u64 = 640;

/// What a node takes on at once, so that it never runs out of files: each connection may hold a
/// socket and a blob, each upload a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Connections, over all workers.
    pub connections: usize,
    /// Upload sessions.
    pub uploads: usize,
}

impl Capacity {
    /// What `files` open files allow; `None` is no limit.
    pub fn of(files: Option<u64>) -> Self {
        let spare = files.map_or(u64::MAX, |files| files.saturating_sub(FILES_RESERVED));
        let part = |share: u64, max: usize| {
            usize::try_from(spare / share)
                .unwrap_or(usize::MAX)
                .clamp(16, max)
        };
        Self {
            connections: part(3, CONNECTIONS_MAX),
            uploads: part(6, UPLOADS_OPEN_MAX),
        }
    }
}

/// How long an upload session may be idle before the node lets go of it. The upload lives on: the
/// next request claims it.
pub const UPLOAD_IDLE: Duration = Duration::from_secs(60);

/// Requests for one upload that may wait while one is at work. A client sends one at a time.
pub const UPLOAD_MAILBOX: usize = 8;

/// Requests for the registry of uploads that may wait; each takes microseconds.
pub const REGISTRY_MAILBOX: usize = 4_096;

/// Manifest writes of one repository that may wait; each takes one write of the log.
pub const REPOSITORY_MAILBOX: usize = 256;

/// Times that a repository's actor which ends while it is asked is started anew: once is an
/// accident, and nobody waits for ever. No test reaches it: an actor would have to end again and
/// again while it is asked.
pub const REPOSITORY_TRIES: usize = 3;

/// Repositories with an actor on a node at once.
pub const REPOSITORIES_ACTIVE_MAX: usize = 10_000;

/// How long a repository may be idle before its actor ends.
pub const REPOSITORY_IDLE: Duration = Duration::from_secs(60);

/// Locks that keep two requests from claiming the same upload at once. No test reaches it: more of
/// them only let more clients claim at once.
pub const CLAIM_LOCKS: usize = 64;

/// Times that a claim is tried when another owner was faster. No test reaches it: it takes other
/// owners, and a node alone has none.
pub const CLAIM_TRIES: usize = 5;

/// Deletions that were interrupted and are taken up at once. No test reaches it: so many deletions
/// would have to be interrupted at once; the rest comes next.
pub const DELETIONS_RESUMED: usize = 100;

/// How often interrupted deletions are looked for.
pub const DELETIONS_LOOK: Duration = Duration::from_secs(10);

/// How often a node looks whether the object store is still its cluster's. For so long a cluster
/// whose store was taken over may go on taking pushes.
pub const STORE_LOOK: Duration = Duration::from_secs(5);

/// How long a stopping node tries to let go of its uploads, beyond the time for requests.
pub const RELEASE_TIME: Duration = Duration::from_secs(10);

/// File descriptors without which the node does not start: databases, connections and uploads.
pub const FILE_DESCRIPTORS_MIN: u64 = 1_024;

/// How long a write waits for the cluster (`cluster.proposaltimeout`).
pub const PROPOSAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long `/readyz` says that a node of several leaves while it still serves
/// (`cluster.drain.notice`): as long as load balancers commonly take to ask twice.
pub const DRAIN_NOTICE: Duration = Duration::from_secs(5);

/// How long a read by digest waits for a majority before it is answered by what the node knows
/// (`cluster.reads.local_after`): longer than a lost leader is replaced.
pub const LOCAL_AFTER: Duration = Duration::from_secs(5);

/// How long `/readyz` waits for the cluster: a load balancer wants to hear that there is nobody to
/// decide before its own patience ends.
pub const READY_TIME: Duration = Duration::from_secs(2);

/// Longest message of a backup: a piece of a snapshot, with what surrounds it.
pub const BACKUP_PIECE_BYTES_MAX: usize = 2 << 20;

/// Blobs that a restore names that the store lacks; the rest are counted.
pub const MISSING_SHOWN: usize = 20;

/// For how many days the certificates of nodes are valid that `roadstead cluster certs` makes,
/// unless it is told otherwise.
pub const CERTIFICATE_DAYS: u32 = 365;

/// The same of its CA, and the longest of any: ten years.
pub const CA_DAYS: u32 = 3_650;

/// How often `roadstead cluster drain` looks whether the node has stopped.
pub const STATUS_LOOK: Duration = Duration::from_millis(500);

/// Looks in a row in which a node does not answer, after which it has stopped.
pub const SILENT_LOOKS: u32 = 3;

/// How long it looks: what a node may take by default to say that it leaves and to finish what it
/// is at, twice.
pub const DRAIN_WAITED: Duration = Duration::from_secs(150);

/// How long a snapshot that an operator asks for may take: tens of gigabytes are linked and not
/// copied, but what is not written out has to be.
pub const SNAPSHOT_TIME: Duration = Duration::from_secs(60);

/// Log entries after which a snapshot is taken. A restart replays at most about as many.
pub const SNAPSHOT_AFTER_ENTRIES: u64 = 10_000;

/// Log entries that stay after a snapshot. No test reaches it: it is no bound from outside; the
/// purge is tested with fewer.
pub const LOG_ENTRIES_KEPT: u64 = 1_000;

/// How long what a client has seen can be used at least, in a new cluster. No test reaches it: it
/// is a day; what it does is tested with another.
pub const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// How often the free space of the disks is looked at. A fast disk takes less than the usual
/// reserve of a large one in that time; where it takes more, the write itself fails.
pub const SPACE_LOOK: Duration = Duration::from_millis(200);

/// Objects that a sweep looks up at once, and abandoned uploads that are read for the log.
pub const COLLECTED_PER_STEP: usize = 256;

/// Links that one step of collection condemns. While that command is applied others wait
/// (`make bench-gc` says what that comes to).
pub const CONDEMNED_PER_STEP: usize = 32;

/// Objects that one step of collection deletes, in one call of the store: files keep a disk busy
/// meanwhile (`make bench-gc` says what that comes to), and in S3 these are one request.
pub const DELETED_PER_STEP: usize = 64;

/// Uploads that one step of collection ends, and untagged manifests that one expires: each may let
/// go of many blobs.
pub const EXPIRED_PER_STEP: usize = 32;

/// How often the collector looks for something to do.
pub const COLLECTION_LOOK: Duration = Duration::from_secs(1);

/// How often untagged manifests are looked for: those that the policy's patterns leave alone are
/// passed over each time.
pub const UNTAGGED_LOOK: Duration = Duration::from_secs(60);

/// How long after the start of a node the first sweep begins, or sooner where `gc.sweep` is less.
pub const FIRST_SWEEP: Duration = Duration::from_secs(600);

/// How often the marker is read beside the times before each batch of deletes.
pub const MARKER_LOOK: Duration = Duration::from_secs(30);

/// Requests to the collector that may wait; each is a person's.
pub const COLLECTOR_MAILBOX: usize = 16;

/// How long a reclaimed object stays in a new cluster: longer than a redirect URL is valid.
pub const READING_DELAY: Duration = Duration::from_secs(60 * 60);

/// How long a URL is valid that a client is redirected to: as long as Distribution's. Longer than a
/// client takes to follow it, and no longer than collection leaves the object there.
pub const REDIRECT_VALID: Duration = Duration::from_secs(20 * 60);

/// Where collection leaves objects for less than this, clients are not redirected: the URL might be
/// over before a slow client, or one whose clock is off, has followed it.
pub const REDIRECT_VALID_MIN: Duration = Duration::from_secs(60);

/// How long a key waits whose delete has failed once.
pub const DELETE_BACKOFF_MIN: Duration = Duration::from_secs(1);

/// How long it waits at most.
pub const DELETE_BACKOFF_MAX: Duration = Duration::from_secs(300);

/// Failed deletes that are remembered, about 100 bytes each; further ones are tried each time.
pub const DELETE_FAILURES_KEPT: usize = 65_536;

/// Requests are slow when those that move few bytes take longer than this on average.
pub const SLOW_REQUEST: Duration = Duration::from_millis(100);

/// How often collection looks whether they are.
pub const PACE_LOOK: Duration = Duration::from_millis(500);

/// The least part of `gc.rate` that slow requests leave.
pub const PACE_FACTOR_MIN: f64 = 0.05;

/// How often the time of a step collection rests after it while requests are served: one in eight
/// comes beside a step (`make bench-gc` says what that comes to).
pub const REST_PER_WORK: u32 = 7;

/// How long it rests at most, in milliseconds: whoever waits for a store elsewhere keeps nobody
/// from anything.
pub const REST_MAX_MS: u64 = 200;

/// What waits for collection is counted up to here: the count is taken in place.
pub const BACKLOG_COUNTED: usize = 10_000;

/// Blobs or objects that `verify` looks at before it says how far it is.
pub const VERIFIED_PER_STEP: usize = 256;

/// Blobs that `verify` asks the store for at once: one hides the latency of the others.
pub const VERIFIED_AT_ONCE: usize = 4;

/// Bytes that `verify` reads in a second to hash them, unless it is told otherwise.
pub const VERIFY_BYTES_PER_SECOND: u64 = 64 * 1024 * 1024;

/// Repositories that a finding names.
pub const VERIFY_REPOSITORIES_NAMED: usize = 5;

/// Repositories or uploads on a page of the administration service.
pub const ADMINISTRATION_PAGE: usize = 1_000;

/// Repositories that an explanation names, and as many tags and manifests in each.
pub const EXPLAINED: usize = 20;

/// How often the administration service tells how far something is.
pub const PROGRESS_TOLD: Duration = Duration::from_millis(250);

/// Events that may wait for a client of the administration service.
pub const EVENTS_WAITING: usize = 4;

/// Calls on one connection of the administration service that are at work at once.
pub const ADMINISTRATION_CALLS: u32 = 32;

/// Connections of the administration service at once; further ones are closed.
pub const ADMINISTRATION_CONNECTIONS: usize = 64;

/// How long nothing may come from one of them.
pub const ADMINISTRATION_SILENCE: Duration = Duration::from_secs(90);

/// How often an upload that takes in bytes looks whether it is still known: it may have expired or
/// been cancelled meanwhile, and its bytes would fill the disk for nobody.
pub const UPLOAD_KNOWN_LOOK: Duration = Duration::from_secs(2);

/// How long a stopping node waits for what the administration service is at.
pub const ADMINISTRATION_STOP: Duration = Duration::from_secs(2);

/// How long the end of an upload waits for a request that is at work on it.
pub const CANCEL_WAIT: Duration = Duration::from_secs(2);

/// How long a command waits until a node takes its connection.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);

/// How long a command waits until a node begins to answer, and how often it looks whether a node
/// that it has a connection to is still there.
pub const ANSWER_TIME: Duration = Duration::from_secs(30);

/// What `Retry-After` says when the node cannot answer now, in seconds.
pub const RETRY_AFTER_SECONDS: u64 = 1;

/// Longest id of a request that is taken from a client, in bytes: it stands in every line of the
/// log about the request.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// Characters of a wrong id, range or number that an answer quotes: enough to see which it is.
pub const QUOTED_MAX: usize = 80;

/// Characters of an unknown path or a forbidden address that an answer quotes.
pub const QUOTED_PATH_MAX: usize = 200;

/// Characters of an unknown method that an answer quotes.
pub const QUOTED_METHOD_MAX: usize = 20;

/// Bytes of lines that wait for one stream of the log: some thousand lines. As many more may be in
/// writing; what comes beyond is dropped and counted.
pub const LOG_PENDING_BYTES_MAX: usize = 1024 * 1024;

/// How long lines of a log gather after some were written. Under load the thread that writes so
/// wakes fifty times a second and not for every line. No test reaches it: it saves work and is no
/// bound from outside.
pub const LOG_GATHER_TIME: Duration = Duration::from_millis(20);

/// Bytes of lines that end the gathering: half of what may wait, so that none is dropped meanwhile.
pub const LOG_GATHERED_BYTES: usize = LOG_PENDING_BYTES_MAX / 2;

/// How long the writer of a log waits for a stream that is set to non-blocking and is full.
pub const LOG_STREAM_PAUSE: Duration = Duration::from_millis(10);

/// How long the end of the process waits for a stream to take the last lines. No test reaches it:
/// the wait is tested with a shorter one.
pub const LOG_LAST_LINES_TIME: Duration = Duration::from_secs(2);

/// Longest text that is logged as one value, in bytes. What a client sent may be in it.
pub const LOG_TEXT_BYTES_MAX: usize = 32 * 1024;

/// Bytes that the access log shows of a field that the client chose, before escaping.
pub const ACCESS_LOG_FIELD_BYTES_MAX: usize = 2_048;

/// How long a check of health may take that has no limit in the configuration.
pub const HEALTH_CHECK_TIME: Duration = Duration::from_secs(10);

/// Most entries that a configuration may allow in one page, as a typing error could write more.
pub const PAGE_SETTING_MAX: u32 = 1_000_000;

/// Most failures in a row that a check of health may be told to bear.
pub const HEALTH_THRESHOLD_MAX: u32 = 1_000_000;

/// Largest configuration file, in bytes. The largest sensible one is a few kilobytes.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Largest first part of an S3 upload that a configuration may ask for, in bytes: the largest that
/// S3 takes.
pub const S3_CHUNK_BYTES_MAX: u64 = 5 << 30;

/// Longest `rootdirectory` of an S3 store, in bytes: half of the longest key, so that every key
/// below it fits.
pub const S3_ROOT_BYTES_MAX: usize = 512;

/// How deep maps and lists of a configuration may lie in each other. The deepest known setting has
/// seven levels.
pub const CONFIG_DEPTH_MAX: usize = 32;

/// Values that a configuration may hold, with those that aliases repeat.
pub const CONFIG_VALUES_MAX: usize = 10_000;

/// Problems of a configuration that are listed before the rest is only counted.
pub const CONFIG_PROBLEMS_SHOWN_MAX: usize = 100;

/// Characters of a wrong value that a problem of a configuration shows.
pub const CONFIG_VALUE_SHOWN_MAX: usize = 60;

/// Longest name of a host in a configuration, in bytes: what the domain name system allows.
pub const HOST_NAME_BYTES_MAX: usize = 253;

/// Longest duration of a configuration, in nanoseconds: Go counts them in a signed word, which is a
/// little over 292 years.
pub const DURATION_NANOSECONDS_MAX: u128 = i64::MAX as u128;

/// Digits of a fraction of a duration that count: an hour has thirteen digits of nanoseconds.
pub const DURATION_DIGITS_MAX: usize = 13;

/// Shortest age, and shortest interval, of the purging of uploads: less is a mistake.
pub const UPLOAD_PURGING_TIME_MIN: Duration = Duration::from_secs(1);

/// Longest name that is compared with those that are known, in characters: the comparison costs
/// the product of both lengths, and no key is that long.
pub const COMPARED_CHARACTERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_on_fits_the_files() {
        for files in [FILE_DESCRIPTORS_MIN, 4_096, 1 << 20] {
            let capacity = Capacity::of(Some(files));
            let used = FILES_RESERVED + (2 * capacity.connections + capacity.uploads) as u64;
            assert!(used <= files, "{used} of {files}");
        }
        let most = Capacity {
            connections: CONNECTIONS_MAX,
            uploads: UPLOADS_OPEN_MAX,
        };
        for files in [None, Some(1 << 20)] {
            assert_eq!(Capacity::of(files), most);
        }
    }
}
