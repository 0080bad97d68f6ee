//! The section `storage`: where blobs lie, and what may be done to them.

use std::path::PathBuf;
use std::time::Duration;

use roadstead_storage::s3::Options;

use super::Defaults;
use super::error::Report;
use super::reader::{Section, expected};
use super::s3;
use super::size::Reserve;
use super::tree::{Entry, Origin};
use super::unbuilt;
use crate::limits::UPLOAD_PURGING_TIME_MIN;

/// Where blobs lie, and what may be done to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The driver: exactly one of the keys that name one.
    pub driver: Driver,
    /// `storage.delete.enabled`: whether manifests, tags and blobs can be deleted over HTTP.
    /// Default false with a file, as in Distribution; true without one.
    pub is_delete_enabled: bool,
    /// `storage.redirect.disable`: whether blobs always pass through the node, even if the store
    /// could serve clients itself. Default false, as in Distribution.
    pub is_redirect_disabled: bool,
    /// `storage.reserve`: free space below which pushes are refused, as a size or in percent of the
    /// file system. Default the lesser of 512 MiB and 2 %. Distribution has no such key.
    pub reserve: Reserve,
    /// `storage.maintenance.uploadpurging`: what becomes of abandoned uploads.
    pub upload_purging: UploadPurging,
    /// `storage.maintenance.readonly.enabled`: whether everything that would change the registry
    /// is refused. Default false, as in Distribution.
    pub is_read_only: bool,
}

/// A place for blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// `storage.filesystem`: files below a folder.
    Filesystem {
        /// `storage.filesystem.rootdirectory`. Default `/var/lib/registry` with a file, as in
        /// Distribution; `./data` without one.
        root: PathBuf,
    },
    /// `storage.inmemory`: memory, which forgets all when the process ends.
    InMemory,
    /// `storage.s3`, or `storage.s3aws`: a bucket of an S3 store.
    S3(Box<Options>),
}

/// What becomes of uploads that were begun and not finished.
///
/// Distribution wants all four keys once the section is there; here each has a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPurging {
    /// `enabled`: whether they are removed. Default true, as in Distribution.
    pub is_enabled: bool,
    /// `age`: how long ago the last request for an upload must have ended. At least a second.
    /// Default a week, as in Distribution.
    pub age: Duration,
    /// `interval`: the time between two searches. At least a second. Default a day, as in
    /// Distribution.
    pub interval: Duration,
    /// `dryrun`: whether they are only listed in the log. Default false, as in Distribution.
    pub is_dry_run: bool,
    /// Whether the section was written: then its age is made the cluster's setting when the node
    /// starts.
    pub is_given: bool,
}

impl Storage {
    /// Whether clients may be sent to the store for the bytes of a blob.
    pub fn may_redirect(&self) -> bool {
        matches!(self.driver, Driver::S3(_)) && !self.is_redirect_disabled
    }

    /// Reads `storage` from the whole configuration.
    pub(super) fn read(root: &mut Section<'_>, defaults: Defaults) -> Self {
        let mut section = root.section("storage");
        let driver = driver(&mut section, defaults);
        for key in ["cache", "tag"] {
            unbuilt::warn_if_needless(&mut section, key);
        }
        let reserve = section.parsed(
            "reserve",
            expected("a size or a percentage below 100", "512MiB"),
            Reserve::parse,
        );
        let mut maintenance = section.section("maintenance");
        Self {
            driver,
            is_delete_enabled: section
                .section("delete")
                .boolean("enabled", defaults == Defaults::WithoutFile),
            is_redirect_disabled: section.section("redirect").boolean("disable", false),
            reserve: reserve.unwrap_or(Reserve::Usual),
            upload_purging: upload_purging(&mut maintenance),
            is_read_only: maintenance.section("readonly").boolean("enabled", false),
        }
    }
}

fn driver(section: &mut Section<'_>, defaults: Defaults) -> Driver {
    let mut chosen: Vec<(&'static str, &Entry)> = Vec::new();
    for name in ["filesystem", "inmemory", "s3", "s3aws"]
        .into_iter()
        .chain(unbuilt::DRIVERS)
    {
        if let Some(entry) = section.entry(name) {
            chosen.push((name, entry));
        }
    }
    let report = section.report();
    if chosen.is_empty() && defaults == Defaults::OfDistribution && !section.is_broken() {
        let message = "storage has no driver; expected one, for example storage.filesystem";
        report.error(section.origin(), message);
    }
    refuse_several(&chosen, report);
    for (name, entry) in &chosen {
        if unbuilt::DRIVERS.contains(name) {
            let path = section.name(name);
            report.error(
                &entry.origin,
                unbuilt::refusal(&path, unbuilt::DRIVER_REASON),
            );
        }
    }
    // Each is read in any case, so that mistakes in those not chosen show too.
    let root = filesystem_root(&mut section.section("filesystem"), defaults);
    drop(section.section("inmemory"));
    let mut s3_options = None;
    for name in ["s3", "s3aws"] {
        if section.entry(name).is_some() {
            s3_options = Some(s3::read(&mut section.section(name)));
        }
    }
    match (chosen.as_slice(), s3_options) {
        ([("inmemory", entry)], _) => {
            let message = "storage.inmemory forgets every blob when the process ends";
            report.warn(&entry.origin, message);
            Driver::InMemory
        }
        ([_], Some(options)) => Driver::S3(Box::new(options)),
        _ => Driver::Filesystem { root },
    }
}

fn refuse_several(chosen: &[(&'static str, &Entry)], report: &Report) {
    let Some(((first, first_entry), rest)) = chosen.split_first() else {
        return;
    };
    for (name, entry) in rest {
        // The complaint stands at the later of the two, which more likely is the mistake.
        let mut pair = [(first, &first_entry.origin), (name, &entry.origin)];
        pair.sort_by_key(|(_, origin)| *origin);
        let [(earlier, earlier_origin), (later, later_origin)] = pair;
        let place = match earlier_origin {
            Origin::Whole => "by default".to_owned(),
            Origin::Line(line) => format!("on line {line} of the file"),
            Origin::Variable(name) => format!("by {name}"),
        };
        let message = format!(
            "storage.{later} is a second storage driver beside storage.{earlier}, which is set \
             {place}; expected exactly one"
        );
        report.error(later_origin, message);
    }
}

fn filesystem_root(section: &mut Section<'_>, defaults: Defaults) -> PathBuf {
    unbuilt::warn_if_needless(section, "maxthreads");
    let default = match defaults {
        Defaults::OfDistribution => "/var/lib/registry",
        Defaults::WithoutFile => "./data",
    };
    section
        .string("rootdirectory", expected("a folder", "/var/lib/registry"))
        .map_or_else(|| PathBuf::from(default), PathBuf::from)
}

fn upload_purging(maintenance: &mut Section<'_>) -> UploadPurging {
    const AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    const INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
    let is_given = maintenance.node("uploadpurging").is_some();
    let section = &mut maintenance.section("uploadpurging");
    let is_enabled = section.boolean("enabled", true);
    UploadPurging {
        is_enabled,
        age: section.duration("age", UPLOAD_PURGING_TIME_MIN, AGE),
        interval: section.duration("interval", UPLOAD_PURGING_TIME_MIN, INTERVAL),
        is_dry_run: section.boolean("dryrun", false),
        is_given,
    }
}
