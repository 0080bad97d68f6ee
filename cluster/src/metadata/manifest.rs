//! Commands about manifests and tags.
//!
//! A manifest is *held* while a tag points at it or an index of its repository contains it.
//! `unheld_since_ms` says since when that is not so, for policies that expire such manifests; a row
//! in `unheld` under that time leads the collector to it.

use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::{DeleteTag, PutManifest, Response};
use roadstead_proto::rpc::state::{Contents, Manifest, ManifestBody, Presence, Tag};

use super::apply::Moment;
use super::hold::{ensure_repository, is_deleting, renew, retain};
use super::keys;
use super::refusal::{done, refuse, refuse_naming};
use super::transaction::Transaction;
use super::view::{Fault, View, ViewExt};

/// end-7: the manifest is stored and the tags point at it, or nothing changes.
pub(super) fn put<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    put: &PutManifest,
) -> Result<Response, Fault> {
    let (repository, digest) = (put.repository.as_str(), put.digest.as_str());
    let mut counters = ensure_repository(transaction, moment, repository)?;
    let stored = transaction.row(&keys::manifest(repository, digest))?;
    if counters.deleting || stored.as_ref().is_some_and(|row| row.deleting) {
        return Ok(refuse(Reason::Deleting));
    }
    let missing = missing_contents(transaction, put)?;
    if !missing.is_empty() {
        return Ok(refuse_naming(Reason::BlobUnknown, missing));
    }
    let row = match stored {
        Some(row) => row,
        None => {
            counters.manifests += 1;
            store(transaction, moment, put)?
        }
    };
    for tag in &put.tags {
        let is_new = set_tag(transaction, moment, repository, tag, digest)?;
        counters.tags += u64::from(is_new);
    }
    transaction.put(&keys::repository(repository), &counters);
    // A tag of this push holds it, so that nobody has to look for another; what nothing holds
    // counts as unheld from now.
    let is_held = !put.tags.is_empty() || is_held(transaction, repository, digest)?;
    let since_ms = (!is_held).then_some(moment.now_ms);
    if row.unheld_since_ms != since_ms {
        set_unheld(transaction, repository, digest, row, since_ms);
    }
    Ok(done())
}

/// Everything that must be there and is not, or is damaged.
fn missing_contents<V: View + ?Sized>(
    transaction: &Transaction<'_, V>,
    put: &PutManifest,
) -> Result<Vec<String>, Fault> {
    let mut missing = Vec::new();
    for content in put.contents.iter().filter(|content| content.is_required) {
        let (repository, digest) = (put.repository.as_str(), content.digest.as_str());
        let is_there = if content.is_manifest {
            let row = transaction.row(&keys::manifest(repository, digest))?;
            row.is_some_and(|row| !row.deleting)
        } else {
            transaction.has(&keys::link(repository, digest))?
                && transaction
                    .row(&keys::blob(digest))?
                    .is_some_and(|blob| !blob.damaged)
        };
        if !is_there {
            missing.push(content.digest.clone());
        }
    }
    Ok(missing)
}

/// Writes the rows of a manifest that the repository did not hold, and returns its own.
fn store<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    put: &PutManifest,
) -> Result<Manifest, Fault> {
    let (repository, digest) = (put.repository.as_str(), put.digest.as_str());
    let row = Manifest {
        media_type: put.media_type.clone(),
        size: put.body.len() as u64,
        subject: put.subject.clone(),
        artifact_type: put.artifact_type.clone(),
        annotations: put.annotations.clone(),
        pushed_at_unix_ms: moment.unix_ms,
        unheld_since_ms: None,
        deleting: false,
    };
    transaction.put(&keys::manifest(repository, digest), &row);
    transaction.put(&keys::manifest_in(digest, repository), &Presence {});
    if !transaction.has(&keys::manifest_body(digest))? {
        transaction.put(
            &keys::manifest_body(digest),
            &ManifestBody {
                body: put.body.clone(),
            },
        );
    }
    if !put.subject.is_empty() {
        transaction.put(
            &keys::referrer(repository, &put.subject, digest),
            &Presence {},
        );
    }
    let digests = put
        .contents
        .iter()
        .map(|content| content.digest.clone())
        .collect();
    transaction.put(&keys::contents(repository, digest), &Contents { digests });
    for content in &put.contents {
        retain(transaction, repository, &content.digest)?;
        transaction.put(
            &keys::reference(repository, &content.digest, digest),
            &Presence {},
        );
        settle(transaction, moment, repository, &content.digest)?;
    }
    Ok(row)
}

/// Points a tag at a manifest of the repository, which the caller settles. Returns whether the tag
/// is new, which the caller counts.
fn set_tag<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    repository: &str,
    tag: &str,
    digest: &str,
) -> Result<bool, Fault> {
    let key = keys::tag(repository, tag);
    let former = transaction.row(&key)?;
    let row = Tag {
        digest: digest.to_owned(),
        updated_at_unix_ms: moment.unix_ms,
    };
    transaction.put(&key, &row);
    transaction.put(&keys::tagged_by(repository, digest, tag), &Presence {});
    let Some(former) = former else {
        return Ok(true);
    };
    if former.digest != digest {
        transaction.delete(&keys::tagged_by(repository, &former.digest, tag));
        settle(transaction, moment, repository, &former.digest)?;
    }
    Ok(false)
}

/// Removes a tag; the manifest stays, and begins to be unheld if that was its last one.
pub(super) fn remove_tag<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    repository: &str,
    tag: &str,
    digest: &str,
) -> Result<(), Fault> {
    transaction.delete(&keys::tag(repository, tag));
    transaction.delete(&keys::tagged_by(repository, digest, tag));
    let mut counters = ensure_repository(transaction, moment, repository)?;
    counters.tags = counters.tags.checked_sub(1).ok_or_else(|| {
        Fault::Corrupt(format!(
            "repository {repository} counts fewer tags than it has"
        ))
    })?;
    transaction.put(&keys::repository(repository), &counters);
    settle(transaction, moment, repository, digest)
}

/// Whether a tag points at the manifest or an index contains it.
fn is_held<V: View + ?Sized>(
    transaction: &Transaction<'_, V>,
    repository: &str,
    digest: &str,
) -> Result<bool, Fault> {
    Ok(transaction.any(&keys::tags_of(repository, digest))?
        || transaction.any(&keys::references(repository, digest))?)
}

/// Brings `unheld_since_ms` in line with whether the manifest is held.
pub(super) fn settle<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    repository: &str,
    digest: &str,
) -> Result<(), Fault> {
    let key = keys::manifest(repository, digest);
    let Some(row) = transaction.row(&key)? else {
        return Ok(());
    };
    let is_held = is_held(transaction, repository, digest)?;
    if is_held == row.unheld_since_ms.is_some() {
        let since_ms = (!is_held).then_some(moment.now_ms);
        set_unheld(transaction, repository, digest, row, since_ms);
    }
    Ok(())
}

/// Writes since when a manifest is unheld, and where the collector looks for it.
fn set_unheld<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    repository: &str,
    digest: &str,
    mut row: Manifest,
    since_ms: Option<u64>,
) {
    if let Some(former_ms) = row.unheld_since_ms {
        transaction.delete(&keys::unheld(former_ms, repository, digest));
    }
    if let Some(since_ms) = since_ms {
        transaction.put(&keys::unheld(since_ms, repository, digest), &Presence {});
    }
    row.unheld_since_ms = since_ms;
    transaction.put(&keys::manifest(repository, digest), &row);
}

/// An unheld manifest was seen or pushed again: it counts as unheld from now. Returns whether
/// there is such a manifest at all.
pub(super) fn renew_unheld<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    repository: &str,
    digest: &str,
) -> Result<bool, Fault> {
    let key = keys::manifest(repository, digest);
    let Some(row) = transaction.row(&key)?.filter(|row| !row.deleting) else {
        return Ok(false);
    };
    if row.unheld_since_ms.is_some() {
        set_unheld(transaction, repository, digest, row, Some(moment.now_ms));
    }
    Ok(true)
}

/// end-9 by tag.
pub(super) fn delete_tag<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    delete: &DeleteTag,
) -> Result<Response, Fault> {
    let (repository, tag) = (&delete.repository, &delete.tag);
    if is_deleting(transaction, repository)? {
        return Ok(refuse(Reason::TagUnknown));
    }
    let Some(row) = transaction.row(&keys::tag(repository, tag))? else {
        return Ok(refuse(Reason::TagUnknown));
    };
    remove_tag(transaction, moment, repository, tag, &row.digest)?;
    Ok(done())
}

/// Removes the rows of a manifest without tags, and lets go of all that it points at. Returns how
/// much that was.
pub(super) fn remove<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    repository: &str,
    digest: &str,
) -> Result<usize, Fault> {
    let key = keys::manifest(repository, digest);
    let absent = || Fault::Corrupt(format!("manifest {digest} of {repository} has no row"));
    let row = transaction.row(&key)?.ok_or_else(absent)?;
    transaction.delete(&key);
    if let Some(since_ms) = row.unheld_since_ms {
        transaction.delete(&keys::unheld(since_ms, repository, digest));
    }
    transaction.delete(&keys::manifest_in(digest, repository));
    if !transaction.any(&keys::holders_of_manifest(digest))? {
        transaction.delete(&keys::manifest_body(digest));
    }
    if !row.subject.is_empty() {
        transaction.delete(&keys::referrer(repository, &row.subject, digest));
    }
    let contents = keys::contents(repository, digest);
    let digests = transaction.row(&contents)?.unwrap_or_default().digests;
    for content in &digests {
        transaction.delete(&keys::reference(repository, content, digest));
        // A new hold begins when the last manifest goes.
        renew(transaction, moment, repository, content)?;
        settle(transaction, moment, repository, content)?;
    }
    transaction.delete(&contents);
    let mut counters = ensure_repository(transaction, moment, repository)?;
    counters.manifests = counters.manifests.checked_sub(1).ok_or_else(|| {
        Fault::Corrupt(format!(
            "repository {repository} counts fewer manifests than it has"
        ))
    })?;
    transaction.put(&keys::repository(repository), &counters);
    Ok(digests.len())
}
