//! Where a node keeps what.

use std::path::{Path, PathBuf};

use roadstead_storage::s3;

use super::{Stopped, start_error};
use crate::config::{Config, DataFolder, Driver};

/// Where the node keeps what.
pub(super) struct Folders {
    pub(super) metadata: PathBuf,
    /// Where blobs lie, for people.
    pub(super) data: String,
    // Removed with the value.
    _temporary: Option<tempfile::TempDir>,
}

impl Folders {
    pub(super) fn of(config: &Config) -> Result<Self, Stopped> {
        let data = match &config.storage.driver {
            Driver::Filesystem { root } => absolute(root),
            Driver::InMemory => "memory, until the process ends".to_owned(),
            Driver::S3(options) => bucket(options),
        };
        let (metadata, temporary) = match &config.cluster.data {
            DataFolder::At(path) => (path.clone(), None),
            DataFolder::Temporary => {
                let folder = tempfile::tempdir().map_err(|error| start_error(&error))?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        Ok(Self {
            metadata,
            data,
            _temporary: temporary,
        })
    }

    /// Those that lie on disks, which can be full.
    pub(super) fn on_disk(&self, config: &Config) -> Vec<PathBuf> {
        let mut folders = vec![self.metadata.clone()];
        if let Driver::Filesystem { root } = &config.storage.driver {
            folders.push(root.clone());
        }
        folders
    }
}

/// A bucket as people write it, and whose it is.
fn bucket(options: &s3::Options) -> String {
    let s3::Options { bucket, root, .. } = options;
    let place = format!("s3://{bucket}/{root}");
    match (&options.endpoint, &options.region) {
        (Some(endpoint), _) => format!("{place} at {endpoint}"),
        (None, Some(region)) => format!("{place} in {region}"),
        (None, None) => place,
    }
}

pub(super) fn absolute(path: &Path) -> String {
    std::path::absolute(path)
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string()
}
