//! The naive model: facts of the domain in plain maps, and what a command does to them in the
//! simplest words. It has no mirrors, counters, candidates or rows to keep in step. What the state
//! machine writes down at each place, the model works out afterwards from what is there
//! (`consequences.rs`): an object that nobody names is reclaimed, a blob that nobody links is
//! gone, a link that lost its last manifest has a new hold.

use std::collections::{BTreeMap, BTreeSet};

use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{self as rpc, Command, Content, Origin, Refusal, Response};
use roadstead_proto::rpc::state;

use crate::facts::{BlobFacts, Facts, Life, ManifestFacts, Name};

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) instance: String,
    pub(crate) address: String,
    pub(crate) boot: u64,
    pub(crate) level_max: u64,
    pub(crate) lowest: u64,
    pub(crate) is_removed: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) contents: Vec<Content>,
    pub(crate) subject: String,
    pub(crate) unheld_since_ms: Option<u64>,
    pub(crate) is_doomed: bool,
    /// The collector came, found a living subject, and will not come again.
    pub(crate) is_parked: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) life: Life,
    /// The last checkpoint that was written on this key.
    pub(crate) checkpoint: Vec<u8>,
    /// How many bytes on this key anybody was told of.
    pub(crate) size: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) repository: String,
    pub(crate) algorithm: String,
    pub(crate) key: String,
    /// The key whose bytes a claimer has not taken over yet.
    pub(crate) former: Option<String>,
    pub(crate) owner: Option<state::Owner>,
    pub(crate) epoch: u64,
    pub(crate) is_released: bool,
    pub(crate) offset: u64,
    pub(crate) hash_state: Vec<u8>,
    pub(crate) started_at_unix_ms: u64,
    pub(crate) updated_at_ms: u64,
    pub(crate) last_claim: Option<rpc::ClaimUpload>,
}

/// What is so, in plain maps.
#[derive(Debug, Default, Clone)]
pub(crate) struct Naive {
    pub(crate) now_ms: u64,
    pub(crate) settings: Option<state::Settings>,
    pub(crate) nodes: BTreeMap<u64, Node>,
    /// Every answer that a request ever got; never dropped here.
    pub(crate) answers: BTreeMap<(u64, u64, u64), Response>,
    pub(crate) repositories: BTreeSet<String>,
    /// Repositories that are being deleted.
    pub(crate) doomed: BTreeSet<String>,
    pub(crate) tags: BTreeMap<Name, String>,
    pub(crate) manifests: BTreeMap<Name, Manifest>,
    pub(crate) blobs: BTreeMap<String, BlobFacts>,
    /// Until when a link was last held.
    pub(crate) links: BTreeMap<Name, u64>,
    pub(crate) objects: BTreeMap<String, Object>,
    pub(crate) uploads: BTreeMap<String, Upload>,
    /// Where and when an upload became a digest.
    pub(crate) commits: BTreeMap<Name, (String, u64)>,
}

pub(crate) fn yes() -> Response {
    outcome(Outcome::Done(rpc::Done {}))
}

pub(crate) fn no(reason: Reason) -> Response {
    no_because_of(reason, Vec::new())
}

pub(crate) fn no_because_of(reason: Reason, digests: Vec<String>) -> Response {
    outcome(Outcome::Refusal(Refusal {
        reason: reason.into(),
        digests,
    }))
}

pub(crate) fn outcome(outcome: Outcome) -> Response {
    Response {
        outcome: Some(outcome),
    }
}

pub(crate) fn name(first: &str, second: &str) -> Name {
    (first.to_owned(), second.to_owned())
}

impl Naive {
    /// Predicts the answer to a command, and remembers what is so afterwards.
    pub(crate) fn execute(&mut self, command: &Command) -> Response {
        self.now_ms = self.now_ms.max(command.now_ms);
        let action = command.action.as_ref().expect("an action");
        let Some(origin) = &command.origin else {
            return self.act(action, command.unix_ms);
        };
        if let Some(answer) = self.answer_of(origin) {
            return answer;
        }
        let answer = self.act(action, command.unix_ms);
        let request = (origin.node, origin.boot, origin.serial);
        self.answers.insert(request, answer.clone());
        answer
    }

    /// The answer to a request that must not happen now.
    fn answer_of(&mut self, origin: &Origin) -> Option<Response> {
        let node = self.nodes.get_mut(&origin.node);
        let Some(node) = node.filter(|node| node.boot == origin.boot && !node.is_removed) else {
            return Some(no(Reason::BootStale));
        };
        node.lowest = node.lowest.max(origin.lowest_outstanding);
        if origin.serial < node.lowest {
            return Some(no(Reason::SerialForgotten));
        }
        let request = (origin.node, origin.boot, origin.serial);
        self.answers.get(&request).cloned()
    }

    pub(crate) fn hold(&self) -> u64 {
        let grace = self.settings.as_ref().map_or(0, |row| row.grace_ms);
        self.now_ms + 2 * grace
    }

    /// The manifests of a repository that point at `digest`.
    pub(crate) fn pointing_at(&self, repository: &str, digest: &str) -> Vec<String> {
        let manifests = self.manifests.iter().filter(|((at, _), manifest)| {
            at == repository && manifest.contents.iter().any(|it| it.digest == digest)
        });
        manifests.map(|((_, digest), _)| digest.clone()).collect()
    }

    pub(crate) fn is_referenced(&self, (repository, digest): &Name) -> bool {
        !self.pointing_at(repository, digest).is_empty()
    }

    pub(crate) fn is_held(&self, manifest: &Name) -> bool {
        let is_tagged =
            |((at, _), digest): (&Name, &String)| (at, digest) == (&manifest.0, &manifest.1);
        self.tags.iter().any(is_tagged) || self.is_referenced(manifest)
    }

    /// Every object key that was used and is not forgotten, with its state.
    pub(crate) fn objects(&self) -> Vec<(&String, &Life)> {
        self.objects
            .iter()
            .map(|(key, it)| (key, &it.life))
            .collect()
    }

    /// The key of a blob.
    pub(crate) fn key_of(&self, digest: &str) -> Option<String> {
        self.blobs.get(digest).map(|blob| blob.object_key.clone())
    }

    /// The manifest with the most tags.
    pub(crate) fn largest_manifest(&self) -> Option<Name> {
        let count = |at: &Name| {
            let tags = self.tags.iter();
            tags.filter(|(tag, to)| tag.0 == at.0 && **to == at.1)
                .count()
        };
        self.manifests.keys().max_by_key(|at| count(at)).cloned()
    }

    /// Manifests whose deletion has begun, and repositories, under an empty digest.
    pub(crate) fn begun_deletions(&self) -> Vec<Name> {
        let manifests = self.manifests.iter().filter(|(_, it)| it.is_doomed);
        let repositories = self.doomed.iter().map(|repository| name(repository, ""));
        manifests
            .map(|(at, _)| at.clone())
            .chain(repositories)
            .collect()
    }

    /// When an upload that stands still is over.
    pub(crate) fn upload_due_ms(&self, upload: &Upload) -> Option<u64> {
        let age_ms = self.settings.as_ref()?.upload_age_ms?;
        (age_ms > 0).then_some(upload.updated_at_ms + age_ms)
    }

    /// When a manifest that nothing holds is over.
    pub(crate) fn manifest_due_ms(&self, manifest: &Manifest) -> Option<u64> {
        let settings = self.settings.as_ref()?;
        let age_ms = settings.untagged.as_ref()?.age_ms;
        if age_ms == 0 {
            return None;
        }
        // Nothing goes sooner than a hold would end.
        Some(manifest.unheld_since_ms? + age_ms.max(2 * settings.grace_ms))
    }

    /// Every time at which something will be over.
    pub(crate) fn due_times(&self) -> Vec<u64> {
        let uploads = self.uploads.values().map(|it| self.upload_due_ms(it));
        let manifests = self.manifests.values().map(|it| self.manifest_due_ms(it));
        let links = self.links.values().map(|until| Some(*until));
        let times = uploads.chain(manifests).chain(links).flatten();
        times.filter(|due_ms| *due_ms >= self.now_ms).collect()
    }

    /// Whether the manifest can be read.
    pub(crate) fn is_living(&self, manifest: &Name) -> bool {
        !self.doomed.contains(&manifest.0)
            && self.manifests.get(manifest).is_some_and(|it| !it.is_doomed)
    }

    pub(crate) fn upload_row(&self, upload: &Upload) -> state::Upload {
        let writer = upload.former.as_ref().unwrap_or(&upload.key);
        state::Upload {
            repository: upload.repository.clone(),
            object_key: upload.key.clone(),
            algorithm: upload.algorithm.clone(),
            owner: upload.owner,
            epoch: upload.epoch,
            released: upload.is_released,
            offset: upload.offset,
            hash_state: upload.hash_state.clone().into(),
            checkpoint: self.objects[writer].checkpoint.clone().into(),
            former_key: upload.former.clone().unwrap_or_default(),
            started_at_unix_ms: upload.started_at_unix_ms,
            updated_at_ms: upload.updated_at_ms,
        }
    }

    /// What should be seen now.
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts {
            now_ms: self.now_ms,
            settings: self.settings.clone(),
            tags: self.tags.clone(),
            blobs: self.blobs.clone(),
            doomed: self.doomed.clone(),
            ..Facts::default()
        };
        for (id, node) in &self.nodes {
            let facts_of = (node.boot, node.level_max, node.is_removed);
            facts.nodes.insert(*id, facts_of);
        }
        for repository in &self.repositories {
            let tags = self.tags.keys().filter(|(at, _)| at == repository);
            let manifests = self.manifests.keys().filter(|(at, _)| at == repository);
            let links = self.links.keys().filter(|(at, _)| at == repository);
            let counts = [manifests.count(), tags.count(), links.count()];
            let counts = counts.map(|count| count as u64);
            facts.repositories.insert(repository.clone(), counts);
        }
        for (key, object) in &self.objects {
            facts.objects.insert(key.clone(), object.life.clone());
        }
        for (id, upload) in &self.uploads {
            facts.uploads.insert(id.clone(), self.upload_row(upload));
        }
        for (link, hold) in &self.links {
            let hold = (!self.is_referenced(link)).then_some(*hold);
            facts.links.insert(link.clone(), hold);
        }
        self.add_manifests(&mut facts);
        facts
    }

    fn add_manifests(&self, facts: &mut Facts) {
        for (at, manifest) in &self.manifests {
            let row = ManifestFacts {
                subject: manifest.subject.clone(),
                unheld_since_ms: manifest.unheld_since_ms,
                deleting: manifest.is_doomed,
            };
            facts.manifests.insert(at.clone(), row);
            if let Some(since_ms) = manifest.unheld_since_ms
                && !manifest.is_parked
            {
                facts.unheld.insert((since_ms, at.clone()));
            }
            let body = crate::universe::body(&at.1);
            facts.bodies.insert(at.1.clone(), body);
            if !manifest.subject.is_empty() && self.is_living(at) {
                let subject = name(&at.0, &manifest.subject);
                facts
                    .referrers
                    .entry(subject)
                    .or_default()
                    .push(at.1.clone());
            }
        }
    }
}
