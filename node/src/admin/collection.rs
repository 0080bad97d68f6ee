//! Calls about collection: how it goes, look now, stop, go on, and why something is kept.

use roadstead_cluster::metadata::View;
use roadstead_cluster::{garbage, read};
use roadstead_proto::Digest;
use roadstead_proto::rpc::admin::{
    Backlog, BlobRecord, Collected, CollectionProgress, CollectionStatus, Explanation, Kept,
    RunCollectionRequest, Sweep,
};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tonic::Status;

use super::events::{Events, Teller, events};
use super::{Tools, status};
use crate::actor::Running;
use crate::collection::{Counts, Policy, Run, Swept};
use crate::error::RegistryError;
use crate::limits::{BACKLOG_COUNTED, EXPLAINED, PROGRESS_TOLD};

pub(super) async fn status(tools: &Tools) -> Result<CollectionStatus, Status> {
    let status = tools.collector.status().await;
    let status = status.map_err(|error| status::of(&error))?;
    // The last command may be long ago, and with it the time that was applied.
    let now_ms = tools.now_ms().await?.max(status.now_ms);
    let backlog = status.backlog;
    let since = |time_ms: u64| now_ms.saturating_sub(time_ms);
    Ok(CollectionStatus {
        is_leader: status.is_leader,
        is_paused: status.is_paused,
        is_read_only: status.is_read_only,
        alarm: status.alarm.unwrap_or_default(),
        phase: status.phase.to_owned(),
        rate: u64::from(status.rate),
        pace: f64::from(status.rate) * status.factor,
        backlog: Some(Backlog {
            links: backlog.links.count,
            objects: backlog.objects.count,
            manifests: backlog.manifests.count,
            oldest_object_age_ms: backlog.objects.oldest_ms.map(since),
            oldest_link_overdue_ms: backlog.links.oldest_ms.map(since),
            counted_up_to: BACKLOG_COUNTED as u64,
        }),
        collected: Some(collected(&status.counts)),
        last_sweep: status.swept.as_ref().map(sweep),
        grace_ms: status.grace_ms,
        reading_delay_ms: status.reading_delay_ms,
    })
}

fn collected(counts: &Counts) -> Collected {
    Collected {
        uploads: counts.uploads,
        manifests: counts.manifests,
        links: counts.links,
        objects: counts.objects,
        bytes: counts.bytes,
        orphans: counts.orphans,
        failures: counts.failures,
        leftovers: counts.leftovers,
    }
}

fn sweep(swept: &Swept) -> Sweep {
    Sweep {
        started_at_unix_ms: swept.started_at_unix_ms,
        duration_ms: u64::try_from(swept.duration.as_millis()).unwrap_or(u64::MAX),
        objects: swept.objects,
        orphans: swept.orphans,
        foreign: swept.foreign,
        error: swept.error.clone().unwrap_or_default(),
        leftovers: swept.leftovers,
    }
}

/// Begins a look at once. It goes on when the client has gone.
pub(super) fn run(
    tools: &Tools,
    stopped: &watch::Receiver<bool>,
    request: &RunCollectionRequest,
) -> Events<CollectionProgress> {
    let run = Run {
        is_dry: request.dry_run,
        uploads: true,
        manifests: true,
        sweep: request.sweep,
    };
    let running = tools.collector.collect(run);
    events(stopped, move |teller| tell(running, teller))
}

/// Tells how far a look is until it ends or nobody listens.
async fn tell(mut running: Running, teller: Teller<CollectionProgress>) {
    let mut ticks = interval(PROGRESS_TOLD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = loop {
        tokio::select! {
            ended = &mut running.ended => break ended,
            _ = ticks.tick() => {
                if teller.send(Ok(progress(&running, false))).await.is_err() {
                    return;
                }
            }
        }
    };
    let ended = ended.unwrap_or(Err(RegistryError::Draining));
    // What was done before it failed is told too.
    let told = teller.send(Ok(progress(&running, ended.is_ok()))).await;
    if let (Ok(()), Err(error)) = (told, ended) {
        // Nobody has to listen.
        let _ = teller.send(Err(status::of(&error))).await;
    }
}

fn progress(running: &Running, is_finished: bool) -> CollectionProgress {
    let progress = &running.progress;
    CollectionProgress {
        phase: progress.phase().as_str().to_owned(),
        collected: Some(collected(&progress.counts())),
        is_finished,
        sweep: progress.swept().as_ref().map(sweep),
    }
}

pub(super) async fn set_paused(tools: &Tools, is_paused: bool) -> Result<(), Status> {
    let set = tools.collector.set_paused(is_paused).await;
    set.map_err(|error| status::of(&error))?;
    tracing::info!(
        is_paused,
        "an operator has set whether collection is paused"
    );
    Ok(())
}

pub(super) async fn explain(tools: &Tools, digest: &str) -> Result<Explanation, Status> {
    let parsed: Result<Digest, _> = digest.parse();
    let digest = parsed
        .map_err(|error| status::of(&RegistryError::DigestInvalid(error)))?
        .to_string();
    let look = |view: &dyn View| {
        let explained = garbage::explain(view, &digest, EXPLAINED)?;
        Ok((explained, read::settings(view)?.unwrap_or_default()))
    };
    let explained = tools.metadata.read(look).await;
    let (explained, settings) = explained.map_err(status::of_metadata)?;
    if explained.blob.is_none() && explained.kept.is_empty() {
        return Err(Status::not_found(format!(
            "nothing is known of {digest}: it was never pushed, or it was collected"
        )));
    }
    let now_ms = tools.now_ms().await?;
    // One that is not understood expires nothing.
    let policy = Policy::of(&settings).ok().flatten();
    let expires_in_ms = |kept: &garbage::Kept| {
        let due_ms = policy
            .as_ref()?
            .due_ms(&kept.repository, kept.unheld_since_ms?);
        Some(due_ms?.saturating_sub(now_ms))
    };
    let kept = explained.kept.into_iter().map(|kept| Kept {
        expires_in_ms: expires_in_ms(&kept),
        repository: kept.repository,
        tags: kept.tags,
        referenced_by: kept.referenced_by,
        hold_remaining_ms: kept.hold_until_ms.map(|until| until.saturating_sub(now_ms)),
        unheld_for_ms: kept
            .unheld_since_ms
            .map(|since| now_ms.saturating_sub(since)),
        subject: kept.subject.unwrap_or_default(),
    });
    Ok(Explanation {
        digest,
        is_manifest: explained.is_manifest,
        blob: explained.blob.map(|blob| BlobRecord {
            size: blob.size,
            object_key: blob.object_key,
            is_damaged: blob.damaged,
            committed_at_unix_ms: blob.committed_at_unix_ms,
        }),
        kept: kept.collect(),
        has_more: explained.has_more,
    })
}
