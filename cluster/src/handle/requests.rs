//! Commands and reads, on every node: what this node cannot do itself it asks of the leader.
//!
//! A command that was sent and not answered is sent again: its origin, or its own checks, make it
//! happen once. A read waits for a barrier: the leader says, confirmed by a quorum, how far the
//! state has to be. One barrier serves all readers that arrived before it began.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::RaftError;
use openraft::{ReadPolicy, ServerState};
use prost::Message;
use roadstead_crash::mistake;
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::{Command, Origin, Response};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Metadata, stopped};
use crate::consensus::Peer;
use crate::error::Error;
use crate::limits::{ASK_TIME, COMMAND_BYTES_MAX, RETRY_AFTER};
use crate::metadata::{Fault, View, read};

/// Who leads, as far as this node knows.
#[derive(Debug)]
pub(super) enum Leader {
    Here,
    There((u64, Peer)),
    Nobody,
}

/// Readers that wait for a barrier.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    waiting: Vec<oneshot::Sender<Result<u64, NoBarrier>>>,
    is_running: bool,
}

/// Why a barrier was not passed; all that waited for it hear the same.
#[derive(Debug, Clone)]
pub(super) enum NoBarrier {
    Unavailable(String),
    TimedOut(Duration),
    Stopped(String),
}

impl From<NoBarrier> for Error {
    fn from(reason: NoBarrier) -> Self {
        match reason {
            NoBarrier::Unavailable(reason) => Self::Unavailable(reason.into()),
            NoBarrier::TimedOut(limit) => Self::TimedOut(limit),
            NoBarrier::Stopped(reason) => Self::Stopped(reason.into()),
        }
    }
}

impl Metadata {
    /// Waits until everything acknowledged before this call is applied here, then looks at the
    /// state at one moment.
    ///
    /// `look` runs in place: point reads and short scans only.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without a quorum, [`Error::Fault`] when `look` fails.
    pub async fn read<T>(
        &self,
        look: impl FnOnce(&dyn View) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        self.barrier().await?;
        Ok(self.state.view(look)?)
    }

    /// Proposes a command and waits until it is applied; a refusal is part of the answer.
    ///
    /// It happens once, however often it has to be proposed, and whoever leads.
    ///
    /// # Errors
    /// [`Error::TimedOut`]: it may or may not happen. [`Error::TooLarge`]: it does not.
    /// [`Error::Stopped`]: this node is ending.
    ///
    /// # Cancel safety
    /// When the future is dropped the command may or may not happen.
    pub async fn propose(&self, action: Action) -> Result<Response, Error> {
        let serial = needs_origin(&action).then(|| self.shared.serials.next());
        let origin = serial.as_ref().map(|serial| Origin {
            node: self.shared.identity.node,
            boot: self.boot(),
            serial: serial.number(),
            lowest_outstanding: serial.lowest_outstanding(),
        });
        let command = Command {
            now_ms: 0,
            unix_ms: 0,
            origin,
            action: Some(action),
        };
        let bytes = command.encoded_len();
        if bytes > COMMAND_BYTES_MAX {
            return Err(Error::TooLarge {
                bytes,
                bytes_max: COMMAND_BYTES_MAX,
            });
        }
        let limit = self.shared.proposal_timeout;
        let deadline = Instant::now() + limit;
        let mut was_sent = false;
        loop {
            let attempt = match self.leader() {
                Leader::Here => self.propose_here(command.clone()).await,
                Leader::There(leader) => {
                    was_sent = true;
                    let left = deadline.saturating_duration_since(Instant::now());
                    let asked = self.shared.calls.propose(&leader, command.clone(), left);
                    asked
                        .await
                        .map_err(|status| Error::Unavailable(status.into()))
                }
                Leader::Nobody => Err(nobody()),
            };
            match attempt {
                Err(error @ Error::Unavailable(_)) => {
                    if Instant::now() + RETRY_AFTER >= deadline {
                        return Err(if was_sent {
                            Error::TimedOut(limit)
                        } else {
                            error
                        });
                    }
                }
                answer => return answer,
            }
            sleep(RETRY_AFTER).await;
        }
    }

    /// Asks the owner of an upload to let go of it, so that its bytes need not be moved. Whether
    /// it did is seen in the upload's row.
    pub async fn ask_release(&self, owner: u64, upload: &str) {
        if owner == self.shared.identity.node {
            return;
        }
        let peer = {
            let metrics = self.raft.server_metrics();
            let server = metrics.borrow_watched();
            let membership = server.membership_config.membership();
            membership.get_node(&owner).cloned()
        };
        let Some(peer) = peer else { return };
        let calls = &self.shared.calls;
        let owner_there = (owner, peer);
        let asked = calls.release_upload(&owner_there, upload.to_owned(), ASK_TIME);
        if let Err(status) = asked.await {
            tracing::debug!(%status, upload, owner, "the owner does not let go");
        }
    }

    /// Has uploads let go of by this, when another node asks.
    pub fn on_release(
        &self,
        release: impl Fn(String) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) {
        // A node has one set of uploads.
        let _ = self.shared.release.set(Box::new(release));
    }

    pub(crate) async fn release_here(&self, upload: String) {
        if let Some(release) = self.shared.release.get() {
            release(upload).await;
        }
    }

    /// Cluster time as the leader would stamp it now.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn cluster_time(&self) -> Result<u64, Error> {
        match self.barrier().await? {
            Some(now_ms) => Ok(now_ms),
            None => self.clock_here(),
        }
    }

    /// What this node, the leader, stamps now. Its state must hold what its term began with.
    pub(super) fn clock_here(&self) -> Result<u64, Error> {
        let term = self.term();
        let applied = || self.state.view(|view| read::now_ms(view));
        Ok(self.shared.clock.now_ms(term, applied)?)
    }

    pub(super) fn term(&self) -> u64 {
        let metrics = self.raft.server_metrics();
        metrics.borrow_watched().vote.leader_id.term
    }

    /// Who leads.
    pub(super) fn leader(&self) -> Leader {
        let metrics = self.raft.server_metrics();
        let server = metrics.borrow_watched();
        match server.current_leader {
            Some(node) if node == self.shared.identity.node => Leader::Here,
            Some(node) => {
                let peer = server.membership_config.membership().get_node(&node);
                peer.map_or(Leader::Nobody, |peer| Leader::There((node, peer.clone())))
            }
            None => Leader::Nobody,
        }
    }

    /// Waits until the local state holds everything that was acknowledged before. Answers cluster
    /// time, unless nobody had to be asked.
    pub(super) async fn barrier(&self) -> Result<Option<u64>, Error> {
        if self.is_alone() || mistake("reads-without-barrier") {
            return Ok(None);
        }
        let (sender, passed) = oneshot::channel();
        {
            let mut rounds = self.rounds();
            rounds.waiting.push(sender);
            if !rounds.is_running {
                rounds.is_running = true;
                let metadata = self.clone();
                self.shared
                    .runtime
                    .spawn(async move { metadata.run_rounds().await });
            }
        }
        match passed.await {
            Ok(passed) => Ok(Some(passed?)),
            Err(_) => Err(Error::Stopped("nobody runs barriers any more".into())),
        }
    }

    fn rounds(&self) -> std::sync::MutexGuard<'_, Rounds> {
        let rounds = self.shared.rounds.lock();
        rounds.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn run_rounds(&self) {
        loop {
            let waiting = {
                let mut rounds = self.rounds();
                let waiting = std::mem::take(&mut rounds.waiting);
                rounds.is_running = !waiting.is_empty();
                waiting
            };
            if waiting.is_empty() {
                return;
            }
            let passed = self.round().await;
            for reader in waiting {
                // Some do not wait any more.
                let _ = reader.send(passed.clone());
            }
        }
    }

    async fn round(&self) -> Result<u64, NoBarrier> {
        let limit = self.shared.proposal_timeout;
        let deadline = Instant::now() + limit;
        loop {
            if let Err(fatal) = &self.raft.metrics().borrow_watched().running_state {
                return Err(NoBarrier::Stopped(fatal.to_string()));
            }
            let attempt = match self.leader() {
                Leader::Here => self.read_index_here().await,
                Leader::There(leader) => {
                    let asked = self.shared.calls.read_index(&leader, ASK_TIME).await;
                    let answer = asked.map(|answer| (answer.index, answer.now_ms));
                    answer.map_err(|status| Error::Unavailable(status.into()))
                }
                Leader::Nobody => Err(nobody()),
            };
            match attempt {
                Ok((index, now_ms)) => {
                    return match timeout_at(deadline, self.applied(index)).await {
                        Ok(applied) => applied.map(|()| now_ms),
                        // The node lags.
                        Err(_elapsed) => Err(NoBarrier::TimedOut(limit)),
                    };
                }
                Err(Error::Stopped(source)) => return Err(NoBarrier::Stopped(source.to_string())),
                Err(error) if Instant::now() + RETRY_AFTER >= deadline => {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    let reason = source.unwrap_or_else(|| error.to_string());
                    return Err(NoBarrier::Unavailable(reason));
                }
                Err(_) => sleep(RETRY_AFTER).await,
            }
        }
    }

    /// Waits until the state holds the entry.
    async fn applied(&self, index: u64) -> Result<(), NoBarrier> {
        let mut metrics = self.raft.data_metrics();
        loop {
            let applied = metrics.borrow_watched().last_applied;
            if applied.is_some_and(|applied| applied.index >= index) {
                return Ok(());
            }
            if metrics.changed().await.is_err() {
                return Err(NoBarrier::Stopped("Raft has ended".to_owned()));
            }
        }
    }

    /// How far the state has to be for a read that begins now, and cluster time: of the leader.
    pub(crate) async fn read_index_here(&self) -> Result<(u64, u64), Error> {
        let confirmed = self.raft.get_read_log_id(ReadPolicy::ReadIndex);
        let confirmed = match tokio::time::timeout(ASK_TIME, confirmed).await {
            Ok(confirmed) => confirmed,
            Err(_elapsed) => return Err(Error::TimedOut(ASK_TIME)),
        };
        let (read, _) = confirmed.map_err(|error| match error {
            RaftError::Fatal(fatal) => stopped(fatal),
            RaftError::APIError(error) => Error::Unavailable(error.into()),
        })?;
        // The clock goes on from what the term began with, which must be applied here.
        let applied = tokio::time::timeout(ASK_TIME, self.applied(read.index()));
        match applied.await {
            Ok(applied) => applied?,
            Err(_elapsed) => return Err(Error::TimedOut(ASK_TIME)),
        }
        Ok((read.index(), self.clock_here()?))
    }

    /// Whether this node is the only voter, leads, and has applied the first entry of its term:
    /// then everything that was ever acknowledged is applied here, and nobody has to be asked.
    pub(super) fn is_alone(&self) -> bool {
        let metrics = self.raft.server_metrics();
        let server = metrics.borrow_watched();
        let term = server.vote.leader_id.term;
        let mut voters = server.membership_config.membership().voter_ids();
        let is_sole_voter =
            voters.next() == Some(self.shared.identity.node) && voters.next().is_none();
        if server.state != ServerState::Leader || !is_sole_voter {
            return false;
        }
        drop(voters);
        drop(server);
        self.has_own_entry(term)
    }

    /// Whether the first entry of this term, which this node leads, is applied.
    pub(super) fn has_own_entry(&self, term: u64) -> bool {
        if self.shared.own_entry_in_term.load(Ordering::Acquire) == term {
            return true;
        }
        let applied = self.raft.data_metrics().borrow_watched().last_applied;
        let has_own_entry = applied.is_some_and(|log_id| log_id.leader_id.term == term);
        if has_own_entry {
            self.shared.own_entry_in_term.store(term, Ordering::Release);
        }
        has_own_entry
    }
}

fn nobody() -> Error {
    Error::Unavailable("nobody leads as far as this node knows".into())
}

/// Upload and collection commands are idempotent by themselves, and so are those of the cluster's
/// own start, which has no boot number yet. Every other command happens for a request.
fn needs_origin(action: &Action) -> bool {
    match action {
        Action::FoundCluster(_)
        | Action::AdmitNode(_)
        | Action::StartNode(_)
        | Action::ConfirmMarker(_)
        | Action::BeginUpload(_)
        | Action::CheckpointUpload(_)
        | Action::ReleaseUpload(_)
        | Action::ClaimUpload(_)
        | Action::CommitUpload(_)
        | Action::CancelUpload(_)
        | Action::RenewHold(_)
        | Action::MarkDamaged(_)
        | Action::ContinueDeletion(_)
        | Action::Condemn(_)
        | Action::Forget(_)
        | Action::ExpireUploads(_)
        | Action::ExpireManifests(_) => false,
        Action::ChangeSettings(_)
        | Action::RaiseFeatureLevel(_)
        | Action::MountBlob(_)
        | Action::DeleteBlob(_)
        | Action::PutManifest(_)
        | Action::DeleteManifest(_)
        | Action::DeleteTag(_)
        | Action::DeleteRepository(_) => true,
    }
}
