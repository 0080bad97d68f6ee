//! `StoreGuard`: whether the object store is still this cluster's.
//!
//! It compares the marker in the store with what the metadata say. It is an alarm, not a fence: it
//! catches a store that was unmounted, emptied, swapped or restored under a running node. While it
//! sounds, nothing is deleted from the store and nothing is pushed to it; pulls go on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roadstead_cluster::{Metadata, read};
use roadstead_storage::{BlobStore, Marker};
use uuid::Uuid;

use crate::error::RegistryError;

/// The guard. Clones share the alarm.
#[derive(Debug, Clone)]
pub struct StoreGuard {
    metadata: Metadata,
    store: Arc<dyn BlobStore>,
    // Why the alarm sounds, while it does.
    alarm: Arc<Mutex<Option<String>>>,
}

/// What a look at the marker came to.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The store is not the cluster's.
    #[error("{0}")]
    Alarm(String),
    /// The metadata did not answer.
    #[error("{0}")]
    Metadata(#[from] roadstead_cluster::Error),
    /// The store did not answer, which is no alarm.
    #[error("{0}")]
    Store(#[from] roadstead_storage::Error),
}

impl StoreGuard {
    /// Guards `store`.
    pub fn new(metadata: Metadata, store: Arc<dyn BlobStore>) -> Self {
        Self {
            metadata,
            store,
            alarm: Arc::default(),
        }
    }

    /// Reads the marker now, and sounds or ends the alarm.
    ///
    /// # Errors
    /// [`GuardError`]; nothing may be deleted then.
    pub async fn look(&self) -> Result<(), GuardError> {
        let settings = self.metadata.read(|view| read::settings(view)).await?;
        let settings = settings.unwrap_or_default();
        let own = Uuid::try_parse(&settings.cluster_id).ok();
        let found = match self.store.read_marker().await {
            Ok(found) => found,
            Err(error @ roadstead_storage::Error::Corrupt { .. }) => {
                return self.sound(error.to_string());
            }
            Err(error) => return Err(error.into()),
        };
        match found {
            Some(Marker {
                cluster_id,
                incarnation,
            }) if Some(cluster_id) == own && incarnation == settings.incarnation => {
                self.end();
                Ok(())
            }
            Some(marker) => self.sound(format!(
                "the object store now belongs to cluster {} (incarnation {}), not to {} \
                 (incarnation {})",
                marker.cluster_id, marker.incarnation, settings.cluster_id, settings.incarnation
            )),
            None => self.sound(format!(
                "the object store does not hold the marker of cluster {} any more: it was \
                 unmounted, emptied or swapped",
                settings.cluster_id
            )),
        }
    }

    /// Why the alarm sounds, if it does.
    pub fn alarm(&self) -> Option<String> {
        self.reason().clone()
    }

    fn reason(&self) -> MutexGuard<'_, Option<String>> {
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something may be written to the store.
    ///
    /// # Errors
    /// [`RegistryError::StoreChanged`].
    pub fn check(&self) -> Result<(), RegistryError> {
        self.alarm()
            .map_or(Ok(()), |_reason| Err(RegistryError::StoreChanged))
    }

    fn sound(&self, reason: String) -> Result<(), GuardError> {
        let mut known = self.reason();
        if known.as_deref() != Some(reason.as_str()) {
            tracing::error!(
                "{reason}; nothing is collected, and pushes are refused, until the marker is back"
            );
        }
        *known = Some(reason.clone());
        Err(GuardError::Alarm(reason))
    }

    fn end(&self) {
        if self.reason().take().is_some() {
            tracing::info!("the object store is the cluster's again: pushes are taken");
        }
    }
}
