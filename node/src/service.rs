//! Use cases: what the registry does, without HTTP and without actors' addresses.
//!
//! `Registry` is what a request handler gets. One file for each kind of thing.

mod blobs;
mod lists;
mod manifests;
mod policy;

use std::sync::Arc;

use roadstead_cluster::metadata::{Fault, View};
use roadstead_cluster::{Metadata, Seen, read};
use roadstead_storage::BlobStore;

use crate::error::RegistryError;
pub use blobs::OpenBlob;
pub use manifests::{Pushed, StoredManifest};
pub use policy::Policy;

use crate::actor::{Repositories, Uploads};
use crate::space::Space;
use crate::store_guard::StoreGuard;

/// The registry. Clones share it.
#[derive(Debug, Clone)]
pub struct Registry {
    metadata: Metadata,
    store: Arc<dyn BlobStore>,
    uploads: Uploads,
    repositories: Repositories,
    policy: Arc<Policy>,
    space: Space,
    guard: StoreGuard,
}

impl Registry {
    /// Puts the parts together.
    pub fn new(
        metadata: Metadata,
        store: Arc<dyn BlobStore>,
        uploads: Uploads,
        repositories: Repositories,
        policy: Policy,
        space: Space,
        guard: StoreGuard,
    ) -> Self {
        Self {
            metadata,
            store,
            uploads,
            repositories,
            policy: Arc::new(policy),
            space,
            guard,
        }
    }

    /// Whether the metadata answer: a leader is there and this node has caught up with it.
    ///
    /// # Errors
    /// [`RegistryError::Unavailable`].
    pub async fn check_metadata(&self) -> Result<(), RegistryError> {
        self.metadata
            .read(|_view| Ok(()))
            .await
            .map_err(RegistryError::metadata)
    }

    /// Reads what does not change, by what this node knows if nobody can decide for long.
    async fn read_settled<T>(
        &self,
        look: impl FnOnce(&dyn View) -> Result<T, Fault>,
    ) -> Result<Seen<T>, RegistryError> {
        let local_after = self.policy.reads().local_after;
        let seen = self.metadata.read_settled(local_after, look).await;
        seen.map_err(RegistryError::metadata)
    }

    /// Cluster time now, and the grace, both in milliseconds: what holds and ages are judged by.
    async fn now_and_grace(&self) -> Result<(u64, u64), RegistryError> {
        let now_ms = self
            .metadata
            .cluster_time()
            .await
            .map_err(RegistryError::metadata)?;
        let settings = self.metadata.read(|view| read::settings(view)).await;
        let settings = settings
            .map_err(RegistryError::metadata)?
            .unwrap_or_default();
        Ok((now_ms, settings.grace_ms))
    }

    /// Uploads in progress.
    pub fn uploads(&self) -> &Uploads {
        &self.uploads
    }

    /// Whether clients may push.
    ///
    /// # Errors
    /// [`RegistryError::ReadOnly`], [`RegistryError::Short`] when a disk has too little room, and
    /// [`RegistryError::StoreChanged`].
    pub fn check_push(&self) -> Result<(), RegistryError> {
        self.policy.check_write()?;
        self.guard.check()?;
        self.space.check()
    }

    /// Whether there is room for more.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// What this registry allows.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

/// What was found. What was not found may be there all the same, if nobody could decide.
fn found_or<T>(
    seen: Seen<Option<T>>,
    unknown: impl FnOnce() -> RegistryError,
) -> Result<Seen<T>, RegistryError> {
    let is_local = seen.is_local;
    match seen.found {
        Some(found) => Ok(Seen { found, is_local }),
        None if is_local => Err(outage()),
        None => Err(unknown()),
    }
}

/// This node alone cannot say.
fn outage() -> RegistryError {
    RegistryError::Unavailable {
        what: "the metadata",
        source: "no majority of the nodes answers, and this node alone cannot say".into(),
    }
}
