//! The section `gc`, which Distribution does not have: garbage collection.

use std::time::Duration;

use regex::RegexSet;

use super::duration;
use super::reader::{Expected, Section, expected};
use super::storage::Storage;
use crate::limits::{READING_DELAY, REDIRECT_VALID};

const RATE: Expected = expected("an integer from 1 to 100000", "500");
const PATTERN: Expected = expected("a regular expression", "^ci/");

/// What is collected, when, and how fast.
///
/// Ages are the cluster's, not the node's: what is written here is made the cluster's setting when
/// the node starts, and what is not written leaves that setting as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// `gc.grace`: how long what a client has seen can be used at least. At least a second.
    /// A new cluster begins with a day.
    pub grace: Option<Duration>,
    /// The longer of `gc.readingdelay` and `gc.backupretention`: how long an object stays in the
    /// store that nothing names any more, so that whoever reads it can finish, and a backup of the
    /// metadata finds it. Where clients are redirected to the store, at least as long as such a
    /// URL is valid. A new cluster begins with an hour.
    pub reading_delay: Option<Duration>,
    /// `gc.untagged`: what becomes of manifests that no tag, index or subject holds. A new
    /// cluster keeps them.
    pub untagged: Option<Untagged>,
    /// `gc.rate`: objects that are collected in a second at most. From 1 to 100,000. Default 500.
    pub rate: u32,
    /// `gc.sweep`: the time between two searches for objects that nothing names. At least a
    /// second. Default a day.
    pub sweep: Duration,
}

/// What becomes of manifests that no tag, index or subject holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untagged {
    /// `policy: keep`: they stay.
    Keep,
    /// `policy: expire`: they are deleted.
    Expire {
        /// `age`: after this time, and never before twice the grace. At least a second. Default
        /// 30 days.
        age: Duration,
        /// `repositories`: where one of these regular expressions matches the name; without any,
        /// everywhere.
        repositories: Vec<String>,
    },
}

#[derive(Clone, Copy)]
enum Policy {
    Keep,
    Expire,
}

impl Collection {
    /// Reads `gc` from the whole configuration.
    pub(super) fn read(root: &mut Section<'_>, storage: &Storage) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let mut section = root.section("gc");
        let delay = given(&mut section, "readingdelay", Duration::ZERO);
        let retention = given(&mut section, "backupretention", Duration::ZERO);
        let longer = |retention: Duration| retention.max(delay.unwrap_or(READING_DELAY));
        let reading_delay = retention.map(longer).or(delay);
        if storage.may_redirect() {
            refuse_short(&mut section, reading_delay);
        }
        Self {
            grace: given(&mut section, "grace", Duration::from_secs(1)),
            reading_delay,
            untagged: untagged(&mut section),
            rate: section.integer("rate", 1..=100_000, 500, RATE),
            sweep: section.duration("sweep", Duration::from_secs(1), DAY),
        }
    }
}

/// A client may use the URL that it was sent to for as long as that is valid.
fn refuse_short(section: &mut Section<'_>, reading_delay: Option<Duration>) {
    let node = section.node("readingdelay");
    let (Some(node), Some(found)) = (node, reading_delay) else {
        return;
    };
    if found < REDIRECT_VALID {
        let (path, found) = (section.name("readingdelay"), node.describe());
        let least = duration::show(REDIRECT_VALID);
        let message = format!(
            "{path} is {found}; expected at least {least}, as long as the URLs are valid that \
             clients are redirected to, or storage.redirect.disable: true"
        );
        section.report().error(&node.origin, message);
    }
}

/// A duration, if one is written.
fn given(section: &mut Section<'_>, key: &'static str, least: Duration) -> Option<Duration> {
    section.node(key)?;
    Some(section.duration(key, least, least))
}

fn untagged(section: &mut Section<'_>) -> Option<Untagged> {
    const AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    let is_given = section.node("untagged").is_some();
    let mut section = section.section("untagged");
    let wanted = expected("keep or expire", "keep");
    let policy = section.parsed("policy", wanted, |text| match text {
        "keep" => Some(Policy::Keep),
        "expire" => Some(Policy::Expire),
        _ => None,
    });
    let age = section.duration("age", Duration::from_secs(1), AGE);
    let repositories = section.strings("repositories", PATTERN);
    if let Err(error) = RegexSet::new(&repositories) {
        let (path, origin) = (section.name("repositories"), section.origin());
        section.report().error(origin, format!("{path}: {error}"));
    }
    // An age without a policy is more likely a mistake than a wish to keep everything.
    if is_given && section.node("policy").is_none() {
        section.missing("policy", wanted);
    }
    is_given.then_some(match policy {
        Some(Policy::Expire) => Untagged::Expire { age, repositories },
        Some(Policy::Keep) | None => Untagged::Keep,
    })
}
