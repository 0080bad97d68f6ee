//! The section `log`, and `loglevel`, which came before it.

use std::collections::BTreeMap;

use super::reader::{Section, expected};
use super::tree::{Scalar, Value};
use super::unbuilt;

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `log.level`: the least grave events that are logged. Default `info`, as in Distribution.
    pub level: Level,
    /// `log.formatter`: how a line looks. Default `text`, as in Distribution.
    pub formatter: Formatter,
    /// `log.fields`: names and values to put into every line. Default none, as in Distribution.
    pub fields: BTreeMap<String, String>,
    /// `log.accesslog.disabled`: whether requests go unlogged. Default false, as in Distribution.
    pub is_access_log_disabled: bool,
    /// `log.reportcaller`: whether a line names the place in the source that wrote it. Default
    /// false, as in Distribution.
    pub reports_caller: bool,
}

/// How grave an event must be to be logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Only what somebody must look at.
    Error,
    /// Also what may become an error.
    Warn,
    /// Also what happens in ordinary service.
    #[default]
    Info,
    /// Everything.
    Debug,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Formatter {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// One JSON object a line with the field names that Logstash wants.
    Logstash,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "error" => Some(Self::Error),
            "warn" => Some(Self::Warn),
            "info" => Some(Self::Info),
            "debug" => Some(Self::Debug),
            _ => None,
        }
    }
}

impl Formatter {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            "logstash" => Some(Self::Logstash),
            _ => None,
        }
    }
}

impl Log {
    /// Reads `log` and `loglevel` from the whole configuration.
    pub(super) fn read(root: &mut Section<'_>) -> Self {
        let level_wanted = expected("error, warn, info or debug", "info");
        let old_level = root.parsed("loglevel", level_wanted, Level::parse);
        if let Some(node) = root.node("loglevel") {
            root.report()
                .warn(&node.origin, "loglevel is deprecated; use log.level");
        }
        let mut section = root.section("log");
        let level = section.parsed("level", level_wanted, Level::parse);
        let hooks = "without them nobody would be told of what the log says";
        unbuilt::refuse_key(&mut section, "hooks", hooks);
        let formatter_wanted = expected("text, json or logstash", "json");
        Self {
            level: level.or(old_level).unwrap_or_default(),
            formatter: section
                .parsed("formatter", formatter_wanted, Formatter::parse)
                .unwrap_or_default(),
            fields: fields(&mut section),
            is_access_log_disabled: section.section("accesslog").boolean("disabled", false),
            reports_caller: section.boolean("reportcaller", false),
        }
    }
}

fn fields(section: &mut Section<'_>) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for (name, entry) in section.names("fields") {
        match &entry.node.value {
            Value::Scalar(Scalar { text, .. }) => {
                fields.insert(name.to_owned(), text.clone());
            }
            Value::Null => {
                fields.insert(name.to_owned(), String::new());
            }
            Value::List(_) | Value::Map(_) => {
                let wanted = expected("a string, number or boolean", "production");
                section.refuse(&entry.node, &format!("fields.{name}"), wanted);
            }
        }
    }
    fields
}
