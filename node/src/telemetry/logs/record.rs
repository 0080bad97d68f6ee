//! One event with everything that is known of it, before it has a style.
//!
//! It is not a line. Invariant: no text in it is longer than [`LOG_TEXT_BYTES_MAX`], and no field
//! name comes twice.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::time::SystemTime;

use serde_json::Value;
use tracing::Level;
use tracing::field::{Field, Visit};

use crate::limits::LOG_TEXT_BYTES_MAX;

/// The field that holds a backtrace, which people read on lines of its own.
pub(super) const BACKTRACE: &str = "backtrace";

/// The field in which `tracing` hands over the text of an event.
const MESSAGE: &str = "message";

/// One event.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) at: SystemTime,
    pub(super) level: Level,
    pub(super) message: &'a str,
    pub(super) fields: &'a Fields,
    /// The module that logged it.
    pub(super) target: &'a str,
    /// The file and line that logged it.
    pub(super) place: Option<(&'a str, u32)>,
}

/// Names and values, in the order in which the names first came.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(Cow<'static, str>, Value)>);

impl Fields {
    /// Sets a value; the latest of a name holds.
    pub(super) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: Value) {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Sets all of these.
    pub(super) fn extend(&mut self, others: &Self) {
        for (name, value) in &others.0 {
            self.set(name.clone(), value.clone());
        }
    }

    /// Takes out the text of the event.
    pub(super) fn take_message(&mut self) -> Option<Value> {
        let at = self.0.iter().position(|(name, _)| name == MESSAGE)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    fn set_text(&mut self, field: &Field, text: fmt::Arguments<'_>) {
        self.set(field.name(), Value::String(cut(text)));
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set_text(field, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set_text(field, format_args!("{}", Chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set_text(field, format_args!("{value:?}"));
    }
}

/// An error with everything that lies beneath it.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut beneath = self.0.source();
        while let Some(error) = beneath {
            write!(formatter, ": {error}")?;
            beneath = error.source();
        }
        Ok(())
    }
}

/// Writes no more than the longest text, so that an endless one costs no endless memory.
fn cut(text: fmt::Arguments<'_>) -> String {
    let mut bounded = Bounded(String::new());
    if bounded.write_fmt(text).is_err() {
        bounded.0.push('…');
    }
    bounded.0
}

struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LOG_TEXT_BYTES_MAX - self.0.len().min(LOG_TEXT_BYTES_MAX);
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = text.floor_char_boundary(room);
        self.0.push_str(text.get(..end).unwrap_or_default());
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_value_of_a_name_holds_and_order_is_that_of_the_names() {
        let mut fields = Fields::default();
        for (name, value) in [("a", 1), ("b", 2), ("a", 3)] {
            fields.set(name, value.into());
        }
        let found: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(found, ["a=3", "b=2"]);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = "é".repeat(LOG_TEXT_BYTES_MAX);
        let cut = cut(format_args!("x{text}"));
        assert_eq!(cut.len(), LOG_TEXT_BYTES_MAX - 1 + '…'.len_utf8());
        assert!(cut.ends_with("é…"));
    }

    #[test]
    fn errors_are_written_with_what_lies_beneath_them() {
        #[derive(Debug, thiserror::Error)]
        #[error("the blob cannot be read")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("the disk is gone"));
        let expected = "the blob cannot be read: the disk is gone";
        assert_eq!(Chain(&error).to_string(), expected);
    }
}
