//! The sweep: what lies in the store and is named by nothing.
//!
//! It lists first, then waits until everything that was acknowledged before is applied here, and
//! only then looks the keys up. No object is created before the command that names its key was
//! applied, so a key that was listed and has no row by then will never have one again. Whatever has
//! a row stays: an unfinished write whether a checkpoint names it or not, a reclaimed object until
//! its own time comes.

use std::time::{Duration, SystemTime};

use futures::StreamExt;
use roadstead_cluster::garbage;
use roadstead_cluster::metadata::View;
use roadstead_storage::{Error as StoreError, ObjectInfo, path};
use tokio::time::Instant;

use super::CollectionError;
use super::pass::{Pass, Run};
use super::progress::{Progress, Swept};
use crate::limits::COLLECTED_PER_STEP;

/// Looks at every object that uploads have written, and deletes those that nothing names.
pub(super) async fn sweep(
    pass: &mut Pass,
    run: Run,
    progress: &Progress,
) -> Result<(), CollectionError> {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let started_at_unix_ms = since_epoch.unwrap_or(Duration::ZERO).as_millis();
    let mut swept = Swept {
        started_at_unix_ms: u64::try_from(started_at_unix_ms).unwrap_or(u64::MAX),
        ..Swept::default()
    };
    let started = Instant::now();
    let ended = look_at_all(pass, run, progress, &mut swept, started).await;
    swept.duration = started.elapsed();
    swept.error = ended.as_ref().err().map(ToString::to_string);
    progress.sweep(&swept);
    ended
}

async fn look_at_all(
    pass: &mut Pass,
    run: Run,
    progress: &Progress,
    swept: &mut Swept,
    started: Instant,
) -> Result<(), CollectionError> {
    pass.tools.guard.look().await?;
    let store = std::sync::Arc::clone(&pass.tools.store);
    let mut listed = store.list(path::OBJECTS_PREFIX);
    let mut step: Vec<ObjectInfo> = Vec::with_capacity(COLLECTED_PER_STEP);
    loop {
        let entry = listed.next().await;
        let is_end = entry.is_none();
        match entry {
            Some(Ok(info)) if info.key.is_of_upload() => step.push(info),
            // Somebody else's, whatever it is.
            Some(Ok(_)) => swept.foreign += 1,
            Some(Err(StoreError::InvalidKey { .. })) => swept.foreign += 1,
            Some(Err(error)) => return Err(error.into()),
            None => {}
        }
        if step.len() == COLLECTED_PER_STEP || is_end {
            pass.check(run).await?;
            swept.objects += step.len() as u64;
            swept.orphans += look_up(pass, run, progress, &step).await?;
            swept.duration = started.elapsed();
            progress.sweep(swept);
            step.clear();
        }
        if is_end {
            return Ok(());
        }
    }
}

/// Looks up what was listed before; answers how many of them nothing names.
async fn look_up(
    pass: &mut Pass,
    run: Run,
    progress: &Progress,
    listed: &[ObjectInfo],
) -> Result<u64, CollectionError> {
    let orphans = orphans(&pass.tools.metadata, listed).await?;
    let count = orphans.len() as u64;
    if count > 0 && !run.is_dry {
        let deleted = pass.remove(orphans.iter().map(|orphan| orphan.key.as_str()));
        let gone = deleted.await?.into_iter().filter(|is_gone| *is_gone);
        let gone = gone.count() as u64;
        let first = orphans.first().map(|orphan| orphan.key.as_str());
        tracing::info!(
            found = count,
            gone,
            first,
            "objects that nothing names were deleted"
        );
        progress.count(|counts| {
            counts.orphans += gone;
            counts.failures += count - gone;
        });
    } else {
        progress.count(|counts| counts.orphans += count);
    }
    Ok(count)
}

/// Those of the listed keys that have no row, by a state that holds all that was acknowledged
/// before this call.
pub(crate) async fn orphans<'a>(
    metadata: &roadstead_cluster::Metadata,
    listed: &'a [ObjectInfo],
) -> Result<Vec<&'a ObjectInfo>, roadstead_cluster::Error> {
    let look = |view: &dyn View| {
        let mut orphans = Vec::new();
        for info in listed {
            if garbage::object(view, info.key.as_str())?.is_none() {
                orphans.push(info);
            }
        }
        Ok(orphans)
    };
    metadata.read(look).await
}
