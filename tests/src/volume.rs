//! `Volume`: a folder on a file system that forgets what was not fsynced (`tests/volatile`).
//!
//! Invariant: it is unmounted when the value goes, or when the test's process is gone.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;

use tempfile::TempDir;

use crate::mount;
use crate::process::built;
use crate::wait::{self, LONG};

/// Each command is answered before the next one.
const ANSWERS_WAITING: usize = 1;

/// A mounted file system.
#[derive(Debug)]
pub struct Volume {
    folder: TempDir,
    // `None` only while it is being dropped: the end of its input ends the process.
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
    process: Child,
}

impl Volume {
    /// Mounts an empty one.
    ///
    /// # Panics
    /// When there is no FUSE here, or it may not be used.
    pub fn mount() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("roadstead-volume-")
            .tempdir()
            .expect("a temporary folder can be made");
        let mut process = Command::new(built("roadstead-volatile"))
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the file system can be started");
        let commands = process.stdin.take();
        let output = process.stdout.take().expect("its output is a pipe");
        let (sender, answers) = sync_channel(ANSWERS_WAITING);
        // A pipe cannot be read with a deadline. It ends with the process.
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for line in lines {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut volume = Self {
            folder,
            commands,
            answers,
            process,
        };
        let answer = volume.answer();
        assert_eq!(
            answer, "ok",
            "FUSE is needed: /dev/fuse, and to be root or to have fusermount3"
        );
        volume
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A loss of power that takes everything that was not fsynced. Nobody may use the volume.
    #[track_caller]
    pub fn lose_everything(&mut self) {
        self.command("lose everything");
    }

    /// A loss of power that takes a part of it, which the seed decides.
    #[track_caller]
    pub fn lose_some(&mut self, seed: u64) {
        self.command(&format!("lose some {seed}"));
    }

    /// From now on an fsync of a file, or of a folder, does nothing if its path below the volume
    /// fits the pattern, in which `*` is any text.
    #[track_caller]
    pub fn ignore(&mut self, kind: &str, pattern: &str) {
        self.command(&format!("ignore {kind} {pattern}"));
    }

    /// How many were ignored.
    #[track_caller]
    pub fn ignored(&mut self) -> u64 {
        let answer = self.command("ignored");
        let number = answer
            .strip_prefix("ok ")
            .and_then(|text| text.parse().ok());
        number.unwrap_or_else(|| panic!("the volume says {answer:?}"))
    }

    #[track_caller]
    fn command(&mut self, line: &str) -> String {
        let commands = self.commands.as_mut().expect("it is mounted");
        let sent = writeln!(commands, "{line}").and_then(|()| commands.flush());
        sent.expect("the file system listens");
        let answer = self.answer();
        assert!(answer.starts_with("ok"), "{line}: {answer}");
        answer
    }

    #[track_caller]
    fn answer(&mut self) -> String {
        match self.answers.recv_timeout(LONG) {
            Ok(line) => line.trim_end().to_owned(),
            Err(RecvTimeoutError::Disconnected) => "nothing: it has ended".to_owned(),
            Err(RecvTimeoutError::Timeout) => {
                // Whoever waits for the file system gets an error then, and can be ended too.
                let _ = self.process.kill();
                panic!("the file system does not answer in {LONG:?}");
            }
        }
    }

    fn has_ended(&mut self) -> bool {
        wait::poll(LONG, || self.process.try_wait().ok().flatten()).is_some()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        drop(self.commands.take());
        // It unmounts and ends, unless it hangs or was killed.
        if !self.has_ended() {
            let _ = self.process.kill();
            self.has_ended();
        }
        // As a rule nothing is mounted any more.
        let mut unmount = mount::command("umount");
        unmount.arg("--lazy").arg(self.path());
        let _ = unmount.stderr(Stdio::null()).status();
    }
}
