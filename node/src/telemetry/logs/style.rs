//! How a line looks: text for people, or JSON for programs with the names of Distribution or of
//! Logstash.
//!
//! Invariant: an event is one line, whatever is in its texts, and what is in a value cannot pose as
//! another field. So what a client sent belongs into a value, not into a message. A backtrace in
//! the style for people is the one exception; it follows on indented lines.

use std::fmt::{Display, Write as _};

use serde_json::Value;
use tracing::Level;

use super::record::{BACKTRACE, Fields, Record};
use crate::config::{Formatter, Log};
use crate::telemetry::timestamp::Rfc3339;

/// What the configuration says of every line.
#[derive(Debug)]
pub(super) struct Style {
    formatter: Formatter,
    /// What is put into every line.
    fields: Fields,
    reports_caller: bool,
}

/// What a JSON style calls what every line has.
struct Names {
    time: &'static str,
    message: &'static str,
    /// A name and value that say which style this is.
    version: Option<(&'static str, &'static str)>,
}

const LEVEL: &str = "level";
const TARGET: &str = "target";
const FILE: &str = "file";

/// The names that Distribution's formatter `json` gives.
const JSON: Names = Names {
    time: "time",
    message: "msg",
    version: None,
};

/// The names of Logstash's own event format.
const LOGSTASH: Names = Names {
    time: "@timestamp",
    message: "message",
    version: Some(("@version", "1")),
};

impl Style {
    pub(super) fn new(config: &Log) -> Self {
        let mut fields = Fields::default();
        for (name, value) in &config.fields {
            fields.set(name.clone(), value.as_str().into());
        }
        Self {
            formatter: config.formatter,
            fields,
            reports_caller: config.reports_caller,
        }
    }

    /// The line, with its newline.
    pub(super) fn render(&self, record: &Record<'_>) -> Vec<u8> {
        let mut fields = self.fields.clone();
        fields.extend(record.fields);
        let mut line = match self.formatter {
            Formatter::Text => self.text(record, &fields),
            Formatter::Json => self.json(record, &fields, &JSON),
            Formatter::Logstash => self.json(record, &fields, &LOGSTASH),
        };
        line.push('\n');
        line.into_bytes()
    }

    fn text(&self, record: &Record<'_>, fields: &Fields) -> String {
        let mut line = String::new();
        push(&mut line, &Rfc3339(record.at));
        push(&mut line, &format_args!(" {:<5} ", record.level.as_str()));
        push_shown(&mut line, record.message);
        let mut backtrace = None;
        for (name, value) in fields.iter() {
            match value {
                Value::String(text) if name == BACKTRACE => backtrace = Some(text),
                _ => push_field(&mut line, name, value),
            }
        }
        if self.reports_caller {
            push_field(&mut line, TARGET, &record.target.into());
            if let Some((file, number)) = record.place {
                push_field(&mut line, FILE, &format!("{file}:{number}").into());
            }
        }
        for frame in backtrace.iter().flat_map(|text| text.lines()) {
            line.push_str("\n    ");
            push_shown(&mut line, frame);
        }
        line
    }

    fn json(&self, record: &Record<'_>, fields: &Fields, names: &Names) -> String {
        let mut object = Object(String::from("{"));
        object.push(names.time, &Rfc3339(record.at).to_string().into());
        if let Some((name, version)) = names.version {
            object.push(name, &version.into());
        }
        object.push(LEVEL, &level(record.level).into());
        object.push(names.message, &record.message.into());
        for (name, value) in fields.iter() {
            let version = names.version.map(|(name, _)| name);
            let reserved = [names.time, names.message, LEVEL, TARGET, FILE];
            if reserved.contains(&name) || version == Some(name) {
                // As Distribution does where a field would hide what every line has.
                object.push(&format!("fields.{name}"), value);
            } else {
                object.push(name, value);
            }
        }
        if self.reports_caller {
            object.push(TARGET, &record.target.into());
            if let Some((file, number)) = record.place {
                object.push(FILE, &format!("{file}:{number}").into());
            }
        }
        object.0.push('}');
        object.0
    }
}

/// The level as Distribution's log spells it.
fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// A JSON object in the making, in the order in which its members are pushed.
struct Object(String);

impl Object {
    fn push(&mut self, name: &str, value: &Value) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        push(&mut self.0, &Value::from(name));
        self.0.push(':');
        push(&mut self.0, value);
    }
}

fn push(line: &mut String, value: &dyn Display) {
    // Writing to a string does not fail.
    let _ = write!(line, "{value}");
}

fn push_field(line: &mut String, name: &str, value: &Value) {
    line.push(' ');
    push_shown(line, name);
    line.push('=');
    match value {
        Value::String(text) if needs_quotes(text) => {
            line.push('"');
            for part in text.split_inclusive('"') {
                push_shown(line, part.strip_suffix('"').unwrap_or(part));
                if part.ends_with('"') {
                    line.push_str("\\\"");
                }
            }
            line.push('"');
        }
        Value::String(text) => line.push_str(text),
        other => push(line, other),
    }
}

fn needs_quotes(text: &str) -> bool {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-._/@^+:".contains(character);
    text.is_empty() || !text.chars().all(plain)
}

/// Writes a text without what would end the line or drive a terminal.
fn push_shown(line: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '"' | '\'' => line.push(character),
            _ => line.extend(character.escape_debug()),
        }
    }
}
