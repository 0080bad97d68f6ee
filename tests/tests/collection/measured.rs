//! What the registry's metrics say of collection.

use roadstead_tests::wait::{self, LONG};
use roadstead_tests::{Client, Registry};

/// What waits for collection, by the metric's labels.
pub(super) const WAITING: [&str; 3] = ["links", "objects", "manifests"];

/// The value of a metric, by its name and labels; `None` while it is not shown.
pub(super) fn metric(registry: &Registry, name: &str) -> Option<f64> {
    let client = Client::new(&registry.debug_address());
    let answer = client.request("GET", "/metrics").try_send().ok()?;
    let text = String::from_utf8(answer.body.to_vec()).ok()?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value?.parse().ok()
}

/// How much waits of one kind.
pub(super) fn waiting(registry: &Registry, kind: &str) -> Option<f64> {
    metric(
        registry,
        &format!("roadstead_gc_waiting{{kind=\"{kind}\"}}"),
    )
}

/// How much was collected of one kind, since the process has started.
pub(super) fn collected(registry: &Registry, kind: &str) -> f64 {
    let name = format!("roadstead_gc_collected_total{{kind=\"{kind}\"}}");
    metric(registry, &name).unwrap_or_default()
}

/// Waits until the alarm sounds, or has ended.
#[track_caller]
pub(super) fn alarm_is(registry: &Registry, sounds: bool) {
    let expected = if sounds { 1.0 } else { 0.0 };
    wait::until("the alarm", LONG, || {
        let alarm = metric(registry, "roadstead_gc_store_alarm");
        (alarm == Some(expected)).then_some(())
    });
}
