//! Whether there is room for more: the free space of the file systems that the node writes to.
//!
//! Pushes end before a disk is full, so that what is left serves the databases, and deletes, by
//! which an operator makes room. It counts no bytes of its own, and it does not make the disk
//! larger: what others write to it can still fill it. Invariant: asking costs one load, since a
//! thread of its own looks, and a file system that hangs holds up nobody.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use rustix::fs::statvfs;

use crate::config::Reserve;
use crate::error::RegistryError;
use crate::limits::SPACE_LOOK;

/// The free space of the folders of a node. Clones share it; the looking ends with the last one.
#[derive(Clone, Debug)]
pub struct Space {
    seen: Arc<Seen>,
    // The thread ends when nobody holds the other end.
    _looking: Option<mpsc::SyncSender<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    is_short: AtomicBool,
    // Invariant: there exactly when `is_short`.
    shortage: Mutex<Option<Shortage>>,
}

/// A file system with less free space than is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    folder: PathBuf,
    free: u64,
    reserve: u64,
}

impl Space {
    /// Looks once, then goes on looking at the folders' file systems.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn watch(folders: Vec<PathBuf>, reserve: Reserve) -> std::io::Result<Self> {
        let seen = Arc::new(Seen::default());
        if reserve == Reserve::Bytes(0) || folders.is_empty() {
            return Ok(Self {
                seen,
                _looking: None,
            });
        }
        seen.set(shortage(&folders, reserve, false));
        // Nothing is ever sent: that the channel closes is the message.
        let (looking, ended) = mpsc::sync_channel::<()>(0);
        let found = Arc::clone(&seen);
        thread::Builder::new()
            .name("space".to_owned())
            .spawn(move || {
                while ended.recv_timeout(SPACE_LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
                    let is_short = found.is_short.load(Ordering::Relaxed);
                    found.set(shortage(&folders, reserve, is_short));
                }
            })?;
        Ok(Self {
            seen,
            _looking: Some(looking),
        })
    }

    /// Whether more may be taken in.
    ///
    /// # Errors
    /// [`RegistryError::Short`], with what is short.
    pub fn check(&self) -> Result<(), RegistryError> {
        if !self.seen.is_short.load(Ordering::Relaxed) {
            return Ok(());
        }
        let shortage = self.seen.shortage.lock();
        match shortage.unwrap_or_else(PoisonError::into_inner).clone() {
            Some(shortage) => Err(RegistryError::Short(shortage)),
            None => Ok(()),
        }
    }
}

impl Seen {
    /// Remembers what is short, and says so when it begins and when it ends.
    fn set(&self, found: Option<Shortage>) {
        let mut shortage = self.shortage.lock().unwrap_or_else(PoisonError::into_inner);
        let was_short = self.is_short.swap(found.is_some(), Ordering::Relaxed);
        match (&found, was_short) {
            (Some(shortage), false) => tracing::error!(
                folder = %shortage.folder.display(),
                "{shortage}; pushes are refused until there is room: delete what is not needed, \
                 enlarge the file system, or lower `storage.reserve`"
            ),
            (None, true) => tracing::info!("there is room again: pushes are taken"),
            (Some(_), true) | (None, false) => {}
        }
        *shortage = found;
    }
}

impl fmt::Display for Shortage {
    // Clients see this: it does not name the folder.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "only {} MiB are free on a disk of the registry, and {} MiB are kept in reserve",
            self.free >> 20,
            self.reserve >> 20
        )
    }
}

fn shortage(folders: &[PathBuf], reserve: Reserve, was_short: bool) -> Option<Shortage> {
    let mut folders = folders.iter();
    folders.find_map(|folder| shortage_of(folder, reserve, was_short))
}

/// A file system that does not answer is not short: whoever writes to it will see what is wrong.
/// One that was short must have a little more than the reserve, so that pushes do not come and go.
fn shortage_of(folder: &Path, reserve: Reserve, was_short: bool) -> Option<Shortage> {
    let found = statvfs(folder).ok()?;
    // What this user may take, which is less than what is free where root has a share of its own.
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let reserve = reserve.of(found.f_blocks.saturating_mul(found.f_frsize));
    let reserve = if was_short {
        reserve.saturating_add(reserve / 16)
    } else {
        reserve
    };
    (free < reserve).then(|| Shortage {
        folder: folder.to_owned(),
        free,
        reserve,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_less_than_the_reserve_is_short() {
        let folder = tempfile::tempdir().unwrap();
        let folders = vec![folder.path().to_owned()];
        let space = Space::watch(folders.clone(), Reserve::Bytes(u64::MAX)).unwrap();
        let error = space.check().unwrap_err().to_string();
        assert!(error.contains("kept in reserve"), "{error}");
        assert!(
            !error.contains(&folder.path().display().to_string()),
            "{error}"
        );
        for reserve in [Reserve::Bytes(0), Reserve::Bytes(1), Reserve::Percent(0)] {
            let space = Space::watch(folders.clone(), reserve).unwrap();
            space.check().unwrap();
        }
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_short() {
        let missing = vec![PathBuf::from("/nowhere/at/all")];
        let space = Space::watch(missing, Reserve::Bytes(u64::MAX)).unwrap();
        space.check().unwrap();
    }
}
