//! Which file holds what, and what a file name stands for.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::path::ObjectKey;

/// Ends the name of an unfinished write, and therefore no key.
const PARTIAL_SUFFIX: &str = ".partial";

/// The root folder, and where each key lies below it.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

/// The two files of a key.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub(super) object: PathBuf,
    pub(super) partial: PathBuf,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// # Errors
    ///
    /// [`Error::InvalidKey`] for a key that would be taken for an unfinished write.
    pub(super) fn paths(&self, key: &ObjectKey) -> Result<Paths> {
        if key.as_str().ends_with(PARTIAL_SUFFIX) {
            let reason = format!("{PARTIAL_SUFFIX} ends the names of unfinished writes");
            return Err(Error::invalid_key(key.as_str(), reason));
        }
        let object = self.root.join(key.as_str());
        let partial = self.root.join(format!("{key}{PARTIAL_SUFFIX}"));
        Ok(Paths { object, partial })
    }
}

/// The key that a file stands for, and whether it is an unfinished write. Takes the path of the
/// file relative to the root.
pub(super) fn meaning(relative: &str) -> Result<(ObjectKey, bool)> {
    match relative.strip_suffix(PARTIAL_SUFFIX) {
        Some(key) => Ok((ObjectKey::parse(key)?, true)),
        None => Ok((ObjectKey::parse(relative)?, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_they_are_given_for() {
        let layout = Layout::new(Path::new("/store"));
        let key = ObjectKey::parse("a/b.c").unwrap();
        let paths = layout.paths(&key).unwrap();
        assert_eq!(paths.object, Path::new("/store/a/b.c"));
        assert_eq!(paths.partial, Path::new("/store/a/b.c.partial"));
        assert_eq!(meaning("a/b.c").unwrap(), (key.clone(), false));
        assert_eq!(meaning("a/b.c.partial").unwrap(), (key, true));
    }

    #[test]
    fn key_with_the_suffix_of_unfinished_writes_is_refused() {
        let layout = Layout::new(Path::new("/store"));
        let key = ObjectKey::parse("a/b.partial").unwrap();
        assert_eq!(layout.paths(&key).unwrap_err().kind(), "invalid_key");
    }

    #[test]
    fn suffix_alone_is_no_key() {
        assert_eq!(meaning(".partial").unwrap_err().kind(), "invalid_key");
        assert_eq!(meaning("a/.partial").unwrap_err().kind(), "invalid_key");
    }
}
