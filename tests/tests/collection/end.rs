//! The end of a run: the store holds exactly what the manifests that are there need.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use roadstead_proto::Digest;
use roadstead_tests::{Registry, wait};

use super::measured::{WAITING, collected, waiting};
use super::worker::{Cut, Worker};

/// Longer than abandoned uploads live, and than collection takes to look at everything.
const QUIET: Duration = Duration::from_secs(90);

/// What was counted.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) objects: usize,
    pub(super) manifests: usize,
    /// Objects that the last process deleted because their time had come.
    pub(super) deleted: f64,
    /// Those that it found and nothing named.
    pub(super) orphans: f64,
    pub(super) took: Duration,
}

/// Waits until collection has nothing left, and counts object by object.
pub(super) fn check(registry: &Registry, workers: &mut [Worker<'_>]) -> Result<Counted, String> {
    let began = Instant::now();
    let settled = wait::poll(QUIET, || match settle(workers) {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        Err(complaint) => Some(Err(complaint)),
    });
    settled.unwrap_or_else(|| Err("manifests that nothing holds are still there".to_owned()))?;
    let expected = expected(workers);
    // A look at names only, until that fits; then each is read.
    let is_quiet = wait::poll(QUIET, || {
        let objects = registry.objects();
        let is_right = objects.finished == expected.len() && objects.partial == 0;
        let has_none = || {
            WAITING
                .iter()
                .all(|kind| waiting(registry, kind) == Some(0.0))
        };
        (is_right && has_none()).then_some(())
    });
    compare(registry, &expected, workers)?;
    if is_quiet.is_none() {
        let left = WAITING.map(|kind| (kind, waiting(registry, kind)));
        let objects = registry.objects();
        return Err(format!(
            "collection has not come to its end: {left:?}, {objects:?}"
        ));
    }
    let [deleted, orphans] = ["objects", "orphans"].map(|kind| collected(registry, kind));
    // The sweep is for what crashes leave, and must not hide that others leave their work to it.
    if orphans * 50.0 > deleted + 100.0 {
        return Err(format!(
            "{orphans} orphans, and {deleted} objects deleted in time"
        ));
    }
    let mut manifests = 0;
    for worker in workers.iter_mut() {
        manifests += worker.pull_all().map_err(told)?;
    }
    Ok(Counted {
        objects: expected.len(),
        manifests,
        deleted,
        orphans,
        took: began.elapsed(),
    })
}

fn told(cut: Cut) -> String {
    match cut {
        Cut::Gone(reason) => format!("no answer in the end: {reason}"),
        Cut::Wrong(complaint) => complaint,
    }
}

/// Whether every manifest is either there for ever or gone.
fn settle(workers: &mut [Worker<'_>]) -> Result<bool, String> {
    let mut is_settled = true;
    for worker in workers {
        is_settled &= worker.settle_manifests().map_err(told)?;
    }
    Ok(is_settled)
}

/// The blobs that manifests need.
fn expected(workers: &[Worker<'_>]) -> BTreeSet<Digest> {
    let records = workers.iter().flat_map(|worker| &worker.records);
    let manifests = records.flat_map(|record| record.present(Instant::now()));
    manifests
        .flat_map(|manifest| manifest.blobs.clone())
        .collect()
}

/// Each object is read and hashed: there is one of each expected digest, and no other.
fn compare(
    registry: &Registry,
    expected: &BTreeSet<Digest>,
    workers: &[Worker<'_>],
) -> Result<(), String> {
    let mut found: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    for (place, digest) in registry.digests() {
        found.entry(digest).or_default().push(place);
    }
    let mut complaints = Vec::new();
    let mut about = Vec::new();
    for digest in expected.iter().filter(|digest| !found.contains_key(digest)) {
        complaints.push(format!("{digest} is needed, and not in the store"));
        about.push(digest.clone());
    }
    for (digest, paths) in &found {
        if !expected.contains(digest) {
            complaints.push(format!("nothing needs {digest}, which is left: {paths:?}"));
            about.push(digest.clone());
        } else if paths.len() > 1 {
            complaints.push(format!("{digest} is there more than once: {paths:?}"));
            about.push(digest.clone());
        }
    }
    if complaints.is_empty() {
        return Ok(());
    }
    let history = workers
        .first()
        .map(|worker| worker.common.history.of(&about));
    let history = history.unwrap_or_default();
    Err(format!("{}\n{history}", complaints.join("\n")))
}
