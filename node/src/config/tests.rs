//! Tests of whole configurations, from text and environment to types, warnings and errors.

mod environment;
mod file;
mod group;
mod hostile;
mod refusals;
mod s3;

use std::fs;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Config, ConfigError, Loaded};

/// What every file must say, on three lines.
const SMALLEST: &str = "version: 0.1\nstorage:\n  filesystem:\n";

/// A folder of one test, which is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("roadstead-config-{}-{count}", process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("config.yml")
    }

    fn load(&self, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let path = self.file();
        Config::load(Some(&path), variables(environment))
    }

    /// A text without the folder's name, which changes from run to run.
    fn hide(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn variables(environment: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let owned: Vec<(String, String)> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    owned.into_iter()
}

/// Loads with a file of this content.
fn with_file(content: impl AsRef<[u8]>, environment: &[(&str, &str)]) -> (Folder, Outcome) {
    let folder = Folder::new();
    fs::write(folder.file(), content).unwrap();
    let outcome = folder.load(environment);
    (folder, outcome)
}

type Outcome = Result<Loaded, ConfigError>;

/// Loads without a file.
fn without_file(environment: &[(&str, &str)]) -> Outcome {
    Config::load(None, variables(environment))
}

/// The outcome as text: `ok` or the problems, and the warnings after them.
fn show(outcome: &Outcome) -> String {
    let (head, warnings) = match outcome {
        Ok(loaded) => ("ok".to_owned(), loaded.warnings.as_slice()),
        Err(error) => (error.to_string(), error.warnings()),
    };
    let warnings = warnings.iter().map(|warning| format!("warning: {warning}"));
    std::iter::once(head)
        .chain(warnings)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The outcome of loading a file alone, as text.
fn show_file(content: &str) -> String {
    show_with(content, &[])
}

/// The outcome of loading a file with an environment over it, as text.
fn show_with(content: &str, environment: &[(&str, &str)]) -> String {
    let (folder, outcome) = with_file(content, environment);
    folder.hide(&show(&outcome))
}

/// What a file loads as; it must load.
fn config(content: &str) -> Config {
    let (_folder, outcome) = with_file(content, &[]);
    outcome.unwrap().config
}
