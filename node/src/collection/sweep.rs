//! The sweep: what lies in the store and is named by nothing.
//!
//! It lists first, then waits until everything that was acknowledged before is applied here, and
//! only then looks the keys up. No object is created before the command that names its key was
//! applied, so a key that was listed and has no row by then will never have one again. Whatever has
//! a row stays: an unfinished write whether a checkpoint names it or not, a reclaimed object until
//! its own time comes.
//!
//! One thing goes that has a row: an unfinished write under the key of a blob's object, which a
//! crash has left there. A key becomes live by a commit, after its object was finished, and then
//! nobody writes it any more; it stays live or is reclaimed. So what is unfinished there is needed
//! by nobody, and when it was finished since it was listed there is nothing to discard.

use std::time::{Duration, SystemTime};

use futures::StreamExt;
use roadstead_cluster::metadata::View;
use roadstead_cluster::{Metadata, garbage};
use roadstead_proto::rpc::state::object::State;
use roadstead_storage::{Error as StoreError, ObjectInfo, path};
use tokio::time::Instant;

use super::CollectionError;
use super::pass::{Pass, Removal, Run};
use super::progress::{Counts, Progress, Swept};
use crate::limits::{COLLECTED_PER_STEP, DELETED_PER_STEP};

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
    progress.note_sweep(&swept);
    let ended = look_at_all(pass, run, progress, &mut swept, started).await;
    swept.duration = started.elapsed();
    swept.error = ended.as_ref().err().map(ToString::to_string);
    progress.note_sweep(&swept);
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
    // What was listed does not wait for the store to list more: it may be gone in its turn by then.
    let listed = store.list(path::OBJECTS_PREFIX);
    let mut steps = listed.ready_chunks(COLLECTED_PER_STEP);
    while let Some(entries) = steps.next().await {
        let mut step = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry {
                Ok(info) if info.key.is_of_upload() => step.push(info),
                // Somebody else's, whatever it is.
                Ok(_) | Err(StoreError::InvalidKey { .. }) => swept.foreign += 1,
                Err(error) => return Err(error.into()),
            }
        }
        pass.check(run).await?;
        swept.objects += step.len() as u64;
        look_up(pass, run, progress, &step, swept).await?;
        swept.duration = started.elapsed();
        progress.note_sweep(swept);
    }
    Ok(())
}

/// Looks up what was listed before, and removes of it what nothing names.
pub(super) async fn look_up(
    pass: &mut Pass,
    run: Run,
    progress: &Progress,
    listed: &[ObjectInfo],
    swept: &mut Swept,
) -> Result<(), CollectionError> {
    let Unnamed { orphans, leftovers } = unnamed(&pass.tools.metadata, listed).await?;
    swept.orphans += orphans.len() as u64;
    swept.leftovers += leftovers.len() as u64;
    remove(pass, run, progress, &orphans, Removal::Everything).await?;
    remove(pass, run, progress, &leftovers, Removal::Unfinished).await
}

/// Removes what was found, or counts what would be. Each step counts when it is done, so that what
/// is gone is counted when the next one is not taken.
async fn remove(
    pass: &mut Pass,
    run: Run,
    progress: &Progress,
    found: &[&ObjectInfo],
    removal: Removal,
) -> Result<(), CollectionError> {
    let Some(first) = found.first() else {
        return Ok(());
    };
    if run.is_dry {
        progress.count(|counts| *of(counts, removal) += found.len() as u64);
        return Ok(());
    }
    let what = match removal {
        Removal::Everything => "objects that nothing names are about to be deleted",
        Removal::Unfinished => "unfinished writes beside objects are about to be discarded",
    };
    tracing::info!(found = found.len(), first = %first.key, "{what}");
    // No more at once than a look takes, which has to wait for its turn.
    for objects in found.chunks(pass.pace.batch(DELETED_PER_STEP)) {
        pass.check(run).await?;
        let step = pass.pace.take(objects.len()).await;
        let keys = objects.iter().map(|info| info.key.as_str());
        let removed = pass.remove(&step, keys, removal).await?;
        let gone = removed.iter().filter(|is_gone| **is_gone).count() as u64;
        progress.count(|counts| {
            *of(counts, removal) += gone;
            counts.failures += removed.len() as u64 - gone;
        });
    }
    Ok(())
}

/// Where what was removed is counted.
fn of(counts: &mut Counts, removal: Removal) -> &mut u64 {
    match removal {
        Removal::Everything => &mut counts.orphans,
        Removal::Unfinished => &mut counts.leftovers,
    }
}

/// What of a listing nothing names.
#[derive(Debug, Default)]
struct Unnamed<'a> {
    /// Objects and unfinished writes whose key has no row.
    orphans: Vec<&'a ObjectInfo>,
    /// Unfinished writes whose key is that of a blob's object.
    leftovers: Vec<&'a ObjectInfo>,
}

/// Looks the listed keys up in a state that holds all that was acknowledged before this call.
async fn unnamed<'a>(
    metadata: &Metadata,
    listed: &'a [ObjectInfo],
) -> Result<Unnamed<'a>, roadstead_cluster::Error> {
    let look = |view: &dyn View| {
        let mut unnamed = Unnamed::default();
        for info in listed {
            match garbage::object(view, info.key.as_str())?.map(|row| row.state) {
                None => unnamed.orphans.push(info),
                Some(Some(State::Live(_))) if info.unfinished => unnamed.leftovers.push(info),
                // An upload under way, reclaimed and waiting, or of a kind that is not known here.
                Some(_) => {}
            }
        }
        Ok(unnamed)
    };
    metadata.read(look).await
}

/// Those of the listed keys that have no row, by a state that holds all that was acknowledged
/// before this call.
pub(crate) async fn orphans<'a>(
    metadata: &Metadata,
    listed: &'a [ObjectInfo],
) -> Result<Vec<&'a ObjectInfo>, roadstead_cluster::Error> {
    Ok(unnamed(metadata, listed).await?.orphans)
}
