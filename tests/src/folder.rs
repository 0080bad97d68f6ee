//! Looking at a data folder from outside: which objects lie there, and whether anything changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use roadstead_proto::{Algorithm, Digest};

/// Below the root of a store: everything that uploads write.
const OBJECTS: &str = "roadstead/v1/objects";

/// Below the root of a store: whose it is.
pub const MARKER: &str = "roadstead/v1/cluster";

/// Ends the name of a write that is not finished.
const PARTIAL: &str = "partial";

/// How many objects lie in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Whole ones.
    pub finished: usize,
    /// Writes that are not finished.
    pub partial: usize,
}

/// Counts the objects of the store below `root`.
pub fn objects(root: &Path) -> Objects {
    let mut objects = Objects::default();
    for path in files(&root.join(OBJECTS)) {
        if path.extension().is_some_and(|ending| ending == PARTIAL) {
            objects.partial += 1;
        } else {
            objects.finished += 1;
        }
    }
    objects
}

/// The digest of every whole object of the store below `root`, read and hashed.
pub fn digests(root: &Path) -> Vec<(PathBuf, Digest)> {
    let paths = files(&root.join(OBJECTS)).into_iter();
    let whole = paths.filter(|path| path.extension().is_none_or(|ending| ending != PARTIAL));
    let hashed = whole.filter_map(|path| {
        let content = fs::read(&path).ok()?;
        Some((path, Algorithm::Sha256.digest(&content)))
    });
    hashed.collect()
}

/// The content of every file, by its path: two snapshots are equal when nothing changed.
///
/// What a database writes about its own doings (`LOG`) is left out, and so are files that only
/// serve as locks.
pub fn snapshot(root: &Path) -> BTreeMap<PathBuf, String> {
    let is_data = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !(name.starts_with("LOG") || name.eq_ignore_ascii_case("lock"))
    };
    let describe = |path: PathBuf| {
        let content = fs::read(&path).unwrap_or_default();
        let digest = Algorithm::Sha256.digest(&content).to_string();
        (path, digest)
    };
    files(root)
        .into_iter()
        .filter(is_data)
        .map(describe)
        .collect()
}

/// Every file below a folder. A file that goes while this looks is left out.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => panic!("cannot list {}: {error}", folder.display()),
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_whole_objects_and_unfinished_writes() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(OBJECTS).join("3f");
        fs::create_dir_all(&folder).unwrap();
        for name in ["3f01", "3f02", "3f03.partial"] {
            fs::write(folder.join(name), name).unwrap();
        }
        fs::write(root.path().join("other"), "").unwrap();
        let expected = Objects {
            finished: 2,
            partial: 1,
        };
        assert_eq!(objects(root.path()), expected);
        let found = digests(root.path()).into_iter().map(|(_, digest)| digest);
        let written = ["3f01", "3f02"].map(|name| Algorithm::Sha256.digest(name.as_bytes()));
        assert_eq!(found.collect::<Vec<_>>(), written);
    }

    #[test]
    fn snapshot_shows_every_change_but_locks_and_logs() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a");
        fs::write(&file, "one").unwrap();
        let before = snapshot(root.path());
        fs::write(root.path().join("LOG"), "x").unwrap();
        fs::write(root.path().join("lock"), "").unwrap();
        assert_eq!(snapshot(root.path()), before);
        fs::write(&file, "two").unwrap();
        assert_ne!(snapshot(root.path()), before);
    }
}
