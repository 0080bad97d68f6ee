//! Folders that survive the loss of power, and files that are replaced in one step.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use roadstead_crash::{Point, point};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::limits::KNOWN_FOLDERS_MAX;

/// The folders below the root that are known to be durable.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    durable: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            durable: Mutex::default(),
        }
    }

    /// Makes sure that the folder exists and will still exist after a loss of power.
    pub(super) fn ensure(&self, folder: &Path) -> Result<()> {
        if folder == self.root || self.durable().contains(folder) {
            return Ok(());
        }
        let Some(parent) = folder.parent() else {
            return Ok(());
        };
        self.ensure(parent)?;
        match fs::create_dir(folder) {
            Ok(()) => {}
            // Whoever created it may not have come to the fsync yet, so it is done here too: once
            // for each folder and process.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(vanished("create the folder", folder, error)),
        }
        sync(parent)?;
        let mut durable = self.durable();
        if durable.len() >= KNOWN_FOLDERS_MAX {
            durable.clear();
        }
        durable.insert(folder.to_path_buf());
        Ok(())
    }

    /// Opens a file that does not exist yet, with the folders on the way to it.
    pub(super) fn create_file(&self, path: &Path) -> Result<File> {
        let folder = path.parent().unwrap_or(&self.root);
        self.ensure(folder)?;
        match create_new(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Somebody removed a folder that was known.
                self.durable().clear();
                self.ensure(folder)?;
                create_new(path)
            }
            result => result,
        }
        .map_err(|error| vanished("create", path, error))
    }

    /// Puts the text in the place of the file: a reader sees the old or the new one.
    pub(super) fn replace(&self, path: &Path, text: &[u8]) -> Result<()> {
        let mut temporary = path.as_os_str().to_os_string();
        // Random, because several nodes may write at once, each its own file.
        temporary.push(format!(".{}.partial", Uuid::new_v4().simple()));
        let temporary = PathBuf::from(temporary);
        let mut file = self.create_file(&temporary)?;
        let written = file
            .write_all(text)
            .and_then(|()| file.sync_all())
            .and_then(|()| {
                point(Point::MarkerRename);
                fs::rename(&temporary, path)
            });
        if let Err(error) = written {
            // Best effort: the listing shows what remains.
            let _ = fs::remove_file(&temporary);
            return Err(vanished("write", path, error));
        }
        point(Point::MarkerRenamed);
        sync(path.parent().unwrap_or(&self.root))
    }

    // A panic elsewhere leaves the set whole: every change is a single step.
    fn durable(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
}

/// Makes the names in a folder durable.
pub(super) fn sync(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|opened| opened.sync_all())
        .map_err(|error| vanished("fsync the folder", folder, error))
}

/// Maps an error of an action for which nothing had to be there but the root: if that is gone, it
/// was unmounted, and nothing is known about what is stored.
fn vanished(action: &str, path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        let subject = format!("{action} {}", path.display());
        return Error::Unavailable {
            subject,
            source: error.into(),
        };
    }
    Error::from_io(action, path, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_folder_is_made_again() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::new(root.path());
        let path = root.path().join("a/b/c");
        drop(folders.create_file(&path).unwrap());
        fs::remove_dir_all(root.path().join("a")).unwrap();
        assert!(folders.create_file(&path).is_ok());
    }

    #[test]
    fn missing_root_is_unavailable() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::new(&root.path().join("gone"));
        let error = folders
            .create_file(&root.path().join("gone/a"))
            .unwrap_err();
        assert_eq!(error.kind(), "unavailable");
    }

    #[test]
    fn known_folders_are_bounded() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::new(root.path());
        for name in 0..KNOWN_FOLDERS_MAX {
            folders.durable().insert(root.path().join(name.to_string()));
        }
        folders.ensure(&root.path().join("a")).unwrap();
        assert_eq!(folders.durable().len(), 1);
    }
}
