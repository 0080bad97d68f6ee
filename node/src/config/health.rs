//! The section `health`: what must work for the node to call itself healthy.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::Defaults;
use super::address::Address;
use super::headers::{self, Header};
use super::reader::{Expected, Section, expected};
use super::storage::Driver;
use super::unbuilt;
use crate::limits::HEALTH_THRESHOLD_MAX;

/// The time between two checks where none is given, or zero. Distribution's.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long a check waits where no limit is given, or zero. Distribution would wait for ever.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What must work for the node to call itself healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// `health.storagedriver`: whether blobs can be reached.
    pub storage_driver: StorageDriver,
    /// `health.file`: files that must not exist. Default none, as in Distribution.
    pub files: Vec<FileCheck>,
    /// `health.http`: addresses that must answer. Default none, as in Distribution.
    pub http: Vec<HttpCheck>,
    /// `health.tcp`: ports that must accept connections. Default none, as in Distribution.
    pub tcp: Vec<TcpCheck>,
}

/// How often a check is made, and how often it must fail to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// `interval`: the time between two checks. Default 10 s, as in Distribution.
    pub interval: Duration,
    /// `threshold`: how many failures in a row make the node unhealthy. At least 1. Default 1,
    /// as in Distribution.
    pub threshold: u32,
}

/// Whether blobs can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageDriver {
    /// `health.storagedriver.enabled`: whether this is checked. Default false with a file, as in
    /// Distribution; true without one, and where blobs lie in S3: a node cannot tell otherwise
    /// that its store is down, and would go on being sent requests.
    pub is_enabled: bool,
    /// How often. Where the check is on by default the threshold's default is 3, as in
    /// Distribution's examples.
    pub pace: Pace,
}

/// A file whose existence takes the node out of service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// `file`: the path. Required.
    pub file: PathBuf,
    /// How often. Distribution knows no threshold here.
    pub pace: Pace,
}

/// An address that must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// `uri`: what to ask for. Required, and `http`.
    pub uri: Url,
    /// `headers`: what to send along. Default none, as in Distribution.
    pub headers: Vec<Header>,
    /// `statuscode`: the right answer. From 100 to 599. Default 200, as in Distribution.
    pub status_code: u16,
    /// `timeout`: how long to wait. Default 3 s; Distribution waits for ever.
    pub timeout: Duration,
    /// How often.
    pub pace: Pace,
}

/// A port that must accept connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpCheck {
    /// `addr`: the host and port. Required.
    pub addr: Address,
    /// `timeout`: how long to wait. Default 3 s; Distribution waits for ever.
    pub timeout: Duration,
    /// How often.
    pub pace: Pace,
}

impl Health {
    /// Reads `health` from the whole configuration.
    pub(super) fn read(root: &mut Section<'_>, driver: &Driver, defaults: Defaults) -> Self {
        const STORAGE_THRESHOLD: u32 = 3;
        let mut section = root.section("health");
        let is_watched = defaults == Defaults::WithoutFile || matches!(driver, Driver::S3(_));
        let threshold = if is_watched { STORAGE_THRESHOLD } else { 1 };
        let mut storage = section.section("storagedriver");
        Self {
            storage_driver: StorageDriver {
                is_enabled: storage.boolean("enabled", is_watched),
                pace: pace(&mut storage, threshold),
            },
            files: section
                .sections("file")
                .into_iter()
                .filter_map(file)
                .collect(),
            http: section
                .sections("http")
                .into_iter()
                .filter_map(http)
                .collect(),
            tcp: section
                .sections("tcp")
                .into_iter()
                .filter_map(tcp)
                .collect(),
        }
    }
}

fn pace(section: &mut Section<'_>, threshold: u32) -> Pace {
    let wanted = expected("a positive integer up to 1000000", "3");
    Pace {
        interval: section.interval("interval", INTERVAL),
        threshold: section.integer("threshold", 1..=HEALTH_THRESHOLD_MAX, threshold, wanted),
    }
}

fn file(mut section: Section<'_>) -> Option<FileCheck> {
    let wanted = expected("a path", "/etc/roadstead/offline");
    let file = required(&mut section, "file", wanted, |text| {
        Some(PathBuf::from(text))
    });
    let pace = pace(&mut section, 1);
    Some(FileCheck { file: file?, pace })
}

fn http(mut section: Section<'_>) -> Option<HttpCheck> {
    const STATUS_OK: u16 = 200;
    let wanted = expected("an http address", "http://other.example.com/health");
    let parse = |text: &str| Url::parse(text).ok().filter(is_checkable);
    let uri = required(&mut section, "uri", wanted, parse);
    if let Some(uri) = &uri
        && uri.scheme() == "https"
    {
        let reason = "without it the check would always fail";
        let message = unbuilt::refusal(&format!("{}: https", section.name("uri")), reason);
        let origin = section
            .node("uri")
            .map_or(section.origin(), |node| &node.origin)
            .clone();
        section.report().error(&origin, message);
    }
    let wanted = expected("an HTTP status from 100 to 599", "200");
    let status = section.integer("statuscode", 100..=599, u32::from(STATUS_OK), wanted);
    let headers = headers::read(&mut section, "headers");
    let timeout = section.interval("timeout", TIMEOUT);
    let pace = pace(&mut section, 1);
    let status_code = u16::try_from(status).unwrap_or(STATUS_OK);
    Some(HttpCheck {
        uri: uri?,
        headers,
        status_code,
        timeout,
        pace,
    })
}

fn is_checkable(uri: &Url) -> bool {
    matches!(uri.scheme(), "http" | "https") && uri.has_host()
}

fn tcp(mut section: Section<'_>) -> Option<TcpCheck> {
    let wanted = expected(
        "host:port with an IPv6 address in brackets",
        "db.example.com:5432",
    );
    let parse = |text: &str| Address::parse(text).filter(|address| address.port() > 0);
    let addr = required(&mut section, "addr", wanted, parse);
    let timeout = section.interval("timeout", TIMEOUT);
    let pace = pace(&mut section, 1);
    Some(TcpCheck {
        addr: addr?,
        timeout,
        pace,
    })
}

fn required<T>(
    section: &mut Section<'_>,
    key: &'static str,
    wanted: Expected,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    if section.node(key).is_none() {
        section.missing(key, wanted);
    }
    section.parsed(key, wanted, parse)
}
