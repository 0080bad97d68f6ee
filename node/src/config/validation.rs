//! The section `validation`: what a manifest must be like to be accepted.

use super::reader::{Section, expected};
use super::tree::{Kind, Scalar, Value};

/// What a manifest must be like to be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// `validation.disabled`: whether manifests may name blobs and manifests that are not there.
    /// Default false, as in Distribution. `validation.enabled`, its deprecated opposite, wins
    /// over it when true and means nothing when false, as in Distribution.
    pub is_disabled: bool,
    /// `validation.manifests.urls`: which addresses a layer may name.
    pub urls: Urls,
    /// `validation.manifests.indexes`: which manifests of an index must be there. Default all,
    /// as in Distribution.
    pub platforms: Platforms,
}

/// Which addresses the `urls` of a layer may hold, as regular expressions in Go's syntax.
///
/// They are kept as text: whoever compiles them reports the ones that are not expressions.
/// Without any of either list no layer may have `urls`, as in Distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Urls {
    /// `allow`: one of these must match, if there are any.
    pub allow: Vec<String>,
    /// `deny`: none of these may match.
    pub deny: Vec<String>,
}

/// Which manifests that an index names must be there when it is pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Platforms {
    /// `all`: every one.
    #[default]
    All,
    /// `none`: no one.
    None,
    /// `list`: those of the platforms in `platformlist`.
    List(Vec<Platform>),
}

/// A platform, in the words of the OCI image index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `architecture`, such as `amd64`.
    pub architecture: String,
    /// `os`, such as `linux`.
    pub os: String,
}

/// The values of `platforms`.
#[derive(Clone, Copy)]
enum Which {
    All,
    None,
    List,
}

impl Validation {
    /// Reads `validation` from the whole configuration.
    pub(super) fn read(root: &mut Section<'_>) -> Self {
        let mut section = root.section("validation");
        let is_disabled = is_disabled(&mut section);
        let mut manifests = section.section("manifests");
        let urls = urls(&mut manifests.section("urls"));
        let platforms = platforms(&mut manifests.section("indexes"));
        Self {
            is_disabled,
            urls,
            platforms,
        }
    }
}

fn is_disabled(section: &mut Section<'_>) -> bool {
    let is_disabled = section.boolean("disabled", false);
    let is_enabled = section.boolean("enabled", false);
    let Some(node) = section.node("enabled") else {
        return is_disabled;
    };
    let report = section.report();
    let effect = match node.value {
        Value::Scalar(Scalar {
            kind: Kind::Boolean(false),
            ..
        }) => "and when false has no effect; to disable validation use validation.disabled: true",
        _ if is_disabled => "but wins over validation.disabled; leave it out",
        _ => "and not needed; leave it out",
    };
    report.warn(
        &node.origin,
        format!("validation.enabled is deprecated {effect}"),
    );
    is_disabled && !is_enabled
}

fn urls(section: &mut Section<'_>) -> Urls {
    let wanted = expected(
        "a list of regular expressions",
        r"['^https://example\.com/']",
    );
    Urls {
        allow: section.strings("allow", wanted),
        deny: section.strings("deny", wanted),
    }
}

fn platforms(section: &mut Section<'_>) -> Platforms {
    let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
        "all" => Some(Which::All),
        "none" => Some(Which::None),
        "list" => Some(Which::List),
        _ => None,
    };
    let which = section.parsed("platforms", expected("all, none or list", "all"), parse);
    let list: Vec<Platform> = section
        .sections("platformlist")
        .into_iter()
        .filter_map(platform)
        .collect();
    if let Some(node) = section.node("platformlist")
        && !matches!(which, Some(Which::List))
    {
        let message = "validation.manifests.indexes.platformlist has no effect without \
                       platforms: list";
        section.report().warn(&node.origin, message);
    }
    match which {
        None | Some(Which::All) => Platforms::All,
        Some(Which::None) => Platforms::None,
        Some(Which::List) => Platforms::List(list),
    }
}

fn platform(mut section: Section<'_>) -> Option<Platform> {
    let mut part = |key, wanted| {
        if section.node(key).is_none() {
            section.missing(key, wanted);
        }
        section.string(key, wanted)
    };
    let architecture = part("architecture", expected("an architecture", "amd64"));
    let os = part("os", expected("an operating system", "linux"));
    Some(Platform {
        architecture: architecture?,
        os: os?,
    })
}
