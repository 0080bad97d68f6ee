//! Who this data folder is: a random instance id, bound to a node id, in a versioned file.
//!
//! The folder is locked for as long as the value lives.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use crate::error::OpenError;
use crate::store::folder;

/// The format of the whole data folder. Raised when an older version could not read it.
const FORMAT: u64 = 1;

const FILE: &str = "identity";
const LOCK: &str = "lock";

const WRITE_HINT: &str = "check that it exists or can be made, and that this user may write there";

/// The first node of a cluster. Others get their id from the cluster that they join.
pub(crate) const FIRST_NODE: u64 = 1;

/// The identity of a node's data folder.
#[derive(Debug)]
pub struct Identity {
    /// Random, made with the folder; a wiped folder has another one.
    pub instance: Uuid,
    /// The node's id in its cluster, never reused; 0 until it is of one.
    pub node: u64,
    // Whether a vote was kept in the folder: then a log without one was lost.
    has_begun: AtomicBool,
    datadir: PathBuf,
    // Held open: the lock ends with the process, however it ends.
    _lock: File,
}

impl Identity {
    /// Whether `datadir` holds nothing of a node yet.
    pub(crate) fn is_fresh(datadir: &Path) -> bool {
        [FILE, "log", "state"]
            .iter()
            .all(|name| !datadir.join(name).exists())
    }

    /// Locks `datadir` and reads the identity in it; makes both when they are absent.
    pub(crate) fn open(datadir: &Path) -> Result<Self, OpenError> {
        let failed = |path: &Path, hint| {
            let path = path.to_owned();
            move |source| OpenError::Folder { path, hint, source }
        };
        let hint = WRITE_HINT;
        folder::create(datadir).map_err(failed(datadir, hint))?;
        let lock = lock(datadir)?;
        let path = datadir.join(FILE);
        let (instance, node, has_begun) = match fs::read_to_string(&path) {
            Ok(text) => parse(datadir, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                refuse_stray_data(datadir)?;
                let instance = Uuid::new_v4();
                write(datadir, instance, 0, false)?;
                (instance, 0, false)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(corrupt(datadir, "its file `identity` is not text"));
            }
            Err(error) => return Err(failed(&path, hint)(error)),
        };
        Ok(Self {
            instance,
            node,
            has_begun: AtomicBool::new(has_begun),
            datadir: datadir.to_owned(),
            _lock: lock,
        })
    }

    /// Binds the folder to the id that the cluster gave.
    pub(crate) fn settle(&mut self, node: u64) -> Result<(), OpenError> {
        write(&self.datadir, self.instance, node, self.has_begun())?;
        self.node = node;
        Ok(())
    }

    /// Whether a log without a vote was lost.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// Says that there is a vote from now on, whose loss would be noticed. It is on disk already.
    pub(crate) fn begin(&self) -> Result<(), OpenError> {
        if !self.has_begun() {
            write(&self.datadir, self.instance, self.node, true)?;
            self.has_begun.store(true, Ordering::Release);
        }
        Ok(())
    }
}

fn write(datadir: &Path, instance: Uuid, node: u64, has_begun: bool) -> Result<(), OpenError> {
    let path = datadir.join(FILE);
    // A folder of an earlier version has no such line, and gets it at the next start.
    let begun = if has_begun { "begun yes\n" } else { "" };
    let text = format!("format {FORMAT}\ninstance {instance}\nnode {node}\n{begun}");
    folder::replace_file(&path, text.as_bytes()).map_err(|source| OpenError::Folder {
        path,
        hint: WRITE_HINT,
        source,
    })
}

fn lock(datadir: &Path) -> Result<File, OpenError> {
    let path = datadir.join(LOCK);
    let hint = "check that this user may write there, and that the file system is not read-only";
    let failed = |source| OpenError::Folder {
        path: path.clone(),
        hint,
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(datadir.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// A folder with databases but no identity is not ours to begin anew in.
fn refuse_stray_data(datadir: &Path) -> Result<(), OpenError> {
    for name in ["log", "state"] {
        if datadir.join(name).exists() {
            return Err(corrupt(
                datadir,
                "it holds metadata but its file `identity` is gone",
            ));
        }
    }
    Ok(())
}

fn corrupt(datadir: &Path, reason: &str) -> OpenError {
    OpenError::Corrupt {
        path: datadir.to_owned(),
        reason: reason.to_owned(),
    }
}

fn parse(datadir: &Path, text: &str) -> Result<(Uuid, u64, bool), OpenError> {
    let field = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    };
    let damaged = || corrupt(datadir, "its file `identity` cannot be read");
    let found: u64 = field("format")
        .and_then(|text| text.parse().ok())
        .ok_or_else(damaged)?;
    if found > FORMAT {
        let path = datadir.to_owned();
        return Err(OpenError::NewerFormat {
            path,
            found,
            supported: FORMAT,
        });
    }
    let instance = field("instance").and_then(|text| Uuid::try_parse(text).ok());
    let node = field("node").and_then(|text| text.parse().ok());
    let has_begun = field("begun") == Some("yes");
    let known = instance.zip(node).ok_or_else(damaged);
    known.map(|(instance, node)| (instance, node, has_begun))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_the_same_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let first = Identity::open(folder.path()).unwrap();
        let instance = first.instance;
        drop(first);
        assert_eq!(Identity::open(folder.path()).unwrap().instance, instance);
    }

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Identity::open(folder.path()).unwrap();
        assert!(matches!(
            Identity::open(folder.path()),
            Err(OpenError::Locked(_))
        ));
    }

    #[test]
    fn refuses_what_it_cannot_trust() {
        for (text, expected) in [
            ("format 2\ninstance x\nnode 1\n", "start a newer version"),
            ("format x", "damaged"),
            ("", "damaged"),
            ("format 1\ninstance nonsense\nnode 1\n", "damaged"),
            ("format 1\nnode 1\n", "damaged"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(FILE), text).unwrap();
            let error = Identity::open(folder.path()).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn does_not_begin_anew_beside_old_data() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        assert!(matches!(
            Identity::open(folder.path()),
            Err(OpenError::Corrupt { .. })
        ));
    }
}
