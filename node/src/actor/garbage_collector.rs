//! `GarbageCollector`: one on every node, at work on the one that leads.
//!
//! It decides when to look; what a look does is in `crate::collection`. At most one look is under
//! way, and at most one sweep beside it, whoever asked for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::fut::{ActorFutureExt, WrapFuture};
use actix::{Actor, AsyncContext, Context, Handler, Message, ResponseFuture};
use roadstead_cluster::metadata::View;
use roadstead_cluster::{Metadata, garbage, read};
use roadstead_proto::rpc::metadata::ChangeSettings;
use roadstead_proto::rpc::metadata::command::Action;
use tokio::runtime;
use tokio::sync::Mutex;
use tokio::task::JoinError;
use tokio::time::Instant;

use super::Arbiters;
use super::mailbox::{Mailbox, Undelivered};
use crate::collection::{
    CollectionError, Counts, Factor, Pace, Pass, Phase, Progress, Run, Swept, Tools, Waits,
};
use crate::config;
use crate::error::{RegistryError, outcome};
use crate::limits::{
    BACKLOG_COUNTED, COLLECTION_LOOK, COLLECTOR_MAILBOX, FIRST_SWEEP, MARKER_LOOK,
};
use crate::store_guard::StoreGuard;
use crate::telemetry::Metrics;

/// How collection goes on this node.
#[derive(Debug, Clone)]
pub struct Options {
    /// `gc.rate`, in objects per second.
    pub rate: u32,
    /// `gc.sweep`.
    pub sweep: Duration,
    /// How often untagged manifests are looked for.
    pub untagged_look: Duration,
    /// `storage.maintenance.uploadpurging`.
    pub purging: config::UploadPurging,
    /// `storage.maintenance.readonly`: nothing is collected.
    pub is_read_only: bool,
}

/// The collector of this node, wherever its actor lives. Clones share it.
#[derive(Debug, Clone)]
pub struct Collector {
    mailbox: Mailbox<GarbageCollector>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    metadata: Metadata,
    guard: StoreGuard,
    options: Options,
    pass: Mutex<Pass>,
    sweeper: Mutex<Pass>,
    progress: Arc<Progress>,
    factor: Factor,
    is_stopping: Arc<AtomicBool>,
    runtime: runtime::Handle,
}

/// Whether collection goes on, and how far it is.
#[derive(Debug, Clone)]
pub struct Status {
    /// Whether this node is the one that collects.
    pub is_leader: bool,
    /// Whether an operator has stopped it.
    pub is_paused: bool,
    /// Whether the configuration has.
    pub is_read_only: bool,
    /// Why it stands still though nobody stopped it.
    pub alarm: Option<String>,
    /// What it is at.
    pub phase: &'static str,
    /// `gc.rate`.
    pub rate: u32,
    /// The part of the rate that slow requests leave.
    pub factor: f64,
    /// What waits.
    pub backlog: garbage::Backlog,
    /// What was collected since the node has started.
    pub counts: Counts,
    /// The last sweep of this node.
    pub swept: Option<Swept>,
    /// Cluster time.
    pub now_ms: u64,
    /// The cluster's grace.
    pub grace_ms: u64,
    /// How long reclaimed objects stay.
    pub reading_delay_ms: u64,
}

/// A look that somebody asked for, with its sweep.
#[derive(Debug)]
pub struct Running {
    /// How far it is, and what it has done.
    pub progress: Arc<Progress>,
    /// Its end.
    pub ended: tokio::task::JoinHandle<Result<(), RegistryError>>,
}

/// Look now.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), CollectionError>")]
struct Collect {
    run: Run,
    progress: Arc<Progress>,
}

/// Look whether there is something to do.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Look;

/// The actor.
#[derive(Debug)]
pub(super) struct GarbageCollector {
    shared: Arc<Shared>,
    is_working: bool,
    is_sweeping: bool,
    uploads_due: Instant,
    manifests_due: Instant,
    sweep_due: Instant,
    // What was last complained about, and when.
    complaint: Option<(String, Instant)>,
}

impl Collector {
    /// Starts the actor on one of the arbiters; its work is done on `runtime`.
    pub fn start(
        tools: Tools,
        options: Options,
        metrics: Arc<Metrics>,
        arbiters: &Arbiters,
        runtime: runtime::Handle,
    ) -> Self {
        let pace = Pace::new(options.rate, metrics);
        let (metadata, guard, factor) =
            (tools.metadata.clone(), tools.guard.clone(), pace.factor());
        let pass = Pass::new(tools, pace);
        let shared = Arc::new(Shared {
            metadata,
            guard,
            factor,
            is_stopping: pass.stopping(),
            sweeper: Mutex::new(pass.beside()),
            pass: Mutex::new(pass),
            progress: Arc::default(),
            options,
            runtime,
        });
        let now = Instant::now();
        let actor = GarbageCollector {
            uploads_due: now,
            manifests_due: now,
            sweep_due: now + shared.options.sweep.min(FIRST_SWEEP),
            is_working: false,
            is_sweeping: false,
            complaint: None,
            shared: Arc::clone(&shared),
        };
        let address = GarbageCollector::start_in_arbiter(arbiters.pick(), move |_context| actor);
        Self {
            mailbox: Mailbox::new(address, COLLECTOR_MAILBOX),
            shared,
        }
    }

    /// Looks for garbage now, after a look that is under way, and sweeps likewise.
    pub fn collect(&self, run: Run) -> Running {
        let progress = Arc::new(if run.is_dry {
            Progress::default()
        } else {
            Progress::of_run(Arc::clone(&self.shared.progress))
        });
        progress.wait(Phase::AwaitLook);
        let mailbox = self.mailbox.clone();
        let collect = Collect {
            run,
            progress: Arc::clone(&progress),
        };
        let asked = async move { answered(mailbox.ask(collect).await) };
        Running {
            progress,
            ended: self.shared.runtime.spawn(asked),
        }
    }

    /// Stops collection in the whole cluster, or lets it go on. It waits for no look: they ask
    /// before each step.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn set_paused(&self, is_paused: bool) -> Result<(), RegistryError> {
        answered(Ok(self.shared.set_paused(is_paused).await))
    }

    /// The node is about to stop: no further step is taken.
    pub fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
    }

    /// How collection goes. It does not wait for a look that is under way.
    ///
    /// # Errors
    /// [`RegistryError::Unavailable`].
    pub async fn status(&self) -> Result<Status, RegistryError> {
        let shared = &self.shared;
        let metadata = &shared.metadata;
        let settings = metadata.read(|view| read::settings(view)).await;
        let settings = settings
            .map_err(RegistryError::metadata)?
            .unwrap_or_default();
        let unverified = settings.verify_due;
        let unverified = unverified.then(|| CollectionError::Unverified.to_string());
        let now_ms = metadata.read(|view| read::now_ms(view)).await;
        let backlog = metadata
            .read(|view| garbage::backlog(view, BACKLOG_COUNTED))
            .await;
        Ok(Status {
            is_leader: metadata.status().is_leader,
            is_paused: settings.collection_paused,
            is_read_only: shared.options.is_read_only,
            alarm: shared.guard.alarm().or(unverified),
            phase: shared.progress.phase().as_str(),
            rate: shared.options.rate,
            factor: shared.factor.get(),
            backlog: backlog.map_err(RegistryError::metadata)?,
            counts: shared.progress.counts(),
            swept: shared.progress.swept(),
            now_ms: now_ms.map_err(RegistryError::metadata)?,
            grace_ms: settings.grace_ms,
            reading_delay_ms: settings.reading_delay_ms.unwrap_or_default(),
        })
    }

    /// What was done so far, for whoever counts.
    pub fn progress(&self) -> &Progress {
        &self.shared.progress
    }

    /// Whether the store is not the cluster's any more.
    pub fn is_alarmed(&self) -> bool {
        self.shared.guard.alarm().is_some()
    }

    /// The part of the rate that slow requests leave.
    pub fn factor(&self) -> f64 {
        self.shared.factor.get()
    }
}

/// What a person hears of it.
fn answered<T>(
    answer: Result<Result<T, CollectionError>, Undelivered>,
) -> Result<T, RegistryError> {
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(CollectionError::Metadata(error))) => Err(RegistryError::metadata(error)),
        Ok(Err(CollectionError::Store(error))) => Err(RegistryError::store(error)),
        Ok(Err(error)) => Err(RegistryError::CollectionStopped(error.to_string())),
        Err(Undelivered::Full) => Err(RegistryError::TooMany("requests to the collector")),
        Err(Undelivered::Closed) => Err(RegistryError::Draining),
    }
}

impl Shared {
    /// What nobody asked for: only where and while it may be. `None` where it may not.
    async fn look(&self, run: Run) -> Result<Option<Counts>, CollectionError> {
        if self.may_not_collect() {
            return Ok(None);
        }
        let mut pass = self.pass.lock().await;
        if run.uploads && self.options.purging.is_dry_run {
            pass.list_abandoned(self.options.purging.age).await?;
        }
        let before = self.progress.counts();
        let ended = pass.run(run, &self.progress).await;
        Ok(unless_cut_short(ended)?.map(|()| self.progress.counts().since(&before)))
    }

    /// A sweep that nobody asked for, likewise.
    async fn sweep(&self, run: Run) -> Result<Option<()>, CollectionError> {
        if self.may_not_collect() {
            return Ok(None);
        }
        let mut sweeper = self.sweeper.lock().await;
        unless_cut_short(sweeper.sweep(run, &self.progress).await)
    }

    fn may_not_collect(&self) -> bool {
        self.options.is_read_only || !self.metadata.status().is_leader
    }

    async fn collect(&self, collect: Collect) -> Result<(), CollectionError> {
        if self.options.is_read_only && !collect.run.is_dry {
            return Err(CollectionError::ReadOnly);
        }
        let Collect { run, progress } = &collect;
        self.pass.lock().await.run(*run, progress).await?;
        if run.sweep {
            progress.wait(Phase::AwaitSweep);
            let mut sweeper = self.sweeper.lock().await;
            progress.wait(Phase::Idle);
            sweeper.sweep(*run, progress).await?;
        }
        Ok(())
    }

    async fn set_paused(&self, is_paused: bool) -> Result<(), CollectionError> {
        let change = ChangeSettings {
            collection_paused: Some(is_paused),
            ..ChangeSettings::default()
        };
        let response = self
            .metadata
            .propose(Action::ChangeSettings(change))
            .await?;
        outcome(response).map_err(|refused| CollectionError::Refused(format!("{refused:?}")))?;
        Ok(())
    }

    /// Looks at the marker, and counts what waits.
    async fn look_around(&self) {
        match self.guard.look().await {
            Ok(()) | Err(crate::store_guard::GuardError::Alarm(_)) => {}
            Err(error) => tracing::warn!(%error, "the marker of the store cannot be read"),
        }
        let look = |view: &dyn View| {
            let settings = read::settings(view)?.unwrap_or_default();
            Ok(Waits {
                backlog: garbage::backlog(view, BACKLOG_COUNTED)?,
                now_ms: read::now_ms(view)?,
                is_paused: settings.collection_paused,
            })
        };
        if let Ok(mut waits) = self.metadata.read(look).await {
            // The last command may be long ago. Only the leader knows better.
            if let Ok(now_ms) = self.metadata.cluster_time().await {
                waits.now_ms = waits.now_ms.max(now_ms);
            }
            self.progress.note_waits(waits);
        }
    }
}

/// `None` where it was cut short by what is no error that anybody has to hear of.
fn unless_cut_short(ended: Result<(), CollectionError>) -> Result<Option<()>, CollectionError> {
    match ended {
        Ok(()) => Ok(Some(())),
        Err(
            CollectionError::Paused
            | CollectionError::Unverified
            | CollectionError::NotLeader
            | CollectionError::Stopping,
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

impl GarbageCollector {
    /// What a look has to look for, by this node's clock.
    fn due(&self) -> Run {
        let now = Instant::now();
        Run {
            uploads: now >= self.uploads_due,
            manifests: now >= self.manifests_due,
            ..Run::default()
        }
    }

    /// Begins a sweep. Looks go on meanwhile.
    fn begin_sweep(&mut self, context: &mut Context<Self>) {
        self.is_sweeping = true;
        let run = Run {
            sweep: true,
            ..Run::default()
        };
        let shared = Arc::clone(&self.shared);
        let work = async move { shared.sweep(run).await };
        self.begin(context, run, work, |actor, _swept, _context| {
            actor.is_sweeping = false;
        });
    }

    /// Begins a look. One that finds something is followed by the next: there may be more by then.
    fn begin_look(&mut self, context: &mut Context<Self>) {
        self.is_working = true;
        let (run, shared) = (self.due(), Arc::clone(&self.shared));
        let work = async move { shared.look(run).await };
        self.begin(context, run, work, |actor, counts, context| {
            actor.is_working = false;
            if counts.is_some_and(|counts| counts.is_any()) {
                context.notify(Look);
            }
        });
    }

    /// Has `work` done elsewhere, takes in how it has ended, and goes on with `then`.
    fn begin<T: Send + 'static>(
        &self,
        context: &mut Context<Self>,
        run: Run,
        work: impl Future<Output = Result<Option<T>, CollectionError>> + Send + 'static,
        then: impl FnOnce(&mut Self, Option<T>, &mut Context<Self>) + 'static,
    ) {
        let working = self.shared.runtime.spawn(work);
        let ended = working.into_actor(self).map(move |ended, actor, context| {
            let answer = actor.note_end(run, ended);
            then(actor, answer, context);
        });
        context.spawn(ended);
    }

    /// Takes in how what was due has ended; its answer, if it was done.
    fn note_end<T>(
        &mut self,
        run: Run,
        ended: Result<Result<Option<T>, CollectionError>, JoinError>,
    ) -> Option<T> {
        match ended {
            Ok(Ok(answer)) => {
                if answer.is_some() {
                    self.set_due(run, true);
                }
                return answer;
            }
            Ok(Err(error)) => {
                self.set_due(run, false);
                self.complain(&error);
            }
            // With the node, which has cut it short.
            Err(error) if error.is_cancelled() => {}
            Err(error) => tracing::error!(%error, "collection has ended"),
        }
        None
    }

    /// Sets when what was due is due again: after its interval if it was done, soon if it failed.
    fn set_due(&mut self, run: Run, is_done: bool) {
        let (now, options) = (Instant::now(), &self.shared.options);
        let again = |interval: Duration| {
            let wait = if is_done {
                interval
            } else {
                interval.min(MARKER_LOOK)
            };
            now + wait
        };
        if run.uploads {
            self.uploads_due = again(options.purging.interval);
        }
        if run.manifests {
            self.manifests_due = again(options.untagged_look);
        }
        if run.sweep {
            self.sweep_due = again(options.sweep);
        }
    }

    /// Says what is wrong when that is new, and again after a while.
    fn complain(&mut self, error: &CollectionError) {
        let (text, now) = (error.to_string(), Instant::now());
        let is_known = self
            .complaint
            .as_ref()
            .is_some_and(|(known, at)| *known == text && now.duration_since(*at) < MARKER_LOOK);
        if !is_known {
            tracing::warn!("collection did not come to its end: {text}");
            self.complaint = Some((text, now));
        }
    }
}

impl Actor for GarbageCollector {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.run_interval(COLLECTION_LOOK, |_actor, context| context.notify(Look));
        context.run_interval(MARKER_LOOK, |actor, _context| {
            let shared = Arc::clone(&actor.shared);
            let looking = async move { shared.look_around().await };
            actor.shared.runtime.spawn(looking);
        });
    }
}

impl Handler<Look> for GarbageCollector {
    type Result = ();

    fn handle(&mut self, _look: Look, context: &mut Context<Self>) {
        if !self.is_sweeping && Instant::now() >= self.sweep_due {
            self.begin_sweep(context);
        }
        if !self.is_working {
            self.begin_look(context);
        }
    }
}

impl Handler<Collect> for GarbageCollector {
    type Result = ResponseFuture<Result<(), CollectionError>>;

    fn handle(&mut self, collect: Collect, _context: &mut Context<Self>) -> Self::Result {
        let shared = Arc::clone(&self.shared);
        let work = async move { shared.collect(collect).await };
        let working = self.shared.runtime.spawn(work);
        Box::pin(async move { working.await.unwrap_or(Err(CollectionError::Stopping)) })
    }
}
