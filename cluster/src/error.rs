//! What can go wrong with the metadata, by meaning.

use std::error::Error as StdError;
use std::path::PathBuf;

use crate::metadata::Fault;

type Source = Box<dyn StdError + Send + Sync>;

/// Why a read or a proposal got no answer. A refusal by the state is not an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no leader, or no quorum answers. Trying again later helps.
    #[error("the cluster has no leader that a quorum follows")]
    Unavailable(#[source] Source),
    /// No answer in time: whether the command happened is not known.
    #[error("the cluster did not answer within {0:?}")]
    TimedOut(std::time::Duration),
    /// The node has lost its storage or its place and is stopping.
    #[error("the metadata of this node have stopped")]
    Stopped(#[source] Source),
    /// The node was removed from its cluster, for ever.
    #[error(
        "node {0} was removed from its cluster and must not go on; to have it back, remove its \
         `cluster.datadir` and start it with `cluster.join`"
    )]
    Removed(u64),
    /// The state cannot be read.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The command is too large for the log.
    #[error("a command of {bytes} bytes exceeds the limit of {bytes_max}")]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

/// Why the metadata could not be opened. Each says where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder cannot be made, read or written.
    #[error("cannot use the metadata folder {}: {source}; {hint}", .path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error(
        "the metadata folder {} is in use by another process; stop that one, or give this one \
         another `cluster.datadir`",
        .0.display()
    )]
    Locked(PathBuf),
    /// It was written by a newer version.
    #[error(
        "the metadata folder {} has format {found}, but this version of roadstead reads up to \
         {supported}; start a newer version",
        .path.display()
    )]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// The format found.
        found: u64,
        /// The newest that is known.
        supported: u64,
    },
    /// What lies there is damaged.
    #[error(
        "the metadata in {} are damaged: {reason}; nothing was changed; restore the folder from \
         a backup, or look at the disk",
        .path.display()
    )]
    Corrupt {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// What was to be restored is not whole.
    #[error("the backup is damaged or cut off: {0}; nothing was changed")]
    Backup(String),
    /// The cluster refuses this node.
    #[error("the cluster refuses this node: {0}")]
    Refused(String),
    /// Other nodes cannot be listened to.
    #[error("cannot listen to other nodes: {0}; choose another `cluster.listen`")]
    Listen(#[source] std::io::Error),
    /// Raft could not be started.
    #[error("Raft could not be started")]
    Raft(#[source] Source),
    /// The node did not become ready.
    #[error(transparent)]
    Metadata(#[from] Error),
}

/// An error with what it came from, for people.
pub(crate) fn with_source(error: &Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
