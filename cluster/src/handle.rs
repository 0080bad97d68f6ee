//! `Metadata`: the handle that proposes commands and reads the state.
//!
//! Cheap to clone, and usable from any runtime: Raft itself lives where `open` was called.

mod leader;
mod requests;

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::Fatal;
use openraft::{ChangeMembers, Config, Raft, ServerState, SnapshotPolicy};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use self::requests::{Leader, Rounds};
use crate::clock::LeaderClock;
use crate::consensus::TypeConfig;
use crate::error::{Error, OpenError};
use crate::formation;
use crate::identity::{FIRST_NODE, Identity};
use crate::limits::{
    ASK_TIME, CLOSE_LOOK, CLOSE_TIME, ELECTION_MS_MAX, ELECTION_MS_MIN, ENTRIES_PER_PURGE,
    FORMATION_LOOK, FORMATION_SAID, HEARTBEAT_MS, SNAPSHOT_SENT_TIME,
};
use crate::metadata::read;
use crate::network::calls::Calls;
use crate::network::{Network, Place, Served, Server};
use crate::request::Serials;
use crate::store::Watch;
use crate::store::log::LogStore;
use crate::store::machine::StateMachine;
use crate::store::state::StateStore;

/// How a node opens its metadata.
#[derive(Debug)]
pub struct Options {
    /// Folder of the log, the state and the snapshots.
    pub datadir: PathBuf,
    /// How long a write or read waits for a leader and a quorum.
    pub proposal_timeout: Duration,
    /// Log entries after which a snapshot is taken.
    pub snapshot_after_entries: u64,
    /// Log entries that stay after a snapshot, for a node that lags a little.
    pub keep_entries: u64,
    /// The cluster that the node is of; without it, it is a cluster of one.
    pub cluster: Option<Cluster>,
}

/// What a node is told about its cluster.
#[derive(Debug)]
pub struct Cluster {
    /// `cluster.name`: nodes of another name are refused.
    pub name: String,
    /// `cluster.listen`, bound.
    pub listener: TcpListener,
    /// `cluster.advertise`: where the others reach it.
    pub address: String,
    /// `cluster.members`: who forms the cluster at its first start. Empty with `join`.
    pub members: Vec<String>,
    /// `cluster.join`: a node of the cluster that a fresh one joins.
    pub join: Option<String>,
    /// Why this node may not found a cluster, if so: for people.
    pub found_refusal: Option<String>,
    /// The highest feature level that this version can apply.
    pub feature_level_max: u64,
    /// `cluster.heartbeat` and `cluster.election`, in milliseconds.
    pub timing: Timing,
}

/// How soon a lost leader is noticed, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How often a leader says that it is there.
    pub heartbeat: u64,
    /// How long a follower hears nothing before it wants to lead: chance spreads them between
    /// this,
    pub election_min: u64,
    /// and this. More than [`Self::election_min`], which is more than [`Self::heartbeat`].
    pub election_max: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: HEARTBEAT_MS,
            election_min: ELECTION_MS_MIN,
            election_max: ELECTION_MS_MAX,
        }
    }
}

/// Lets go of an upload that this node has a session for.
type Release = Box<dyn Fn(String) -> BoxFuture<'static, ()> + Send + Sync>;

type StateRaft = Raft<TypeConfig, StateMachine>;

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
    raft: StateRaft,
    state: StateStore,
    log_watch: Watch,
    shared: Arc<Shared>,
}

struct Shared {
    identity: Identity,
    proposal_timeout: Duration,
    clock: LeaderClock,
    serials: Serials,
    boot: AtomicU64,
    // The term in which this node, leading, has applied its own first entry; 0 before.
    own_entry_in_term: AtomicU64,
    runtime: Handle,
    place: Arc<Place>,
    calls: Calls,
    rounds: Mutex<Rounds>,
    served: Option<Served>,
    release: OnceLock<Release>,
    // The members that a founder waits for; empty otherwise.
    founded_with: Vec<String>,
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
        let mut identity = Identity::open(&options.datadir)?;
        let cluster = options.cluster.as_ref();
        let place = Arc::new(place_of(&identity, cluster));
        let datadir = options.datadir.clone();
        let stores = Stores::open(&datadir)?;
        let mut served = None;
        let mut founded_with = Vec::new();
        if let Some(cluster) = cluster {
            let receiving = datadir.join("receiving");
            let failed = |error| open_error(receiving.clone(), error);
            // What a crash has left of a transfer.
            crate::store::folder::remove(&receiving).map_err(failed)?;
            let listener = cluster.listener.try_clone().map_err(OpenError::Listen)?;
            let serving = Server::start(listener, Arc::clone(&place), receiving);
            served = Some(serving.map_err(OpenError::Listen)?);
            if identity.node == 0 {
                let found = formation::find(&place, cluster).await?;
                identity.settle(&datadir, found.node)?;
                if found.node == FIRST_NODE {
                    founded_with.clone_from(&cluster.members);
                } else {
                    place.set_cluster_id(&found.cluster_id);
                }
            }
        } else if identity.node == 0 {
            identity.settle(&datadir, FIRST_NODE)?;
        }
        place.set_node(identity.node);
        let Stores {
            log,
            machine,
            is_fresh,
        } = stores;
        let (state, log_watch) = (machine.state(), log.watch());
        let config = Arc::new(raft_config(options)?);
        // Raft starts from what lies on disk: if it cannot, log, state and snapshots contradict.
        let network = Network::new(Arc::clone(&place));
        let raft = Raft::new(identity.node, config, network, log, machine)
            .await
            .map_err(|error| OpenError::Corrupt {
                path: datadir,
                reason: error.to_string(),
            })?;
        let shared = Shared {
            identity,
            proposal_timeout: options.proposal_timeout,
            clock: LeaderClock::default(),
            serials: Serials::default(),
            boot: AtomicU64::new(0),
            own_entry_in_term: AtomicU64::new(0),
            runtime: Handle::current(),
            calls: Calls::new(Arc::clone(&place)),
            place,
            rounds: Mutex::default(),
            served,
            release: OnceLock::new(),
            founded_with,
        };
        let metadata = Self {
            raft,
            state,
            log_watch,
            shared: Arc::new(shared),
        };
        if let Some(served) = &metadata.shared.served {
            served.open(metadata.clone());
        }
        let started = metadata.start(is_fresh).await;
        if started.is_err() {
            // Nobody else will.
            let _ = metadata.shutdown().await;
        }
        started.map(|()| metadata)
    }

    /// Whether nothing was ever kept in `datadir`, which need not exist.
    pub fn is_fresh(datadir: &std::path::Path) -> bool {
        Identity::is_fresh(datadir)
    }

    /// Makes a fresh founder the only voter; makes a node that is alone campaign at once; has one
    /// that has joined caught up, and then vote.
    async fn start(&self, is_fresh: bool) -> Result<(), OpenError> {
        let node = self.shared.identity.node;
        if is_fresh && node == FIRST_NODE {
            let members = std::collections::BTreeMap::from([(node, self.shared.place.peer())]);
            let initialized = self.raft.initialize(members).await;
            initialized.map_err(|error| OpenError::Raft(error.into()))?;
        } else if self.is_sole_voter() {
            // Nobody else could lead: do not wait for an election timeout.
            let elected = self.raft.trigger().elect(false).await;
            elected.map_err(|error| OpenError::Raft(error.into()))?;
        }
        if self.shared.served.is_none() {
            self.refuse_silence()?;
        }
        if self.shared.served.is_none() || node == FIRST_NODE && is_fresh {
            self.barrier().await?;
            return self.learn_cluster();
        }
        let mut said = Instant::now();
        loop {
            let waits_for = match self.barrier().await {
                Err(error @ Error::Stopped(_)) => return Err(error.into()),
                Err(error) => crate::error::with_source(&error),
                Ok(_) if self.is_voter(node) => {
                    self.settle_address().await?;
                    return self.learn_cluster();
                }
                Ok(_) => match self.promote_self().await {
                    Ok(()) => continue,
                    Err(status) => status.message().to_owned(),
                },
            };
            if said.elapsed() >= FORMATION_SAID {
                said = Instant::now();
                tracing::info!("waiting for the cluster: {waits_for}");
            }
            sleep(FORMATION_LOOK).await;
        }
    }

    /// A member of a cluster that nobody can reach could still win its elections.
    fn refuse_silence(&self) -> Result<(), OpenError> {
        let others = {
            let applied = self.state.applied();
            let (_, membership) = applied.map_err(|error| OpenError::Raft(error.into()))?;
            let nodes = membership.membership().nodes();
            nodes
                .filter(|(id, _)| **id != self.shared.identity.node)
                .count()
        };
        if others == 0 {
            return Ok(());
        }
        Err(OpenError::Refused(format!(
            "this node is one of {} and has to be reached by the others; set `cluster.listen` as \
             before",
            others + 1
        )))
    }

    /// Has the others know where this node is, if it was alone until now.
    async fn settle_address(&self) -> Result<(), OpenError> {
        let (node, own) = (self.shared.identity.node, self.shared.place.peer());
        let known = {
            let metrics = self.raft.server_metrics();
            let server = metrics.borrow_watched();
            let membership = server.membership_config.membership();
            membership.get_node(&node).cloned().unwrap_or_default()
        };
        if known == own {
            return Ok(());
        }
        if !self.is_sole_voter() {
            return Err(OpenError::Refused(format!(
                "its members know this node as {}, and `cluster.advertise` is {}; keep the address \
                 and let the name lead elsewhere",
                known.address, own.address
            )));
        }
        let nodes = std::collections::BTreeMap::from([(node, own)]);
        let changed = self
            .raft
            .change_membership(ChangeMembers::SetNodes(nodes), true);
        let changed = changed.await.map_err(|error| OpenError::Raft(error.into()));
        changed.map(drop)
    }

    async fn promote_self(&self) -> Result<(), tonic::Status> {
        let node = self.shared.identity.node;
        match self.leader() {
            Leader::Here => Ok(()),
            Leader::There(leader) => {
                let calls = &self.shared.calls;
                calls.promote(&leader, node, ASK_TIME).await
            }
            Leader::Nobody => Err(tonic::Status::unavailable("nobody leads")),
        }
    }

    /// Takes the cluster's id from the state, if it was founded.
    fn learn_cluster(&self) -> Result<(), OpenError> {
        let settings = self.state.view(|view| read::settings(view));
        if let Some(settings) = settings.map_err(Error::Fault)? {
            self.shared.place.set_cluster_id(&settings.cluster_id);
        }
        Ok(())
    }

    /// Says that the cluster was founded and has this id: from now on others may join.
    pub fn founded(&self, cluster_id: &str) {
        self.shared.place.set_cluster_id(cluster_id);
    }

    /// Waits until all members that this node has founded the cluster with vote; does not wait in
    /// any later life.
    pub async fn formed(&self) {
        let expected = self.shared.founded_with.len();
        let mut metrics = self.raft.server_metrics();
        loop {
            let voters = self.settled_voters().len();
            if voters >= expected || metrics.changed().await.is_err() {
                return;
            }
        }
    }

    fn is_sole_voter(&self) -> bool {
        let metrics = self.raft.server_metrics();
        let server = metrics.borrow_watched();
        let mut voters = server.membership_config.membership().voter_ids();
        voters.next() == Some(self.shared.identity.node) && voters.next().is_none()
    }

    /// The identity of this node's data folder.
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// Where other nodes reach this one; empty for a node alone.
    pub fn address(&self) -> &str {
        &self.shared.place.address
    }

    /// The number of this node's present life; 0 before [`Self::set_boot`].
    pub fn boot(&self) -> u64 {
        self.shared.boot.load(Ordering::Acquire)
    }

    /// Takes the number that `StartNode` gave: from now on requests carry it.
    pub fn set_boot(&self, boot: u64) {
        self.shared.boot.store(boot, Ordering::Release);
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
        if let Some(served) = &self.shared.served {
            served.stop();
        }
        self.raft
            .shutdown()
            .await
            .map_err(|error| Error::Stopped(error.into()))
    }
}

fn stopped(fatal: Fatal<TypeConfig>) -> Error {
    Error::Stopped(fatal.into())
}

/// What lies on disk, open.
struct Stores {
    log: LogStore,
    machine: StateMachine,
    // Nothing was ever written to the log.
    is_fresh: bool,
}

impl Stores {
    fn open(datadir: &std::path::Path) -> Result<Self, OpenError> {
        let corrupt = |reason: &str| OpenError::Corrupt {
            path: datadir.to_owned(),
            reason: reason.to_owned(),
        };
        let folder = datadir.join("log");
        let is_log_gone = !folder.exists() && holds_state(datadir);
        if is_log_gone {
            return Err(corrupt(
                "its Raft log is gone, while the state is still there",
            ));
        }
        let log = LogStore::open(&folder).map_err(|error| open_error(folder, error))?;
        let machine = StateMachine::open(datadir);
        let machine = machine.map_err(|error| open_error(datadir.to_owned(), error))?;
        let is_fresh = log
            .is_fresh()
            .map_err(|error| OpenError::Raft(error.into()))?;
        let has_state = machine
            .state()
            .applied()
            .is_ok_and(|applied| applied.0.is_some());
        if is_fresh && has_state {
            return Err(corrupt("its Raft log is empty, while the state is not"));
        }
        Ok(Self {
            log,
            machine,
            is_fresh,
        })
    }
}

fn place_of(identity: &Identity, cluster: Option<&Cluster>) -> Place {
    let (name, address, mut members) = match cluster {
        Some(cluster) => (
            cluster.name.clone(),
            cluster.address.clone(),
            cluster.members.clone(),
        ),
        None => Default::default(),
    };
    members.sort();
    members.dedup();
    let place = Place::new(name, identity.instance, address, members);
    if identity.node > 0 {
        place.set_node(identity.node);
    }
    place
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
    let timing = options.cluster.as_ref();
    let timing = timing.map(|cluster| cluster.timing).unwrap_or_default();
    let config = Config {
        cluster_name: "roadstead".to_owned(),
        heartbeat_interval: timing.heartbeat,
        election_timeout_min: timing.election_min,
        election_timeout_max: timing.election_max,
        install_snapshot_timeout: SNAPSHOT_SENT_TIME,
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
