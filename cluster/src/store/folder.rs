//! Folders and files that must survive a crash: made, linked, renamed and synced.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use roadstead_crash::{Point, point};

/// Makes a folder and its parents, and syncs the parent of each so that the names stay.
pub(crate) fn create(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        create(parent)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_parent(folder),
    }
}

/// Replaces a small file whole: a reader after a crash sees the old or the new content.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    point(Point::FileRename);
    fs::rename(&fresh, path)?;
    point(Point::FileRenamed);
    sync_parent(path)
}

/// Syncs a folder: the names in it stay.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Syncs the folder that holds `path`, so that its name stays.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync(parent),
        _ => sync(Path::new(".")),
    }
}

/// Syncs every file of a folder, and the folder.
pub(crate) fn sync_files(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        File::open(entry?.path())?.sync_all()?;
    }
    sync(folder)
}

/// Copies a closed RocksDB: tables are never changed, so that they are linked where the file
/// system can; everything else is copied.
pub(crate) fn copy_database(source: &Path, target: &Path) -> io::Result<()> {
    create(target)?;
    for entry in fs::read_dir(source)? {
        let from = entry?.path();
        let Some(name) = from.file_name() else {
            continue;
        };
        let to = target.join(name);
        let is_table = from.extension().is_some_and(|extension| extension == "sst");
        if !is_table || fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to)?;
        }
    }
    sync_files(target)
}

/// Removes a folder with everything in it, if it is there.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
