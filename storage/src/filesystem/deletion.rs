//! Removing files of many keys with one fsync for each folder. Runs on the blocking pool.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use roadstead_crash::{Point, point};

use super::folders;
use super::layout::Paths;
use crate::error::{Error, Result};

/// Removes both files of each key. One result for each, in the same order.
pub(super) fn delete(keys: Vec<Result<Paths>>) -> Vec<Result<()>> {
    remove_each(keys, |paths| {
        // Both are tried. First the unfinished write: a writer that is about to finish then
        // either finds it gone, or has made the object, which goes next.
        let partial = remove(&paths.partial);
        let object = remove(&paths.object);
        Ok(partial? | object?)
    })
}

/// Removes the unfinished write of each key, likewise.
pub(super) fn discard_unfinished(keys: Vec<Result<Paths>>) -> Vec<Result<()>> {
    remove_each(keys, |paths| remove(&paths.partial))
}

/// Removes files of each key, and then makes it durable that they are gone.
fn remove_each(
    keys: Vec<Result<Paths>>,
    remove: impl Fn(&Paths) -> Result<bool>,
) -> Vec<Result<()>> {
    let mut changed: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    let mut results = Vec::with_capacity(keys.len());
    for (index, paths) in keys.into_iter().enumerate() {
        let removed = paths.and_then(|paths| {
            point(Point::ObjectDelete);
            let removed = remove(&paths);
            point(Point::ObjectDeleted);
            if removed? {
                let folder = paths.object.parent().unwrap_or(&paths.object);
                changed.entry(folder.to_path_buf()).or_default().push(index);
            }
            Ok(())
        });
        results.push(removed);
    }
    for (folder, indexes) in changed {
        for index in indexes {
            // Once for the folder if it succeeds; an error is made anew for each key.
            match folders::sync(&folder) {
                Ok(()) => break,
                Err(error) => results[index] = Err(error),
            }
        }
    }
    results
}

/// Whether there was something to remove.
fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            // A folder, or a name below a file, is no object: it is absent.
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory => Ok(false),
            _ => Err(Error::from_io("delete", path, error)),
        },
    }
}
