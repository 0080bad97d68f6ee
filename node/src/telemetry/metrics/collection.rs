//! The metrics of garbage collection. They are those of this node; only the leader's move.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use roadstead_cluster::garbage::Backlog;

use super::Scrape;
use crate::collection::{Counts, Swept};

/// How collection goes on a node, as numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CollectionState {
    /// What was collected since the node has started.
    pub counts: Counts,
    /// What waited when it was last counted; `None` before.
    pub backlog: Option<Backlog>,
    /// The last sweep of this node.
    pub swept: Option<Swept>,
    /// The part of `gc.rate` that slow requests leave.
    pub factor: f64,
    /// Whether the store is not the cluster's any more.
    pub is_alarmed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

impl Scrape<'_> {
    pub(super) fn collection(&mut self, state: &CollectionState) -> fmt::Result {
        self.collected(&state.counts)?;
        if let Some(backlog) = &state.backlog {
            self.backlog(backlog)?;
        }
        if let Some(swept) = &state.swept {
            self.swept(swept)?;
        }
        let help = "The part of gc.rate that slow requests leave to collection";
        let factor = ConstGauge::new(state.factor);
        self.metric("roadstead_gc_pace_factor", help, &factor)?;
        let help = "Whether the object store is not the cluster's any more";
        let alarm = ConstGauge::new(u64::from(state.is_alarmed));
        self.metric("roadstead_gc_store_alarm", help, &alarm)
    }

    fn collected(&mut self, counts: &Counts) -> fmt::Result {
        let collected = Family::<KindLabels, Counter>::default();
        for (kind, count) in [
            ("uploads", counts.uploads),
            ("manifests", counts.manifests),
            ("links", counts.links),
            ("objects", counts.objects),
            ("orphans", counts.orphans),
            ("leftovers", counts.leftovers),
        ] {
            collected.get_or_create(&KindLabels { kind }).inc_by(count);
        }
        let help = "What garbage collection has taken away";
        self.metric("roadstead_gc_collected", help, &collected)?;
        let help = "Bytes of the objects that garbage collection has deleted";
        let bytes = ConstCounter::new(counts.bytes);
        self.metric("roadstead_gc_collected_bytes", help, &bytes)?;
        let help = "Deletes that the object store refused; they are tried again";
        let failures = ConstCounter::new(counts.failures);
        self.metric("roadstead_gc_delete_failures", help, &failures)
    }

    fn backlog(&mut self, backlog: &Backlog) -> fmt::Result {
        let waiting = Family::<KindLabels, Gauge>::default();
        for (kind, count) in [
            ("links", backlog.links.count),
            ("objects", backlog.objects.count),
            ("manifests", backlog.manifests.count),
        ] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            waiting.get_or_create(&KindLabels { kind }).set(count);
        }
        let help = "What may be collected once its time has come, counted up to a bound";
        self.metric("roadstead_gc_waiting", help, &waiting)
    }

    fn swept(&mut self, swept: &Swept) -> fmt::Result {
        let started = Duration::from_millis(swept.started_at_unix_ms);
        let gauges = [
            (
                "roadstead_gc_sweep_start_time_seconds",
                "When the last search for orphans began, in seconds since 1970",
                started.as_secs_f64(),
            ),
            (
                "roadstead_gc_sweep_duration_seconds",
                "How long it took",
                swept.duration.as_secs_f64(),
            ),
            (
                "roadstead_gc_sweep_orphans",
                "Objects that it found and nothing names",
                swept.orphans as f64,
            ),
            (
                "roadstead_gc_sweep_leftovers",
                "Unfinished writes that it found beside objects of blobs",
                swept.leftovers as f64,
            ),
            (
                "roadstead_gc_sweep_failed",
                "Whether it ended early",
                f64::from(u8::from(swept.error.is_some())),
            ),
        ];
        for (name, help, value) in gauges {
            self.metric(name, help, &ConstGauge::new(value))?;
        }
        Ok(())
    }
}
