//! What must hold in every state, checked as a whole. For tests, and for `verify` later.
//!
//! The names follow `ARCHITECTURE.md`. A check reads every row, so that it is not for a hot path.

use std::collections::{BTreeMap, BTreeSet};

use roadstead_proto::rpc::state::{self, object};

use super::keys::{self, Prefix};
use super::view::{Fault, View, ViewExt};

/// Returns a sentence for everything that does not hold.
///
/// # Errors
/// [`Fault`], when a row does not even decode.
pub fn check<V: View + ?Sized>(view: &V) -> Result<Vec<String>, Fault> {
    let mut broken = Vec::new();
    check_blobs(view, &mut broken)?;
    check_candidates(view, &mut broken)?;
    check_objects(view, &mut broken)?;
    check_manifests(view, &mut broken)?;
    check_tags(view, &mut broken)?;
    check_counters(view, &mut broken)?;
    Ok(broken)
}

fn all<V: View + ?Sized, R: prost::Message + Default>(
    view: &V,
    table: keys::Table,
) -> Result<Vec<(Vec<u8>, R)>, Fault> {
    view.rows(&Prefix::whole(table), &[], usize::MAX)
}

/// A link has a blob record and its mirror; a record has a link; its object is live.
fn check_blobs<V: View + ?Sized>(view: &V, broken: &mut Vec<String>) -> Result<(), Fault> {
    let mut linked = BTreeSet::new();
    for (key, _) in all::<_, state::Link>(view, keys::Table::Links)? {
        let parts = keys::parts(&key);
        let (repository, digest) = (&parts[0], &parts[1]);
        linked.insert(digest.clone());
        if !view.has(&keys::blob(digest))? {
            broken.push(format!(
                "link of {digest} in {repository} has no blob record"
            ));
        }
        if !view.has(&keys::linked_in(digest, repository))? {
            broken.push(format!("link of {digest} in {repository} has no mirror"));
        }
    }
    for (key, _) in all::<_, state::Presence>(view, keys::Table::LinkedIn)? {
        let parts = keys::parts(&key);
        if !view.has(&keys::link(&parts[1], &parts[0]))? {
            broken.push(format!(
                "mirror of {} in {} has no link",
                parts[0], parts[1]
            ));
        }
    }
    for (key, blob) in all::<_, state::Blob>(view, keys::Table::Blobs)? {
        let digest = keys::last_part(&key);
        if !linked.contains(&digest) {
            broken.push(format!("blob {digest} is linked nowhere"));
        }
        let object = view
            .row(&keys::object(&blob.object_key))?
            .unwrap_or_default();
        if object.state != Some(object::State::Live(digest.clone())) {
            broken.push(format!("the object of {digest} is {:?}", object.state));
        }
    }
    Ok(())
}

/// A link is a candidate, at the end of its hold, exactly while no manifest references it.
fn check_candidates<V: View + ?Sized>(view: &V, broken: &mut Vec<String>) -> Result<(), Fault> {
    let mut expected = BTreeSet::new();
    for (key, link) in all::<_, state::Link>(view, keys::Table::Links)? {
        let parts = keys::parts(&key);
        if !view.any(&keys::references(&parts[0], &parts[1]))? {
            let key = keys::candidate(link.hold_until_ms, &parts[0], &parts[1]);
            expected.insert(key.bytes().to_vec());
        }
    }
    let found = all::<_, state::Presence>(view, keys::Table::Candidates)?;
    let found: BTreeSet<_> = found.into_iter().map(|(key, _)| key).collect();
    if found != expected {
        broken.push("the candidates are not the links without references".to_owned());
    }
    Ok(())
}

/// Every object is named by exactly what its state says.
fn check_objects<V: View + ?Sized>(view: &V, broken: &mut Vec<String>) -> Result<(), Fault> {
    let mut reclaimed = BTreeSet::new();
    for (key, object) in all::<_, state::Object>(view, keys::Table::Objects)? {
        let object_key = keys::last_part(&key);
        let holds = match object.state {
            Some(object::State::Uploading(upload)) => view
                .row(&keys::upload(&upload))?
                .is_some_and(|row| row.object_key == object_key || row.former_key == object_key),
            Some(object::State::Live(digest)) => view
                .row(&keys::blob(&digest))?
                .is_some_and(|row| row.object_key == object_key),
            Some(object::State::Reclaimed(row)) => {
                reclaimed.insert(
                    keys::reclaimable(row.since_ms, &object_key)
                        .bytes()
                        .to_vec(),
                );
                true
            }
            None => false,
        };
        if !holds {
            broken.push(format!("object {object_key} is not what its state says"));
        }
    }
    let found = all::<_, state::Presence>(view, keys::Table::Reclaimable)?;
    if found
        .into_iter()
        .map(|(key, _)| key)
        .collect::<BTreeSet<_>>()
        != reclaimed
    {
        broken.push("the reclaimable rows are not the reclaimed objects".to_owned());
    }
    for (key, row) in all::<_, state::Upload>(view, keys::Table::Uploads)? {
        let upload = keys::last_part(&key);
        for object_key in [&row.object_key, &row.former_key] {
            let object = view.row(&keys::object(object_key))?.unwrap_or_default();
            let is_own = object.state == Some(object::State::Uploading(upload.clone()));
            if !object_key.is_empty() && !is_own {
                broken.push(format!(
                    "upload {upload} writes to {object_key}, not its own"
                ));
            }
        }
        if row.released && !row.former_key.is_empty() {
            broken.push(format!("upload {upload} was released without a checkpoint"));
        }
    }
    Ok(())
}

/// A manifest has its body, mirror and contents; what it points at has a reference, and only that.
fn check_manifests<V: View + ?Sized>(view: &V, broken: &mut Vec<String>) -> Result<(), Fault> {
    let (mut references, mut referrers, mut held_in) = (BTreeSet::new(), BTreeSet::new(), 0);
    let unheld = view.keys(&keys::all_unheld(), &[], usize::MAX)?;
    let mut unheld: BTreeSet<Vec<u8>> = unheld.into_iter().collect();
    for (key, row) in all::<_, state::Manifest>(view, keys::Table::Manifests)? {
        let parts = keys::parts(&key);
        let (repository, digest) = (parts[0].as_str(), parts[1].as_str());
        held_in += 1;
        let body = view.row(&keys::manifest_body(digest))?;
        if body.is_none_or(|body| body.body.len() as u64 != row.size) {
            broken.push(format!("manifest {digest} has no body of its size"));
        }
        if !view.has(&keys::manifest_in(digest, repository))? {
            broken.push(format!("manifest {digest} has no mirror for {repository}"));
        }
        for content in view
            .row(&keys::contents(repository, digest))?
            .unwrap_or_default()
            .digests
        {
            references.insert(
                keys::reference(repository, &content, digest)
                    .bytes()
                    .to_vec(),
            );
        }
        if !row.subject.is_empty() {
            let key = keys::referrer(repository, &row.subject, digest);
            referrers.insert(key.bytes().to_vec());
        }
        let is_held = view.any(&keys::tags_of(repository, digest))?
            || view.any(&keys::references(repository, digest))?;
        if is_held == row.unheld_since_ms.is_some() {
            broken.push(format!(
                "manifest {digest} of {repository} is held and unheld at once"
            ));
        }
        if row.deleting != view.has(&keys::deletion(repository, digest))? {
            broken.push(format!(
                "the deletion of {digest} of {repository} is not listed"
            ));
        }
        if let Some(since_ms) = row.unheld_since_ms {
            let key = keys::unheld(since_ms, repository, digest);
            if !unheld.remove(key.bytes()) && !will_be_told(view, repository, digest, &row)? {
                broken.push(format!("nobody would find unheld {digest} of {repository}"));
            }
        }
    }
    if !unheld.is_empty() {
        broken.push("there are rows of unheld manifests that are held or gone".to_owned());
    }
    let rows = |table| -> Result<BTreeSet<Vec<u8>>, Fault> {
        Ok(all::<_, state::Presence>(view, table)?
            .into_iter()
            .map(|(key, _)| key)
            .collect())
    };
    if rows(keys::Table::References)? != references {
        broken.push("the references are not what the manifests point at".to_owned());
    }
    if rows(keys::Table::Referrers)? != referrers {
        broken.push("the referrers are not the manifests with a subject".to_owned());
    }
    if rows(keys::Table::ManifestIn)?.len() != held_in {
        broken.push("there are mirrors of manifests that are not there".to_owned());
    }
    check_left_over(view, broken)
}

/// An unheld manifest without a row in `unheld` has a subject that will lead the collector back to
/// it, or goes with its repository.
fn will_be_told<V: View + ?Sized>(
    view: &V,
    repository: &str,
    digest: &str,
    manifest: &state::Manifest,
) -> Result<bool, Fault> {
    let in_repository = view.row(&keys::repository(repository))?;
    if in_repository.is_some_and(|row| row.deleting) {
        return Ok(true);
    }
    let Some(subject) = view.row(&keys::manifest(repository, &manifest.subject))? else {
        return Ok(false);
    };
    let deletion = view.row(&keys::deletion(repository, &manifest.subject))?;
    let last = deletion.map(|row| row.last_referrer).unwrap_or_default();
    Ok(!subject.deleting || last.as_str() < digest)
}

/// What belongs to a manifest goes with it.
fn check_left_over<V: View + ?Sized>(view: &V, broken: &mut Vec<String>) -> Result<(), Fault> {
    for table in [keys::Table::Contents, keys::Table::Deletions] {
        for (key, _) in view.scan(table, &[], &[], usize::MAX)? {
            let parts = keys::parts(&key);
            let is_there = if parts[1].is_empty() {
                let repository = view.row(&keys::repository(&parts[0]))?;
                repository.is_some_and(|row| row.deleting)
            } else {
                view.has(&keys::manifest(&parts[0], &parts[1]))?
            };
            if !is_there {
                let (name, [repository, digest]) = (table.name(), [&parts[0], &parts[1]]);
                broken.push(format!("{name} of {digest} of {repository} were left over"));
            }
        }
    }
    for (key, _) in view.scan(keys::Table::ManifestBodies, &[], &[], usize::MAX)? {
        let digest = keys::last_part(&key);
        if !view.any(&keys::holders_of_manifest(&digest))? {
            broken.push(format!("the body of {digest} was left over"));
        }
    }
    Ok(())
}

/// A tag points at a manifest of its repository, and the mirror agrees.
fn check_tags<V: View + ?Sized>(view: &V, broken: &mut Vec<String>) -> Result<(), Fault> {
    let mut mirrors = BTreeSet::new();
    for (key, row) in all::<_, state::Tag>(view, keys::Table::Tags)? {
        let parts = keys::parts(&key);
        if !view.has(&keys::manifest(&parts[0], &row.digest))? {
            broken.push(format!(
                "tag {} of {} points at nothing",
                parts[1], parts[0]
            ));
        }
        mirrors.insert(
            keys::tagged_by(&parts[0], &row.digest, &parts[1])
                .bytes()
                .to_vec(),
        );
    }
    let found = all::<_, state::Presence>(view, keys::Table::TaggedBy)?;
    if found
        .into_iter()
        .map(|(key, _)| key)
        .collect::<BTreeSet<_>>()
        != mirrors
    {
        broken.push("the tags and their mirror disagree".to_owned());
    }
    Ok(())
}

/// Counters equal their recount; a repository that is being deleted is listed as that.
fn check_counters<V: View + ?Sized>(view: &V, broken: &mut Vec<String>) -> Result<(), Fault> {
    let mut counted: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    let tables = [
        keys::Table::Manifests,
        keys::Table::Tags,
        keys::Table::Links,
    ];
    for (column, table) in tables.into_iter().enumerate() {
        for (key, _) in view.scan(table, &[], &[], usize::MAX)? {
            let repository = keys::parts(&key).swap_remove(0);
            counted.entry(repository).or_default()[column] += 1;
        }
    }
    for (key, row) in all::<_, state::Repository>(view, keys::Table::Repositories)? {
        let name = keys::last_part(&key);
        let counters = [row.manifests, row.tags, row.links];
        if counted.remove(&name).unwrap_or_default() != counters {
            broken.push(format!("repository {name} counts {counters:?} wrongly"));
        }
        if row.deleting != view.has(&keys::deletion(&name, ""))? {
            broken.push(format!("the deletion of {name} is not listed"));
        }
    }
    for name in counted.keys() {
        broken.push(format!("repository {name} has rows but no row of its own"));
    }
    Ok(())
}
