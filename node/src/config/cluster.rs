//! The section `cluster`, which Distribution does not have.

use std::path::PathBuf;

use super::Defaults;
use super::reader::{Section, expected};
use super::storage::Driver;

/// This node's part in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// `cluster.datadir`: the folder of the node's metadata. It must be on a disk of this node.
    /// Default `roadstead/metadata` below the root of the filesystem driver; other drivers
    /// require the key.
    pub data: DataFolder,
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
            (None, Driver::InMemory, Defaults::OfDistribution) => {
                if !is_given {
                    section.missing("datadir", wanted);
                }
                DataFolder::Temporary
            }
        };
        Self { data }
    }
}
