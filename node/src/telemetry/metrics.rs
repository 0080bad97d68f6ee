//! The metrics: every name, label and help text is in this file or one of its folder, and nowhere
//! else.
//!
//! Names that Distribution has are its own, so that its dashboards and alerts go on working; ours
//! begin with `roadstead_`. Prometheus shows counters with `_total` behind the name that is
//! registered here. Invariant: the number of label values is bounded by this program, never chosen
//! by a client. The hot path allocates nothing once a label was seen.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use roadstead_storage::{Action, Observer, Outcome};

use super::Dropped;
use latency::Latency;
use process::Process;

mod collection;
mod labels;
mod latency;
mod process;
#[cfg(test)]
mod tests;

pub use collection::CollectionState;
pub use labels::{Handler, Method};

/// The content type of what [`Metrics::encode`] answers.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

// What Distribution's library defaults to.
const REQUEST_SECONDS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0,
];
const STORAGE_SECONDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// From 1 KiB to 2 GiB, each twice the one before.
const SIZES: i32 = 22;

/// All metrics of a node.
pub struct Metrics {
    registry: Registry,
    http: Http,
    storage_seconds: Family<StorageLabels, Histogram>,
    store_errors: Family<StoreErrorLabels, Counter>,
    uploads_open: Gauge,
    upload_bytes: Counter,
    mailbox_full: Family<ActorLabels, Counter>,
    latency: Latency,
    sources: Arc<Sources>,
}

#[derive(Debug)]
struct Http {
    in_flight: Family<HandlerLabels, Gauge>,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<MethodLabels, Histogram>,
    request_bytes: Family<HandlerLabels, Histogram>,
    response_bytes: Family<HandlerLabels, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandlerLabels {
    handler: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    handler: &'static str,
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    handler: &'static str,
    method: &'static str,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StorageLabels {
    driver: &'static str,
    action: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreErrorLabels {
    driver: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActorLabels {
    actor: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LogLabels {
    log: &'static str,
}

/// What is known of a request at its end.
#[derive(Clone, Copy, Debug)]
pub struct Completed {
    /// The method.
    pub method: Method,
    /// The status that was answered.
    pub status: u16,
    /// Bytes of the body that were received.
    pub request_bytes: u64,
    /// Bytes of the body that were sent.
    pub response_bytes: u64,
}

/// Where a node stands in its cluster, as numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RaftState {
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
    /// When the certificate ends that the node shows to others, in seconds since 1970.
    pub certificate_expires: Option<i64>,
}

impl Metrics {
    /// Metrics that are all zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register(
            "roadstead_build",
            "What is running",
            Info::new(labels.to_vec()),
        );
        let http = Http::register(&mut registry);
        let sources = Arc::new(Sources::default());
        registry.register_collector(Box::new(Arc::clone(&sources)));
        Self {
            http,
            storage_seconds: added(
                &mut registry,
                "registry_storage_action_seconds",
                "The number of seconds that the storage action takes",
                Family::new_with_constructor(|| Histogram::new(STORAGE_SECONDS)),
            ),
            store_errors: added(
                &mut registry,
                "roadstead_store_errors",
                "Actions of the object store that failed",
                Family::default(),
            ),
            uploads_open: added(
                &mut registry,
                "roadstead_uploads_open",
                "Uploads that this node has open",
                Gauge::default(),
            ),
            upload_bytes: added(
                &mut registry,
                "roadstead_upload_received_bytes",
                "Bytes of blobs that clients sent",
                Counter::default(),
            ),
            mailbox_full: added(
                &mut registry,
                "roadstead_mailbox_full",
                "Messages that were refused since the mailbox of the actor was full",
                Family::default(),
            ),
            registry,
            latency: Latency::new(),
            sources,
        }
    }

    /// Counts a request from here until the answer is dropped.
    #[must_use]
    pub fn request_started(self: &Arc<Self>, handler: Handler) -> RequestInFlight {
        let handler = handler.as_str();
        let in_flight = self
            .http
            .in_flight
            .get_or_create_owned(&HandlerLabels { handler });
        in_flight.inc();
        RequestInFlight {
            metrics: Arc::clone(self),
            in_flight,
            handler,
            since: Instant::now(),
        }
    }

    /// Counts an upload as open until the answer is dropped.
    #[must_use]
    pub fn upload_opened(&self) -> UploadOpen {
        self.uploads_open.inc();
        UploadOpen(self.uploads_open.clone())
    }

    /// Counts bytes of a blob that a client sent.
    pub fn upload_bytes_received(&self, bytes: u64) {
        self.upload_bytes.inc_by(bytes);
    }

    /// Counts a message that was refused. `actor` is the name of a type of actor.
    pub fn mailbox_full(&self, actor: &'static str) {
        self.mailbox_full
            .get_or_create(&ActorLabels { actor })
            .inc();
    }

    /// Takes in how long a request took that moves few bytes.
    pub(crate) fn note_latency(&self, took: Duration) {
        self.latency.note(took);
    }

    /// How long requests that move few bytes take at present, on average; `None` when there were
    /// none of late.
    pub fn recent_latency(&self) -> Option<Duration> {
        self.latency.recent()
    }

    /// Takes in that a client was served.
    pub(crate) fn note_served(&self) {
        self.latency.note_served();
    }

    /// Whether this node has answered clients of late. Whoever only asks whether there is a
    /// registry, as load balancers do, is none.
    pub fn is_serving(&self) -> bool {
        self.latency.is_serving()
    }

    /// Shows how many lines of a log were dropped. `log` is the name of the log.
    pub fn show_dropped(&self, log: &'static str, dropped: Dropped) {
        lock(&self.sources.dropped).insert(log, dropped);
    }

    /// Asks `source` at each scrape where the node stands in its cluster.
    ///
    /// Before this is called, and while the answer is `None`, those metrics are absent.
    pub fn show_raft(&self, source: impl Fn() -> Option<RaftState> + Send + Sync + 'static) {
        *lock(&self.sources.raft) = Some(Arc::new(source));
    }

    /// Asks `source` at each scrape how collection goes on this node.
    pub fn show_collection(&self, source: impl Fn() -> CollectionState + Send + Sync + 'static) {
        *lock(&self.sources.collection) = Some(Arc::new(source));
    }

    /// Everything, in the format of [`CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if let Err(error) = text::encode(&mut text, &self.registry) {
            // Without its last line the text is not valid, so that nobody takes it for the whole.
            tracing::error!(%error, "the metrics cannot be encoded");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Http {
    fn register(registry: &mut Registry) -> Self {
        Self {
            in_flight: added(
                registry,
                "registry_http_in_flight_requests",
                "The in-flight HTTP requests",
                Family::default(),
            ),
            requests: added(
                registry,
                "registry_http_requests",
                "Total number of HTTP requests made",
                Family::default(),
            ),
            seconds: added(
                registry,
                "registry_http_request_duration_seconds",
                "The HTTP request latencies in seconds",
                Family::new_with_constructor(|| Histogram::new(REQUEST_SECONDS)),
            ),
            request_bytes: added(
                registry,
                "registry_http_request_size_bytes",
                "The HTTP request sizes in bytes, without headers",
                Family::new_with_constructor(sizes),
            ),
            response_bytes: added(
                registry,
                "registry_http_response_size_bytes",
                "The HTTP response sizes in bytes, without headers",
                Family::new_with_constructor(sizes),
            ),
        }
    }
}

fn sizes() -> Histogram {
    Histogram::new((0..SIZES).map(|doubled| 1024.0 * 2_f64.powi(doubled)))
}

/// Registers a metric and answers it.
fn added<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// A request that is being answered.
#[derive(Debug)]
pub struct RequestInFlight {
    metrics: Arc<Metrics>,
    in_flight: Gauge,
    handler: &'static str,
    since: Instant,
}

impl RequestInFlight {
    /// Counts the request and measures its duration and sizes.
    pub fn complete(self, completed: Completed) {
        let (http, handler) = (&self.metrics.http, self.handler);
        let took = self.since.elapsed();
        let (method, code) = (completed.method.as_str(), completed.status);
        let request = RequestLabels {
            handler,
            method,
            code,
        };
        http.requests.get_or_create(&request).inc();
        http.seconds
            .get_or_create(&MethodLabels { handler, method })
            .observe(took.as_secs_f64());
        // Of those that send nothing: how fast a client sends is not how fast the node is.
        let is_reading = matches!(completed.method, Method::Get | Method::Head);
        if is_reading && handler == Handler::Manifest.as_str() {
            self.metrics.note_latency(took);
        }
        let is_probe = [Handler::Base, Handler::Other]
            .map(Handler::as_str)
            .contains(&handler);
        if !is_probe {
            self.metrics.note_served();
        }
        http.request_bytes
            .get_or_create(&HandlerLabels { handler })
            .observe(completed.request_bytes as f64);
        http.response_bytes
            .get_or_create(&HandlerLabels { handler })
            .observe(completed.response_bytes as f64);
    }
}

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}

/// An upload that is open on this node.
#[derive(Debug)]
pub struct UploadOpen(Gauge);

impl Drop for UploadOpen {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Observer for Metrics {
    fn observe(&self, driver: &'static str, action: Action, duration: Duration, outcome: Outcome) {
        let action = action.as_str();
        self.storage_seconds
            .get_or_create(&StorageLabels { driver, action })
            .observe(duration.as_secs_f64());
        if let Outcome::Failed(kind) = outcome {
            self.store_errors
                .get_or_create(&StoreErrorLabels { driver, kind })
                .inc();
        }
    }
}

type CollectionSource = Arc<dyn Fn() -> CollectionState + Send + Sync>;
type RaftSource = Arc<dyn Fn() -> Option<RaftState> + Send + Sync>;

/// What is asked for its numbers at each scrape.
#[derive(Default)]
struct Sources {
    raft: Mutex<Option<RaftSource>>,
    collection: Mutex<Option<CollectionSource>>,
    dropped: Mutex<BTreeMap<&'static str, Dropped>>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Collector for Sources {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut scrape = Scrape(encoder);
        let raft = lock(&self.raft).clone();
        if let Some(state) = raft.and_then(|source| source()) {
            scrape.raft(&state)?;
        }
        let collection = lock(&self.collection).clone();
        if let Some(source) = collection {
            scrape.collection(&source())?;
        }
        scrape.dropped(&lock(&self.dropped))?;
        scrape.process(&Process::read())
    }
}

/// Writes numbers that are only known now.
struct Scrape<'a>(DescriptorEncoder<'a>);

impl Scrape<'_> {
    fn raft(&mut self, state: &RaftState) -> fmt::Result {
        let gauges = [
            (
                "roadstead_raft_is_leader",
                "Whether this node leads",
                u64::from(state.is_leader),
            ),
            ("roadstead_raft_term", "The present term", state.term),
            (
                "roadstead_raft_last_log_index",
                "Last entry in the log",
                state.last_log_index,
            ),
            (
                "roadstead_raft_last_applied_index",
                "Last applied entry",
                state.last_applied_index,
            ),
            (
                "roadstead_raft_snapshot_index",
                "Last entry in a snapshot",
                state.snapshot_index,
            ),
        ];
        for (name, help, value) in gauges {
            self.metric(name, help, &ConstGauge::new(value))?;
        }
        if let Some(expires) = state.certificate_expires {
            let name = "roadstead_cluster_certificate_expiry_seconds";
            let help = "When the certificate for other nodes ends, in seconds since 1970";
            self.metric(name, help, &ConstGauge::new(expires))?;
        }
        Ok(())
    }

    fn dropped(&mut self, dropped: &BTreeMap<&'static str, Dropped>) -> fmt::Result {
        if dropped.is_empty() {
            return Ok(());
        }
        let lines = Family::<LogLabels, Counter>::default();
        for (&log, dropped) in dropped {
            lines
                .get_or_create(&LogLabels { log })
                .inc_by(dropped.count());
        }
        let help = "Lines that were dropped since nobody read the log";
        self.metric("roadstead_log_lines_dropped", help, &lines)
    }

    /// The names are those of Prometheus's own libraries. What the system does not tell is absent.
    fn process(&mut self, process: &Process) -> fmt::Result {
        if let Some(seconds) = process.cpu_seconds {
            let help = "Processor time that was used, in seconds";
            self.metric("process_cpu_seconds", help, &ConstCounter::new(seconds))?;
        }
        if let Some(seconds) = process.started_at_seconds {
            let help = "When the process started, in seconds since 1970";
            self.metric(
                "process_start_time_seconds",
                help,
                &ConstGauge::new(seconds),
            )?;
        }
        let gauges = [
            (
                "process_resident_memory_bytes",
                "Memory in use, in bytes",
                process.resident_bytes,
            ),
            (
                "process_open_fds",
                "Open file descriptors",
                process.open_fds,
            ),
            (
                "process_max_fds",
                "File descriptors that may be open",
                process.max_fds,
            ),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                self.metric(name, help, &ConstGauge::new(value))?;
            }
        }
        Ok(())
    }

    fn metric(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
        let kind = metric.metric_type();
        // The registry ends help texts with a full stop; here nobody does.
        let help = format!("{help}.");
        metric.encode(self.0.encode_descriptor(name, &help, None, kind)?)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
