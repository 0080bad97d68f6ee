//! HTTP headers that the operator writes: added to every response, or sent with a health check.
//!
//! They are checked against the grammar of HTTP here, so that whoever sends them need not.

use super::reader::{Section, expected};
use super::tree::{Scalar, Value};

/// One header with the values to send, in the letter case and order in which they were written.
///
/// Invariant: the name is a token, and no value holds a control character other than a tab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name of the header.
    pub name: String,
    /// The values, each sent as a header line of its own.
    pub values: Vec<String>,
}

/// Reads a map of header names to lists of values. No name comes twice.
pub(super) fn read(section: &mut Section<'_>, key: &'static str) -> Vec<Header> {
    let path = section.name(key);
    let report = section.report();
    let mut headers: Vec<Header> = Vec::new();
    for (name, entry) in section.names(key) {
        if !is_token(name) {
            let message = format!("{path} has {name:?}, which cannot be the name of a header");
            report.error(&entry.origin, message);
            continue;
        }
        let same = |header: &&Header| header.name.eq_ignore_ascii_case(name);
        if let Some(first) = headers.iter().find(same) {
            let first = &first.name;
            let message = format!("{path} has both {first} and {name}, which are one header");
            report.error(&entry.origin, message);
            continue;
        }
        let name = name.to_owned();
        let path = format!("{path}.{name}");
        let wanted = expected("a list of strings", "[nosniff]");
        let items = match &entry.node.value {
            Value::List(items) => items.as_slice(),
            Value::Null => continue,
            Value::Scalar(_) | Value::Map(_) => {
                section.refuse(&entry.node, &format!("{key}.{name}"), wanted);
                continue;
            }
        };
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            match &item.value {
                Value::Scalar(Scalar { text, .. }) if is_field_value(text) => {
                    values.push(text.clone());
                }
                Value::Scalar(_) => {
                    // The value may be a password, so it is not shown.
                    let message = format!("{path} has a control character in a value");
                    report.error(&item.origin, message);
                }
                Value::Null | Value::List(_) | Value::Map(_) => {
                    section.refuse(item, &format!("{key}.{name}"), wanted);
                }
            }
        }
        headers.push(Header { name, values });
    }
    headers
}

/// RFC 9110, 5.6.2.
fn is_token(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

/// RFC 9110, 5.5, where bytes above 127 are allowed but obsolete.
fn is_field_value(value: &str) -> bool {
    !value
        .bytes()
        .any(|byte| byte.is_ascii_control() && byte != b'\t')
}
