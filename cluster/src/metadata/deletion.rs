//! Deletions that may take several commands, each of bounded work.
//!
//! From the first of them what is deleted reads as absent; a row in `deletions` stays until the
//! last, so that whoever finds it can go on.

use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::{ContinueDeletion, DeleteManifest, Response};
use roadstead_proto::rpc::state::{Deletion, Manifest};

use super::apply::Moment;
use super::hold::is_deleting;
use super::limits::{REFERRERS_PER_DELETION_STEP, TAGS_PER_DELETION_STEP};
use super::manifest::{remove, remove_tag, renew_unheld};
use super::refusal::{deletion, refuse};
use super::transaction::Transaction;
use super::view::{Fault, View, ViewExt};
use super::{keys, repository};

/// end-9 by digest: the manifest and the tags of the repository that point at it.
pub(super) fn delete_manifest<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    delete: &DeleteManifest,
) -> Result<Response, Fault> {
    let (repository, digest) = (&delete.repository, &delete.digest);
    let row = transaction.row(&keys::manifest(repository, digest))?;
    let Some(row) = row.filter(|row| !row.deleting) else {
        return Ok(refuse(Reason::ManifestUnknown));
    };
    if is_deleting(transaction, repository)? {
        return Ok(refuse(Reason::ManifestUnknown));
    }
    begin(transaction, moment, repository, digest, row)
}

/// From now on the manifest reads as absent; if little hangs on it, it is gone in this very step.
pub(super) fn begin<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    repository: &str,
    digest: &str,
    mut row: Manifest,
) -> Result<Response, Fault> {
    row.deleting = true;
    transaction.put(&keys::manifest(repository, digest), &row);
    step(transaction, moment, repository, digest, Deletion::default())
}

/// Goes on with a deletion; one that has ended is finished.
pub(super) fn go_on<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    next: &ContinueDeletion,
) -> Result<Response, Fault> {
    let (repository, digest) = (&next.repository, &next.digest);
    let Some(row) = transaction.row(&keys::deletion(repository, digest))? else {
        return Ok(deletion(true));
    };
    if digest.is_empty() {
        repository::step(transaction, moment, repository)
    } else {
        step(transaction, moment, repository, digest, row)
    }
}

/// Removes some tags, then tells some referrers, and in the end removes the manifest.
fn step<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    repository: &str,
    digest: &str,
    mut row: Deletion,
) -> Result<Response, Fault> {
    let key = keys::deletion(repository, digest);
    let tags = keys::tags_of(repository, digest);
    for tag in transaction.keys(&tags, &[], TAGS_PER_DELETION_STEP)? {
        let tag = keys::last_part(&tag);
        remove_tag(transaction, moment, repository, &tag, digest)?;
    }
    if transaction.any(&tags)? {
        transaction.put(&key, &row);
        return Ok(deletion(false));
    }
    let told = tell_referrers(transaction, moment, repository, digest, &row.last_referrer)?;
    if let Some(last_referrer) = told {
        row.last_referrer = last_referrer;
        transaction.put(&key, &row);
        return Ok(deletion(false));
    }
    remove(transaction, moment, repository, digest)?;
    transaction.delete(&key);
    Ok(deletion(true))
}

/// The subject holds its referrers no longer: those that nothing else holds are unheld from now.
/// Returns the last one that was told if more follow.
fn tell_referrers<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    repository: &str,
    subject: &str,
    last: &str,
) -> Result<Option<String>, Fault> {
    let prefix = keys::referrers(repository, subject);
    // What follows a whole key: that key and a zero.
    let from = [prefix.at(last).as_slice(), &[0]].concat();
    let from = if last.is_empty() { Vec::new() } else { from };
    let found = transaction.keys(&prefix, &from, REFERRERS_PER_DELETION_STEP + 1)?;
    let has_more = found.len() > REFERRERS_PER_DELETION_STEP;
    let mut told = None;
    for key in found.iter().take(REFERRERS_PER_DELETION_STEP) {
        let referrer = keys::last_part(key);
        renew_unheld(transaction, moment, repository, &referrer)?;
        told = Some(referrer);
    }
    Ok(told.filter(|_| has_more))
}
