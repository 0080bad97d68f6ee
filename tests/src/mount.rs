//! `Mount`: a small file system of a test's own, which can be full, or stand still.
//!
//! It needs root. Invariant: it is unmounted when the value goes, and thawed when its `Frozen`
//! does.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Where programs for root lie, which need not be in the `PATH` of whoever runs the tests;
/// `deploy/setup` looks there as well.
const FOLDERS_OF_ROOT: [&str; 2] = ["/usr/sbin", "/sbin"];

/// A mounted file system.
#[derive(Debug)]
pub struct Mount {
    folder: TempDir,
}

/// A file system that stands still until this goes.
///
/// A process that writes to it cannot even be killed, so this has to go before whoever waits for
/// such a process: declare it after the registry.
#[derive(Debug)]
#[must_use = "it is thawed when this goes"]
pub struct Frozen {
    // `None` when it is thawed.
    path: Option<PathBuf>,
}

impl Mount {
    /// In memory, of so many bytes.
    ///
    /// # Panics
    /// When this user may not mount.
    #[track_caller]
    pub fn memory(bytes: u64) -> Self {
        let mount = Self::empty();
        let size = format!("size={bytes},mode=0755");
        run(
            "mount",
            &["-t", "tmpfs", "-o", &size, "roadstead-test"],
            mount.path(),
        );
        mount
    }

    /// An ext4 in a file, of so many bytes, which can be frozen.
    ///
    /// # Panics
    /// When this user may not mount, or there are no loop devices.
    #[track_caller]
    pub fn ext4(bytes: u64) -> Self {
        let mount = Self::empty();
        let image = mount.folder.path().join("image");
        let file = File::create(&image).and_then(|file| file.set_len(bytes));
        file.expect("an image can be made");
        run("mkfs.ext4", &["-q", "-F"], &image);
        let image = image.display().to_string();
        run("mount", &["-o", "loop", &image], mount.path());
        mount
    }

    fn empty() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("roadstead-mount-")
            .tempdir()
            .expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("mounted")).expect("a folder can be made");
        Self { folder }
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    /// From now on whoever writes to it waits.
    #[track_caller]
    pub fn freeze(&self) -> Frozen {
        run("fsfreeze", &["--freeze"], self.path());
        Frozen {
            path: Some(self.path()),
        }
    }

    /// Fills it with a file until no byte more fits, and returns that file.
    #[track_caller]
    pub fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::create(&path).expect("the filler can be made");
        let mut piece = vec![b'x'; 1 << 20];
        while !piece.is_empty() {
            // A piece that does not fit any more may still do so by half.
            if std::io::Write::write_all(&mut file, &piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
        path
    }
}

impl Frozen {
    /// Lets writers go on.
    #[track_caller]
    pub fn thaw(mut self) {
        if let Some(path) = self.path.take() {
            run("fsfreeze", &["--unfreeze"], path);
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = command("fsfreeze").arg("--unfreeze").arg(path).status();
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a process that the test leaves behind must not keep it.
        let _ = command("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// A program of the system, wherever it keeps those for root.
pub(crate) fn command(program: &str) -> Command {
    let path = env::var_os("PATH").unwrap_or_default();
    let of_root = FOLDERS_OF_ROOT.iter().map(PathBuf::from);
    let folders = env::split_paths(&path).chain(of_root);
    let path = env::join_paths(folders).expect("no folder of PATH has a colon");
    let mut command = Command::new(program);
    command.env("PATH", path);
    command
}

#[track_caller]
fn run(program: &str, arguments: &[&str], last: impl AsRef<Path>) {
    let last = last.as_ref();
    let ran = command(program).args(arguments).arg(last).output();
    let ran = ran.unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
    assert!(
        ran.status.success(),
        "{program} {arguments:?} {}: {} (it needs root)",
        last.display(),
        String::from_utf8_lossy(&ran.stderr)
    );
}
