//! `Pass`: a worker that looks for garbage, from the oldest to the youngest, in bounded steps.
//!
//! It may be cut off between any two steps, sleep, or run beside a pass of another node: each
//! command is checked again when it is applied, and a delete hits a key that is not used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use roadstead_cluster::metadata::view::ViewExt;
use roadstead_cluster::metadata::{View, keys};
use roadstead_cluster::{Metadata, garbage, read};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{
    Condemn, ContinueDeletion, ExpireManifests, ExpireUploads, Forget, ManifestName,
};
use roadstead_proto::rpc::state::Settings;
use roadstead_storage::{BlobStore, ObjectKey};
use tokio::time::Instant;

use super::failures::Failures;
use super::pace::{Pace, Step};
use super::policy::Policy;
use super::progress::{Phase, Progress};
use super::{CollectionError, sweep};
use crate::error::outcome;
use crate::limits::{COLLECTED_PER_STEP, CONDEMNED_PER_STEP, DELETED_PER_STEP, EXPIRED_PER_STEP};
use crate::store_guard::{GuardError, StoreGuard};

/// What a pass works with.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The metadata.
    pub metadata: Metadata,
    /// The object store.
    pub store: Arc<dyn BlobStore>,
    /// Whether the store is still the cluster's.
    pub guard: StoreGuard,
}

/// What to look for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Run {
    /// Only count: change nothing. Manifests are counted that a living subject may hold.
    pub is_dry: bool,
    /// Abandoned uploads.
    pub uploads: bool,
    /// Untagged manifests.
    pub manifests: bool,
    /// Objects that nothing names: a [`Pass::sweep`] of its own.
    pub sweep: bool,
}

/// A worker of the collector. A node has two: one looks, and one sweeps.
#[derive(Debug)]
pub struct Pass {
    pub(super) tools: Tools,
    pub(super) pace: Pace,
    pub(super) failures: Failures,
    // Behind the last step that the store refused whole; the first otherwise.
    deletes_from: Vec<u8>,
    is_stopping: Arc<AtomicBool>,
}

impl From<GuardError> for CollectionError {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::Alarm(reason) => Self::Alarm(reason),
            GuardError::Metadata(error) => Self::Metadata(error),
            GuardError::Store(error) => Self::Store(error),
        }
    }
}

impl Pass {
    /// A collector that has done nothing yet.
    pub fn new(tools: Tools, pace: Pace) -> Self {
        Self {
            tools,
            pace,
            failures: Failures::default(),
            deletes_from: Vec::new(),
            is_stopping: Arc::default(),
        }
    }

    /// Another worker, which keeps to the same pace and stops with this one.
    pub fn beside(&self) -> Self {
        Self {
            is_stopping: Arc::clone(&self.is_stopping),
            ..Self::new(self.tools.clone(), self.pace.clone())
        }
    }

    /// Where to say that the node is about to stop: then no further step is taken.
    pub fn stopping(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_stopping)
    }

    /// Looks for what `run` names, but for what a sweep does, and for condemnable links and
    /// reclaimed objects. What was done is counted in `progress`, also when it ends early.
    ///
    /// # Errors
    /// [`CollectionError`]; what was begun goes on with the next pass.
    pub async fn run(&mut self, run: Run, progress: &Progress) -> Result<(), CollectionError> {
        let ended = self.steps(run, progress).await;
        progress.enter(Phase::Idle);
        ended
    }

    /// Looks at everything in the store, and deletes what nothing names. It takes as long as the
    /// store takes to list it all, which is why nothing else waits for it.
    ///
    /// # Errors
    /// [`CollectionError`]; the next one begins anew.
    pub async fn sweep(&mut self, run: Run, progress: &Progress) -> Result<(), CollectionError> {
        // A store is not listed for nothing.
        self.check(run).await?;
        progress.set_sweeping(true);
        let ended = sweep::sweep(self, run, progress).await;
        progress.set_sweeping(false);
        ended
    }

    async fn steps(&mut self, run: Run, progress: &Progress) -> Result<(), CollectionError> {
        let settings = self
            .tools
            .metadata
            .read(|view| read::settings(view))
            .await?;
        let settings = settings.unwrap_or_default();
        if run.uploads {
            progress.enter(Phase::ExpireUploads);
            self.expire_uploads(run, &settings, progress).await?;
        }
        progress.enter(Phase::Condemn);
        self.condemn(run, progress).await?;
        progress.enter(Phase::Delete);
        self.delete(run, &settings, progress).await?;
        if run.manifests {
            progress.enter(Phase::ExpireManifests);
            self.expire_manifests(run, progress).await?;
        }
        Ok(())
    }

    /// Cluster time; only the leader has it, and only the leader collects.
    async fn now_ms(&self) -> Result<u64, CollectionError> {
        if !self.tools.metadata.status().is_leader {
            return Err(CollectionError::NotLeader);
        }
        Ok(self.tools.metadata.cluster_time().await?)
    }

    /// Whether the next step may be taken: much may have changed since the last one. Returns the
    /// settings by which it is taken.
    pub(super) async fn check(&self, run: Run) -> Result<Settings, CollectionError> {
        let settings = self
            .tools
            .metadata
            .read(|view| read::settings(view))
            .await?;
        let settings = settings.unwrap_or_default();
        if run.is_dry {
            return Ok(settings);
        }
        if self.is_stopping.load(Ordering::Relaxed) {
            return Err(CollectionError::Stopping);
        }
        if !self.tools.metadata.status().is_leader {
            return Err(CollectionError::NotLeader);
        }
        if settings.collection_paused {
            return Err(CollectionError::Paused);
        }
        if settings.verify_due {
            return Err(CollectionError::Unverified);
        }
        if self.tools.guard.alarm().is_some() {
            // It may be over by now.
            self.tools.guard.look().await?;
        }
        Ok(settings)
    }

    async fn propose(&self, action: Action) -> Result<Outcome, CollectionError> {
        let response = self.tools.metadata.propose(action).await?;
        outcome(response).map_err(|refused| CollectionError::Refused(format!("{refused:?}")))
    }

    /// Ends uploads that nobody went on with.
    async fn expire_uploads(
        &mut self,
        run: Run,
        settings: &Settings,
        progress: &Progress,
    ) -> Result<(), CollectionError> {
        let age_ms = settings.upload_age_ms.unwrap_or_default();
        let until_ms = self.now_ms().await?.checked_sub(age_ms);
        let Some(until_ms) = until_ms.filter(|_| age_ms > 0) else {
            return Ok(());
        };
        let mut from = Vec::new();
        loop {
            self.check(run).await?;
            let limit = EXPIRED_PER_STEP;
            let look = |view: &dyn View| garbage::idle_uploads(view, &from, until_ms, limit);
            let found = self.tools.metadata.read(look).await?;
            let mut count = found.items.len() as u64;
            if count > 0 && !run.is_dry {
                let _step = self.pace.take(found.items.len()).await;
                let uploads = found.items;
                let expire = ExpireUploads { uploads };
                count = expired(self.propose(Action::ExpireUploads(expire)).await?);
            }
            progress.count(|counts| counts.uploads += count);
            match found.next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// Says in the log which uploads would be ended, where the configuration wants no more than
    /// that (`uploadpurging.dryrun`).
    ///
    /// # Errors
    /// [`CollectionError`].
    pub async fn list_abandoned(&self, age: Duration) -> Result<(), CollectionError> {
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let Some(until_ms) = self.now_ms().await?.checked_sub(age_ms) else {
            return Ok(());
        };
        let mut from = Vec::new();
        loop {
            let look =
                |view: &dyn View| garbage::idle_uploads(view, &from, until_ms, COLLECTED_PER_STEP);
            let found = self.tools.metadata.read(look).await?;
            for name in found.items {
                tracing::info!(upload = %name.upload, "an abandoned upload would be removed");
            }
            match found.next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// Deletes manifests that nothing has held for as long as the policy says.
    async fn expire_manifests(
        &mut self,
        run: Run,
        progress: &Progress,
    ) -> Result<(), CollectionError> {
        let mut from = Vec::new();
        loop {
            // Each time, since the policy may spare by now what it did not before.
            let settings = self.check(run).await?;
            let Some(policy) = Policy::of(&settings)? else {
                return Ok(());
            };
            let Some(until_ms) = self.now_ms().await?.checked_sub(policy.age_ms) else {
                return Ok(());
            };
            let look = |view: &dyn View| garbage::unheld(view, &from, until_ms, EXPIRED_PER_STEP);
            let found = self.tools.metadata.read(look).await?;
            let mut manifests = found.items;
            manifests.retain(|name| policy.is_for(&name.repository));
            let mut count = manifests.len() as u64;
            if count > 0 && !run.is_dry {
                let expire = ExpireManifests {
                    manifests: manifests.clone(),
                };
                let step = self.pace.take(manifests.len()).await;
                count = expired(self.propose(Action::ExpireManifests(expire)).await?);
                drop(step);
                self.finish_deletions(run, manifests).await?;
            }
            progress.count(|counts| counts.manifests += count);
            match found.next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// Those with many referrers need further steps; for the others this is one short look.
    async fn finish_deletions(
        &self,
        run: Run,
        manifests: Vec<ManifestName>,
    ) -> Result<(), CollectionError> {
        for ManifestName { repository, digest } in manifests {
            let key = keys::deletion(&repository, &digest);
            loop {
                let look = |view: &dyn View| view.has(&key);
                let is_begun = self.tools.metadata.read(look).await?;
                if !is_begun {
                    break;
                }
                let further = ContinueDeletion {
                    repository: repository.clone(),
                    digest: digest.clone(),
                };
                self.check(run).await?;
                let _step = self.pace.take(1).await;
                self.propose(Action::ContinueDeletion(further)).await?;
            }
        }
        Ok(())
    }

    /// Removes links whose hold is over.
    async fn condemn(&mut self, run: Run, progress: &Progress) -> Result<(), CollectionError> {
        let now_ms = self.now_ms().await?;
        let mut from = Vec::new();
        loop {
            self.check(run).await?;
            let limit = self.pace.batch(CONDEMNED_PER_STEP);
            let look = |view: &dyn View| garbage::due_links(view, &from, now_ms, limit);
            let found = self.tools.metadata.read(look).await?;
            let mut links = found.items.len() as u64;
            if links > 0 && !run.is_dry {
                let _step = self.pace.take(found.items.len()).await;
                let condemn = Condemn { links: found.items };
                links = match self.propose(Action::Condemn(condemn)).await? {
                    Outcome::Condemned(condemned) => condemned.links,
                    _ => 0,
                };
            }
            progress.count(|counts| counts.links += links);
            match found.next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// Deletes reclaimed objects after the reading delay, and forgets those that are gone.
    async fn delete(
        &mut self,
        run: Run,
        settings: &Settings,
        progress: &Progress,
    ) -> Result<(), CollectionError> {
        // Nobody has set it yet: wait for the node that will.
        let Some(delay_ms) = settings.reading_delay_ms else {
            return Ok(());
        };
        let Some(until_ms) = self.now_ms().await?.checked_sub(delay_ms) else {
            return Ok(());
        };
        let mut from = if run.is_dry {
            Vec::new()
        } else {
            std::mem::take(&mut self.deletes_from)
        };
        loop {
            self.check(run).await?;
            let limit = self.pace.batch(DELETED_PER_STEP);
            let look = |view: &dyn View| garbage::reclaimed(view, &from, until_ms, limit);
            let found = self.tools.metadata.read(look).await?;
            let mut objects = found.items;
            if run.is_dry {
                progress.count(|counts| {
                    counts.objects += objects.len() as u64;
                    counts.bytes += objects.iter().map(|object| object.size).sum::<u64>();
                });
            } else {
                let now = Instant::now();
                objects.retain(|object| !self.failures.is_waiting(&object.object_key, now));
                if !objects.is_empty() && !self.delete_step(objects, progress).await? {
                    // The store refuses all, perhaps after a long time each. Everything else goes
                    // on, and the next look begins behind these: they keep nobody from a turn.
                    self.deletes_from = found.next.unwrap_or_default();
                    return Ok(());
                }
            }
            match found.next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// Says whether any is gone.
    async fn delete_step(
        &mut self,
        objects: Vec<garbage::ReclaimedObject>,
        progress: &Progress,
    ) -> Result<bool, CollectionError> {
        let step = self.pace.take(objects.len()).await;
        let keys = objects.iter().map(|object| object.object_key.as_str());
        let deleted = self.remove(&step, keys, Removal::Everything).await?;
        let (mut object_keys, mut bytes, mut failures) = (Vec::new(), 0, 0);
        for (object, is_gone) in objects.into_iter().zip(deleted) {
            if is_gone {
                self.failures.forget(&object.object_key);
                bytes += object.size;
                object_keys.push(object.object_key);
            } else {
                self.failures.note(&object.object_key, Instant::now());
                failures += 1;
            }
        }
        let count = object_keys.len() as u64;
        if count > 0 {
            // Until this is applied they are deleted again, which does no harm.
            self.propose(Action::Forget(Forget { object_keys })).await?;
        }
        progress.count(|counts| {
            counts.objects += count;
            counts.bytes += bytes;
            counts.failures += failures;
        });
        Ok(count > 0)
    }

    /// Removes in this step what nothing names from the store, if that is still the cluster's. Says
    /// of each key whether it is gone.
    pub(super) async fn remove(
        &mut self,
        _step: &Step,
        keys: impl Iterator<Item = &str>,
        removal: Removal,
    ) -> Result<Vec<bool>, CollectionError> {
        let keys: Vec<Option<ObjectKey>> = keys.map(|key| key.parse().ok()).collect();
        let valid: Vec<ObjectKey> = keys.iter().flatten().cloned().collect();
        self.tools.guard.look().await?;
        let results = match removal {
            Removal::Everything => self.tools.store.delete(&valid).await,
            Removal::Unfinished => self.tools.store.discard_unfinished(&valid).await,
        };
        let mut results = results.into_iter();
        let (mut deleted, mut refused) = (Vec::with_capacity(keys.len()), None);
        for key in keys {
            // A key that no driver takes was never deleted, and stays for somebody to look at.
            let result = key.and_then(|_key| results.next());
            deleted.push(matches!(result, Some(Ok(()))));
            refused = refused.or(result.and_then(Result::err));
        }
        if let Some(error) = refused {
            let count = deleted.iter().filter(|is_gone| !**is_gone).count();
            tracing::warn!(%error, count, "objects could not be deleted; they are tried again");
        }
        Ok(deleted)
    }
}

/// What goes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// The object and any unfinished write.
    Everything,
    /// Any unfinished write. An object stays.
    Unfinished,
}

fn expired(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Expired(expired) => expired.count,
        _ => 0,
    }
}
