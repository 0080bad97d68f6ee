//! Lays `REGISTRY_*` environment variables over the tree, by Distribution's rules.
//!
//! The rules: the name is split at `_` and matched to settings without regard to letter case;
//! the value is YAML; shorter names apply before the longer ones that begin with them; a number
//! in the name is an index into a list, and the index just past its end appends.
//! A variable that means no setting is a warning, never an error, because Kubernetes puts names
//! such as `REGISTRY_PORT` into the environment of every pod beside a service `registry`.

use std::cmp::Ordering;

use super::error::Report;
use super::nearest::nearest;
use super::schema::{self, Step, Unknown};
use super::tree::{Entry, Map, Node, Origin, Value};
use super::yaml;
use crate::limits::CONFIG_DEPTH_MAX;

const PREFIX: &str = "REGISTRY_";

/// Names the configuration file. The caller reads it, so it is no setting and no mistake either.
const PATH_VARIABLE: &str = "REGISTRY_CONFIGURATION_PATH";

/// Applies every variable that begins with `REGISTRY_` to the tree.
///
/// Returns the names of those that were applied, in the order in which they were.
pub(super) fn overlay(
    root: &mut Node,
    environment: impl Iterator<Item = (String, String)>,
    report: &Report,
) -> Vec<String> {
    let mut variables: Vec<(String, String)> = environment
        .filter(|(name, _)| name.starts_with(PREFIX) && name != PATH_VARIABLE)
        .collect();
    variables.sort_by(|(left, _), (right, _)| order(left, right));
    let mut applied = Vec::new();
    for (name, text) in variables {
        if apply(root, &name, &text, report) {
            applied.push(name);
        }
    }
    applied
}

/// Orders names by their segments, and segments that are numbers by their value.
///
/// Comparing whole names as text would put `HOSTS_10` before `HOSTS_2`, where it could not
/// append to the list yet.
fn order(left: &str, right: &str) -> Ordering {
    let rank = |segment: &str| segment.parse::<u32>().ok();
    let segments = left.split('_').zip(right.split('_'));
    segments
        .map(|(left, right)| rank(left).cmp(&rank(right)).then_with(|| left.cmp(right)))
        .find(|ordering| ordering.is_ne())
        .unwrap_or_else(|| left.len().cmp(&right.len()))
}

fn apply(root: &mut Node, name: &str, text: &str, report: &Report) -> bool {
    let origin = Origin::Variable(name.to_owned());
    let segments: Vec<&str> = name
        .strip_prefix(PREFIX)
        .unwrap_or(name)
        .split('_')
        .collect();
    if segments.len() > CONFIG_DEPTH_MAX {
        report.warn(&origin, "is not a known setting, and is ignored");
        return false;
    }
    let steps = match schema::ROOT.find(&segments) {
        Ok(steps) => steps,
        Err(unknown) => {
            report.warn(&origin, ignored(&segments, &unknown));
            return false;
        }
    };
    if steps == [Step::Key("version")] {
        report.warn(
            &origin,
            "is ignored: the version cannot be set by the environment",
        );
        return false;
    }
    let Some(value) = yaml::parse(text, &|_| origin.clone(), report) else {
        return false;
    };
    let applied = put(root, &steps, value, &origin, report);
    expand_names(root);
    applied
}

fn ignored(segments: &[&str], unknown: &Unknown) -> String {
    let (right, rest) = segments.split_at(unknown.right.min(segments.len()));
    let meant = rest
        .first()
        .and_then(|wrong| nearest(wrong, unknown.known.iter().copied()));
    let Some(meant) = meant else {
        return "is not a known setting, and is ignored".to_owned();
    };
    let mut name = right.to_vec();
    let meant = meant.to_uppercase();
    name.push(&meant);
    name.extend(rest.iter().skip(1));
    let name = name.join("_");
    format!("is not a known setting, and is ignored; did you mean {PREFIX}{name}?")
}

/// Puts a value where the steps lead, making what is missing on the way.
fn put(node: &mut Node, steps: &[Step], value: Node, origin: &Origin, report: &Report) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        *node = value;
        return true;
    };
    let is_last = rest.is_empty();
    match step {
        Step::Key(name) => {
            let Some(map) = map_of(node, origin) else {
                return false;
            };
            let node = entry(map, name, name, is_last, origin);
            put(node, rest, value, origin, report)
        }
        Step::Name(name) => {
            let Some(map) = map_of(node, origin) else {
                return false;
            };
            let spelling = map.spelling(name);
            let node = entry(map, &spelling, name, is_last, origin);
            put(node, rest, value, origin, report)
        }
        Step::Index(index) => {
            if node.is_null() {
                node.value = Value::List(Vec::new());
            }
            let Value::List(items) = &mut node.value else {
                return false;
            };
            let length = items.len();
            if *index == length {
                items.push(Node::null(origin.clone()));
            }
            let Some(item) = items.get_mut(*index) else {
                let message =
                    format!("has the index {index}, but the list goes on at index {length}");
                report.error(origin, message);
                return false;
            };
            put(item, rest, value, origin, report)
        }
    }
}

/// The map that a node is, or becomes if it is empty.
///
/// Where the file has a value of another type there is none, and reading it complains later.
fn map_of<'n>(node: &'n mut Node, origin: &Origin) -> Option<&'n mut Map> {
    if node.is_null() {
        *node = Node::empty_map(origin.clone());
    }
    match &mut node.value {
        Value::Map(map) => Some(map),
        Value::Null | Value::Scalar(_) | Value::List(_) => None,
    }
}

/// The value that stands under one spelling of a name, or is made if there is none.
///
/// A variable that sets it brings its own spelling, as the later word on how a header is shown.
fn entry<'m>(
    map: &'m mut Map,
    spelling: &str,
    name: &str,
    is_last: bool,
    origin: &Origin,
) -> &'m mut Node {
    let mut entry = map.remove(spelling).unwrap_or_else(|| Entry {
        origin: origin.clone(),
        node: Node::null(origin.clone()),
    });
    let mut key = spelling;
    if is_last {
        entry.origin = origin.clone();
        key = name;
    }
    &mut map.put(key.to_owned(), entry).node
}

/// Turns `storage: inmemory` into `storage: {inmemory: }`, and the same for `auth`.
///
/// Distribution takes both forms, and a variable may reach below the short one.
pub(super) fn expand_names(root: &mut Node) {
    let Value::Map(map) = &mut root.value else {
        return;
    };
    for section in ["storage", "auth"] {
        let Some(entry) = map.get_mut(section) else {
            continue;
        };
        let Value::Scalar(scalar) = &entry.node.value else {
            continue;
        };
        let name = scalar.text.clone();
        let origin = entry.node.origin.clone();
        let child = Entry {
            origin: origin.clone(),
            node: Node::null(origin.clone()),
        };
        entry.node = Node::empty_map(origin);
        if let Value::Map(map) = &mut entry.node.value {
            map.put(name, child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_names_and_smaller_indexes_come_first() {
        let mut names = vec![
            "R_A_10", "R_A_2", "R_AB", "R_A_B_C", "R_A", "R_A_B", "R_A_0_X", "R_A_0",
        ];
        names.sort_by(|left, right| order(left, right));
        let expected = [
            "R_A", "R_A_B", "R_A_B_C", "R_A_0", "R_A_0_X", "R_A_2", "R_A_10", "R_AB",
        ];
        assert_eq!(names, expected);
    }
}
