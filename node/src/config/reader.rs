//! Reads typed values out of the tree and complains about whatever does not fit.
//!
//! Reading goes on after a mistake, with the default in place of the bad value, so that one run
//! finds every mistake. Each [`Section`] remembers which keys it was asked for; those that
//! nobody asked for are unknown, and are reported when the section is dropped. So a key cannot
//! be accepted and then forgotten.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::duration;
use super::error::Report;
use super::nearest::nearest;
use super::tree::{Entry, Kind, Map, Node, Origin, Scalar, Value};

/// What a value should have been, in the words of an error message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// The kind of value, such as `a duration`.
    pub(super) what: &'static str,
    /// A value that would do, such as `60s`.
    pub(super) example: &'static str,
}

/// Makes an [`Expected`].
pub(super) const fn expected(what: &'static str, example: &'static str) -> Expected {
    Expected { what, example }
}

/// A map of the configuration while its keys are read. A missing map reads as an empty one.
#[derive(Debug)]
pub(super) struct Section<'t> {
    report: &'t Report,
    /// The full name of the section, empty for the whole configuration.
    path: String,
    origin: Origin,
    map: Option<&'t Map>,
    /// Whether it was written as something else than a map, which is mistake enough.
    is_broken: bool,
    /// Every key that was asked for so far.
    known: Vec<&'static str>,
}

impl<'t> Section<'t> {
    /// The section that is the whole configuration.
    pub(super) fn root(node: &'t Node, report: &'t Report) -> Self {
        // What is missing from the whole is missing from no line of it.
        let mut section = Self::of(node, String::new(), report);
        section.origin = Origin::Whole;
        section
    }

    fn of(node: &'t Node, path: String, report: &'t Report) -> Self {
        let map = match &node.value {
            Value::Map(map) => Some(map),
            Value::Null => None,
            Value::Scalar(_) | Value::List(_) => {
                let name = if path.is_empty() {
                    "the configuration"
                } else {
                    &path
                };
                let found = node.describe();
                let message = format!("{name} is {found}; expected a map of keys and values");
                report.error(&node.origin, message);
                None
            }
        };
        Self {
            report,
            path,
            origin: node.origin.clone(),
            map,
            is_broken: map.is_none() && !node.is_null(),
            known: Vec::new(),
        }
    }

    /// The report that complaints about this section go to.
    pub(super) fn report(&self) -> &'t Report {
        self.report
    }

    /// Whether the section was written as something else than a map, which was reported.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Where the section was written.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The full name of a key of this section.
    pub(super) fn name(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// A key as it stands in the tree, even if its value is null.
    pub(super) fn entry(&mut self, key: &'static str) -> Option<&'t Entry> {
        self.known.push(key);
        self.map.and_then(|map| map.get(key))
    }

    /// The value of a key. An empty value is as good as a missing key.
    pub(super) fn node(&mut self, key: &'static str) -> Option<&'t Node> {
        self.entry(key)
            .map(|entry| &entry.node)
            .filter(|node| !node.is_null())
    }

    /// A section below this one.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'t> {
        let path = self.name(key);
        let report = self.report;
        match self.entry(key) {
            Some(entry) => Section::of(&entry.node, path, report),
            None => Section {
                report,
                path,
                origin: self.origin.clone(),
                map: None,
                is_broken: self.is_broken,
                known: Vec::new(),
            },
        }
    }

    /// The maps of a list.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'t>> {
        let path = self.name(key);
        let report = self.report;
        let items = self.items(key, expected("a list of maps", "one that begins with `- `"));
        let item = |(index, node)| Section::of(node, format!("{path}[{index}]"), report);
        items.iter().enumerate().map(item).collect()
    }

    /// The strings of a list.
    pub(super) fn strings(&mut self, key: &'static str, wanted: Expected) -> Vec<String> {
        let path = self.name(key);
        let items = self.items(key, wanted);
        items
            .iter()
            .filter_map(|node| self.string_of(node, &path, wanted))
            .collect()
    }

    fn items(&mut self, key: &'static str, wanted: Expected) -> &'t [Node] {
        match self.node(key).map(|node| (&node.value, node)) {
            Some((Value::List(items), _)) => items,
            Some((_, node)) => {
                self.refuse(node, key, wanted);
                &[]
            }
            None => &[],
        }
    }

    /// The keys of a map whose names the operator chooses.
    pub(super) fn names(&mut self, key: &'static str) -> Vec<(&'t str, &'t Entry)> {
        match self.node(key).map(|node| (&node.value, node)) {
            Some((Value::Map(map), _)) => map.iter().collect(),
            Some((_, node)) => {
                self.refuse(
                    node,
                    key,
                    expected("a map", "`name: value` on a line of its own"),
                );
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// A boolean.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        let Some(node) = self.node(key) else {
            return default;
        };
        if let Value::Scalar(Scalar {
            kind: Kind::Boolean(value),
            ..
        }) = node.value
        {
            return value;
        }
        self.refuse(node, key, expected("true or false", "true"));
        default
    }

    /// A whole number within bounds.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<u32>,
        default: u32,
        wanted: Expected,
    ) -> u32 {
        let Some(node) = self.node(key) else {
            return default;
        };
        if let Value::Scalar(Scalar {
            kind: Kind::Integer(value),
            ..
        }) = node.value
            && let Ok(value) = u32::try_from(value)
            && bounds.contains(&value)
        {
            return value;
        }
        self.refuse(node, key, wanted);
        default
    }

    /// A string, which the file may also write as a number.
    pub(super) fn string(&mut self, key: &'static str, wanted: Expected) -> Option<String> {
        let node = self.node(key)?;
        let path = self.name(key);
        self.string_of(node, &path, wanted)
    }

    /// A string that `parse` makes something of.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        wanted: Expected,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.string(key, wanted)?;
        let parsed = parse(&text);
        if parsed.is_none()
            && let Some(node) = self.node(key)
        {
            self.refuse(node, key, wanted);
        }
        parsed
    }

    /// A duration in Go's syntax, of at least `least`.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        least: Duration,
        default: Duration,
    ) -> Duration {
        let Some(node) = self.node(key) else {
            return default;
        };
        let found = match &node.value {
            Value::Scalar(Scalar {
                kind: Kind::Integer(count),
                ..
            }) => {
                let found = u128::try_from(*count)
                    .ok()
                    .and_then(duration::from_nanoseconds);
                if found.is_some_and(|found| found > Duration::ZERO) {
                    let path = self.name(key);
                    let message = format!(
                        "{path} is {count}, which is read as nanoseconds as in Distribution; \
                         write {count}s if seconds are meant"
                    );
                    self.report.warn(&node.origin, message);
                }
                found
            }
            Value::Scalar(Scalar {
                kind: Kind::String,
                text,
            }) => duration::parse(text),
            Value::Null | Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        };
        match found {
            Some(found) if found >= least => found,
            Some(_) => {
                let (path, found) = (self.name(key), node.describe());
                let least = duration::show(least);
                let message = format!("{path} is {found}; expected at least {least}");
                self.report.error(&node.origin, message);
                default
            }
            None => {
                self.refuse(node, key, expected("a duration of zero or more", "1h30m"));
                default
            }
        }
    }

    /// A duration in which zero stands for the default, as in Distribution's health checks.
    pub(super) fn interval(&mut self, key: &'static str, default: Duration) -> Duration {
        let found = self.duration(key, Duration::ZERO, default);
        if found.is_zero() { default } else { found }
    }

    fn string_of(&self, node: &Node, path: &str, wanted: Expected) -> Option<String> {
        if let Value::Scalar(scalar) = &node.value
            && !matches!(scalar.kind, Kind::Boolean(_))
            && !scalar.text.is_empty()
        {
            return Some(scalar.text.clone());
        }
        self.complain(node, path, wanted);
        None
    }

    /// Reports that a key's value is not what was expected.
    pub(super) fn refuse(&self, node: &Node, key: &str, wanted: Expected) {
        self.complain(node, &self.name(key), wanted);
    }

    fn complain(&self, node: &Node, path: &str, wanted: Expected) {
        let Expected { what, example } = wanted;
        let found = node.describe();
        let message = format!("{path} is {found}; expected {what}, for example {example}");
        self.report.error(&node.origin, message);
    }

    /// Reports that a key is missing.
    pub(super) fn missing(&self, key: &str, wanted: Expected) {
        if self.is_broken {
            return;
        }
        let path = self.name(key);
        let Expected { what, example } = wanted;
        let message = format!("{path} is missing; expected {what}, for example {example}");
        self.report.error(&self.origin, message);
    }

    fn unknown(&self, key: &str) -> String {
        let mut message = format!("{} is not a known key", self.name(key));
        let mut known = self.known.clone();
        known.sort_unstable();
        known.dedup();
        // Writing into a string cannot fail.
        let _ = if let Some(meant) = nearest(key, known.iter().copied()) {
            write!(message, "; did you mean {}?", self.name(meant))
        } else if known.is_empty() {
            write!(message, "; {} takes no keys", self.path)
        } else {
            write!(message, "; known here: {}", known.join(", "))
        };
        message
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        for (key, entry) in self.map.into_iter().flat_map(Map::iter) {
            if !self.known.contains(&key) {
                self.report.error(&entry.origin, self.unknown(key));
            }
        }
    }
}
