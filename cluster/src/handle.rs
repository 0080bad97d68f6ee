//! `Metadata`: the handle that proposes commands and reads the state.
//!
//! Cheap to clone, and usable from any runtime: Raft itself lives where `open` was called.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal, RaftError};
use openraft::{Config, Raft, ReadPolicy, ServerState, SnapshotPolicy};
use prost::Message;
use roadstead_crash::{Point, point};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::{Command, Origin, Response};
use tokio::time::{Instant, sleep, timeout_at};

use crate::clock::{LeaderClock, unix_ms};
use crate::consensus::{Peer, Proposal, TypeConfig};
use crate::error::{Error, OpenError};
use crate::identity::Identity;
use crate::limits::{
    CLOSE_LOOK, CLOSE_TIME, COMMAND_BYTES_MAX, ELECTION_MS_MAX, ELECTION_MS_MIN, ENTRIES_PER_PURGE,
    HEARTBEAT_MS, RETRY_AFTER,
};
use crate::metadata::{Fault, View, read};
use crate::network::Alone;
use crate::request::Serials;
use crate::store::Watch;
use crate::store::log::LogStore;
use crate::store::machine::StateMachine;
use crate::store::state::StateStore;

/// How a node opens its metadata.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of the log, the state and the snapshots.
    pub datadir: PathBuf,
    /// How long a write or read waits for a leader and a quorum.
    pub proposal_timeout: Duration,
    /// Log entries after which a snapshot is taken.
    pub snapshot_after_entries: u64,
    /// Log entries that stay after a snapshot, for a node that lags a little.
    pub keep_entries: u64,
}

/// What is known of the node's place in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Whether this node leads.
    pub is_leader: bool,
    /// The present term.
    pub term: u64,
    /// Index of the last entry in the log.
    pub last_log_index: u64,
    /// Index of the last entry that was applied here.
    pub last_applied_index: u64,
    /// Index up to which a snapshot exists.
    pub snapshot_index: u64,
    /// Index up to which the log was purged.
    pub purged_index: u64,
}

/// The metadata of the registry.
#[derive(Clone)]
pub struct Metadata {
    raft: Raft<TypeConfig, StateMachine>,
    state: StateStore,
    log_watch: Watch,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    identity: Identity,
    proposal_timeout: Duration,
    clock: LeaderClock,
    serials: Serials,
    boot: AtomicU64,
    // The term in which this node, alone, has applied its own first entry; 0 before.
    alone_in_term: AtomicU64,
}

impl std::fmt::Debug for Metadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metadata")
            .field("node", &self.shared.identity.node)
            .finish_non_exhaustive()
    }
}

impl Metadata {
    /// Opens the folder and starts Raft. Must be called on a multi-threaded tokio runtime, which
    /// Raft then lives on.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed when the folder could not be trusted.
    pub async fn open(options: &Options) -> Result<Self, OpenError> {
        let identity = Identity::open(&options.datadir)?;
        let folder = options.datadir.join("log");
        let is_log_gone = !folder.exists() && holds_state(&options.datadir);
        if is_log_gone {
            let reason = "its Raft log is gone, while the state is still there".to_owned();
            return Err(OpenError::Corrupt {
                path: options.datadir.clone(),
                reason,
            });
        }
        let log = LogStore::open(&folder).map_err(|error| open_error(folder, error))?;
        let folder = options.datadir.clone();
        let machine = StateMachine::open(&folder).map_err(|error| open_error(folder, error))?;
        let state = machine.state();
        let log_watch = log.watch();
        let is_fresh = log
            .is_fresh()
            .map_err(|error| OpenError::Raft(error.into()))?;
        let has_state = state.applied().is_ok_and(|applied| applied.0.is_some());
        if is_fresh && has_state {
            let reason = "its Raft log is empty, while the state is not".to_owned();
            return Err(OpenError::Corrupt {
                path: options.datadir.clone(),
                reason,
            });
        }
        let config = Arc::new(raft_config(options)?);
        // Raft starts from what lies on disk: if it cannot, log, state and snapshots contradict.
        let path = options.datadir.clone();
        let raft = Raft::new(identity.node, config, Alone, log, machine)
            .await
            .map_err(|error| OpenError::Corrupt {
                path,
                reason: error.to_string(),
            })?;
        let shared = Shared {
            identity,
            proposal_timeout: options.proposal_timeout,
            clock: LeaderClock::default(),
            serials: Serials::default(),
            boot: AtomicU64::new(0),
            alone_in_term: AtomicU64::new(0),
        };
        let metadata = Self {
            raft,
            state,
            log_watch,
            shared: Arc::new(shared),
        };
        metadata.start(is_fresh).await?;
        Ok(metadata)
    }

    /// Whether nothing was ever kept in `datadir`, which need not exist.
    pub fn is_fresh(datadir: &std::path::Path) -> bool {
        Identity::is_fresh(datadir)
    }

    /// Makes a fresh node the only voter; makes a node that is alone campaign at once.
    async fn start(&self, is_fresh: bool) -> Result<(), OpenError> {
        let identity = &self.shared.identity;
        if is_fresh {
            let peer = Peer {
                instance: identity.instance.to_string(),
                address: String::new(),
            };
            let members = std::collections::BTreeMap::from([(identity.node, peer)]);
            let initialized = self.raft.initialize(members).await;
            initialized.map_err(|error| OpenError::Raft(error.into()))?;
        } else {
            // Nobody else could lead: do not wait for an election timeout.
            let elected = self.raft.trigger().elect(false).await;
            elected.map_err(|error| OpenError::Raft(error.into()))?;
        }
        self.barrier().await?;
        Ok(())
    }

    /// The identity of this node's data folder.
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// The number of this node's present life; 0 before [`Self::set_boot`].
    pub fn boot(&self) -> u64 {
        self.shared.boot.load(Ordering::Acquire)
    }

    /// Takes the number that `StartNode` gave: from now on requests carry it.
    pub fn set_boot(&self, boot: u64) {
        self.shared.boot.store(boot, Ordering::Release);
    }

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
    /// It happens once, however often it has to be proposed.
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
        let mut command = Command {
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
        loop {
            command.now_ms = self.cluster_time().await?;
            command.unix_ms = unix_ms();
            point(Point::Propose);
            let proposed = self.raft.client_write(Proposal(command.clone()));
            match timeout_at(deadline, proposed).await {
                Ok(Ok(written)) => {
                    point(Point::Proposed);
                    return Ok(written.data);
                }
                Ok(Err(RaftError::Fatal(fatal))) => return Err(stopped(fatal)),
                Ok(Err(RaftError::APIError(
                    ClientWriteError::ForwardToLeader(_) | ClientWriteError::LogEntryDiscarded(_),
                ))) if Instant::now() + RETRY_AFTER < deadline => sleep(RETRY_AFTER).await,
                Ok(Err(RaftError::APIError(error))) => {
                    return Err(Error::Unavailable(error.into()));
                }
                Err(_elapsed) => return Err(Error::TimedOut(limit)),
            }
        }
    }

    /// Cluster time as this node, the leader, would stamp it now.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn cluster_time(&self) -> Result<u64, Error> {
        self.barrier().await?;
        let term = self
            .raft
            .server_metrics()
            .borrow_watched()
            .vote
            .leader_id
            .term;
        let applied = || self.state.view(|view| read::now_ms(view));
        Ok(self.shared.clock.now_ms(term, applied)?)
    }

    /// Waits until the local state holds everything that was acknowledged before.
    async fn barrier(&self) -> Result<(), Error> {
        if self.is_alone() {
            return Ok(());
        }
        let limit = self.shared.proposal_timeout;
        let deadline = Instant::now() + limit;
        loop {
            let confirmed = self.raft.ensure_linearizable(ReadPolicy::ReadIndex);
            match timeout_at(deadline, confirmed).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(RaftError::Fatal(fatal))) => return Err(stopped(fatal)),
                Ok(Err(_)) if Instant::now() + RETRY_AFTER < deadline => sleep(RETRY_AFTER).await,
                Ok(Err(error)) => return Err(Error::Unavailable(error.into())),
                Err(_elapsed) => return Err(Error::TimedOut(limit)),
            }
        }
    }

    /// Whether this node is the only voter, leads, and has applied the first entry of its term:
    /// then everything that was ever acknowledged is applied here, and nobody has to be asked.
    fn is_alone(&self) -> bool {
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
        if self.shared.alone_in_term.load(Ordering::Acquire) == term {
            return true;
        }
        let applied = self.raft.data_metrics().borrow_watched().last_applied;
        let has_own_entry = applied.is_some_and(|log_id| log_id.leader_id.term == term);
        if has_own_entry {
            self.shared.alone_in_term.store(term, Ordering::Release);
        }
        has_own_entry
    }

    /// The node's place in its cluster.
    pub fn status(&self) -> Status {
        let data = self.raft.data_metrics().borrow_watched().clone();
        let server = self.raft.server_metrics().borrow_watched().clone();
        let index = |log_id: Option<crate::consensus::LogId>| log_id.map_or(0, |id| id.index);
        Status {
            is_leader: server.state == ServerState::Leader,
            term: server.vote.leader_id.term,
            last_log_index: index(data.last_log),
            last_applied_index: index(data.last_applied),
            snapshot_index: index(data.snapshot),
            purged_index: index(data.purged),
        }
    }

    /// Ends when Raft has stopped by itself, because its storage failed. The process must end.
    pub fn failed(&self) -> impl Future<Output = Error> + Send + use<> {
        let raft = self.raft.clone();
        async move {
            let mut metrics = raft.metrics();
            loop {
                if let Err(fatal) = metrics.borrow_watched().running_state.clone() {
                    return stopped(fatal);
                }
                if metrics.changed().await.is_err() {
                    return Error::Stopped("Raft has ended".into());
                }
            }
        }
    }

    /// Stops Raft and waits until the databases are closed, so that the folder can be opened again
    /// by this process. Every other clone must be gone.
    ///
    /// # Errors
    /// As [`Self::shutdown`], and [`Error::TimedOut`] when something still holds them open.
    pub async fn close(self) -> Result<(), Error> {
        self.shutdown().await?;
        let (state, log) = (self.state.watch(), self.log_watch.clone());
        drop(self);
        let deadline = Instant::now() + CLOSE_TIME;
        while state.is_open() || log.is_open() {
            if Instant::now() >= deadline {
                return Err(Error::TimedOut(CLOSE_TIME));
            }
            sleep(CLOSE_LOOK).await;
        }
        Ok(())
    }

    /// Stops Raft. What was acknowledged is on disk.
    ///
    /// # Errors
    /// [`Error::Stopped`] when it did not end by itself.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.raft
            .shutdown()
            .await
            .map_err(|error| Error::Stopped(error.into()))
    }
}

fn stopped(fatal: Fatal<TypeConfig>) -> Error {
    Error::Stopped(fatal.into())
}

/// Upload and collection commands are idempotent by themselves, and so are those of the cluster's
/// own start, which has no boot number yet. Every other command happens for a request.
fn needs_origin(action: &Action) -> bool {
    match action {
        Action::FoundCluster(_)
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

/// Whether a state was begun in the folder.
fn holds_state(datadir: &std::path::Path) -> bool {
    datadir.join("state").join("current").exists()
}

/// What is damaged has to be restored; what the system refuses has to be allowed.
fn open_error(path: PathBuf, source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::InvalidData => OpenError::Corrupt {
            path,
            reason: source.to_string(),
        },
        _ => {
            let hint = "check the disk, the permissions and the limit of open files";
            OpenError::Folder { path, hint, source }
        }
    }
}

fn raft_config(options: &Options) -> Result<Config, OpenError> {
    let config = Config {
        cluster_name: "roadstead".to_owned(),
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: ELECTION_MS_MIN,
        election_timeout_max: ELECTION_MS_MAX,
        enable_pre_vote: Some(true),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_after_entries),
        max_in_snapshot_log_to_keep: options.keep_entries,
        // More than a node may lag before it gets a snapshot instead.
        replication_lag_threshold: options.snapshot_after_entries.saturating_mul(2),
        purge_batch_size: ENTRIES_PER_PURGE,
        // A leader that goes on in its former term cannot tell its own entries from those of its
        // former life, which it may not have applied again yet: its reads would miss them.
        enable_leader_restore: Some(false),
        ..Config::default()
    };
    config
        .validate()
        .map_err(|error| OpenError::Raft(error.into()))
}
