//! The deletion of a whole repository, in steps.

use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::{DeleteRepository, Response};
use roadstead_proto::rpc::state::Deletion;

use super::apply::Moment;
use super::hold::unlink;
use super::keys;
use super::limits::{
    CONTENTS_PER_DELETION_STEP, LINKS_PER_DELETION_STEP, MANIFESTS_PER_DELETION_STEP,
    TAGS_PER_DELETION_STEP,
};
use super::manifest::{remove, remove_tag};
use super::refusal::{deletion, refuse};
use super::transaction::Transaction;
use super::view::{Fault, View, ViewExt};

/// From now on the repository reads as absent and refuses writes.
pub(super) fn delete<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    delete: &DeleteRepository,
) -> Result<Response, Fault> {
    let key = keys::repository(&delete.repository);
    let Some(mut row) = transaction.row(&key)?.filter(|row| !row.deleting) else {
        return Ok(refuse(Reason::RepositoryUnknown));
    };
    row.deleting = true;
    transaction.put(&key, &row);
    let deletion = keys::deletion(&delete.repository, "");
    transaction.put(&deletion, &Deletion::default());
    step(transaction, moment, &delete.repository)
}

/// Removes some tags; when there are none, some manifests; then some links; then the repository.
pub(super) fn step<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    repository: &str,
) -> Result<Response, Fault> {
    let tags = keys::tags(repository);
    let found = transaction.rows(&tags, &[], TAGS_PER_DELETION_STEP)?;
    for (key, row) in &found {
        let tag = keys::last_part(key);
        remove_tag(transaction, moment, repository, &tag, &row.digest)?;
    }
    if !found.is_empty() && transaction.any(&tags)? {
        return Ok(deletion(false));
    }
    if remove_manifests(transaction, moment, repository)? {
        return Ok(deletion(false));
    }
    let links = keys::links(repository);
    for (key, link) in transaction.rows(&links, &[], LINKS_PER_DELETION_STEP)? {
        let digest = keys::last_part(&key);
        unlink(transaction, moment, repository, &digest, &link)?;
    }
    if transaction.any(&links)? {
        return Ok(deletion(false));
    }
    transaction.delete(&keys::repository(repository));
    transaction.delete(&keys::deletion(repository, ""));
    Ok(deletion(true))
}

/// Removes some manifests, which have no tags any more. Returns whether there are more.
fn remove_manifests<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    repository: &str,
) -> Result<bool, Fault> {
    let manifests = keys::manifests(repository);
    let mut contents = 0;
    for key in transaction.keys(&manifests, &[], MANIFESTS_PER_DELETION_STEP)? {
        let digest = keys::last_part(&key);
        // Its own deletion may have begun before that of the repository.
        transaction.delete(&keys::deletion(repository, &digest));
        contents += remove(transaction, moment, repository, &digest)?;
        if contents >= CONTENTS_PER_DELETION_STEP {
            break;
        }
    }
    transaction.any(&manifests)
}
