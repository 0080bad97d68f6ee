//! `Setup`: how a registry is configured: by a file with sections, or by the environment alone.
//!
//! In every text `{folder}` stands for the registry's own folder, `{port}` for the port that it
//! serves on, `{debug}` for its second port and `{host}` for where it listens: on loopback, unless
//! it has a host of its own.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Place;
use crate::network::Host;

/// A configuration in the making.
#[derive(Debug, Clone)]
pub struct Setup {
    // `None`: no file, the environment is all there is.
    sections: Option<BTreeMap<&'static str, Vec<String>>>,
    environment: Vec<(String, String)>,
    descriptors_max: Option<u32>,
    is_unprivileged: bool,
    has_default_administration: bool,
    place: Option<Place>,
    host: Option<Host>,
}

impl Default for Setup {
    /// A file with deletes enabled, which most tests want.
    fn default() -> Self {
        Self::plain().with("storage", "delete:\n  enabled: true")
    }
}

impl Setup {
    /// A file that says no more than where to store and where to listen.
    pub fn plain() -> Self {
        Self::empty()
            .with("storage", "filesystem:\n  rootdirectory: {folder}/data")
            .with("http", "addr: 127.0.0.1:{port}")
    }

    /// A file with nothing in it but the version.
    pub fn empty() -> Self {
        Self {
            sections: Some(BTreeMap::new()),
            environment: Vec::new(),
            descriptors_max: None,
            is_unprivileged: false,
            has_default_administration: false,
            place: None,
            host: None,
        }
    }

    /// No file. The port is given, because every test needs its own.
    pub fn without_file() -> Self {
        Self {
            sections: None,
            ..Self::empty()
        }
        .variable("REGISTRY_HTTP_ADDR", "127.0.0.1:{port}")
    }

    /// Adds lines to a section of the file.
    pub fn with(mut self, section: &'static str, lines: &str) -> Self {
        let sections = self.sections.get_or_insert_default();
        let lines = lines.lines().map(str::to_owned);
        sections.entry(section).or_default().extend(lines);
        self
    }

    /// Keeps everything below this folder; or metadata alone, and blobs in a bucket, where this run
    /// is to do so.
    pub fn with_data_in(self, folder: &str) -> Self {
        match Place::if_chosen() {
            None => self.with(
                "storage",
                &format!("filesystem:\n  rootdirectory: {folder}"),
            ),
            Some(place) => {
                // Where the filesystem driver has it.
                let metadata = format!("datadir: {folder}/roadstead/metadata");
                // The suite is about what the registry itself answers.
                self.with("cluster", &metadata)
                    .with("storage", "redirect:\n  disable: true")
                    .with_blobs_in(place)
            }
        }
    }

    /// Keeps blobs in a bucket.
    pub fn with_blobs_in(self, place: Place) -> Self {
        let mut setup = self.with("storage", &place.storage());
        setup.place = Some(place);
        setup
    }

    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Serves operators on a second port.
    pub fn with_debug(self) -> Self {
        let lines = "debug:\n  addr: {host}:{debug}\n  prometheus:\n    enabled: true";
        self.with("http", lines)
    }

    /// Runs the process on a host of a test's own network, of which `{host}` is the address.
    pub fn on(mut self, host: Host) -> Self {
        self.host = Some(host);
        self
    }

    pub(crate) fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// Sets an environment variable.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has the process's wall clock go by what the file says, such as `-1d` for a day behind.
    ///
    /// By libfaketime, since the machine's own clock is not a test's to set.
    pub fn with_clock(self, file: &Path) -> Self {
        self.variable("LD_PRELOAD", &faketime().display().to_string())
            .variable("FAKETIME_TIMESTAMP_FILE", &file.display().to_string())
            .variable("FAKETIME_NO_CACHE", "1")
            // Timers run by the monotonic clock, which nobody sets.
            .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// Lets the process have no more file descriptors than this.
    pub fn descriptors(mut self, max: u32) -> Self {
        self.descriptors_max = Some(max);
        self
    }

    /// Runs the process as a user who may not write what others own.
    pub fn unprivileged(mut self) -> Self {
        self.is_unprivileged = true;
        self
    }

    /// Lets the process be administered where it is by default, which only one process can be.
    /// Others get a free port.
    pub fn default_administration(mut self) -> Self {
        self.has_default_administration = true;
        self
    }

    pub(crate) fn has_default_administration(&self) -> bool {
        self.has_default_administration
    }

    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    pub(crate) fn descriptors_max(&self) -> Option<u32> {
        self.descriptors_max
    }

    pub(crate) fn is_unprivileged(&self) -> bool {
        self.is_unprivileged
    }

    /// The text of the file, if there is to be one.
    pub(crate) fn file(&self) -> Option<String> {
        let mut text = String::from("version: 0.1\n");
        for (section, lines) in self.sections.as_ref()? {
            let _ = writeln!(text, "{section}:");
            for line in lines {
                let _ = writeln!(text, "  {line}");
            }
        }
        Some(text)
    }
}

/// Where `deploy/setup` looks too: in `/usr/lib*`, and in the folders below `/usr/lib`.
fn faketime() -> PathBuf {
    let within = |folder: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(Result::ok).map(|entry| entry.path())
    };
    let is_of_libraries = |folder: &PathBuf| folder.display().to_string().starts_with("/usr/lib");
    let folders = within("/usr").filter(is_of_libraries);
    let folders = folders.chain(within("/usr/lib"));
    let mut paths = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
    let found = paths.find(|path| path.is_file());
    found.expect("libfaketime is installed (`deploy/setup pressure` and `collect` do)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_grow_and_are_written_once() {
        let setup = Setup::empty()
            .with("http", "addr: a\nprefix: b")
            .with("http", "headers:\n  X: [y]");
        let expected = "version: 0.1\nhttp:\n  addr: a\n  prefix: b\n  headers:\n    X: [y]\n";
        assert_eq!(setup.file().as_deref(), Some(expected));
    }

    #[test]
    fn without_a_file_there_is_no_text() {
        assert_eq!(Setup::without_file().file(), None);
    }
}
