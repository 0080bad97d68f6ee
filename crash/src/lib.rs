//! Crash points: named places where a test can have the process killed.
//!
//! Without the feature `crash-points`, which only tests are built with, every call here is an empty
//! function. With it, the environment variable `ROADSTEAD_CRASH=<point>` kills the process by
//! SIGKILL when it comes to the point, and `ROADSTEAD_CRASH=<point>:<n>` when it comes there for
//! the n-th time. With `ROADSTEAD_CRASH_AFTER_MS` the thread that came there stands still for so
//! long before, while all others go on: what they do meanwhile must not rely on what it has not
//! done.
//!
//! `ROADSTEAD_MISTAKE=<name>` has the process leave out something that it promises, so that a test
//! can see that its checker notices.
//!
//! It is not a way to inject errors (that is `roadstead_storage::Faulty`): at a point the process
//! either goes on as if nothing were there, or is gone.

/// Declares the points with their names, so that none is misspelt and a test can go through all.
macro_rules! points {
    ($($(#[$meta:meta])* $point:ident = $name:literal,)*) => {
        /// A place in the program, named for what has just happened or is about to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point {
            $($(#[$meta])* $point,)*
        }

        impl Point {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            /// The name that `ROADSTEAD_CRASH` takes.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// An object is about to get a file.
    ObjectCreate = "object-create",
    /// It has the file, whose name nothing keeps yet.
    ObjectCreated = "object-created",
    /// Bytes of an object are about to be written.
    ObjectWrite = "object-write",
    /// They are written, and not synced.
    ObjectWritten = "object-written",
    /// The bytes of a checkpoint are synced, the name of a new file is not.
    ObjectSynced = "object-synced",
    /// A checkpoint is durable.
    ObjectCheckpointed = "object-checkpointed",
    /// A finished object is synced under the name of an unfinished one.
    ObjectRename = "object-rename",
    /// It has its name, which nothing keeps yet.
    ObjectRenamed = "object-renamed",
    /// It is durable under its name.
    ObjectFinished = "object-finished",
    /// The bytes of an upload were copied to a fresh key, and are not synced.
    ObjectCopied = "object-copied",
    /// The copy is durable.
    ObjectTakenOver = "object-taken-over",
    /// An object is about to be deleted.
    ObjectDelete = "object-delete",
    /// It is deleted, and the deletion is not durable.
    ObjectDeleted = "object-deleted",
    /// The marker of the store is synced under a temporary name.
    MarkerRename = "marker-rename",
    /// It has its name, which nothing keeps yet.
    MarkerRenamed = "marker-renamed",
    /// A command is about to be proposed.
    Propose = "propose",
    /// It was applied, and the proposer has not heard of it.
    Proposed = "proposed",
    /// A vote is about to be written.
    VoteSave = "vote-save",
    /// Entries are about to be appended to the log.
    LogAppend = "log-append",
    /// They are written, and not synced.
    LogAppended = "log-appended",
    /// The log is about to be synced.
    LogFlush = "log-flush",
    /// It is synced, and nobody was told.
    LogFlushed = "log-flushed",
    /// Entries are about to be applied.
    Apply = "apply",
    /// Their changes are computed, and not written.
    ApplyWrite = "apply-write",
    /// The changes are written, and nobody was answered.
    Applied = "applied",
    /// A snapshot is about to be taken.
    SnapshotTake = "snapshot-take",
    /// Its database is on disk under a temporary name, and has no position.
    SnapshotFilled = "snapshot-filled",
    /// It is whole under a temporary name.
    SnapshotRename = "snapshot-rename",
    /// It has its name, which nothing keeps yet.
    SnapshotRenamed = "snapshot-renamed",
    /// It is durable, and former ones are still there.
    SnapshotKept = "snapshot-kept",
    /// A former one has lost its name, and its files are still there.
    SnapshotRetired = "snapshot-retired",
    /// Former ones are gone, and nobody was told of it.
    SnapshotTaken = "snapshot-taken",
    /// Entries are about to be purged from the log.
    LogPurge = "log-purge",
    /// They are purged.
    LogPurged = "log-purged",
    /// A small file of the metadata folder is synced under a temporary name.
    FileRename = "file-rename",
    /// It has its name, which nothing keeps yet.
    FileRenamed = "file-renamed",
    /// A request that changes something is done, and its answer is about to be sent.
    Answer = "answer",
}

/// Kills the process if a test wants it to end here.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn point(_: Point) {}

/// The value of a bound, which a test can lower by the environment variable of that name.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn bound(_: &str, value: u64) -> u64 {
    value
}

/// Whether a test seeds this mistake, to see that a checker finds it.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn mistake(_: &str) -> bool {
    false
}

#[cfg(feature = "crash-points")]
pub use armed::{bound, mistake, point};

#[cfg(feature = "crash-points")]
mod armed {
    use std::env;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::Point;

    /// Where to end, and how many times to pass by before.
    static AIM: LazyLock<Option<(Point, AtomicU64)>> = LazyLock::new(|| {
        let text = env::var("ROADSTEAD_CRASH")
            .ok()
            .filter(|text| !text.is_empty())?;
        let aim = parse(&text);
        assert!(aim.is_some(), "ROADSTEAD_CRASH={text}: no such point");
        aim.map(|(point, passages)| (point, AtomicU64::new(passages)))
    });

    pub(super) fn parse(text: &str) -> Option<(Point, u64)> {
        let (name, passages) = match text.split_once(':') {
            Some((name, number)) => (name, number.parse::<u64>().ok()?.checked_sub(1)?),
            None => (text, 0),
        };
        let point = Point::ALL.iter().find(|point| point.name() == name)?;
        Some((*point, passages))
    }

    /// Kills the process if a test wants it to end here.
    pub fn point(point: Point) {
        if let Some((aim, left)) = &*AIM
            && *aim == point
            && left.fetch_sub(1, Ordering::AcqRel) == 0
        {
            thread::sleep(Duration::from_millis(bound("ROADSTEAD_CRASH_AFTER_MS", 0)));
            // As from outside: nothing is unwound, flushed or said.
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                thread::park();
            }
        }
    }

    /// The value of a bound, which a test can lower by the environment variable of that name.
    pub fn bound(name: &str, value: u64) -> u64 {
        let given = env::var(name).ok().and_then(|text| text.parse().ok());
        given.unwrap_or(value)
    }

    /// Whether a test seeds this mistake, by the environment variable `ROADSTEAD_MISTAKE`.
    pub fn mistake(name: &str) -> bool {
        static SEEDED: LazyLock<Option<String>> =
            LazyLock::new(|| env::var("ROADSTEAD_MISTAKE").ok());
        SEEDED.as_deref() == Some(name)
    }
}

#[cfg(all(test, feature = "crash-points"))]
mod tests {
    use super::*;

    #[test]
    fn aims_are_read() {
        for (text, expected) in [
            ("answer", Some((Point::Answer, 0))),
            ("log-flush:3", Some((Point::LogFlush, 2))),
            ("log-flush:0", None),
            ("log-flush:x", None),
            ("nowhere", None),
        ] {
            assert_eq!(armed::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn names_are_given_once() {
        let mut names: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
