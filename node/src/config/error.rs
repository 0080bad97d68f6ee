//! Collects what is wrong with a configuration, and says all of it at once.
//!
//! An operator mends a file in one round, not in one round per mistake. Nothing here decides
//! what is wrong.

use std::cell::RefCell;

use super::tree::Origin;
use crate::limits::CONFIG_PROBLEMS_SHOWN_MAX;

/// A configuration that cannot be used. Its text has one problem on each line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct ConfigError {
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl ConfigError {
    /// Every problem, each with its place: lines of the file first, then variables by name.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The warnings found beside the problems; a misspelt variable often explains one.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Takes problems and warnings while a configuration is read.
///
/// It is shared by reference among all sections, so that none of them has to hand lists around.
#[derive(Debug)]
pub(super) struct Report {
    file: String,
    problems: RefCell<Vec<(Origin, String)>>,
    warnings: RefCell<Vec<(Origin, String)>>,
}

impl Report {
    /// An empty report; `file` is the name of the configuration file as the operator gave it.
    pub(super) fn new(file: Option<String>) -> Self {
        Self {
            file: file.unwrap_or_else(|| "configuration".to_owned()),
            problems: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// Notes a problem; the configuration will be refused.
    pub(super) fn error(&self, origin: &Origin, message: impl Into<String>) {
        self.problems
            .borrow_mut()
            .push((origin.clone(), message.into()));
    }

    /// Notes something that the operator should know, though the configuration can be used.
    pub(super) fn warn(&self, origin: &Origin, message: impl Into<String>) {
        self.warnings
            .borrow_mut()
            .push((origin.clone(), message.into()));
    }

    /// Closes the report: the warnings of a usable configuration, or the error.
    ///
    /// # Errors
    /// Returns every problem that was noted, when there is any.
    pub(super) fn close(self) -> Result<Vec<String>, ConfigError> {
        let error = self.into_error();
        if error.problems.is_empty() {
            Ok(error.warnings)
        } else {
            Err(error)
        }
    }

    /// Closes the report of a configuration that is known to be unusable.
    pub(super) fn into_error(self) -> ConfigError {
        ConfigError {
            problems: lines(&self.file, self.problems.into_inner()),
            warnings: lines(&self.file, self.warnings.into_inner()),
        }
    }
}

fn lines(file: &str, mut notes: Vec<(Origin, String)>) -> Vec<String> {
    // The sort is stable, so that notes of one place keep the order in which they were found.
    notes.sort_by(|(left, _), (right, _)| left.cmp(right));
    let rest = notes.len().saturating_sub(CONFIG_PROBLEMS_SHOWN_MAX);
    notes.truncate(CONFIG_PROBLEMS_SHOWN_MAX);
    let mut lines: Vec<String> = notes
        .into_iter()
        .map(|(origin, message)| match origin {
            Origin::Whole => printable(&format!("{file}: {message}")),
            Origin::Line(line) => printable(&format!("{file}:{line}: {message}")),
            Origin::Variable(name) => printable(&format!("{name}: {message}")),
        })
        .collect();
    if rest > 0 {
        lines.push(format!("{file}: and {rest} more"));
    }
    lines
}

/// Keys and values are strangers' text: none of it may move the cursor or start a new line.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}
