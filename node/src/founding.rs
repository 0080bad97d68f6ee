//! How a node comes to its cluster: it founds one, or goes on in the one that it is of.
//!
//! The marker in the object store says which cluster the store belongs to. It is an alarm, not a
//! fence: it catches a node that was given another cluster's store, or an empty one.

use roadstead_cluster::{Metadata, OpenError, TlsError, read};
use roadstead_crash::bound;
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{ConfirmMarker, FoundCluster, StartNode};
use roadstead_proto::rpc::state::Settings;
use roadstead_storage::{BlobStore, Marker};
use uuid::Uuid;

use crate::error::{Refused, outcome};
use crate::limits::GRACE;

/// The highest feature level that this version can apply.
const FEATURE_LEVEL: u64 = 1;

/// The highest feature level that this node announces: what its version can apply, and no more than
/// `cluster.featurelevel` allows.
pub fn feature_level(allowed: Option<u64>) -> u64 {
    let able = bound("ROADSTEAD_FEATURE_LEVEL", FEATURE_LEVEL);
    allowed.map_or(able, |allowed| allowed.min(able))
}

/// Why a node may not serve from this store with these metadata.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// Metadata that are empty, beside a store that is not.
    #[error(
        "the object store belongs to cluster {found}, but the metadata are empty; point \
         `cluster.datadir` at that cluster's metadata, restore them from a backup, join that \
         cluster with this node, or give the registry an empty store"
    )]
    StoreInUse {
        /// The cluster that the store belongs to.
        found: Uuid,
    },
    /// A store of another cluster, or of another life of this one.
    #[error(
        "the object store belongs to cluster {found} (incarnation {found_incarnation}), but the \
         metadata are those of cluster {own} (incarnation {own_incarnation}); check `storage` and \
         `cluster.datadir`. A higher incarnation in the store means that the cluster was restored \
         since: remove this folder, and join that cluster with `cluster.join`"
    )]
    StoreOfAnother {
        /// The cluster that the store belongs to.
        found: Uuid,
        /// Its incarnation.
        found_incarnation: u64,
        /// This node's cluster.
        own: String,
        /// Its incarnation.
        own_incarnation: u64,
    },
    /// A store without the marker that was written to it.
    #[error(
        "the object store does not hold the marker of cluster {own}: it is another store, or was \
         emptied, or is not mounted; check `storage`. With the `inmemory` driver blobs do not \
         outlive the process, so remove the metadata folder too"
    )]
    StoreEmptied {
        /// This node's cluster.
        own: String,
    },
    /// The store cannot be asked.
    #[error("the object store cannot be used: {0}")]
    Store(#[from] roadstead_storage::Error),
    /// The metadata cannot be asked.
    #[error("{0}")]
    Metadata(#[from] roadstead_cluster::Error),
    /// The certificates cannot be used.
    #[error("`cluster.tls`: {0}; `roadstead cluster certs` makes such files")]
    Tls(#[from] TlsError),
    /// They cannot be opened.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// The cluster does not take this node.
    #[error(
        "the cluster refuses this node ({0:?}): it was removed, its data folder is not the one \
         that the cluster knows, or this version of roadstead is older than the cluster's level"
    )]
    Refused(Refused),
}

/// Checks a store before metadata are begun that would have to be removed again.
///
/// # Errors
/// [`FoundingError::StoreInUse`].
pub async fn check_fresh(store: &dyn BlobStore) -> Result<(), FoundingError> {
    match store.read_marker().await? {
        Some(marker) => Err(FoundingError::StoreInUse {
            found: marker.cluster_id,
        }),
        None => Ok(()),
    }
}

/// Founds the cluster if there is none, makes sure that store and metadata belong together, and
/// begins this life of the node.
///
/// # Errors
/// [`FoundingError`]; the node must not serve.
pub async fn take_part(
    metadata: &Metadata,
    store: &dyn BlobStore,
) -> Result<Settings, FoundingError> {
    let settings = match metadata.read(|view| read::settings(view)).await? {
        Some(settings) => settings,
        None => {
            check_fresh(store).await?;
            found(metadata).await?
        }
    };
    settle_marker(metadata, store, &settings).await?;
    metadata.founded(&settings.cluster_id, settings.incarnation);
    let start = StartNode {
        node: metadata.identity().node,
        instance: metadata.identity().instance.to_string(),
        address: metadata.address().to_owned(),
        feature_level_max: metadata.feature_level_max(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    match propose(metadata, Action::StartNode(start)).await? {
        Outcome::Started(started) => metadata.set_boot(started.boot),
        other => return Err(unexpected(&other)),
    }
    Ok(settings)
}

async fn found(metadata: &Metadata) -> Result<Settings, FoundingError> {
    let found = FoundCluster {
        cluster_id: Uuid::new_v4().to_string(),
        grace_ms: u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX),
        feature_level: metadata.feature_level_max(),
    };
    propose(metadata, Action::FoundCluster(found)).await?;
    let settings = metadata.read(|view| read::settings(view)).await?;
    Ok(settings.unwrap_or_default())
}

/// Writes the marker once, and from then on demands it.
async fn settle_marker(
    metadata: &Metadata,
    store: &dyn BlobStore,
    settings: &Settings,
) -> Result<(), FoundingError> {
    let own = settings.cluster_id.clone();
    let corrupt = || FoundingError::StoreEmptied { own: own.clone() };
    let cluster_id = Uuid::try_parse(&settings.cluster_id).map_err(|_| corrupt())?;
    let expected = Marker {
        cluster_id,
        incarnation: settings.incarnation,
    };
    match store.read_marker().await? {
        Some(marker) if marker == expected => {}
        Some(marker) => {
            return Err(FoundingError::StoreOfAnother {
                found: marker.cluster_id,
                found_incarnation: marker.incarnation,
                own,
                own_incarnation: settings.incarnation,
            });
        }
        None if settings.marker_written => return Err(corrupt()),
        // The founder was interrupted between its first command and the marker.
        None => store.write_marker(&expected).await?,
    }
    if !settings.marker_written {
        let (cluster_id, incarnation) = (settings.cluster_id.clone(), settings.incarnation);
        let confirm = ConfirmMarker {
            cluster_id,
            incarnation,
        };
        propose(metadata, Action::ConfirmMarker(confirm)).await?;
    }
    Ok(())
}

async fn propose(metadata: &Metadata, action: Action) -> Result<Outcome, FoundingError> {
    outcome(metadata.propose(action).await?).map_err(FoundingError::Refused)
}

fn unexpected(outcome: &Outcome) -> FoundingError {
    let source = format!("a command was answered with {outcome:?}");
    FoundingError::Metadata(roadstead_cluster::Error::Stopped(source.into()))
}
