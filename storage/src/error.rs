//! What can go wrong in a store, by meaning, and the one place that maps errors of the system.
//!
//! It is not about how a client hears of it: `NotFound` means nothing to a client until the caller
//! says what was sought.

use std::io;
use std::ops::Range;
use std::path::Path;

use crate::limits::KEY_CHARACTERS_SHOWN_MAX;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What lies beneath an [`Error`]: an error of the system or of a client library.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error of a store.
///
/// `subject` says what was being done and where, so that a log line is enough to act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing is stored there. Certain, never a guess in an outage.
    #[error("{subject}: nothing is stored there")]
    NotFound {
        /// What was sought.
        subject: String,
        /// The store's own answer, if it gave one.
        source: Option<Cause>,
    },
    /// The key was used before.
    #[error("{subject}: already exists")]
    AlreadyExists {
        /// What was to be created.
        subject: String,
        /// The store's own answer, if it gave one.
        source: Option<Cause>,
    },
    /// A writer of this process still has the key open.
    #[error("{key}: another writer has this key open")]
    Busy {
        /// The key that is in use.
        key: String,
    },
    /// Trouble that may pass: trying again later is right.
    #[error("{subject}: the store is unavailable")]
    Unavailable {
        /// What was being done.
        subject: String,
        /// Why it did not work.
        source: Cause,
    },
    /// Other uploads hold all the memory that uploads may have. The writer can be gone on with.
    #[error("{subject}: other uploads hold all of storage.s3.buffermemory")]
    NoMemory {
        /// What was being done.
        subject: String,
    },
    /// The store or a quota is full.
    #[error("{subject}: no space is left")]
    NoSpace {
        /// What was being done.
        subject: String,
        /// The store's own answer.
        source: Cause,
    },
    /// The store refuses this process: rights, or a read-only mount.
    #[error("{subject}: permission denied")]
    PermissionDenied {
        /// What was being done.
        subject: String,
        /// The store's own answer.
        source: Cause,
    },
    /// The text is not an object key, or not one that this driver can hold.
    #[error("{key:?} is not a usable object key: {reason}")]
    InvalidKey {
        /// The text, shortened if it is long.
        key: String,
        /// Which rule it breaks.
        reason: String,
        /// The store's own answer, if it was the store that refused.
        source: Option<Cause>,
    },
    /// The checkpoint cannot be decoded, is another driver's, or names bytes that are not there.
    #[error("the checkpoint is not valid: {reason}")]
    InvalidCheckpoint {
        /// What is wrong with it.
        reason: String,
    },
    /// The range is not within the object.
    #[error(
        "bytes {}..{} are not within an object of {size} bytes",
        requested.start,
        requested.end
    )]
    RangeUnsatisfiable {
        /// The range that was asked for.
        requested: Range<u64>,
        /// The size of the whole object.
        size: u64,
    },
    /// What is stored is not what must be there.
    #[error("{subject}: damaged: {reason}")]
    Corrupt {
        /// What is damaged.
        subject: String,
        /// How it shows.
        reason: String,
    },
    /// The writer reported an error before and takes nothing more.
    #[error("{subject}: the writer stopped after an earlier error")]
    Stopped {
        /// What was being written.
        subject: String,
    },
    /// The bytes before this are the whole object already: more go to a fresh key.
    #[error("{key}: nothing can follow under this key any more")]
    Sealed {
        /// The key that was to be written on.
        key: String,
    },
    /// The place that is to hold the store cannot serve as one.
    #[error("{subject}: {reason}")]
    Unsuitable {
        /// The place.
        subject: String,
        /// What is wrong with it.
        reason: String,
        /// The store's own answer, if it gave one.
        source: Option<Cause>,
    },
}

impl Error {
    /// One lowercase word for the meaning, for metric labels and log fields.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::AlreadyExists { .. } => "already_exists",
            Self::Busy { .. } => "busy",
            Self::Unavailable { .. } => "unavailable",
            Self::NoMemory { .. } => "no_memory",
            Self::NoSpace { .. } => "no_space",
            Self::PermissionDenied { .. } => "permission_denied",
            Self::InvalidKey { .. } => "invalid_key",
            Self::InvalidCheckpoint { .. } => "invalid_checkpoint",
            Self::RangeUnsatisfiable { .. } => "range_unsatisfiable",
            Self::Corrupt { .. } => "corrupt",
            Self::Stopped { .. } => "stopped",
            Self::Sealed { .. } => "sealed",
            Self::Unsuitable { .. } => "unsuitable",
        }
    }

    /// Whether the same call may succeed later without anyone repairing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::NoMemory { .. } | Self::Busy { .. }
        )
    }

    /// Maps an error of the operating system; the only place that does.
    ///
    /// What is not known to be certain is [`Error::Unavailable`]: a caller that tries again in vain
    /// does less harm than one that takes an outage for an absence.
    pub(crate) fn from_io(action: &str, path: &Path, error: io::Error) -> Self {
        let subject = format!("{action} {}", path.display());
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound {
                subject,
                source: Some(error.into()),
            },
            io::ErrorKind::AlreadyExists => Self::AlreadyExists {
                subject,
                source: Some(error.into()),
            },
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::NoSpace {
                subject,
                source: error.into(),
            },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::PermissionDenied {
                    subject,
                    source: error.into(),
                }
            }
            io::ErrorKind::InvalidFilename
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory => Self::InvalidKey {
                key: path.display().to_string(),
                reason: format!("this filesystem refused to {action}"),
                source: Some(error.into()),
            },
            _ => Self::Unavailable {
                subject,
                source: error.into(),
            },
        }
    }

    pub(crate) fn not_found(subject: impl Into<String>) -> Self {
        Self::NotFound {
            subject: subject.into(),
            source: None,
        }
    }

    pub(crate) fn already_exists(subject: impl Into<String>) -> Self {
        Self::AlreadyExists {
            subject: subject.into(),
            source: None,
        }
    }

    pub(crate) fn invalid_key(key: &str, reason: impl Into<String>) -> Self {
        let key = key.chars().take(KEY_CHARACTERS_SHOWN_MAX).collect();
        Self::InvalidKey {
            key,
            reason: reason.into(),
            source: None,
        }
    }

    pub(crate) fn invalid_checkpoint(reason: impl Into<String>) -> Self {
        Self::InvalidCheckpoint {
            reason: reason.into(),
        }
    }

    pub(crate) fn corrupt(subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            subject: subject.into(),
            reason: reason.into(),
        }
    }
}

/// An error with all that lies beneath it, as one text.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn errors_of_the_system_keep_their_meaning_and_source() {
        let table = [
            (Errno::NOENT, "not_found"),
            (Errno::EXIST, "already_exists"),
            (Errno::NOSPC, "no_space"),
            (Errno::DQUOT, "no_space"),
            (Errno::FBIG, "no_space"),
            (Errno::ACCESS, "permission_denied"),
            (Errno::PERM, "permission_denied"),
            (Errno::ROFS, "permission_denied"),
            (Errno::NAMETOOLONG, "invalid_key"),
            (Errno::NOTDIR, "invalid_key"),
            (Errno::IO, "unavailable"),
            (Errno::STALE, "unavailable"),
            (Errno::MFILE, "unavailable"),
            (Errno::TIMEDOUT, "unavailable"),
        ];
        for (errno, expected) in table {
            let error = Error::from_io("open", Path::new("/data/x"), errno.into());
            assert_eq!(error.kind(), expected, "{errno:?}");
            assert!(error.to_string().contains("/data/x"), "{errno:?}: {error}");
            assert!(error.source().is_some(), "{errno:?}");
        }
    }

    #[test]
    fn only_what_may_pass_is_transient() {
        let unavailable = Error::from_io("write", Path::new("/x"), Errno::IO.into());
        let full = Error::from_io("write", Path::new("/x"), Errno::NOSPC.into());
        assert!(unavailable.is_transient());
        assert!(!full.is_transient());
    }

    #[test]
    fn long_keys_are_shortened_in_messages() {
        let error = Error::invalid_key(&"k".repeat(5_000), "too long");
        assert!(error.to_string().len() < 300, "{error}");
    }
}
