//! A file system for tests that forgets what was not fsynced.
//!
//! ```text
//! roadstead-volatile FOLDER      mounts itself on FOLDER and serves until its input ends
//!
//! lose everything                a loss of power: what was not fsynced is gone
//! lose some SEED                 the same, but some of it had reached the disk
//! ignore file|folder PATTERN     from now on an fsync of these does nothing: a seeded mistake
//! ignored                        how many were ignored
//! ```
//!
//! Each line of input is answered by one of output: `ok`, perhaps with a number, or `error` and
//! why. It keeps everything in memory, and nothing when it ends.
//!
//! It promises what POSIX does and no more: an fsync of a file keeps its bytes and not its name, an
//! fsync of a folder keeps its names and not what they lead to. Modes, owners and times are kept
//! always. It is not a file system to keep anything in.

mod chance;
mod disk;
mod file;
mod folder;
mod mounted;

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use disk::{Loss, Mistake};
use mounted::Mounted;

fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1);
    match serve(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            answer(&format!("error {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(folder: Option<OsString>) -> io::Result<()> {
    let folder = folder.map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("no folder was given"))?;
    let mut mounted = Mounted::mount(&folder)?;
    answer("ok");
    for line in io::stdin().lock().lines() {
        match obey(&mut mounted, &line?) {
            Ok(text) => answer(text.trim_end()),
            Err(error) => answer(&format!("error {error}")),
        }
    }
    mounted.unmount()
}

fn obey(mounted: &mut Mounted, line: &str) -> io::Result<String> {
    let words: Vec<_> = line.split(' ').collect();
    match words.as_slice() {
        ["lose", "everything"] => mounted.lose_power(Loss::Everything)?,
        ["lose", "some", seed] => {
            let seed = seed.parse().map_err(io::Error::other)?;
            mounted.lose_power(Loss::Some { seed })?;
        }
        ["ignore", kind @ ("file" | "folder"), pattern] => mounted.disk().ignore(Mistake {
            is_folder: *kind == "folder",
            pattern: (*pattern).to_owned(),
        }),
        ["ignored"] => return Ok(format!("ok {}", mounted.disk().ignored())),
        _ => return Err(io::Error::other(format!("what is {line:?}?"))),
    }
    Ok("ok".to_owned())
}

fn answer(line: &str) {
    let mut output = io::stdout().lock();
    // Who started it may be gone; then the input ends too.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
