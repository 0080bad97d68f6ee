//! Whether what the node depends on works: checks that run by the clock, and what they found.
//!
//! It is not the readiness of the node itself, which depends on its cluster. It does not answer
//! requests; it says whether they should be. Invariant: asking costs nothing, since checks run in
//! tasks of their own, and a check that hangs counts as failed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roadstead_storage::BlobStore;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::config::{self, Pace};
use check::Check;

mod check;
#[cfg(test)]
mod tests;

/// The checks of a node, which end when this is dropped.
pub struct Health {
    found: Arc<Found>,
    tasks: Vec<AbortHandle>,
}

/// What the checks found.
#[derive(Debug)]
struct Found {
    is_healthy: AtomicBool,
    // Invariant: empty exactly when `is_healthy`.
    failures: Mutex<BTreeMap<String, String>>,
}

impl Health {
    /// Starts every check of the configuration on the runtime. Each is made at once for the first
    /// time, and until it has failed often enough it counts as passed.
    pub fn start(config: &config::Health, store: Arc<dyn BlobStore>, runtime: &Handle) -> Self {
        let found = Arc::new(Found {
            is_healthy: AtomicBool::new(true),
            failures: Mutex::default(),
        });
        let start = |(name, (check, pace))| {
            let watch = Watch::new(name, pace, Arc::clone(&found));
            runtime.spawn(watch.run(check)).abort_handle()
        };
        let tasks = named(checks(config, store)).into_iter().map(start);
        Self {
            tasks: tasks.collect(),
            found,
        }
    }

    /// Whether no check fails. Cheap enough to ask for every request.
    pub fn is_healthy(&self) -> bool {
        self.found.is_healthy.load(Ordering::Acquire)
    }

    /// The checks that fail, by name, each with the reason of its latest failure.
    pub fn failures(&self) -> Vec<(String, String)> {
        let failures = self.found.failures().clone();
        failures.into_iter().collect()
    }

    /// What `/debug/health` shows: an object of names and reasons, empty when all is well.
    pub fn report_json(&self) -> String {
        let failures = self.failures().into_iter();
        let failures = failures.map(|(name, reason)| (name, Value::String(reason)));
        Value::Object(failures.collect()).to_string()
    }

    /// Ends the checks. What they found last stays.
    pub fn stop(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Health")
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}

impl Found {
    fn failures(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets or clears what is wrong. Answers whether there was something before.
    fn set(&self, name: &str, reason: Option<String>) -> bool {
        let mut failures = self.failures();
        let before = match reason {
            Some(reason) => failures.insert(name.to_owned(), reason),
            None => failures.remove(name),
        };
        self.is_healthy
            .store(failures.is_empty(), Ordering::Release);
        before.is_some()
    }
}

fn checks(config: &config::Health, store: Arc<dyn BlobStore>) -> Vec<(Check, Pace)> {
    let mut checks = Vec::new();
    if config.storage_driver.is_enabled {
        checks.push((Check::Store(store), config.storage_driver.pace));
    }
    for file in &config.files {
        checks.push((Check::File(file.file.clone()), file.pace));
    }
    for http in &config.http {
        checks.push((Check::http(http), http.pace));
    }
    for tcp in &config.tcp {
        checks.push((Check::tcp(tcp), tcp.pace));
    }
    checks
}

/// Gives every check a name of its own; one that is configured twice gets a number.
fn named(checks: Vec<(Check, Pace)>) -> BTreeMap<String, (Check, Pace)> {
    let mut named = BTreeMap::new();
    for (check, pace) in checks {
        let name = check.name();
        let numbered = (2..).map(|number| format!("{name} ({number})"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        if let Some(free) = names.find(|name| !named.contains_key(name)) {
            named.insert(free, (check, pace));
        }
    }
    named
}

/// One check over time.
struct Watch {
    name: String,
    pace: Pace,
    found: Arc<Found>,
    failures_in_a_row: u32,
}

impl Watch {
    fn new(name: String, pace: Pace, found: Arc<Found>) -> Self {
        Self {
            name,
            pace,
            found,
            failures_in_a_row: 0,
        }
    }

    async fn run(mut self, check: Check) {
        loop {
            self.attempt(&check).await;
            sleep(self.pace.interval).await;
        }
    }

    /// Makes the check once and records what it found, also while it hangs.
    async fn attempt(&mut self, check: &Check) {
        let limit = check.limit();
        let mut patience = limit;
        let mut attempt = Box::pin(check.run());
        loop {
            let Ok(result) = timeout(patience, &mut attempt).await else {
                self.record(Err(hanging(limit)));
                if check.can_be_dropped() {
                    return;
                }
                patience = self.pace.interval;
                continue;
            };
            return self.record(result);
        }
    }

    fn record(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.pass(),
            Err(reason) => self.fail(reason),
        }
    }

    fn pass(&mut self) {
        self.failures_in_a_row = 0;
        if self.found.set(&self.name, None) {
            tracing::info!(check = self.name, "a health check passes again");
        }
    }

    fn fail(&mut self, reason: String) {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        if self.failures_in_a_row < self.pace.threshold {
            tracing::debug!(check = self.name, reason, "a health check failed");
        } else if !self.found.set(&self.name, Some(reason.clone())) {
            tracing::error!(check = self.name, reason, "a health check fails");
        }
    }
}

fn hanging(limit: Duration) -> String {
    format!("the check did not end within {limit:?}")
}
