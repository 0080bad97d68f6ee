//! A node: what it is made of, and the order in which that starts and stops.
//!
//! Raft, RocksDB and the storage drivers live on a multi-threaded tokio runtime; actix's workers
//! and arbiters run beside it, and call over by handles that only send.

mod folders;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::Actor;
use actix_rt::{Arbiter, System};
use roadstead_cluster::{Cluster, Metadata, Options, Tls, TlsFiles, read};
use roadstead_crash::bound;
use roadstead_storage::{BlobStore, Filesystem, Measured, Memory, S3};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use self::folders::{Folders, absolute};
use crate::actor::{
    Arbiters, Collector, CollectorOptions, Drain, Repositories, Supervisor, Uploads,
    finish_deletion,
};
use crate::admin::{self, Administration};
use crate::collection;
use crate::config::{self, Config, Driver, Group, Loaded, Untagged};
use crate::error::with_causes;
use crate::founding;
use crate::health::Health;
use crate::http::{Anteroom, Bound, Server, Shared};
use crate::limits::{
    Capacity, DELETIONS_LOOK, DELETIONS_RESUMED, FILE_DESCRIPTORS_MIN, LOG_ENTRIES_KEPT,
    LOG_LAST_LINES_TIME, PROPOSAL_TIMEOUT, RELEASE_TIME, SNAPSHOT_AFTER_ENTRIES, STORE_LOOK,
    UNTAGGED_LOOK,
};
use crate::service::{Policy, Registry};
use crate::space::Space;
use crate::store_guard::{GuardError, StoreGuard};
use crate::telemetry::logs::{self, Logs};
use crate::telemetry::metrics::{CollectionState, RaftState};
use crate::telemetry::{AccessLog, Metrics};
use crate::upload::Tools;
use crate::verify::Verifier;

/// Why a node is not running.
#[derive(Debug)]
pub enum Stopped {
    /// The configuration is wrong.
    Config(String),
    /// It could not start.
    Start(String),
    /// It failed while it ran.
    Failed(String),
}

/// Runs a node until it is told to stop, or fails.
///
/// # Errors
/// [`Stopped`], with a sentence for people.
pub fn run(loaded: Loaded) -> Result<(), Stopped> {
    let policy = Policy::new(&loaded.config).map_err(Stopped::Config)?;
    // Before anything opens files of its own.
    let capacity = file_capacity()?;
    let logs = logs::install(&loaded.config.log).map_err(|error| start_error(&error))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = Builder::new_multi_thread()
        .thread_name("roadstead")
        .enable_all()
        .build()
        .map_err(|error| start_error(&error))?;
    let result = System::new().block_on(serve(loaded.config, policy, capacity, &runtime, &logs));
    // A call to a store that hangs is not waited for: nothing that it could still do was promised.
    runtime.shutdown_timeout(RELEASE_TIME);
    drop(logs);
    result
}

fn start_error(error: &dyn std::error::Error) -> Stopped {
    Stopped::Start(with_causes(error))
}

/// Starts everything from the bottom up, waits, and stops it from the top down.
async fn serve(
    mut config: Config,
    policy: Policy,
    capacity: Capacity,
    runtime: &Runtime,
    logs: &Logs,
) -> Result<(), Stopped> {
    if let Some(timeout) = config
        .cluster
        .group
        .as_ref()
        .and_then(|group| group.drain.timeout)
    {
        config.http.drain_timeout = timeout;
    }
    let mut signals = Signals::listen().map_err(|error| start_error(&error))?;
    let bound = bind("http.addr", &config.http.addr)?;
    let debug = config.http.debug.as_ref();
    let debug_bound = debug
        .map(|debug| bind("http.debug.addr", &debug.addr))
        .transpose()?;
    let administration_bound = bind_administration(&config.cluster.administration)?;
    let group_bound = config.cluster.group.as_ref();
    let group_bound = group_bound.map(|group| bind("cluster.listen", &group.listen));
    let group_bound = group_bound.transpose()?;
    let metrics = Arc::new(Metrics::new());
    let folders = Folders::of(&config)?;

    let group = config.cluster.group.clone().zip(group_bound);
    // A node alone has nothing to wait for.
    let anteroom = match &group {
        Some(_) => {
            let http = [&bound].into_iter().chain(&debug_bound);
            let started = Anteroom::start(http, administration_bound.as_ref(), capacity);
            Some(started.map_err(|error| start_error(&error))?)
        }
        None => None,
    };
    let opening = open(
        config.storage.driver.clone(),
        folders.metadata.clone(),
        group,
        Arc::clone(&metrics),
    );
    let mut opening = runtime.spawn(opening);
    // Finding the others may take for ever.
    let opened = tokio::select! {
        opened = &mut opening => opened.map_err(|error| start_error(&error))?,
        () = signals.next() => {
            opening.abort();
            tracing::info!("stopped before the cluster was found");
            return Ok(());
        }
    };
    let (store, metadata) = opened.map_err(|error| start_error(&error))?;
    tokio::select! {
        settled = settle_ages(&metadata, &config) => settled.map_err(|error| start_error(&error))?,
        () = signals.next() => {
            tracing::info!("stopped before there was a quorum");
            return Ok(());
        }
    }
    if let Some(anteroom) = anteroom {
        anteroom.stop().await;
    }
    show_raft(&metrics, metadata.clone());

    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let arbiters = Arbiters::new((0..workers).map(|_| Arbiter::new().handle()).collect());
    let tools = Tools {
        metadata: metadata.clone(),
        store: Arc::clone(&store),
        metrics: Arc::clone(&metrics),
    };
    let uploads = Uploads::start(tools, arbiters.clone(), capacity.uploads);
    let releasing = uploads.clone();
    metadata.on_release(move |upload| {
        let uploads = releasing.clone();
        Box::pin(async move {
            // Another node has read the id from its row.
            if let Ok(id) = upload.parse() {
                uploads.release(id).await;
            }
        })
    });
    let guard = StoreGuard::new(metadata.clone(), Arc::clone(&store));
    let collection_tools = collection::Tools {
        metadata: metadata.clone(),
        store: Arc::clone(&store),
        guard: guard.clone(),
    };
    let collector = Collector::start(
        collection_tools.clone(),
        CollectorOptions {
            rate: config.collection.rate,
            sweep: config.collection.sweep,
            untagged_look: untagged_look(&config),
            purging: config.storage.upload_purging.clone(),
            is_read_only: config.storage.is_read_only,
        },
        Arc::clone(&metrics),
        &arbiters,
        runtime.handle().clone(),
    );
    let repositories = Repositories::new(metadata.clone(), arbiters);
    let supervisor =
        Supervisor::new(uploads.clone(), repositories.clone(), collector.clone()).start();
    runtime.spawn(resume_deletions(metadata.clone()));
    runtime.spawn(watch_store(guard.clone()));

    show_collection(&metrics, collector.clone());

    let health = Health::start(&config.health, Arc::clone(&store), runtime.handle());
    let space = Space::watch(folders.on_disk(&config), config.storage.reserve)
        .map_err(|error| start_error(&error))?;
    let tools = admin::Tools {
        metadata: metadata.clone(),
        collector: collector.clone(),
        uploads: uploads.clone(),
        verifier: Verifier::new(collection_tools),
        is_read_only: config.storage.is_read_only,
        log_filter: logs.filter(),
    };
    let administration = Administration::start(administration_bound, tools, runtime.handle())
        .map_err(|error| start_error(&error))?;
    let registry = Registry::new(
        metadata.clone(),
        store,
        uploads,
        repositories,
        policy,
        space,
        guard,
    );
    let access_log = AccessLog::start(&config.log).map_err(|error| start_error(&error))?;
    metrics.show_dropped("access", access_log.dropped());
    metrics.show_dropped("main", logs.dropped());
    let shared = Arc::new(Shared::new(
        registry,
        health,
        metrics,
        access_log.clone(),
        &config.http,
    ));
    let address = bound.address;
    let server =
        Server::start(bound, &config.http, capacity, &shared).map_err(|e| start_error(&e))?;
    let debug_server = match (debug_bound, debug) {
        (Some(bound), Some(debug)) => {
            tracing::info!("metrics and health are served on http://{}", bound.address);
            let started = Server::start_debug(bound, debug, &shared);
            Some(started.map_err(|error| start_error(&error))?)
        }
        _ => None,
    };
    announce(address, &folders);

    let result = wait(&mut signals, &metadata).await;
    shared.drain();
    metadata.set_draining();
    if let (Ok(()), Some(group)) = (&result, &config.cluster.group) {
        // Load balancers are to see it before a request is refused.
        tokio::select! {
            () = sleep(group.drain.notice) => {}
            () = signals.next() => {}
        }
    }
    let is_graceful = result.is_ok() && !config.http.drain_timeout.is_zero();
    let stopped = async {
        server.stop(is_graceful).await;
        // What is left of uploads can be gone on with by the next life of the node.
        match tokio::time::timeout(RELEASE_TIME, supervisor.send(Drain)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => tracing::error!("the supervisor ended before it was drained"),
            Err(_elapsed) => tracing::warn!("some uploads were not released in time"),
        }
        metadata.leave().await;
        // Last: its end is what tells operators that the node has stopped.
        administration.stop().await;
    };
    tokio::select! {
        () = stopped => {}
        () = signals.interrupted() => tracing::warn!("stopping at once: interrupted"),
    }
    if let Some(server) = debug_server {
        server.stop(false).await;
    }
    if let Err(error) = metadata.shutdown().await {
        tracing::error!(%error, "the metadata did not stop in order");
    }
    access_log.flush(LOG_LAST_LINES_TIME);
    tracing::info!("stopped");
    result
}

/// Opens the object store and the metadata, and makes sure that they belong together.
async fn open(
    driver: Driver,
    datadir: PathBuf,
    group: Option<(Group, Bound)>,
    metrics: Arc<Metrics>,
) -> Result<(Arc<dyn BlobStore>, Metadata), founding::FoundingError> {
    let store = open_store(driver).await?;
    let store: Arc<dyn BlobStore> = Arc::new(Measured::new(store, metrics));
    let proposal_timeout = group.as_ref().map(|(group, _)| group.proposal_timeout);
    let allowed = group.as_ref().and_then(|(group, _)| group.feature_level);
    let feature_level = founding::feature_level(allowed);
    let cluster = match group {
        Some((group, bound)) => Some(cluster_of(group, bound, store.as_ref()).await?),
        None if Metadata::is_fresh(&datadir) => {
            founding::check_fresh(store.as_ref()).await?;
            None
        }
        None => None,
    };
    let options = Options {
        datadir,
        proposal_timeout: proposal_timeout.unwrap_or(PROPOSAL_TIMEOUT),
        snapshot_after_entries: bound("ROADSTEAD_SNAPSHOT_AFTER", SNAPSHOT_AFTER_ENTRIES),
        keep_entries: bound("ROADSTEAD_LOG_KEPT", LOG_ENTRIES_KEPT),
        feature_level_max: feature_level,
        cluster,
    };
    let metadata = Metadata::open(&options).await?;
    while let Err(error) = founding::take_part(&metadata, store.as_ref()).await {
        match error {
            founding::FoundingError::Metadata(reason) if waits_for_quorum(&reason) => {}
            error => return Err(error),
        }
    }
    metadata.formed().await;
    Ok((store, metadata))
}

/// Opens the object store of a configuration.
///
/// # Errors
/// When it cannot be used.
pub async fn open_store(driver: Driver) -> roadstead_storage::Result<Arc<dyn BlobStore>> {
    Ok(match driver {
        Driver::Filesystem { root } => Arc::new(Filesystem::open(root).await?),
        Driver::InMemory => Arc::new(Memory::new()),
        Driver::S3(options) => Arc::new(S3::open(*options).await?),
    })
}

/// What the metadata are told of the other nodes.
async fn cluster_of(
    group: Group,
    bound: Bound,
    store: &dyn BlobStore,
) -> Result<Cluster, founding::FoundingError> {
    let found_refusal = match founding::check_fresh(store).await {
        Ok(()) => None,
        // A node that joins finds its cluster's marker there.
        Err(error @ founding::FoundingError::StoreInUse { .. }) => Some(error.to_string()),
        Err(error) => return Err(error),
    };
    tracing::info!("other nodes reach this one at {}", group.advertise);
    let tls = group.tls.map(|files| {
        Tls::open(TlsFiles {
            ca: files.ca,
            certificate: files.certificate,
            key: files.key,
        })
    });
    let tls = tls.transpose()?.map(Arc::new);
    if let (Some(tls), Some(host)) = (&tls, group.advertise.host()) {
        tls.check(host)?;
    }
    Ok(Cluster {
        name: group.name,
        tls,
        listener: bound.into_listener(),
        address: group.advertise.to_string(),
        members: group.members.iter().map(ToString::to_string).collect(),
        join: group.join.map(|address| address.to_string()),
        found_refusal,
        timing: group.timing,
    })
}

/// Whether to try again: the cluster had nobody to decide for as long as a request waits. Says so.
fn waits_for_quorum(reason: &roadstead_cluster::Error) -> bool {
    use roadstead_cluster::Error as E;
    let waits = matches!(reason, E::Unavailable(_) | E::TimedOut(_));
    if waits {
        tracing::info!("waiting for the cluster: {}", with_causes(reason));
    }
    waits
}

/// Puts the ages of the configuration into the settings, as soon as somebody can decide.
async fn settle_ages(
    metadata: &Metadata,
    config: &Config,
) -> Result<(), collection::CollectionError> {
    loop {
        let ages =
            collection::settle_ages(metadata, &config.collection, &config.storage.upload_purging);
        match ages.await {
            Err(collection::CollectionError::Metadata(reason)) if waits_for_quorum(&reason) => {}
            settled => return settled,
        }
    }
}

/// Lets every scrape ask where the node stands.
fn show_raft(metrics: &Metrics, metadata: Metadata) {
    metrics.show_raft(move || {
        let status = metadata.status();
        Some(RaftState {
            is_leader: status.is_leader,
            term: status.term,
            last_log_index: status.last_log_index,
            last_applied_index: status.last_applied_index,
            snapshot_index: status.snapshot_index,
            certificate_expires: metadata.certificate_expires(),
        })
    });
}

/// A policy that lets manifests live for a short time only is looked after more often.
fn untagged_look(config: &Config) -> Duration {
    match &config.collection.untagged {
        Some(Untagged::Expire { age, .. }) => (*age / 4).min(UNTAGGED_LOOK),
        Some(Untagged::Keep) | None => UNTAGGED_LOOK,
    }
}

/// Looks at the marker now and then: a cluster whose store was taken over by a restore must not go
/// on taking pushes.
async fn watch_store(guard: StoreGuard) {
    let mut look = tokio::time::interval(STORE_LOOK);
    loop {
        look.tick().await;
        if let Err(GuardError::Metadata(
            roadstead_cluster::Error::Stopped(_) | roadstead_cluster::Error::Removed(_),
        )) = guard.look().await
        {
            return;
        }
    }
}

/// Lets every scrape ask how collection goes.
fn show_collection(metrics: &Metrics, collector: Collector) {
    metrics.show_collection(move || CollectionState {
        counts: collector.progress().counts(),
        waits: collector.progress().waits(),
        swept: collector.progress().swept(),
        factor: collector.factor(),
        is_alarmed: collector.is_alarmed(),
    });
}

/// Goes on with deletions that an earlier life of the node, or a failing store, has interrupted.
async fn resume_deletions(metadata: Metadata) {
    let mut look = tokio::time::interval(DELETIONS_LOOK);
    // What goes on at the first look is nobody's; later on, what has not ended between two is.
    let mut seen = None::<Vec<_>>;
    loop {
        look.tick().await;
        let found = metadata
            .read(|view| read::deletions(view, DELETIONS_RESUMED))
            .await;
        let found = match found {
            Ok(found) => found,
            Err(roadstead_cluster::Error::Stopped(_) | roadstead_cluster::Error::Removed(_)) => {
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "interrupted deletions cannot be read");
                continue;
            }
        };
        let is_interrupted = |one| seen.as_ref().is_none_or(|seen| seen.contains(one));
        for one in found.iter().filter(|one| is_interrupted(*one)) {
            let (repository, digest) = one;
            tracing::info!(%repository, %digest, "a deletion that was begun is gone on with");
            if let Err(error) = finish_deletion(&metadata, repository, digest).await {
                tracing::warn!(%error, %repository, %digest, "a deletion is still interrupted");
            }
        }
        seen = Some(found);
    }
}

fn bind(key: &str, address: &crate::config::Address) -> Result<Bound, Stopped> {
    Bound::bind(address).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another process has that port; stop it, or choose",
            std::io::ErrorKind::PermissionDenied => "this user may not take that port; choose",
            _ => "choose",
        };
        Stopped::Start(format!(
            "cannot listen on {address}: {error}; {hint} another `{key}`"
        ))
    })
}

/// Nobody has asked for the default address: where it is taken, the node serves without being
/// administered.
fn bind_administration(written: &config::Administration) -> Result<Option<Bound>, Stopped> {
    match bind("cluster.admin.addr", &written.addr) {
        Err(Stopped::Start(message)) if !written.is_given => {
            tracing::warn!(
                "{message}; until then `roadstead gc` and others cannot reach this node"
            );
            Ok(None)
        }
        bound => bound.map(Some),
    }
}

/// Raises the soft limit of open files as far as the system allows, and refuses to start with too
/// few.
fn file_capacity() -> Result<Capacity, Stopped> {
    let limit = getrlimit(Resource::Nofile);
    // A limit that stays as it is was good enough or is complained of below.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
    match getrlimit(Resource::Nofile).current {
        Some(found) if found < FILE_DESCRIPTORS_MIN => Err(Stopped::Start(format!(
            "only {found} files may be open at once, but the registry needs at least \
             {FILE_DESCRIPTORS_MIN}; raise the limit (`ulimit -n 65536`, or `LimitNOFILE` of the \
             service)"
        ))),
        // `None` is no limit at all.
        found => Ok(Capacity::of(found)),
    }
}

/// Says where things are, and what to try next.
fn announce(address: std::net::SocketAddr, folders: &Folders) {
    let port = address.port();
    let host = if address.ip().is_unspecified() {
        format!("localhost:{port}")
    } else {
        address.to_string()
    };
    tracing::info!(
        "roadstead {} listens on http://{address}",
        env!("CARGO_PKG_VERSION")
    );
    tracing::info!(
        "blobs lie in {}, metadata in {}",
        folders.data,
        absolute(&folders.metadata)
    );
    tracing::info!("try next: docker tag IMAGE {host}/IMAGE && docker push {host}/IMAGE");
}

/// The signals that end a node.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self {
            terminate,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Somebody at the terminal does not want to wait. A service manager may send its signal to
    /// more than one process of a group, so that a second SIGTERM means nothing new.
    async fn interrupted(&mut self) {
        self.interrupt.recv().await;
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Waits for a signal, until somebody wants the node to be drained, or until the metadata fail.
async fn wait(signals: &mut Signals, metadata: &Metadata) -> Result<(), Stopped> {
    tokio::select! {
        () = signals.next() => {
            tracing::info!("stopping: requests in flight are finished first");
            Ok(())
        }
        () = metadata.drained() => {
            tracing::info!("draining: requests in flight are finished first, then the node stops");
            Ok(())
        }
        error = metadata.failed() => {
            let message = with_causes(&error);
            tracing::error!("{message}");
            Err(Stopped::Failed(message))
        }
    }
}
