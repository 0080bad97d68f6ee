//! Commands and reads, on every node: what this node cannot do itself it asks of the leader.
//!
//! A command that was sent and not answered is sent again: its origin, or its own checks, make it
//! happen once. A read waits for a barrier: the leader says, confirmed by a quorum, how far the
//! state has to be. One barrier serves all readers that arrived before it began.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
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
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::{Code, Status};

use super::group::{Leader, until};
use super::{Metadata, Release, stopped};
use crate::error::Error;
use crate::limits::{ASK_TIME, COMMAND_BYTES_MAX, LEADER_TIME, RETRY_AFTER};
use crate::metadata::{Fault, View, read};

/// Readers that wait for a barrier.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    waiting: Vec<oneshot::Sender<Result<u64, NoBarrier>>>,
    is_running: bool,
    // Since when nobody could say how far the state has to be; `None` when somebody could last.
    outage_since: Option<Instant>,
}

/// What was looked at, and where that was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<T> {
    /// What was found.
    pub found: T,
    /// Nobody could decide: it is what this node knew when that began.
    pub is_local: bool,
}

/// Why a barrier was not passed; all that waited for it hear the same.
#[derive(Debug, Clone)]
pub(super) enum NoBarrier {
    Unavailable(String),
    TimedOut(Duration),
    Stopped(String),
    Removed(u64),
}

impl From<NoBarrier> for Error {
    fn from(reason: NoBarrier) -> Self {
        match reason {
            NoBarrier::Unavailable(reason) => Self::Unavailable(reason.into()),
            NoBarrier::TimedOut(limit) => Self::TimedOut(limit),
            NoBarrier::Stopped(reason) => Self::Stopped(reason.into()),
            NoBarrier::Removed(node) => Self::Removed(node),
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

    /// As [`Self::read`]; but when nobody has been able to decide for `local_after`, looks at what
    /// this node knows, for what does not change. It may be as old as the outage, and what is not
    /// found there may exist.
    ///
    /// # Errors
    /// As [`Self::read`]. A node that merely lags is [`Error::Unavailable`].
    pub async fn read_settled<T>(
        &self,
        local_after: Duration,
        look: impl FnOnce(&dyn View) -> Result<T, Fault>,
    ) -> Result<Seen<T>, Error> {
        let is_local = self.barrier_or_outage(local_after).await?;
        let found = self.state.view(look)?;
        Ok(Seen { found, is_local })
    }

    /// Waits for a barrier; answers whether an outage that lasts for so long is why there is none.
    async fn barrier_or_outage(&self, local_after: Duration) -> Result<bool, Error> {
        let began = Instant::now();
        loop {
            let since = match self.outage_of(local_after)? {
                // Somebody looks for a quorum all the time, and says when there is one.
                Some((_, true)) => return Ok(true),
                Some((since, false)) => since,
                None if began.elapsed() < local_after => began,
                // The first question may not have been given up yet.
                None => began + (ASK_TIME + RETRY_AFTER).saturating_sub(local_after),
            };
            match timeout_at(since + local_after, self.barrier()).await {
                Ok(Ok(_)) => return Ok(false),
                Ok(Err(error @ (Error::Stopped(_) | Error::Removed(_)))) => return Err(error),
                Ok(Err(error)) if self.outage_of(local_after)?.is_none() => return Err(error),
                Err(_elapsed)
                    if began.elapsed() > ASK_TIME && self.outage_of(local_after)?.is_none() =>
                {
                    return Err(Error::Unavailable("this node lags behind".into()));
                }
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    /// Since when a barrier is being sought and nobody can decide, if so, and whether that is for
    /// as long as this.
    fn outage_of(&self, local_after: Duration) -> Result<Option<(Instant, bool)>, Error> {
        if self.shared.place.is_removed() {
            return Err(Error::Removed(self.shared.identity.node));
        }
        if let Err(fatal) = self.raft.metrics().borrow_watched().running_state.clone() {
            return Err(stopped(fatal));
        }
        let since = self.rounds().outage_since;
        Ok(since.map(|since| (since, since.elapsed() >= local_after)))
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
        let Some(peer) = self.peer_of(owner) else {
            return;
        };
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
        self.set_release(Some(Arc::new(release)));
    }

    /// Whoever lets go of uploads may hold the metadata: forgotten in the end, so that they close.
    pub(super) fn set_release(&self, release: Option<Release>) {
        let kept = self.shared.release.lock();
        *kept.unwrap_or_else(PoisonError::into_inner) = release;
    }

    pub(crate) async fn release_here(&self, upload: String) {
        let release = {
            let release = self.shared.release.lock();
            release.unwrap_or_else(PoisonError::into_inner).clone()
        };
        if let Some(release) = release {
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
            None => self.clock_here(self.term()),
        }
    }

    /// What this node, the leader of this term, stamps now. Its state must hold what the term began
    /// with.
    pub(super) fn clock_here(&self, term: u64) -> Result<u64, Error> {
        let applied = || self.state.view(|view| read::now_ms(view));
        Ok(self.shared.clock.now_ms(term, applied)?)
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
        let limit = self.shared.proposal_timeout;
        match timeout(limit, passed).await {
            Ok(Ok(passed)) => Ok(Some(passed?)),
            Ok(Err(_)) => Err(Error::Stopped("nobody runs barriers any more".into())),
            // It came while a barrier was being sought in vain for those before it.
            Err(elapsed) => Err(Error::Unavailable(elapsed.into())),
        }
    }

    fn rounds(&self) -> std::sync::MutexGuard<'_, Rounds> {
        let rounds = self.shared.rounds.lock();
        rounds.unwrap_or_else(PoisonError::into_inner)
    }

    async fn run_rounds(&self) {
        loop {
            let waiting = {
                let mut rounds = self.rounds();
                let waiting = std::mem::take(&mut rounds.waiting);
                rounds.is_running = !waiting.is_empty();
                if waiting.is_empty() {
                    // Nobody looks any more, so that nobody would notice its end.
                    rounds.outage_since = None;
                }
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
            if self.shared.place.is_removed() {
                return Err(NoBarrier::Removed(self.shared.identity.node));
            }
            let began = Instant::now();
            let attempt = match self.leader() {
                Leader::Here => self.read_index_here().await,
                Leader::There(leader) => {
                    let asked = self.shared.calls.read_index(&leader, ASK_TIME).await;
                    let answer = asked.map(|answer| (answer.index, answer.now_ms));
                    answer.map_err(|status| match status.code() {
                        // It has a quorum, and has not applied what that has.
                        Code::Aborted => Error::TimedOut(ASK_TIME),
                        _ => Error::Unavailable(status.into()),
                    })
                }
                Leader::Nobody => Err(nobody()),
            };
            {
                let mut rounds = self.rounds();
                match &attempt {
                    Err(error) if is_outage(error) => {
                        rounds.outage_since.get_or_insert(began);
                    }
                    _ => rounds.outage_since = None,
                }
            }
            match attempt {
                Ok((index, now_ms)) => {
                    return match timeout_at(deadline, self.applied(index)).await {
                        Ok(Ok(())) => Ok(now_ms),
                        Ok(Err(error)) => Err(NoBarrier::Stopped(reason_of(&error))),
                        // The node lags.
                        Err(_elapsed) => Err(NoBarrier::TimedOut(limit)),
                    };
                }
                Err(Error::Stopped(source)) => return Err(NoBarrier::Stopped(source.to_string())),
                Err(error) if Instant::now() + RETRY_AFTER >= deadline => {
                    return Err(NoBarrier::Unavailable(reason_of(&error)));
                }
                Err(_) => sleep(RETRY_AFTER).await,
            }
        }
    }

    /// Waits until the state holds the entry.
    async fn applied(&self, index: u64) -> Result<(), Error> {
        until(self.raft.data_metrics(), |metrics| {
            let applied = metrics.last_applied?;
            (applied.index >= index).then_some(())
        })
        .await
    }

    /// How far the state has to be for a read that begins now, and cluster time: of the leader.
    pub(crate) async fn read_index_here(&self) -> Result<(u64, u64), Error> {
        let term = self.term();
        let deadline = Instant::now() + LEADER_TIME;
        let confirmed = self.raft.get_read_log_id(ReadPolicy::ReadIndex);
        let confirmed = match timeout_at(deadline, confirmed).await {
            Ok(confirmed) => confirmed,
            Err(elapsed) => return Err(Error::Unavailable(elapsed.into())),
        };
        let (read, _) = confirmed.map_err(|error| match error {
            RaftError::Fatal(fatal) => stopped(fatal),
            RaftError::APIError(error) => Error::Unavailable(error.into()),
        })?;
        // The clock goes on from what the term began with, which must be applied here.
        match timeout_at(deadline, self.applied(read.index())).await {
            Ok(applied) => applied?,
            Err(_elapsed) => return Err(Error::TimedOut(LEADER_TIME)),
        }
        if !self.has_own_entry(term) {
            return Err(Error::Unavailable("the leader has changed".into()));
        }
        Ok((read.index(), self.clock_here(term)?))
    }

    /// Whether this node is the only voter, leads, and has applied the first entry of its term:
    /// then everything that was ever acknowledged is applied here, and nobody has to be asked.
    pub(super) fn is_alone(&self) -> bool {
        let term = {
            let metrics = self.raft.server_metrics();
            let server = metrics.borrow_watched();
            if server.state != ServerState::Leader || !self.is_sole_voter_in(&server) {
                return false;
            }
            server.vote.leader_id.term
        };
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

/// Whether an attempt failed since nobody can decide, as far as this node can see. Who is refused,
/// or asks a leader that lags, is in no outage.
fn is_outage(error: &Error) -> bool {
    let Error::Unavailable(source) = error else {
        return false;
    };
    let status = source.downcast_ref::<Status>();
    status.is_none_or(|status| {
        matches!(
            status.code(),
            Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Cancelled
        )
    })
}

/// What an error came from, where that is known: who hears it knows what has failed.
fn reason_of(error: &Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
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
        | Action::RemoveNode(_)
        | Action::RestoreCluster(_)
        | Action::ConfirmVerified(_)
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
