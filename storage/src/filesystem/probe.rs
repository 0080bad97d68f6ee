//! Whether a folder can serve as a store: tried when it is opened, asked again by health checks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use uuid::Uuid;

use super::folders;
use crate::error::{Error, Result};

/// Creates the root if it is missing, and tries everything that the driver needs there.
pub(super) fn prepare(root: PathBuf) -> Result<PathBuf> {
    // A later change of the working folder must not move the store.
    let root = std::path::absolute(&root)
        .map_err(|error| Error::from_io("find the storage folder", &root, error))?;
    create(&root)?;
    try_out(&root)?;
    Ok(root)
}

fn create(folder: &Path) -> Result<()> {
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(unsuitable(folder, "the storage folder is a file", None)),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            let reason = "a part of the path to the storage folder is a file";
            return Err(unsuitable(folder, reason, Some(error)));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::from_io("look at the storage folder", folder, error)),
    }
    let Some(parent) = folder.parent() else {
        return Err(unsuitable(folder, "there is no such folder", None));
    };
    create(parent)?;
    match fs::create_dir(folder) {
        Ok(()) => folders::sync(parent),
        // Another node was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let reason = "the storage folder is a symbolic link that leads nowhere";
            Err(unsuitable(folder, reason, Some(error)))
        }
        Err(error) => Err(Error::from_io("create the storage folder", folder, error)),
    }
}

fn try_out(root: &Path) -> Result<()> {
    let name = format!(".roadstead-probe-{}", Uuid::new_v4().simple());
    let (first, second) = (root.join(format!("{name}.partial")), root.join(name));
    let tried = try_file(root, &first, &second);
    if tried.is_err() {
        // Best effort: what is wrong is already told.
        let _ = fs::remove_file(&first);
        let _ = fs::remove_file(&second);
    }
    tried
}

fn try_file(root: &Path, first: &Path, second: &Path) -> Result<()> {
    let failed = |action: &'static str| move |error: io::Error| Error::from_io(action, root, error);
    let mut file = File::create_new(first).map_err(failed("create a file in"))?;
    file.write_all(b"probe")
        .map_err(failed("write a file in"))?;
    file.sync_all().map_err(failed("fsync a file in"))?;
    fs::rename(first, second).map_err(failed("rename a file in"))?;
    folders::sync(root)?;
    fs::remove_file(second).map_err(failed("delete a file in"))
}

/// Asks whether the root is there and can be written. Touches nothing.
pub(super) fn check(root: &Path) -> Result<()> {
    let action = "check the storage folder";
    let found = fs::metadata(root).map_err(|error| Error::Unavailable {
        subject: format!("{action} {}", root.display()),
        source: error.into(),
    })?;
    if !found.is_dir() {
        return Err(unsuitable(root, "the storage folder is a file", None));
    }
    // Also finds a filesystem that the kernel has set to read-only after an error.
    rustix::fs::access(root, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| Error::from_io(action, root, error.into()))
}

fn unsuitable(folder: &Path, reason: &str, error: Option<io::Error>) -> Error {
    Error::Unsuitable {
        subject: folder.display().to_string(),
        reason: reason.to_owned(),
        source: error.map(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn missing_folders_are_created_and_the_probe_leaves_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let root = prepare(scratch.path().join("a/b")).unwrap();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        check(&root).unwrap();
        prepare(root).unwrap();
    }

    #[test]
    fn what_is_no_folder_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("file");
        fs::write(&file, "x").unwrap();
        let dangling = scratch.path().join("link");
        symlink(scratch.path().join("nowhere"), &dangling).unwrap();
        let table = [
            (file.clone(), "is a file"),
            (file.join("below"), "part of the path"),
            (dangling, "leads nowhere"),
        ];
        for (root, reason) in table {
            let error = prepare(root.clone()).unwrap_err();
            assert_eq!(error.kind(), "unsuitable", "{error}");
            assert!(error.to_string().contains(reason), "{error}");
            assert!(
                error.to_string().contains(&root.display().to_string()),
                "{error}"
            );
        }
    }

    #[test]
    fn folder_that_may_not_be_written_is_named() {
        // sysfs refuses new folders even to root, so this needs no other user.
        let root = Path::new("/sys/kernel/roadstead");
        let error = prepare(root.to_path_buf()).unwrap_err();
        assert_eq!(error.kind(), "permission_denied", "{error:?}");
        assert!(
            error.to_string().contains("/sys/kernel/roadstead"),
            "{error}"
        );
    }

    #[test]
    fn missing_root_is_unhealthy() {
        let scratch = tempfile::tempdir().unwrap();
        let error = check(&scratch.path().join("gone")).unwrap_err();
        assert_eq!(error.kind(), "unavailable");
    }
}
