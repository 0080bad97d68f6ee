//! What the actors and the properties of the model ask of the tables, read from the real rows.

use roadstead_cluster::metadata::keys::Prefix;
use roadstead_cluster::metadata::view::{Memory, ViewExt};
use roadstead_cluster::metadata::{Table, View, invariant, keys};
use roadstead_proto::rpc::state::{self, object};

use super::universe::{
    DIGEST, KEYS, MANIFESTS, NOW_MS, READING_DELAY, REPOSITORIES, Set, TICK_MS, UPLOADS, number_of,
};

/// The link of the blob in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    Referenced,
    /// Ticks that remain of its hold.
    Remaining(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    Uploading,
    Live,
    Reclaimed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Upload {
    pub(super) epoch: u8,
    pub(super) key: u8,
    pub(super) former: Option<u8>,
    pub(super) has_checkpoint: bool,
}

#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) links: [Option<Hold>; REPOSITORIES.len()],
    pub(super) manifests: Set,
    /// The key of the blob.
    pub(super) blob: Option<u8>,
    pub(super) objects: [Option<Object>; KEYS.len()],
    pub(super) uploads: [Option<Upload>; UPLOADS.len()],
    /// Repositories whose link is a candidate with a hold that is over.
    pub(super) due: Set,
    /// Keys that have been reclaimed for at least the reading delay.
    pub(super) reclaimable: Set,
    /// What the state machine's own invariants say against it.
    pub(super) broken: Vec<String>,
}

fn rows<R: prost::Message + Default>(state: &Memory, table: Table) -> Vec<(Vec<u8>, R)> {
    let rows = state.rows(&Prefix::whole(table), &[], usize::MAX);
    rows.expect("rows that decode")
}

/// The times and the rest of all keys of the table that are no later than `until_ms`.
fn until(state: &Memory, table: Table, until_ms: u64) -> Vec<Vec<u8>> {
    let scanned = state.scan(table, &[], &[], usize::MAX).expect("a scan");
    let rest = |(key, _): (Vec<u8>, Vec<u8>)| {
        let (time_ms, rest) = keys::split_number(&key).expect("a time");
        (time_ms <= until_ms).then(|| rest.to_vec())
    };
    scanned.into_iter().filter_map(rest).collect()
}

impl Facts {
    pub(super) fn of(state: &Memory) -> Self {
        let key_number = |key: &str| number_of(&KEYS, key);
        let mut facts = Self {
            broken: invariant::check(state).expect("rows that decode"),
            ..Self::default()
        };
        for (number, repository) in REPOSITORIES.iter().enumerate() {
            facts.links[number] = hold(state, repository);
        }
        for (number, (repository, digest)) in MANIFESTS.iter().enumerate() {
            let key = keys::manifest(REPOSITORIES[usize::from(*repository)], digest);
            if state.has(&key).expect("a look") {
                facts.manifests.insert(number as u8);
            }
        }
        let blob = state.row(&keys::blob(DIGEST)).expect("a blob that decodes");
        facts.blob = blob.map(|blob| key_number(&blob.object_key));
        for (key, row) in rows::<state::Object>(state, Table::Objects) {
            let number = key_number(&keys::last_part(&key));
            facts.objects[usize::from(number)] = row.state.map(|state| match state {
                object::State::Uploading(_) => Object::Uploading,
                object::State::Live(_) => Object::Live,
                object::State::Reclaimed(_) => Object::Reclaimed,
            });
        }
        for (key, row) in rows::<state::Upload>(state, Table::Uploads) {
            let number = number_of(&UPLOADS, &keys::last_part(&key));
            let former = (!row.former_key.is_empty()).then(|| key_number(&row.former_key));
            facts.uploads[usize::from(number)] = Some(Upload {
                epoch: row.epoch as u8,
                key: key_number(&row.object_key),
                former,
                has_checkpoint: !row.checkpoint.is_empty(),
            });
        }
        facts.due = until(state, Table::Candidates, NOW_MS)
            .iter()
            .map(|rest| number_of(&REPOSITORIES, &keys::parts(rest)[0]))
            .collect();
        let before_ms = NOW_MS - READING_DELAY * TICK_MS;
        facts.reclaimable = until(state, Table::Reclaimable, before_ms)
            .iter()
            .map(|rest| key_number(&keys::last_part(rest)))
            .collect();
        facts
    }

    pub(super) fn is_referenced(&self, repository: u8) -> bool {
        self.links[usize::from(repository)] == Some(Hold::Referenced)
    }
}

fn hold(state: &Memory, repository: &str) -> Option<Hold> {
    let link = state.row(&keys::link(repository, DIGEST));
    let link = link.expect("a link that decodes")?;
    let references = keys::references(repository, DIGEST);
    Some(if state.any(&references).expect("a scan") {
        Hold::Referenced
    } else {
        Hold::Remaining(link.hold_until_ms.saturating_sub(NOW_MS) / TICK_MS)
    })
}
