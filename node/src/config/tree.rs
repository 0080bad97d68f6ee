//! The configuration before it has types: a tree of maps, lists and scalars.
//!
//! Every node knows where it was written, so that each later complaint can name a line or a
//! variable. This is not a general YAML document: keys are strings, and there are no tags or
//! aliases left.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use crate::limits::CONFIG_VALUE_SHOWN_MAX;

/// Where a value was written. The order is that in which problems are shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The configuration as a whole: something is missing, or no file could be read.
    Whole,
    /// A line of the file, counted from one.
    Line(usize),
    /// An environment variable, by its full name.
    Variable(String),
}

/// What a plain scalar means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// `true` or `false`, or one of YAML 1.1's other spellings, which Distribution reads too.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float,
    /// Everything else, and everything in quotes.
    String,
}

/// A leaf: how it was written, and what that means.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scalar {
    /// The text as written, without quotes: `0.10` stays `0.10`.
    pub(super) text: String,
    /// The meaning of the text.
    pub(super) kind: Kind,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Written but empty; it counts as not set.
    Null,
    /// A leaf.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// What was written.
    pub(super) value: Value,
    /// Where it was written.
    pub(super) origin: Origin,
}

/// One key of a [`Map`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Where the key itself was written.
    pub(super) origin: Origin,
    /// The value of the key.
    pub(super) node: Node,
}

/// A mapping with string keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Map {
    entries: BTreeMap<String, Entry>,
}

impl Map {
    /// The entry under exactly this key.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The entry under exactly this key, to be changed.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    /// Takes the entry under exactly this key out of the map.
    pub(super) fn remove(&mut self, key: &str) -> Option<Entry> {
        self.entries.remove(key)
    }

    /// Puts an entry under a key, in place of what stood there, and gives access to it.
    pub(super) fn put(&mut self, key: String, entry: Entry) -> &mut Entry {
        match self.entries.entry(key) {
            Slot::Occupied(mut slot) => {
                slot.insert(entry);
                slot.into_mut()
            }
            Slot::Vacant(slot) => slot.insert(entry),
        }
    }

    /// The key under which a name stands when letter case is ignored, or else the name itself.
    pub(super) fn spelling(&self, name: &str) -> String {
        let same = |key: &&String| key.eq_ignore_ascii_case(name);
        self.entries
            .keys()
            .find(same)
            .map_or_else(|| name.to_owned(), Clone::clone)
    }

    /// All entries, by key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(key, entry)| (key.as_str(), entry))
    }
}

impl Node {
    /// A map without entries.
    pub(super) fn empty_map(origin: Origin) -> Self {
        Self {
            value: Value::Map(Map::default()),
            origin,
        }
    }

    /// A node that is written but empty.
    pub(super) fn null(origin: Origin) -> Self {
        Self {
            value: Value::Null,
            origin,
        }
    }

    /// Whether nothing was written here.
    pub(super) fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What was found, in the words of an error message.
    pub(super) fn describe(&self) -> String {
        let Value::Scalar(scalar) = &self.value else {
            return match self.value {
                Value::List(_) => "a list".to_owned(),
                Value::Map(_) => "a map".to_owned(),
                Value::Null | Value::Scalar(_) => "empty".to_owned(),
            };
        };
        let mut text: String = scalar.text.chars().take(CONFIG_VALUE_SHOWN_MAX).collect();
        if text.len() < scalar.text.len() {
            text.push_str("...");
        }
        match scalar.kind {
            Kind::Boolean(_) => format!("the boolean {text}"),
            Kind::Integer(_) => format!("the integer {text}"),
            Kind::Float => format!("the number {text}"),
            Kind::String => format!("the string {text:?}"),
        }
    }

    /// Whether anything below this node would do something if it were built.
    ///
    /// Empty values do nothing, and a map that says `disabled: true` asks to be left out.
    pub(super) fn takes_effect(&self) -> bool {
        match &self.value {
            Value::Null => false,
            Value::Scalar(scalar) => !scalar.text.is_empty() && scalar.kind != Kind::Boolean(false),
            Value::List(items) => items.iter().any(Self::takes_effect),
            Value::Map(map) => {
                let disabled = map
                    .get("disabled")
                    .is_some_and(|entry| entry.node.is_true());
                !disabled && map.iter().any(|(_, entry)| entry.node.takes_effect())
            }
        }
    }

    fn is_true(&self) -> bool {
        matches!(
            &self.value,
            Value::Scalar(Scalar {
                kind: Kind::Boolean(true),
                ..
            })
        )
    }
}

impl Scalar {
    /// Reads an unquoted scalar as YAML 1.2 does, with the booleans of YAML 1.1 beside it.
    ///
    /// Distribution's YAML library reads `yes` and `on` as booleans, so files that say so exist.
    /// `None` stands for null.
    pub(super) fn plain(text: &str) -> Option<Self> {
        let kind = match text {
            "" | "~" | "null" | "Null" | "NULL" => return None,
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
                Kind::Boolean(true)
            }
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
                Kind::Boolean(false)
            }
            _ => match integer(text) {
                Some(value) => Kind::Integer(value),
                None if is_float(text) => Kind::Float,
                None => Kind::String,
            },
        };
        Some(Self {
            text: text.to_owned(),
            kind,
        })
    }

    /// A scalar that was quoted, or otherwise said to be a string.
    pub(super) fn string(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            kind: Kind::String,
        }
    }
}

fn integer(text: &str) -> Option<i64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return unsigned(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return unsigned(digits, 8);
    }
    // YAML 1.1 reads `010` as eight and YAML 1.2 as ten; neither is worth guessing.
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn unsigned(digits: &str, radix: u32) -> Option<i64> {
    // The standard parser takes a sign, which a number with a radix does not have.
    let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| i64::from_str_radix(digits, radix).ok())?
}

fn is_float(text: &str) -> bool {
    // The standard parser also takes `inf` and `nan`, which YAML writes with a dot.
    let numeric = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(numeric)
        && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_yaml_says() {
        let string = Some(Kind::String);
        for (text, expected) in [
            ("", None),
            ("~", None),
            ("null", None),
            ("true", Some(Kind::Boolean(true))),
            ("yes", Some(Kind::Boolean(true))),
            ("OFF", Some(Kind::Boolean(false))),
            ("y", string),
            ("0", Some(Kind::Integer(0))),
            ("-7", Some(Kind::Integer(-7))),
            ("+7", Some(Kind::Integer(7))),
            ("0x1F", Some(Kind::Integer(31))),
            ("0o17", Some(Kind::Integer(15))),
            ("0x-1", string),
            ("010", Some(Kind::Float)),
            ("99999999999999999999", Some(Kind::Float)),
            ("0.1", Some(Kind::Float)),
            ("1e3", Some(Kind::Float)),
            ("-", string),
            ("inf", string),
            ("1h", string),
            (":5000", string),
            ("12:30", string),
        ] {
            let found = Scalar::plain(text).map(|scalar| scalar.kind);
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
