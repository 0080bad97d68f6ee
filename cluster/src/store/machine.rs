//! The state machine as openraft drives it: an adapter around the pure `apply`.
//!
//! Entries are applied one after the other over one transaction; the changes and the position go
//! to the database in one batch, and only then the proposers are answered.

use std::io;
use std::path::Path;

use futures::{FutureExt, Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, StoredMembership};
use roadstead_crash::{Point, mistake, point};
use roadstead_proto::rpc::metadata::Response;
use tokio::task::spawn_blocking;

use super::snapshot::{Builder, SnapshotFolder, SnapshotOf, Snapshots};
use super::state::StateStore;
use crate::clock::unix_ms;
use crate::consensus::{Applied, Entry, LogId, Proposal, SnapshotMeta, TypeConfig};
use crate::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};
use crate::metadata::transaction::Changes;
use crate::metadata::{Fault, Transaction, apply};

/// The adapter.
#[derive(Debug)]
pub(crate) struct StateMachine {
    state: StateStore,
    snapshots: Snapshots,
    applied: Applied,
}

/// One entry and who waits for its answer.
pub(super) type Waiting = (Entry, Option<ApplyResponder<TypeConfig>>);

impl StateMachine {
    /// Opens the state and the snapshots in `folder`.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let state = StateStore::open(&folder.join("state"))?;
        let snapshots = Snapshots::open(&folder.join("snapshots"))?;
        let applied = state.applied()?;
        Ok(Self {
            state,
            snapshots,
            applied,
        })
    }

    /// The state, for readers.
    pub(crate) fn state(&self) -> StateStore {
        self.state.clone()
    }

    /// Applies and writes a batch, then answers.
    fn apply_batch(&mut self, batch: Vec<Waiting>) -> io::Result<()> {
        point(Point::Apply);
        let mut applied = self.applied.clone();
        let (changes, answers) = self
            .state
            .latest(|view| {
                let mut transaction = Transaction::new(view);
                let mut answers = Vec::with_capacity(batch.len());
                for (entry, responder) in batch {
                    let response = apply_entry(&mut transaction, &mut applied, entry)?;
                    answers.push((responder, response));
                }
                Ok::<(Changes, Vec<_>), Fault>((transaction.into_changes(), answers))
            })
            .map_err(io::Error::other)?;
        point(Point::ApplyWrite);
        self.state.write(changes, &applied)?;
        point(Point::Applied);
        self.applied = applied;
        for (responder, response) in answers {
            if let Some(responder) = responder {
                responder.send(response);
            }
        }
        Ok(())
    }

    /// A snapshot of the state as it is now. No entry is applied meanwhile.
    async fn take_snapshot(&self) -> io::Result<SnapshotOf> {
        let (state, snapshots) = (self.state.clone(), self.snapshots.clone());
        let applied = self.applied.clone();
        spawn_blocking(move || snapshots.create(&applied, |target| state.checkpoint(target)))
            .await
            .map_err(io::Error::other)?
    }
}

/// An entry and those that come with it, as many as are written at once.
pub(super) fn batch(
    first: Waiting,
    entries: &mut (impl Stream<Item = io::Result<Waiting>> + Unpin),
) -> io::Result<Vec<Waiting>> {
    let mut bytes = 0;
    let mut batch = Vec::new();
    let mut next = Some(first);
    while let Some(entry) = next {
        if let EntryPayload::Normal(Proposal(command)) = &entry.0.payload {
            bytes += prost::Message::encoded_len(command);
        }
        batch.push(entry);
        if batch.len() >= BATCH_ENTRIES_MAX || bytes >= BATCH_BYTES_MAX {
            break;
        }
        // Only what is there already: nobody waits for a fuller batch.
        next = entries.next().now_or_never().flatten().transpose()?;
    }
    Ok(batch)
}

fn apply_entry(
    transaction: &mut Transaction<'_, dyn crate::metadata::View + '_>,
    applied: &mut Applied,
    entry: Entry,
) -> Result<Response, Fault> {
    applied.0 = Some(entry.log_id);
    match entry.payload {
        EntryPayload::Blank => Ok(Response::default()),
        EntryPayload::Normal(Proposal(mut command)) => {
            if mistake("applies-at-its-own-time") {
                command.now_ms += unix_ms() % 100;
            }
            apply(transaction, &command)
        }
        EntryPayload::Membership(membership) => {
            applied.1 = StoredMembership::new(Some(entry.log_id), membership);
            Ok(Response::default())
        }
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFolder;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembershipOf)> {
        Ok(self.applied.clone())
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some(first) = entries.next().await {
            let batch = batch(first?, &mut entries)?;
            self.apply_batch(batch)?;
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Builder> {
        Some(Builder::new(self.take_snapshot().await))
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder::new(self.take_snapshot().await)
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotFolder,
    ) -> io::Result<()> {
        let (state, snapshots) = (self.state.clone(), self.snapshots.clone());
        let applied = (meta.last_log_id, meta.last_membership.clone());
        let expected = applied.clone();
        spawn_blocking(move || {
            // Kept before it is used: after a crash openraft asks for it again.
            let kept = snapshots.keep(&applied, &snapshot)?;
            state.install(&kept.database())
        })
        .await
        .map_err(io::Error::other)??;
        self.applied = self.state.applied()?;
        if self.applied != expected {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the snapshot holds another position than it says",
            ));
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf>> {
        self.snapshots.newest()
    }
}

type StoredMembershipOf =
    StoredMembership<crate::consensus::CommittedLeaderId, u64, crate::consensus::Peer>;
