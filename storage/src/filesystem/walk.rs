//! Listing: walks the folders lazily, a page of entries for each hop to the blocking pool.
//!
//! It keeps one open folder for each level, and one page. It does not sort.

use std::fs::{self, DirEntry, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::blocking;
use super::layout::{self, Layout};
use crate::error::{Error, Result};
use crate::limits::PAGE_ENTRIES;
use crate::path::ObjectKey;
use crate::store::ObjectInfo;

type Page = Vec<Result<ObjectInfo>>;

/// Everything whose key begins with the prefix.
pub(super) fn list(layout: &Layout, prefix: &str) -> BoxStream<'static, Result<ObjectInfo>> {
    let walk = Walk {
        root: layout.root().to_path_buf(),
        prefix: prefix.to_owned(),
        levels: Vec::new(),
        state: State::New,
    };
    stream::unfold(Some(walk), |walk| async move {
        let walk = walk?;
        match blocking::run("list", move || Ok(walk.page())).await {
            Ok((page, walk)) => Some((page, walk)),
            Err(error) => Some((vec![Err(error)], None)),
        }
    })
    .flat_map(stream::iter)
    .boxed()
}

#[derive(Debug)]
struct Walk {
    root: PathBuf,
    prefix: String,
    levels: Vec<Level>,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    New,
    Walking,
}

/// An open folder.
#[derive(Debug)]
struct Level {
    entries: ReadDir,
    path: PathBuf,
    /// Its path relative to the root, with a slash at the end unless it is the root.
    relative: String,
}

impl Walk {
    /// The next page, and the walk if there may be more.
    fn page(mut self) -> (Page, Option<Self>) {
        let mut page = Vec::new();
        if self.state == State::New {
            self.state = State::Walking;
            if let Err(error) = self.enter_first() {
                return (vec![Err(error)], None);
            }
        }
        while page.len() < PAGE_ENTRIES {
            let Some(level) = self.levels.last_mut() else {
                return (page, None);
            };
            match level.entries.next() {
                None => {
                    self.levels.pop();
                }
                Some(Ok(entry)) => page.extend(self.visit(&entry).transpose()),
                Some(Err(error)) => {
                    // The rest of this folder cannot be read; what lies elsewhere can.
                    page.push(Err(Error::from_io("list", &level.path, error)));
                    self.levels.pop();
                }
            }
        }
        (page, Some(self))
    }

    /// Enters the deepest folder that holds everything with the prefix.
    fn enter_first(&mut self) -> Result<()> {
        let relative = match self.prefix.rfind('/') {
            None => "",
            // Checked like a key, so that a prefix cannot lead out of the root.
            Some(slash) => {
                ObjectKey::parse(&self.prefix[..slash])?;
                &self.prefix[..=slash]
            }
        };
        let (path, relative) = (self.root.join(relative), relative.to_owned());
        match fs::read_dir(&path) {
            Ok(entries) => {
                self.levels.push(Level {
                    entries,
                    path,
                    relative,
                });
                Ok(())
            }
            Err(error) if is_absent(&error) && self.root.is_dir() => Ok(()),
            // Without the root nothing is known about what is stored.
            Err(error) if is_absent(&error) => Err(Error::Unavailable {
                subject: format!("list {}", self.root.display()),
                source: error.into(),
            }),
            Err(error) => Err(Error::from_io("list", &path, error)),
        }
    }

    /// What an entry stands for. A folder is entered and stands for nothing itself.
    fn visit(&mut self, entry: &DirEntry) -> Result<Option<ObjectInfo>> {
        let path = entry.path();
        let parent = self
            .levels
            .last()
            .map_or("", |level| level.relative.as_str());
        let name = entry.file_name();
        let relative = format!("{parent}{}", name.to_string_lossy());
        if !relative.starts_with(&self.prefix) {
            return Ok(None);
        }
        if name.to_str().is_none() {
            return Err(Error::invalid_key(
                &relative,
                "a file name that is not UTF-8",
            ));
        }
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) if is_absent(&error) => return moved(&path, &relative),
            Err(error) => return Err(Error::from_io("list", &path, error)),
        };
        if kind.is_dir() {
            return self.enter(path, relative);
        }
        match fs::metadata(&path) {
            Ok(found) if found.is_file() => info(&relative, found.len()),
            // Entering a link to a folder might never end.
            Ok(_) => Err(Error::invalid_key(&relative, "neither a file nor a folder")),
            Err(error) if is_absent(&error) && kind.is_symlink() => Err(Error::invalid_key(
                &relative,
                "a symbolic link that leads nowhere",
            )),
            Err(error) if is_absent(&error) => moved(&path, &relative),
            Err(error) => Err(Error::from_io("list", &path, error)),
        }
    }

    fn enter(&mut self, path: PathBuf, relative: String) -> Result<Option<ObjectInfo>> {
        // No key can lie below a folder that is not one itself; this also bounds the depth.
        ObjectKey::parse(&relative)?;
        match fs::read_dir(&path) {
            Ok(entries) => {
                self.levels.push(Level {
                    entries,
                    path,
                    relative: relative + "/",
                });
                Ok(None)
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(Error::from_io("list", &path, error)),
        }
    }
}

/// A file that is gone since its name was read: deleted, or an unfinished write that was finished
/// in between, whose new name the walk may have missed.
fn moved(path: &Path, relative: &str) -> Result<Option<ObjectInfo>> {
    let (key, unfinished) = layout::meaning(relative)?;
    if !unfinished {
        return Ok(None);
    }
    let object = path.with_extension("");
    match fs::metadata(&object) {
        Ok(found) => Ok(Some(ObjectInfo {
            key,
            size: found.len(),
            unfinished: false,
        })),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::from_io("list", &object, error)),
    }
}

fn info(relative: &str, size: u64) -> Result<Option<ObjectInfo>> {
    let (key, unfinished) = layout::meaning(relative)?;
    Ok(Some(ObjectInfo {
        key,
        size,
        unfinished,
    }))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_that_finishes_during_the_walk_is_listed() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.b"), "bytes").unwrap();
        let found = moved(&root.path().join("a.b.partial"), "a.b.partial")
            .unwrap()
            .unwrap();
        assert_eq!(
            (found.key.as_str(), found.size, found.unfinished),
            ("a.b", 5, false)
        );
    }

    #[test]
    fn file_that_is_deleted_during_the_walk_is_not() {
        let root = tempfile::tempdir().unwrap();
        for name in ["gone", "gone.partial"] {
            assert_eq!(moved(&root.path().join(name), name).unwrap(), None);
        }
    }
}
