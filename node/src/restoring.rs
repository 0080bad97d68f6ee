//! How a cluster is begun anew from a backup: a data folder for its first node, and a marker in the
//! store that says so.
//!
//! The marker is written when everything else is done, and the folder gets its name after it: what
//! was interrupted before has changed nothing, and can be done again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use roadstead_cluster::{Metadata, OpenError, Options, Restore};
use roadstead_proto::rpc::admin::{BackupHead, BackupPiece};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::{ConfirmMarker, RestoreCluster};
use roadstead_storage::{BlobStore, Marker};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::collection;
use crate::config::{Config, DataFolder};
use crate::error::{Refused, outcome, with_causes};
use crate::founding;
use crate::limits::{LOG_ENTRIES_KEPT, PROPOSAL_TIMEOUT, SNAPSHOT_AFTER_ENTRIES};
use crate::node::open_store;
use crate::store_guard::StoreGuard;
use crate::verify::{Event, Verifier, VerifyError, Wanted};

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is something already.
    #[error(
        "{} holds metadata already; move it away, or set another `cluster.datadir`",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// It could not get the name that it has to have.
    #[error(
        "{} is a mount point, or not empty ({source}); set `cluster.datadir` to a folder that does \
         not exist yet, below it for one",
        .path.display()
    )]
    InTheWay {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing would be kept.
    #[error("`cluster.datadir` is not set, so that nothing would be kept")]
    NoFolder,
    /// The store is none of a cluster.
    #[error(
        "the object store holds no marker of a cluster: it is another one, or empty, or not \
         mounted; restore beside the store that the backup belongs to, or a copy of it"
    )]
    NoMarker,
    /// The store is another cluster's.
    #[error("the object store belongs to cluster {found}, and the backup to {own}")]
    StoreOfAnother {
        /// Whose store it is.
        found: Uuid,
        /// Whose backup it is.
        own: String,
    },
    /// The store cannot be asked.
    #[error("the object store cannot be used: {0}")]
    Store(#[from] roadstead_storage::Error),
    /// The backup cannot be read, or the folder not written.
    #[error("{0}")]
    Folder(#[from] OpenError),
    /// The system refuses.
    #[error("cannot write {}: {source}", .path.display())]
    System {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The restored metadata do not answer.
    #[error("the restored metadata cannot be used: {0}")]
    Metadata(#[from] roadstead_cluster::Error),
    /// They refuse what a restored cluster never should.
    #[error("the restored metadata refuse to begin anew ({0:?})")]
    Refused(Refused),
    /// What it names could not be looked for.
    #[error("{0}")]
    Verify(#[from] VerifyError),
}

/// Restores a backup, and tells what of it the store lacks. Answers the new incarnation.
///
/// # Errors
/// [`RestoreError`]; the data folder does not exist then.
pub async fn restore(
    config: &Config,
    head: &BackupHead,
    pieces: impl Stream<Item = io::Result<BackupPiece>> + Send + Unpin,
    events: &mpsc::Sender<Event>,
) -> Result<u64, RestoreError> {
    let DataFolder::At(datadir) = &config.cluster.data else {
        return Err(RestoreError::NoFolder);
    };
    if !Metadata::is_fresh(datadir) {
        return Err(RestoreError::NotEmpty(datadir.clone()));
    }
    let store = open_store(config.storage.driver.clone()).await?;
    let marker = store.read_marker().await?.ok_or(RestoreError::NoMarker)?;
    if marker.cluster_id.to_string() != head.cluster_id {
        return Err(RestoreError::StoreOfAnother {
            found: marker.cluster_id,
            own: head.cluster_id.clone(),
        });
    }
    let group = config.cluster.group.as_ref();
    let partial = datadir.with_extension("restoring");
    let system = |path: &Path| {
        let path = path.to_owned();
        move |source| RestoreError::System { path, source }
    };
    match fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(system(&partial)(error));
        }
        _ => {}
    }
    // The folder gets its name by a rename in the end. What would hinder that is known now.
    match fs::remove_dir(datadir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(RestoreError::InTheWay {
                path: datadir.clone(),
                source: error,
            });
        }
        _ => {}
    }
    let address = group.map(|group| group.advertise.to_string());
    let restored = Restore {
        datadir: &partial,
        address: address.unwrap_or_default(),
    };
    roadstead_cluster::restore(&restored, pieces).await?;
    let allowed = group.and_then(|group| group.feature_level);
    let options = Options {
        datadir: partial.clone(),
        proposal_timeout: PROPOSAL_TIMEOUT,
        snapshot_after_entries: SNAPSHOT_AFTER_ENTRIES,
        keep_entries: LOG_ENTRIES_KEPT,
        feature_level_max: founding::feature_level(allowed),
        cluster: None,
    };
    let metadata = Metadata::open(&options).await?;
    let incarnation = marker.incarnation.max(head.incarnation) + 1;
    let fresh = Marker {
        cluster_id: marker.cluster_id,
        incarnation,
    };
    let begun = begin(&metadata, &store, &fresh, restored.address, events).await;
    metadata.close().await?;
    begun?;
    // Nobody else has noticed until here. From now on the former life of the cluster writes
    // nothing.
    store.write_marker(&fresh).await?;
    fs::rename(&partial, datadir).map_err(system(datadir))?;
    let parent = datadir
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let synced = fs::File::open(parent).and_then(|folder| folder.sync_all());
    synced.map_err(system(parent))?;
    Ok(incarnation)
}

/// The cluster's new life, in the metadata alone, and what of them the store lacks.
async fn begin(
    metadata: &Metadata,
    store: &Arc<dyn BlobStore>,
    marker: &Marker,
    address: String,
    events: &mpsc::Sender<Event>,
) -> Result<(), RestoreError> {
    let (cluster_id, incarnation) = (marker.cluster_id.to_string(), marker.incarnation);
    let restore = RestoreCluster {
        cluster_id: cluster_id.clone(),
        incarnation,
        node: metadata.identity().node,
        instance: metadata.identity().instance.to_string(),
        address,
    };
    propose(metadata, Action::RestoreCluster(restore)).await?;
    let tools = collection::Tools {
        metadata: metadata.clone(),
        store: Arc::clone(store),
        guard: StoreGuard::new(metadata.clone(), Arc::clone(store)),
    };
    let wanted = Wanted {
        hash: false,
        bytes_per_second: 0,
    };
    Verifier::for_restore(tools).run(wanted, events).await?;
    let confirm = ConfirmMarker {
        cluster_id,
        incarnation,
    };
    propose(metadata, Action::ConfirmMarker(confirm)).await
}

async fn propose(metadata: &Metadata, action: Action) -> Result<(), RestoreError> {
    let response = metadata.propose(action).await?;
    outcome(response).map(drop).map_err(RestoreError::Refused)
}

/// For how long a backup is sure to find everything that it names, if that is over.
pub fn is_too_old(head: &BackupHead, now_unix_ms: u64) -> Option<Duration> {
    let age_ms = now_unix_ms.saturating_sub(head.taken_at_unix_ms);
    (age_ms > head.reading_delay_ms).then(|| Duration::from_millis(head.reading_delay_ms))
}

/// A sentence for people.
pub fn sentence(error: &RestoreError) -> String {
    with_causes(error)
}
