//! The configuration: Distribution's `config.yml` and `REGISTRY_*` environment, made typed.
//!
//! Everything is checked here, once, so that the rest of the node never sees a value that is
//! out of bounds. Nothing here opens a port, makes a folder or resolves a name.
//!
//! The way of a configuration: `yaml` builds a `tree` from the file, `environment` lays the
//! variables over it with the help of `schema`, and the sections read it through `reader`,
//! which collects complaints in a report of `error`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

mod address;
mod cluster;
mod collection;
mod duration;
mod environment;
mod error;
mod group;
mod headers;
mod health;
mod http;
mod log;
mod nearest;
mod reader;
mod s3;
mod schema;
mod size;
mod storage;
mod tree;
mod unbuilt;
mod validation;
mod yaml;

#[cfg(test)]
mod tests;

pub use address::Address;
pub use cluster::{ADMINISTRATION_PORT, Administration, Cluster, DataFolder};
pub use collection::{Collection, Untagged};
pub use error::ConfigError;
pub use group::{Drain, Group, Reads, Tls};
pub use headers::Header;
pub use health::{FileCheck, Health, HttpCheck, Pace, StorageDriver, TcpCheck};
pub use http::{Debug, Http, Prometheus};
pub use log::{Formatter, Level, Log};
pub use size::Reserve;
pub use storage::{Driver, Storage, UploadPurging};
pub use validation::{Platform, Platforms, Urls, Validation};

use crate::limits::{CONFIG_BYTES_MAX, PAGE_SETTING_MAX};
use error::Report;
use reader::{Section, expected};
use tree::{Kind, Node, Origin, Scalar, Value};

/// Everything an operator can choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `log`: what is logged, and how.
    pub log: Log,
    /// `storage`: where blobs lie, and what may be done to them.
    pub storage: Storage,
    /// `http`: where and how the registry is served.
    pub http: Http,
    /// `health`: what must work for the node to call itself healthy.
    pub health: Health,
    /// `validation`: what a manifest must be like to be accepted.
    pub validation: Validation,
    /// `catalog`: the list of repositories.
    pub catalog: Catalog,
    /// `tags`: the list of tags.
    pub tags: Tags,
    /// `cluster`: this node's part in the cluster.
    pub cluster: Cluster,
    /// `gc`: garbage collection.
    pub collection: Collection,
}

/// The list of repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// `catalog.maxentries`: how many repositories a page holds at most. From 1 to 1,000,000.
    /// Default 1000, as in Distribution.
    pub entries_per_page_max: u32,
}

/// The list of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags {
    /// `tags.maxtags`: how many tags a page holds at most. From 1 to 1,000,000. Default 1000, as
    /// in Distribution.
    pub tags_per_page_max: u32,
}

/// A configuration with all there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What the operator should know, each with its place; one line each.
    pub warnings: Vec<String>,
    /// Where the configuration came from.
    pub source: Source,
}

/// Where a configuration came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file, if there was one.
    pub file: Option<PathBuf>,
    /// The names of the environment variables that set something, in the order of application.
    pub variables: Vec<String>,
}

/// Which defaults hold where nothing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defaults {
    /// With a file: those of Distribution, so that its files mean what they meant.
    OfDistribution,
    /// Without a file: those that suit somebody who tries Roadstead on a laptop.
    WithoutFile,
}

impl Config {
    /// Reads the file, if one is named, and lays the environment over it.
    ///
    /// Of the environment only names that begin with `REGISTRY_` are looked at, and
    /// `REGISTRY_CONFIGURATION_PATH` is left to the caller.
    ///
    /// # Errors
    /// When the file cannot be read, and when anything in it or in the environment is wrong,
    /// unknown, or known but not built. The error lists everything that was found.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigError> {
        let report = Report::new(path.map(|path| path.display().to_string()));
        let Some(mut root) = path.map_or_else(nothing, |path| parse_file(path, &report)) else {
            return Err(report.into_error());
        };
        environment::expand_names(&mut root);
        let variables = environment::overlay(&mut root, environment, &report);
        let defaults = if path.is_some() {
            Defaults::OfDistribution
        } else {
            Defaults::WithoutFile
        };
        let config = Self::read(&root, defaults, &report);
        let warnings = report.close()?;
        let source = Source {
            file: path.map(Path::to_path_buf),
            variables,
        };
        Ok(Loaded {
            config,
            warnings,
            source,
        })
    }

    fn read(root: &Node, defaults: Defaults, report: &Report) -> Self {
        let mut root = Section::root(root, report);
        check_version(&mut root, defaults);
        unbuilt::warn_if_needless(&mut root, "redis");
        unbuilt::refuse(&mut root);
        let page_wanted = expected("an integer from 1 to 1000000", "1000");
        let mut page = |section, key| {
            root.section(section)
                .integer(key, 1..=PAGE_SETTING_MAX, 1000, page_wanted)
        };
        let catalog = Catalog {
            entries_per_page_max: page("catalog", "maxentries"),
        };
        let tags = Tags {
            tags_per_page_max: page("tags", "maxtags"),
        };
        let storage = Storage::read(&mut root, defaults);
        Self {
            log: Log::read(&mut root),
            http: Http::read(&mut root, defaults),
            health: Health::read(&mut root, &storage.driver, defaults),
            validation: Validation::read(&mut root),
            catalog,
            tags,
            cluster: Cluster::read(&mut root, &storage.driver, defaults),
            collection: Collection::read(&mut root, &storage),
            storage,
        }
    }
}

fn nothing() -> Option<Node> {
    Some(Node::empty_map(Origin::Whole))
}

/// Reads a file into a tree. `None` means that the report says why not.
fn parse_file(path: &Path, report: &Report) -> Option<Node> {
    let bytes = match read_file(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            report.error(&Origin::Whole, format!("cannot be read: {error}"));
            return None;
        }
    };
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        report.error(
            &Origin::Whole,
            format!("is larger than {CONFIG_BYTES_MAX} bytes"),
        );
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => yaml::parse(&text, &Origin::Line, report),
        Err(error) => {
            let valid = error
                .as_bytes()
                .iter()
                .take(error.utf8_error().valid_up_to());
            let line = 1 + valid.filter(|byte| **byte == b'\n').count();
            report.error(&Origin::Line(line), "holds bytes that are not UTF-8");
            None
        }
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(CONFIG_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The version says which keys there are; there has only ever been one.
fn check_version(root: &mut Section<'_>, defaults: Defaults) {
    const VERSION: &str = "0.1";
    let wanted = expected("0.1", "version: 0.1");
    match root.node("version").map(|node| (node, &node.value)) {
        None if defaults == Defaults::OfDistribution => root.missing("version", wanted),
        None => {}
        Some((
            _,
            Value::Scalar(Scalar {
                text,
                kind: Kind::Float | Kind::String,
            }),
        )) if text == VERSION => {}
        Some((node, _)) => root.refuse(node, "version", wanted),
    }
}
