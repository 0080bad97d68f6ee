//! `Metadata`: the handle that proposes commands and reads the state.
//!
//! Cheap to clone, and usable from any runtime: Raft itself lives where `open` was called.

mod backup;
mod group;
mod leader;
mod members;
mod requests;
mod start;

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::Fatal;
use openraft::{Config, Raft, ServerState, SnapshotPolicy};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tonic::service::Routes;

pub use self::backup::{BACKUP_FORMAT, Restore, restore};
use self::group::until;
pub use self::members::{MemberStatus, Members};
use self::requests::Rounds;
pub use self::requests::Seen;
use crate::clock::LeaderClock;
use crate::consensus::TypeConfig;
use crate::error::{Error, OpenError};
use crate::formation;
use crate::identity::{FIRST_NODE, Identity};
use crate::limits::{
    CLOSE_LOOK, CLOSE_TIME, ELECTION_MS_MAX, ELECTION_MS_MIN, ENTRIES_PER_PURGE, HEARTBEAT_MS,
    SNAPSHOT_SENT_TIME,
};
use crate::network::calls::Calls;
use crate::network::{Network, Place, Served, Server, Tls};
use crate::request::Serials;
use crate::store::Watch;
use crate::store::log::LogStore;
use crate::store::machine::StateMachine;
use crate::store::state::StateStore;

/// Folders below `cluster.datadir` for snapshots that are on their way.
const SENDING: &str = "sending";
const RECEIVING: &str = "receiving";

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
    /// The highest feature level that this version can apply.
    pub feature_level_max: u64,
    /// The cluster that the node is of; without it, it is a cluster of one.
    pub cluster: Option<Cluster>,
}

/// What a node is told about its cluster.
#[derive(Debug)]
pub struct Cluster {
    /// `cluster.name`: nodes of another name are refused.
    pub name: String,
    /// `cluster.tls`: what nodes prove themselves by; `None` speaks in the clear.
    pub tls: Option<Arc<Tls>>,
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
type Release = Arc<dyn Fn(String) -> BoxFuture<'static, ()> + Send + Sync>;

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
    identity: Arc<Identity>,
    datadir: PathBuf,
    began: Instant,
    feature_level_max: u64,
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
    release: Mutex<Option<Release>>,
    is_draining: AtomicBool,
    // Told when somebody wants the node to be drained.
    drains: Notify,
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
        let place = Arc::new(place_of(&identity, &options.datadir, cluster));
        let datadir = options.datadir.clone();
        // What a crash has left of transfers and backups.
        for name in [SENDING, RECEIVING] {
            let path = datadir.join(name);
            crate::store::folder::remove(&path).map_err(|error| open_error(path, error))?;
        }
        let stores = Stores::open(&datadir)?;
        if stores.is_fresh && identity.has_begun() {
            // It has voted, and would vote again for somebody else.
            return Err(OpenError::Corrupt {
                path: datadir,
                reason: "its Raft log and its state are gone, though this node has taken part \
                         before. If they cannot be brought back, remove the node from its cluster \
                         and the whole folder, and let it join anew"
                    .to_owned(),
            });
        }
        let mut served = None;
        let mut founded_with = Vec::new();
        if let Some(cluster) = cluster {
            let receiving = datadir.join(RECEIVING);
            let listener = cluster.listener.try_clone().map_err(OpenError::Listen)?;
            let serving = Server::start(listener, Arc::clone(&place), receiving);
            served = Some(serving.map_err(OpenError::Listen)?);
            if identity.node == 0 {
                let found = formation::find(&place, cluster, options.feature_level_max).await?;
                identity.settle(found.node)?;
                if found.node == FIRST_NODE {
                    founded_with.clone_from(&cluster.members);
                } else {
                    place.set_cluster_id(&found.cluster_id);
                }
            }
        } else if identity.node == 0 {
            identity.settle(FIRST_NODE)?;
        }
        place.set_node(identity.node);
        let Stores {
            log,
            machine,
            is_fresh,
        } = stores;
        if !is_fresh {
            // An earlier version did not say so, or this one ended before it could.
            identity.begin()?;
        }
        let identity = Arc::new(identity);
        let log = log.with_votes_said_in(Arc::clone(&identity));
        let (state, log_watch) = (machine.state(), log.watch());
        let config = Arc::new(raft_config(options)?);
        // Raft starts from what lies on disk: if it cannot, log, state and snapshots contradict.
        let network = Network::new(Arc::clone(&place));
        let raft = Raft::new(identity.node, config, network, log, machine)
            .await
            .map_err(|error| OpenError::Corrupt {
                path: datadir.clone(),
                reason: error.to_string(),
            })?;
        let shared = Shared {
            identity,
            datadir,
            began: Instant::now(),
            feature_level_max: options.feature_level_max,
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
            release: Mutex::default(),
            is_draining: AtomicBool::new(false),
            drains: Notify::new(),
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
    pub fn is_fresh(datadir: &Path) -> bool {
        Identity::is_fresh(datadir)
    }

    /// The identity of this node's data folder.
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// Where other nodes reach this one; empty for a node alone.
    pub fn address(&self) -> &str {
        &self.shared.place.address
    }

    /// Lets operators reach the administration service where other nodes reach this one.
    pub fn administer(&self, routes: Routes) {
        if let Some(served) = &self.shared.served {
            served.administer(routes);
        }
    }

    /// When the certificate ends that other nodes are shown, in seconds since 1970; `None` where
    /// nodes speak in the clear.
    pub fn certificate_expires(&self) -> Option<i64> {
        self.shared.place.tls.as_ref().map(|tls| tls.expires())
    }

    /// The highest feature level that this node can apply.
    pub fn feature_level_max(&self) -> u64 {
        self.shared.feature_level_max
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

    /// Ends when Raft has stopped by itself, because its storage failed, or when the node was
    /// removed from its cluster. The process must end.
    pub fn failed(&self) -> impl Future<Output = Error> + Send + use<> {
        let raft = self.raft.clone();
        let place = Arc::clone(&self.shared.place);
        async move {
            let ended = until(raft.metrics(), |metrics| {
                metrics.running_state.clone().err()
            });
            tokio::select! {
                biased;
                ended = ended => ended.map_or_else(|error| error, stopped),
                node = place.removed() => Error::Removed(node),
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
        self.set_release(None);
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
    fn open(datadir: &Path) -> Result<Self, OpenError> {
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

fn place_of(identity: &Identity, datadir: &Path, cluster: Option<&Cluster>) -> Place {
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
    let tls = cluster.and_then(|cluster| cluster.tls.clone());
    let place = Place::new(name, identity.instance, address, members);
    let place = place.with(datadir.join(SENDING), tls);
    if identity.node > 0 {
        place.set_node(identity.node);
    }
    place
}

/// Whether a state was begun in the folder.
fn holds_state(datadir: &Path) -> bool {
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
