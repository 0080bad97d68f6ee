//! Backups of the metadata, and how a cluster is begun anew from one.
//!
//! A backup is a snapshot with a head. A restore makes a data folder of a node that never was, the
//! only one of its cluster: the former members are removed, and nothing is deleted from the store
//! until it has been compared with the metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use futures::{Stream, StreamExt, stream};
use openraft::StoredMembership;
use openraft::storage::{RaftLogStorage, RaftStateMachine};
use roadstead_proto::rpc::admin::backup_piece::Piece;
use roadstead_proto::rpc::admin::{BackupHead, BackupPiece};
use tokio::task::spawn_blocking;

use super::{Metadata, SENDING, open_error};
use crate::clock::unix_ms;
use crate::consensus::{Membership, Peer, SnapshotMeta, Vote, vote_of};
use crate::error::{Error, OpenError};
use crate::identity::Identity;
use crate::metadata::read;
use crate::network::{Kept, received, sent};
use crate::store::log::LogStore;
use crate::store::machine::StateMachine;
use crate::store::state::{place_in, position_in};

/// The format of a backup. Raised when an older version could not read it.
pub const BACKUP_FORMAT: u64 = 1;

/// What is restored, and as what.
#[derive(Debug)]
pub struct Restore<'a> {
    /// The folder to make, which must not exist.
    pub datadir: &'a Path,
    /// `cluster.advertise` of the node; empty for a node alone.
    pub address: String,
}

impl Metadata {
    /// The whole state as it is now, everything that was acknowledged before included: a head, and
    /// the pieces that follow it. It is a copy that later writes do not change.
    ///
    /// # Errors
    /// As [`Self::read`], and [`Error::Fault`] when the disk does not take the copy.
    pub async fn backup(
        &self,
    ) -> Result<impl Stream<Item = BackupPiece> + Send + 'static + use<>, Error> {
        let settings = self.read(|view| read::settings(view)).await?;
        let settings = settings.unwrap_or_default();
        let kept = Kept::below(&self.shared.datadir.join(SENDING));
        let state = self.state.clone();
        let taken = spawn_blocking(move || {
            let database = kept.folder().database();
            if let Some(parent) = database.parent() {
                crate::store::folder::create(parent)?;
            }
            state.checkpoint(&database)?;
            let applied = position_in(&database)?;
            Ok::<_, io::Error>((kept, applied))
        });
        let failed = |error: io::Error| Error::Fault(crate::metadata::Fault::Read(error.into()));
        let taken = taken
            .await
            .map_err(|error| failed(io::Error::other(error)))?;
        let (kept, applied) = taken.map_err(failed)?;
        let head = BackupHead {
            format: BACKUP_FORMAT,
            name: self.shared.place.name.clone(),
            cluster_id: settings.cluster_id,
            incarnation: settings.incarnation,
            feature_level: settings.feature_level,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            taken_at_unix_ms: unix_ms(),
            index: applied.0.map_or(0, |log_id| log_id.index),
            reading_delay_ms: settings.reading_delay_ms.unwrap_or_default(),
        };
        let pieces = sent(&applied, kept).map(Piece::Snapshot);
        let pieces = stream::iter([Piece::Head(head)]).chain(pieces);
        Ok(pieces.map(|piece| BackupPiece { piece: Some(piece) }))
    }
}

/// Makes a data folder out of what follows the head of a backup. It is that of a fresh node, the
/// only one of the cluster; whoever opens it next has to say so by `RestoreCluster` before anything
/// else.
///
/// # Errors
/// [`OpenError`]; then the folder is not to be used.
pub async fn restore(
    restore: &Restore<'_>,
    pieces: impl Stream<Item = io::Result<BackupPiece>> + Send + Unpin,
) -> Result<(), OpenError> {
    let datadir = restore.datadir;
    let failed = |error: io::Error| open_error(datadir.to_owned(), error);
    let mut identity = Identity::open(datadir)?;
    let (applied, kept) = received(&datadir.join(SENDING), pieces)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::Other => {
                OpenError::Backup(error.to_string())
            }
            _ => failed(error),
        })?;
    let empty = || OpenError::Backup("it holds nothing".to_owned());
    let last = applied.0.ok_or_else(empty)?;
    let mut machine = StateMachine::open(datadir).map_err(failed)?;
    let database = kept.folder().database();
    let node = next_node(datadir, &database).await.map_err(failed)?;
    let peer = Peer {
        instance: identity.instance.to_string(),
        address: restore.address.clone(),
    };
    let nodes = BTreeMap::from([(node, peer)]);
    let voters = vec![BTreeSet::from([node])];
    let membership = Membership::new(voters, nodes);
    let membership = membership.map_err(|error| failed(io::Error::other(error)))?;
    let applied = (Some(last), StoredMembership::new(Some(last), membership));
    place_in(&database, &applied).map_err(failed)?;
    let meta = SnapshotMeta {
        last_log_id: applied.0,
        last_membership: applied.1,
    };
    let installed = machine.install_snapshot(&meta, kept.folder()).await;
    installed.map_err(failed)?;
    let mut log = LogStore::open(&datadir.join("log")).map_err(failed)?;
    let vote: Vote = vote_of(&roadstead_proto::rpc::raft::Vote {
        term: last.leader_id.term,
        node,
        is_committed: false,
    });
    log.save_vote(&vote).await.map_err(failed)?;
    log.purge(last).await.map_err(failed)?;
    identity.settle(node)
}

/// An id that no node of the backup has had.
async fn next_node(datadir: &Path, database: &Path) -> io::Result<u64> {
    let (scratch, database) = (datadir.join("scratch"), database.to_owned());
    let found = spawn_blocking(move || {
        crate::store::folder::remove(&scratch)?;
        let state = crate::store::state::StateStore::open(&scratch)?;
        state.install(&database)?;
        let members = state.view(|view| read::members(view));
        drop(state);
        crate::store::folder::remove(&scratch)?;
        let members = members.map_err(io::Error::other)?;
        Ok(members.last().map_or(0, |(node, _)| *node) + 1)
    });
    found.await.map_err(io::Error::other)?
}
