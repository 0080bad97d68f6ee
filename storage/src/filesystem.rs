//! The `filesystem` driver: objects are files below a root folder, on a disk or a shared mount.
//!
//! ```text
//! <root>/<key>            an object
//! <root>/<key>.partial    an unfinished write; `finish` renames it
//! ```
//!
//! So nothing is readable under a key before `finish`, and a file under its final name is whole.
//! What is acknowledged was fsynced, and so were the folders on the way to it.
//! Folders are never removed: removing one would race with a write that is about to use it.
//!
//! Every call of the system runs on the blocking pool. It is not a cache: the kernel's page cache
//! is the only one.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use url::Url;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::limits::MARKER_BYTES_MAX;
use crate::marker::Marker;
use crate::path::ObjectKey;
use crate::store::{BlobReader, BlobStore, BlobWriter, ObjectInfo};

mod blocking;
mod deletion;
mod folders;
mod layout;
mod opening;
mod probe;
mod reader;
#[cfg(test)]
mod tests;
mod walk;
mod writer;

use crate::claims::{Claim, Claims};
use folders::Folders;
use layout::{Layout, Paths};
use writer::Writer;

const NAME: &str = "filesystem";

/// Objects as files below a root folder.
#[derive(Debug)]
pub struct Filesystem {
    layout: Layout,
    folders: Arc<Folders>,
    claims: Arc<Claims>,
}

impl Filesystem {
    /// Opens the store below `root`, which is created if it is missing.
    ///
    /// Tries at once whether files can be written, fsynced, renamed and deleted there.
    ///
    /// # Errors
    ///
    /// [`Error::Unsuitable`], [`Error::PermissionDenied`], [`Error::NoSpace`] or
    /// [`Error::Unavailable`], which say what is wrong and where.
    ///
    /// # Cancel safety
    ///
    /// The folder may have been created, and a file `.roadstead-probe-<random>` may remain in it.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let root = blocking::run("open the store", move || probe::prepare(root)).await?;
        tracing::debug!(root = %root.display(), "opened a filesystem store");
        Ok(Self {
            layout: Layout::new(&root),
            folders: Arc::new(Folders::new(&root)),
            claims: Arc::default(),
        })
    }

    /// Opens a file for a writer on the blocking pool, while the claim on its key is held.
    async fn writer(
        &self,
        claim: Claim,
        open: impl FnOnce(&opening::Opening) -> Result<opening::Opened> + Send + 'static,
    ) -> Result<Box<dyn BlobWriter>> {
        let key = claim.key().clone();
        let opening = opening::Opening {
            paths: self.layout.paths(&key)?,
            folders: Arc::clone(&self.folders),
            // The work keeps the key taken even if the caller drops this future.
            tenure: claim.tenure(),
        };
        let target = blocking::run("open a writer", move || {
            let opened = open(&opening)?;
            Ok(writer::Target::new(opening, opened))
        })
        .await?;
        Ok(Box::new(Writer::new(claim, target)))
    }

    /// Removes files of each key on the blocking pool. One result for each, in the same order.
    async fn remove(
        &self,
        keys: &[ObjectKey],
        remove: fn(Vec<Result<Paths>>) -> Vec<Result<()>>,
    ) -> Vec<Result<()>> {
        for key in keys {
            // A cancelled call may still be about to create what is to be removed here.
            self.claims.settled(key).await;
        }
        let paths: Vec<_> = keys.iter().map(|key| self.layout.paths(key)).collect();
        let removed = blocking::run("delete", move || Ok(remove(paths))).await;
        removed.unwrap_or_else(|error| {
            // The pool is gone: nothing says how far the work came.
            let reason = error.to_string();
            keys.iter()
                .map(|key| {
                    let (subject, source) = (format!("delete {key}"), reason.clone().into());
                    Err(Error::Unavailable { subject, source })
                })
                .collect()
        })
    }
}

#[async_trait]
impl BlobStore for Filesystem {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn create(&self, key: &ObjectKey) -> Result<Box<dyn BlobWriter>> {
        let claim = self.claims.take(key).await;
        let claim = claim.ok_or_else(|| Error::already_exists(key.as_str()))?;
        self.writer(claim, opening::Opening::create).await
    }

    async fn resume(
        &self,
        key: &ObjectKey,
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn BlobWriter>> {
        checkpoint.expect_payload(writer::CHECKPOINT_TAG)?;
        let claim = self.claims.take(key).await;
        let claim = claim.ok_or_else(|| Error::Busy {
            key: key.to_string(),
        })?;
        let offset = checkpoint.offset();
        self.writer(claim, move |opening| opening.resume(offset))
            .await
    }

    async fn take_over(
        &self,
        from: &ObjectKey,
        checkpoint: &Checkpoint,
        to: &ObjectKey,
    ) -> Result<Box<dyn BlobWriter>> {
        if from == to {
            return Err(Error::invalid_key(
                to.as_str(),
                "an upload cannot take over itself",
            ));
        }
        checkpoint.expect_payload(writer::CHECKPOINT_TAG)?;
        let source = self.layout.paths(from)?;
        let claim = self.claims.take(to).await;
        let claim = claim.ok_or_else(|| Error::Busy {
            key: to.to_string(),
        })?;
        let offset = checkpoint.offset();
        self.writer(claim, move |opening| opening.take_over(&source, offset))
            .await
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<BlobReader> {
        let path = self.layout.paths(key)?.object;
        let opened = blocking::run("open an object", move || reader::open(path)).await?;
        opened.read(range)
    }

    async fn size(&self, key: &ObjectKey) -> Result<u64> {
        let path = self.layout.paths(key)?.object;
        blocking::run("look at an object", move || reader::size(&path)).await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        self.remove(keys, deletion::delete).await
    }

    async fn discard_unfinished(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        self.remove(keys, deletion::discard_unfinished).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectInfo>> {
        walk::list(&self.layout, prefix)
    }

    async fn redirect_url(&self, _: &ObjectKey, _: Duration) -> Result<Option<Url>> {
        Ok(None)
    }

    async fn read_marker(&self) -> Result<Option<Marker>> {
        match self.read(&ObjectKey::marker(), None).await {
            Ok(reader) => Ok(Some(Marker::decode(
                &reader.collect(MARKER_BYTES_MAX).await?,
            )?)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write_marker(&self, marker: &Marker) -> Result<()> {
        let path = self.layout.paths(&ObjectKey::marker())?.object;
        let (folders, text) = (Arc::clone(&self.folders), marker.encode());
        blocking::run("write the marker", move || {
            folders.replace(&path, text.as_bytes())
        })
        .await
    }

    async fn check(&self) -> Result<()> {
        let root = self.layout.root().to_path_buf();
        blocking::run("check the store", move || probe::check(&root)).await
    }
}
