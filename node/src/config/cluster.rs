//! The section `cluster`, which Distribution does not have.

use std::path::PathBuf;

use super::Defaults;
use super::address::Address;
use super::group::Group;
use super::reader::{Expected, Section, expected};
use super::storage::Driver;

/// The port of the administration service.
pub const ADMINISTRATION_PORT: u16 = 5055;

/// This node's part in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// `cluster.datadir`: the folder of the node's metadata. It must be on a disk of this node.
    /// Default `roadstead/metadata` below the root of the filesystem driver; other drivers
    /// require the key.
    pub data: DataFolder,
    /// The nodes that it shares its metadata with; `None` for a node alone.
    pub group: Option<Group>,
    /// `cluster.admin`: where the node is administered.
    pub administration: Administration,
}

/// Where a node is administered, by gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administration {
    /// `cluster.admin.addr`: where to listen. It must be a loopback address, since whoever can
    /// connect may administer. Default `127.0.0.1:5055`.
    pub addr: Address,
    /// Whether it was written: then the node does not start where it cannot listen there.
    pub is_given: bool,
}

/// Where a node keeps its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataFolder {
    /// In this folder.
    At(PathBuf),
    /// In a new temporary folder, to be removed in the end: with blobs in memory and no file
    /// and no folder given, metadata that outlived the blobs would name blobs that are gone.
    Temporary,
}

impl Cluster {
    /// Reads `cluster` from the whole configuration.
    pub(super) fn read(root: &mut Section<'_>, driver: &Driver, defaults: Defaults) -> Self {
        let mut section = root.section("cluster");
        let wanted = expected("a folder on this node", "/var/lib/roadstead/metadata");
        let given = section.string("datadir", wanted).map(PathBuf::from);
        let is_given = section.node("datadir").is_some();
        let data = match (given, driver, defaults) {
            (Some(folder), _, _) => DataFolder::At(folder),
            (None, Driver::Filesystem { root }, _) => {
                DataFolder::At(root.join("roadstead").join("metadata"))
            }
            (None, Driver::InMemory, Defaults::WithoutFile) => DataFolder::Temporary,
            (None, Driver::InMemory | Driver::S3(_), _) => {
                if !is_given {
                    section.missing("datadir", wanted);
                }
                DataFolder::Temporary
            }
        };
        Self {
            data,
            group: Group::read(&mut section),
            administration: administration(&mut section.section("admin")),
        }
    }
}

fn administration(section: &mut Section<'_>) -> Administration {
    const LOOPBACK: Expected = expected(
        "a loopback address with a port, since whoever can connect may administer",
        "127.0.0.1:5055",
    );
    let is_given = section.node("addr").is_some();
    let parse = |text: &str| Address::parse(text).filter(Address::is_loopback);
    let addr = section.parsed("addr", LOOPBACK, parse);
    Administration {
        addr: addr.unwrap_or_else(|| Address::loopback(ADMINISTRATION_PORT)),
        is_given,
    }
}
