//! What a client knows of a repository in which nobody else writes, and until when that must hold.
//!
//! Collection takes things away by itself, so that nothing here is known for ever, unless a tag
//! holds it. Each time is the earliest at which something may go: it counts from when the request
//! was sent, and is compared with when an answer had come.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use roadstead_proto::Digest;

use super::content::Manifest;

/// `gc.grace` of the stress.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// How long a blob stays after a push, a mount, or its last manifest.
pub(super) const HOLD: Duration = Duration::from_secs(2);
/// `age` of `gc.untagged`, which is no shorter than a hold.
pub(super) const AGE: Duration = Duration::from_secs(2);
/// The registry counts in milliseconds, and cuts off the rest.
pub(super) const MARGIN: Duration = Duration::from_millis(5);

/// Longer than any run.
const FOR_EVER: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Deleted manifests that are remembered, to be pushed again.
const GONE_MAX: usize = 24;
/// How long a blob is remembered after it may have gone, to be asked for then.
const REMEMBERED: Duration = Duration::from_secs(2);

/// A manifest that is there.
#[derive(Debug)]
struct Held {
    manifest: Arc<Manifest>,
    // Nothing that happened later than this began its age.
    since: Instant,
}

/// One repository.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) name: String,
    for_ever: Instant,
    pub(super) tags: BTreeMap<String, Digest>,
    /// Tags that may be or not, since an answer did not come.
    pub(super) unsure_tags: BTreeSet<String>,
    manifests: BTreeMap<Digest, Held>,
    /// Manifests that may be there or not: an answer did not come, or their age is over.
    pub(super) unsure: BTreeMap<Digest, Arc<Manifest>>,
    pub(super) gone: VecDeque<Arc<Manifest>>,
    // Until when a blob stays that no manifest needs.
    promised: BTreeMap<Digest, Instant>,
}

impl Record {
    pub(super) fn new(name: String, began: Instant) -> Self {
        Self {
            name,
            for_ever: began + FOR_EVER,
            tags: BTreeMap::new(),
            unsure_tags: BTreeSet::new(),
            manifests: BTreeMap::new(),
            unsure: BTreeMap::new(),
            gone: VecDeque::new(),
            promised: BTreeMap::new(),
        }
    }

    /// Until when the manifest must be there; in the past when that is not known.
    pub(super) fn lives_until(&self, digest: &Digest) -> Instant {
        let Some(held) = self.manifests.get(digest) else {
            return self.for_ever - FOR_EVER;
        };
        if self.tags.values().any(|tagged| tagged == digest) {
            return self.for_ever;
        }
        let mut until = held.since + AGE;
        for (parent, other) in &self.manifests {
            if other.manifest.children.contains(digest) {
                until = until.max(self.lives_until(parent) + AGE);
            }
        }
        // A subject holds its referrers. None of these is a child or subject of its own subject.
        match &held.manifest.subject {
            Some(subject) if self.manifests.contains_key(subject) => {
                until.max(self.lives_until(subject) + AGE)
            }
            _ => until,
        }
    }

    /// Until when the blob must be there; in the past when that is not known.
    pub(super) fn blob_until(&self, digest: &Digest) -> Instant {
        let promised = self.promised.get(digest).copied();
        let naming = self.naming(digest).map(|of| self.lives_until(of) + HOLD);
        let known = naming.chain(promised).max();
        known.unwrap_or(self.for_ever - FOR_EVER)
    }

    fn naming<'a>(&'a self, blob: &'a Digest) -> impl Iterator<Item = &'a Digest> {
        let names = self.manifests.iter();
        let naming = names.filter(move |(_, held)| held.manifest.blobs.contains(blob));
        naming.map(|(digest, _)| digest)
    }

    /// Whether a manifest that is there until then names the blob; `None` where that is not known.
    pub(super) fn is_referenced(&self, blob: &Digest, until: Instant) -> Option<bool> {
        let mut naming = self.naming(blob).map(|digest| self.lives_until(digest));
        if naming.any(|lives| lives > until) {
            return Some(true);
        }
        let mut unsure = self.unsure.values();
        let is_named = self.naming(blob).next().is_some()
            || unsure.any(|manifest| manifest.blobs.contains(blob));
        (!is_named).then_some(false)
    }

    /// Somebody was told that the blob stays until then.
    pub(super) fn promise(&mut self, blob: &Digest, until: Instant) {
        let known = self.promised.entry(blob.clone()).or_insert(until);
        *known = until.max(*known);
    }

    /// The client has deleted the blob, or is about to.
    pub(super) fn take_back(&mut self, blob: &Digest) {
        self.promised.remove(blob);
    }

    /// Blobs that are remembered, and until when they were promised.
    pub(super) fn promised(&self) -> impl Iterator<Item = (&Digest, &Instant)> {
        self.promised.iter()
    }

    /// Manifests that are there, and must be until then at least.
    pub(super) fn present(&self, until: Instant) -> Vec<Arc<Manifest>> {
        let all = self.manifests.iter();
        let present = all.filter(|(digest, _)| self.lives_until(digest) > until);
        present
            .map(|(_, held)| Arc::clone(&held.manifest))
            .collect()
    }

    pub(super) fn manifest(&self, digest: &Digest) -> Option<Arc<Manifest>> {
        let held = self.manifests.get(digest).map(|held| &held.manifest);
        held.or_else(|| self.unsure.get(digest)).map(Arc::clone)
    }

    /// Whether an index that is there, or may be, contains it.
    pub(super) fn is_child(&self, digest: &Digest) -> bool {
        let held = self.manifests.values().map(|held| &held.manifest);
        let mut all = held.chain(self.unsure.values());
        all.any(|manifest| manifest.children.contains(digest))
    }

    /// The manifest was there at this time or later, and its age did not begin before.
    pub(super) fn found(&mut self, manifest: &Arc<Manifest>, since: Instant) {
        // What may have gone meanwhile is not held by what has just come.
        self.lapse(Instant::now());
        self.unsure.remove(&manifest.digest);
        self.gone.retain(|gone| gone.digest != manifest.digest);
        let held = self.manifests.entry(manifest.digest.clone());
        let held = held.or_insert_with(|| Held {
            manifest: Arc::clone(manifest),
            since,
        });
        held.since = since.max(held.since);
    }

    /// It may be that the manifest is put, if it is not known to be there.
    pub(super) fn may_come(&mut self, manifest: &Arc<Manifest>) {
        if !self.manifests.contains_key(&manifest.digest) {
            let unsure = self.unsure.entry(manifest.digest.clone());
            unsure.or_insert_with(|| Arc::clone(manifest));
        }
    }

    /// The tag leads elsewhere from now, or nowhere, once an answer comes. Returns where it led.
    pub(super) fn loosen(&mut self, tag: &str, sent: Instant) -> Option<Digest> {
        let former = self.tags.remove(tag);
        if let Some(held) = former.as_ref().and_then(|of| self.manifests.get_mut(of)) {
            held.since = sent.max(held.since);
        }
        self.unsure_tags.insert(tag.to_owned());
        former
    }

    /// Where the tag leads is known.
    pub(super) fn fasten(&mut self, tag: &str, target: Option<Digest>) {
        self.unsure_tags.remove(tag);
        match target {
            Some(digest) => self.tags.insert(tag.to_owned(), digest),
            None => self.tags.remove(tag),
        };
    }

    /// The manifest is there until this time, and nobody knows about later.
    pub(super) fn may_go(&mut self, digest: &Digest, at: Instant) {
        let tags: Vec<_> = self.tags_of(digest).collect();
        for tag in tags {
            self.loosen(&tag, at);
        }
        let Some(Held { manifest, .. }) = self.manifests.remove(digest) else {
            return;
        };
        for blob in &manifest.blobs {
            self.promise(blob, at + HOLD);
        }
        for (other, held) in &mut self.manifests {
            let is_referrer = held.manifest.subject.as_ref() == Some(digest);
            if is_referrer || manifest.children.contains(other) {
                held.since = at.max(held.since);
            }
        }
        self.unsure.insert(digest.clone(), manifest);
    }

    /// The manifest is not there.
    pub(super) fn went(&mut self, digest: &Digest) {
        if let Some(manifest) = self.unsure.remove(digest) {
            self.gone.push_back(manifest);
        }
        if self.gone.len() > GONE_MAX {
            self.gone.pop_front();
        }
    }

    pub(super) fn tags_of(&self, digest: &Digest) -> impl Iterator<Item = String> {
        let tags = self
            .tags
            .iter()
            .filter(move |(_, target)| *target == digest);
        tags.map(|(tag, _)| tag.clone())
    }

    /// What may have gone by now is not known to be there any more.
    pub(super) fn lapse(&mut self, now: Instant) {
        let times = self.manifests.keys();
        let times: Vec<_> = times
            .map(|digest| (self.lives_until(digest), digest.clone()))
            .filter(|(until, _)| *until <= now)
            .collect();
        for (until, digest) in times {
            self.may_go(&digest, until);
        }
        self.promised.retain(|_, until| *until + REMEMBERED > now);
    }

    /// The repository is about to be deleted.
    pub(super) fn may_vanish(&mut self, sent: Instant) {
        let all: Vec<_> = self.manifests.keys().cloned().collect();
        for digest in all {
            self.may_go(&digest, sent);
        }
        self.promised.clear();
    }

    /// Nothing is there.
    pub(super) fn vanished(&mut self) {
        *self = Self::new(std::mem::take(&mut self.name), self.for_ever - FOR_EVER);
    }
}
