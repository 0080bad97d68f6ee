//! The metrics of garbage collection. What was done is counted by the node that did it, mostly the
//! leader; what waits is the cluster's, and every node shows it.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};

use super::Scrape;
use crate::collection::{Counts, Swept, Waits};

/// How collection goes on a node, as numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CollectionState {
    /// What was collected since the node has started.
    pub counts: Counts,
    /// What waited when it was last counted; `None` before.
    pub waits: Option<Waits>,
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

/// A number for each kind, which has parts of a second.
type Seconds = Family<KindLabels, Gauge<f64, AtomicU64>>;

impl Scrape<'_> {
    pub(super) fn collection(&mut self, state: &CollectionState) -> fmt::Result {
        self.collected(&state.counts)?;
        if let Some(waits) = &state.waits {
            self.waits(waits)?;
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

    fn waits(&mut self, waits: &Waits) -> fmt::Result {
        let (waiting, oldest) = (Family::<KindLabels, Gauge>::default(), Seconds::default());
        let backlog = &waits.backlog;
        for (kind, of) in [
            ("links", backlog.links),
            ("objects", backlog.objects),
            ("manifests", backlog.manifests),
        ] {
            let count = i64::try_from(of.count).unwrap_or(i64::MAX);
            waiting.get_or_create(&KindLabels { kind }).set(count);
            let since_ms = of.oldest_ms.unwrap_or(waits.now_ms);
            let age = Duration::from_millis(waits.now_ms.saturating_sub(since_ms));
            oldest
                .get_or_create(&KindLabels { kind })
                .set(age.as_secs_f64());
        }
        let help = "What may be collected once its time has come, counted up to a bound";
        self.metric("roadstead_gc_waiting", help, &waiting)?;
        let help = "For how long the first link in line is due, and the first object and manifest \
                    in line wait";
        self.metric("roadstead_gc_oldest_seconds", help, &oldest)?;
        let help = "Whether an operator has stopped collection in the cluster";
        let paused = ConstGauge::new(u64::from(waits.is_paused));
        self.metric("roadstead_gc_paused", help, &paused)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use expect_test::expect;
    use roadstead_cluster::garbage::{Backlog, Waiting};

    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn everything_about_collection_is_shown() {
        let waiting = |count, oldest_ms| Waiting { count, oldest_ms };
        let state = CollectionState {
            counts: Counts {
                uploads: 1,
                manifests: 2,
                links: 3,
                objects: 4,
                bytes: 5,
                orphans: 6,
                leftovers: 7,
                failures: 8,
            },
            waits: Some(Waits {
                backlog: Backlog {
                    // Still held.
                    links: waiting(9, Some(12_000)),
                    objects: waiting(10, Some(500)),
                    manifests: waiting(0, None),
                },
                now_ms: 10_000,
                is_paused: true,
            }),
            swept: Some(Swept {
                started_at_unix_ms: 1_500,
                duration: Duration::from_millis(2_500),
                objects: 11,
                orphans: 12,
                leftovers: 13,
                foreign: 14,
                error: Some("the store is gone".to_owned()),
            }),
            factor: 0.5,
            is_alarmed: true,
        };
        let metrics = Arc::new(Metrics::new());
        metrics.show_collection(move || state.clone());
        let text = metrics.encode();
        let lines = text.lines().filter(|line| line.starts_with("roadstead_gc"));
        // Those of one metric come in any order.
        let mut lines: Vec<_> = lines.collect();
        lines.sort_unstable();
        expect![[r#"
            roadstead_gc_collected_bytes_total 5
            roadstead_gc_collected_total{kind="leftovers"} 7
            roadstead_gc_collected_total{kind="links"} 3
            roadstead_gc_collected_total{kind="manifests"} 2
            roadstead_gc_collected_total{kind="objects"} 4
            roadstead_gc_collected_total{kind="orphans"} 6
            roadstead_gc_collected_total{kind="uploads"} 1
            roadstead_gc_delete_failures_total 8
            roadstead_gc_oldest_seconds{kind="links"} 0.0
            roadstead_gc_oldest_seconds{kind="manifests"} 0.0
            roadstead_gc_oldest_seconds{kind="objects"} 9.5
            roadstead_gc_pace_factor 0.5
            roadstead_gc_paused 1
            roadstead_gc_store_alarm 1
            roadstead_gc_sweep_duration_seconds 2.5
            roadstead_gc_sweep_failed 1.0
            roadstead_gc_sweep_leftovers 13.0
            roadstead_gc_sweep_orphans 12.0
            roadstead_gc_sweep_start_time_seconds 1.5
            roadstead_gc_waiting{kind="links"} 9
            roadstead_gc_waiting{kind="manifests"} 0
            roadstead_gc_waiting{kind="objects"} 10"#]]
        .assert_eq(&lines.join("\n"));
    }
}
