//! What Distribution knows and Roadstead does not need, or does not have yet.
//!
//! What is not needed is a warning that says why. What is not built is an error, because a
//! registry that quietly does without a protection it was told to have is worse than none.

use super::reader::Section;
use super::tree::{Scalar, Value};

/// Those of Distribution's storage drivers that are not built yet.
pub(super) const DRIVERS: [&str; 4] = ["gcs", "azure", "swift", "oss"];

/// Why a storage driver must not be ignored.
pub(super) const DRIVER_REASON: &str =
    "without it blobs would be sought and kept in another place than this";

/// Says that a setting is not built, and what would be wrong with ignoring it.
pub(super) fn refusal(path: &str, reason: &str) -> String {
    format!("{path} is not built yet, and {reason}; remove it to go on without")
}

/// Reports the sections that are known but not built, of those at the top.
pub(super) fn refuse(root: &mut Section<'_>) {
    refuse_auth(root);
    let middleware = "without it content would be served from another place than this names";
    refuse_key(root, "middleware", middleware);
    refuse_key(
        root,
        "proxy",
        "without it nothing would be fetched from the other registry",
    );
    refuse_key(
        root,
        "policy",
        "without it content would be accepted that it forbids",
    );
    let mut notifications = root.section("notifications");
    refuse_key(
        &mut notifications,
        "endpoints",
        "without it nobody would be told of any event",
    );
    // How events look matters to nobody while there are no endpoints.
    notifications.entry("events");
}

/// Reports a key that is known but not built, if anything below it would do something.
pub(super) fn refuse_key(section: &mut Section<'_>, key: &'static str, reason: &str) {
    let path = section.name(key);
    if let Some(entry) = section.entry(key)
        && entry.node.takes_effect()
    {
        section
            .report()
            .error(&entry.origin, refusal(&path, reason));
    }
}

fn refuse_auth(root: &mut Section<'_>) {
    let Some(entry) = root.entry("auth") else {
        return;
    };
    // Distribution takes the backend `none` to mean that there is none.
    let is_none = match &entry.node.value {
        Value::Map(map) => map
            .iter()
            .all(|(name, _)| name.eq_ignore_ascii_case("none")),
        Value::Null => true,
        Value::Scalar(_) | Value::List(_) => false,
    };
    if !is_none {
        let reason = "without it anybody could pull and push";
        root.report().error(&entry.origin, refusal("auth", reason));
    }
}

/// Reports `http.net`, unless it says what is built: TCP.
pub(super) fn refuse_net(http: &mut Section<'_>) {
    let Some(node) = http.node("net") else { return };
    let text = match &node.value {
        Value::Scalar(Scalar { text, .. }) => text.as_str(),
        Value::Null | Value::List(_) | Value::Map(_) => "?",
    };
    match text {
        "" | "tcp" => {}
        "unix" => {
            let reason = "without it the registry would be open to the network";
            http.report()
                .error(&node.origin, refusal("http.net: unix", reason));
        }
        _ => {
            let found = node.describe();
            let message = format!("http.net is {found}; expected tcp, for example net: tcp");
            http.report().error(&node.origin, message);
        }
    }
}

/// Warns that a key is not needed, if it is there.
pub(super) fn warn_if_needless(section: &mut Section<'_>, key: &'static str) {
    let path = section.name(key);
    let Some(node) = section.node(key) else {
        return;
    };
    let reason = match path.as_str() {
        "http.secret" => "uploads are known to the whole cluster and carry no signed state",
        "redis" | "storage.cache" => "metadata is kept on every node and read from there",
        "storage.tag" => "tags are looked up in one step, however many there are",
        "storage.filesystem.maxthreads" => "the number of threads is chosen to fit the machine",
        _ if key.starts_with("multipartcopy") => "nothing is copied when an upload ends",
        _ => "Roadstead has no use for it",
    };
    section.report().warn(
        &node.origin,
        format!("{path} is not needed and is ignored: {reason}"),
    );
}
