//! What can be seen of a state: the things that a client, the collector or an operator asks for.
//! The state machine's tables and the naive model are both brought into this form and compared.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::{TestCaseError, prop_assert_eq};
use roadstead_cluster::metadata::keys::{self, Prefix};
use roadstead_cluster::metadata::view::ViewExt;
use roadstead_cluster::metadata::{Table, View};
use roadstead_cluster::read;
use roadstead_proto::rpc::state::{self, object};

/// Two names: a repository and a tag or digest, or an upload and a digest.
pub(crate) type Name = (String, String);

/// The life of an object key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Life {
    Uploading(String),
    Live(String),
    Reclaimed {
        since_ms: u64,
        checkpoint: Vec<u8>,
        size: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManifestFacts {
    pub(crate) subject: String,
    pub(crate) unheld_since_ms: Option<u64>,
    pub(crate) deleting: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlobFacts {
    pub(crate) object_key: String,
    pub(crate) size: u64,
    pub(crate) damaged: bool,
}

/// Everything that can be seen.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Facts {
    pub(crate) now_ms: u64,
    pub(crate) settings: Option<state::Settings>,
    /// Boot and highest feature level of each node, and whether it was removed.
    pub(crate) nodes: BTreeMap<u64, (u64, u64, bool)>,
    /// How many manifests, tags and links each repository says it has.
    pub(crate) repositories: BTreeMap<String, [u64; 3]>,
    /// Those that are being deleted.
    pub(crate) doomed: BTreeSet<String>,
    pub(crate) tags: BTreeMap<Name, String>,
    pub(crate) manifests: BTreeMap<Name, ManifestFacts>,
    /// Manifests that the collector would find, and since when nothing holds them.
    pub(crate) unheld: BTreeSet<(u64, Name)>,
    pub(crate) bodies: BTreeMap<String, Vec<u8>>,
    /// For a repository and a subject, the manifests that a list of referrers shows.
    pub(crate) referrers: BTreeMap<Name, Vec<String>>,
    pub(crate) blobs: BTreeMap<String, BlobFacts>,
    /// The end of a link's hold, while no manifest references it.
    pub(crate) links: BTreeMap<Name, Option<u64>>,
    pub(crate) objects: BTreeMap<String, Life>,
    pub(crate) uploads: BTreeMap<String, state::Upload>,
}

fn name(key: &[u8]) -> Name {
    let [first, second] = <[String; 2]>::try_from(keys::parts(key)).expect("two names");
    (first, second)
}

fn rows<R: prost::Message + Default>(view: &impl View, table: Table) -> Vec<(Vec<u8>, R)> {
    let prefix = Prefix::<R>::whole(table);
    view.rows(&prefix, &[], usize::MAX).expect("rows")
}

/// Nothing of a repository that is being deleted can be read any more.
fn must_read_as_absent(view: &impl View, repository: &str) {
    assert_eq!(read::repository(view, repository).expect("a look"), None);
    let listed = read::repositories(view, None, usize::MAX).expect("a page");
    assert!(!listed.items.iter().any(|name| name == repository));
    let tags = read::tags(view, repository, None, usize::MAX).expect("a page");
    assert_eq!(tags.items, [""; 0]);
    for (key, _) in rows::<state::Tag>(view, Table::Tags) {
        let (_, tag) = name(&key);
        let found = read::tag(view, repository, &tag).expect("a look");
        assert_eq!(found, None);
    }
    for (key, _) in rows::<state::Manifest>(view, Table::Manifests) {
        let (_, digest) = name(&key);
        let found = read::manifest(view, repository, &digest).expect("a look");
        assert_eq!(found, None);
    }
    for (key, _) in rows::<state::Link>(view, Table::Links) {
        let (_, digest) = name(&key);
        let found = read::blob(view, repository, &digest).expect("a look");
        assert_eq!(found, None);
    }
}

impl Facts {
    /// Looks at a state.
    pub(crate) fn of(view: &impl View) -> Self {
        let mut facts = Self {
            now_ms: read::now_ms(view).expect("a clock"),
            settings: read::settings(view).expect("settings"),
            ..Self::default()
        };
        for (key, row) in rows::<state::Member>(view, Table::Members) {
            let (node, _) = keys::split_number(&key).expect("a node id");
            let facts_of = (row.boot, row.feature_level_max, row.removed);
            facts.nodes.insert(node, facts_of);
        }
        for (key, row) in rows::<state::Repository>(view, Table::Repositories) {
            let counters = [row.manifests, row.tags, row.links];
            let name = keys::last_part(&key);
            if row.deleting {
                must_read_as_absent(view, &name);
                facts.doomed.insert(name.clone());
            }
            facts.repositories.insert(name, counters);
        }
        facts.read_contents(view);
        facts.read_blobs(view);
        facts
    }

    fn read_contents(&mut self, view: &impl View) {
        for (key, row) in rows::<state::Tag>(view, Table::Tags) {
            self.tags.insert(name(&key), row.digest);
        }
        for (key, row) in rows::<state::Manifest>(view, Table::Manifests) {
            let manifest = ManifestFacts {
                subject: row.subject,
                unheld_since_ms: row.unheld_since_ms,
                deleting: row.deleting,
            };
            self.manifests.insert(name(&key), manifest);
        }
        for (key, _) in rows::<state::Presence>(view, Table::Unheld) {
            let (since_ms, rest) = keys::split_number(&key).expect("a time");
            self.unheld.insert((since_ms, name(rest)));
        }
        for (key, row) in rows::<state::ManifestBody>(view, Table::ManifestBodies) {
            self.bodies.insert(keys::last_part(&key), row.body.to_vec());
        }
        for (key, _) in rows::<state::Presence>(view, Table::Referrers) {
            let parts = keys::parts(&key);
            let (repository, subject) = (&parts[0], &parts[1]);
            let page = read::referrers(view, repository, subject, None, usize::MAX);
            let items = page.expect("a page").items;
            let shown: Vec<String> = items.into_iter().map(|item| item.digest).collect();
            if !shown.is_empty() {
                self.referrers
                    .insert((repository.clone(), subject.clone()), shown);
            }
        }
    }

    fn read_blobs(&mut self, view: &impl View) {
        for (key, row) in rows::<state::Blob>(view, Table::Blobs) {
            let blob = BlobFacts {
                object_key: row.object_key,
                size: row.size,
                damaged: row.damaged,
            };
            self.blobs.insert(keys::last_part(&key), blob);
        }
        for (key, row) in rows::<state::Link>(view, Table::Links) {
            let (repository, digest) = name(&key);
            let references = keys::references(&repository, &digest);
            let is_referenced = view.any(&references).expect("a look");
            let hold = (!is_referenced).then_some(row.hold_until_ms);
            if !self.doomed.contains(&repository) {
                let found = read::blob(view, &repository, &digest).expect("a blob");
                assert_eq!(found.expect("a linked blob").hold_until_ms, hold);
            }
            self.links.insert((repository, digest), hold);
        }
        for (key, row) in rows::<state::Object>(view, Table::Objects) {
            let life = match row.state.expect("a state") {
                object::State::Uploading(upload) => Life::Uploading(upload),
                object::State::Live(digest) => Life::Live(digest),
                object::State::Reclaimed(row) => Life::Reclaimed {
                    since_ms: row.since_ms,
                    checkpoint: row.checkpoint.to_vec(),
                    size: row.size,
                },
            };
            self.objects.insert(keys::last_part(&key), life);
        }
        for (key, row) in rows::<state::Upload>(view, Table::Uploads) {
            self.uploads.insert(keys::last_part(&key), row);
        }
    }

    /// Compares one kind of fact after the other, so that a difference is short to read.
    pub(crate) fn must_equal(&self, predicted: &Self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.now_ms, predicted.now_ms);
        prop_assert_eq!(&self.settings, &predicted.settings);
        prop_assert_eq!(&self.nodes, &predicted.nodes);
        prop_assert_eq!(&self.repositories, &predicted.repositories);
        prop_assert_eq!(&self.doomed, &predicted.doomed);
        prop_assert_eq!(&self.tags, &predicted.tags);
        prop_assert_eq!(&self.manifests, &predicted.manifests);
        prop_assert_eq!(&self.unheld, &predicted.unheld);
        prop_assert_eq!(&self.bodies, &predicted.bodies);
        prop_assert_eq!(&self.referrers, &predicted.referrers);
        prop_assert_eq!(&self.blobs, &predicted.blobs);
        prop_assert_eq!(&self.links, &predicted.links);
        prop_assert_eq!(&self.objects, &predicted.objects);
        prop_assert_eq!(&self.uploads, &predicted.uploads);
        prop_assert_eq!(self, predicted);
        Ok(())
    }
}
