//! What collection has done, and what it is at.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roadstead_cluster::garbage::Backlog;

/// What was collected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Abandoned uploads that were ended.
    pub uploads: u64,
    /// Untagged manifests that were deleted.
    pub manifests: u64,
    /// Links that were removed.
    pub links: u64,
    /// Objects that were deleted from the store.
    pub objects: u64,
    /// Their bytes, as far as they are known.
    pub bytes: u64,
    /// Objects that nothing named, deleted as well. One that was deleted in its turn while a sweep
    /// looked is among them.
    pub orphans: u64,
    /// Unfinished writes that were discarded beside an object. One that was finished while a sweep
    /// looked is among them.
    pub leftovers: u64,
    /// Deletes that the store refused.
    pub failures: u64,
}

impl Counts {
    /// What came since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            uploads: self.uploads.saturating_sub(earlier.uploads),
            manifests: self.manifests.saturating_sub(earlier.manifests),
            links: self.links.saturating_sub(earlier.links),
            objects: self.objects.saturating_sub(earlier.objects),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            orphans: self.orphans.saturating_sub(earlier.orphans),
            leftovers: self.leftovers.saturating_sub(earlier.leftovers),
            failures: self.failures.saturating_sub(earlier.failures),
        }
    }

    /// Whether anything was taken away, so that it is worth looking again at once.
    pub fn is_any(&self) -> bool {
        self.uploads + self.manifests + self.links + self.objects > 0
    }
}

/// What collection is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says it")]
pub enum Phase {
    #[default]
    Idle,
    AwaitLook,
    AwaitSweep,
    ExpireUploads,
    ExpireManifests,
    Condemn,
    Delete,
    Sweep,
}

impl Phase {
    /// In words, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::AwaitLook => "waiting for a look that is under way",
            Self::AwaitSweep => "waiting for a sweep that is under way",
            Self::ExpireUploads => "expiring uploads",
            Self::ExpireManifests => "expiring manifests",
            Self::Condemn => "condemning links",
            Self::Delete => "deleting objects",
            Self::Sweep => "sweeping orphans",
        }
    }
}

/// What a sweep came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// When it began, for people.
    pub started_at_unix_ms: u64,
    /// How long it took, or has taken so far.
    pub duration: Duration,
    /// Objects and unfinished writes that were looked at.
    pub objects: u64,
    /// Of these, those that nothing names.
    pub orphans: u64,
    /// Of these, unfinished writes under the key of a blob's object.
    pub leftovers: u64,
    /// Entries of the store that are no objects; they stay.
    pub foreign: u64,
    /// Why it ended early.
    pub error: Option<String>,
}

/// What waited at one moment, and whether it may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// What waited.
    pub backlog: Backlog,
    /// The moment, in cluster time.
    pub now_ms: u64,
    /// Whether an operator had stopped collection.
    pub is_paused: bool,
}

/// What collection has done and is at, shared between who works and who asks.
#[derive(Debug, Default)]
pub struct Progress {
    state: Mutex<State>,
    // All that counts here counts there too.
    node: Option<Arc<Progress>>,
}

#[derive(Debug, Default, Clone)]
struct State {
    phase: Phase,
    is_sweeping: bool,
    counts: Counts,
    swept: Option<Swept>,
    waits: Option<Waits>,
}

impl Progress {
    /// That of one run, which is part of what the node does.
    pub fn of_run(node: Arc<Progress>) -> Self {
        Self {
            state: Mutex::default(),
            node: Some(node),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is at. A sweep goes on beside everything else, and shows when there is nothing else.
    pub fn phase(&self) -> Phase {
        let state = self.state();
        match state.phase {
            Phase::Idle if state.is_sweeping => Phase::Sweep,
            phase => phase,
        }
    }

    /// What was done.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// The last sweep, or the one that is under way.
    pub fn swept(&self) -> Option<Swept> {
        self.state().swept.clone()
    }

    /// What waited when it was last counted.
    pub fn waits(&self) -> Option<Waits> {
        self.state().waits
    }

    pub(crate) fn note_waits(&self, waits: Waits) {
        self.state().waits = Some(waits);
    }

    /// Another's turn comes first. The node is at something else meanwhile.
    pub(crate) fn wait(&self, phase: Phase) {
        self.state().phase = phase;
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.state().phase = phase;
        if let Some(node) = &self.node {
            node.enter(phase);
        }
    }

    pub(super) fn set_sweeping(&self, is_sweeping: bool) {
        self.state().is_sweeping = is_sweeping;
        if let Some(node) = &self.node {
            node.set_sweeping(is_sweeping);
        }
    }

    pub(super) fn count(&self, add: impl Fn(&mut Counts)) {
        add(&mut self.state().counts);
        if let Some(node) = &self.node {
            node.count(add);
        }
    }

    pub(super) fn note_sweep(&self, swept: &Swept) {
        self.state().swept = Some(swept.clone());
        if let Some(node) = &self.node {
            node.note_sweep(swept);
        }
    }
}
