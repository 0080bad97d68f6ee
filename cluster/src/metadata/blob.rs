//! Commands about blobs that are stored: mount, delete, renew, mark damaged.

use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::{DeleteBlob, MarkDamaged, MountBlob, RenewHold, Response};

use super::apply::Moment;
use super::hold::{is_deleting, link, renew, unlink};
use super::limits::REFERENCES_NAMED_MAX;
use super::refusal::{done, refuse, refuse_naming};
use super::transaction::Transaction;
use super::view::{Fault, View, ViewExt};
use super::{keys, manifest};

/// end-11: links a blob of another repository, whose bytes stay where they are.
pub(super) fn mount<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    mount: &MountBlob,
) -> Result<Response, Fault> {
    let target = transaction.row(&keys::repository(&mount.repository))?;
    if target.is_some_and(|row| row.deleting) {
        return Ok(refuse(Reason::Deleting));
    }
    let source = transaction.row(&keys::repository(&mount.from))?;
    let is_readable = source.is_some_and(|row| !row.deleting)
        && transaction.has(&keys::link(&mount.from, &mount.digest))?;
    let blob = transaction.row(&keys::blob(&mount.digest))?;
    // A damaged blob is to be pushed again, not spread.
    if !is_readable || blob.is_none_or(|blob| blob.damaged) {
        return Ok(refuse_naming(
            Reason::BlobUnknown,
            vec![mount.digest.clone()],
        ));
    }
    link(transaction, moment, &mount.repository, &mount.digest)?;
    Ok(done())
}

/// end-10: removes the blob from this repository, unless a manifest there needs it.
pub(super) fn delete<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    delete: &DeleteBlob,
) -> Result<Response, Fault> {
    let (repository, digest) = (&delete.repository, &delete.digest);
    let row = transaction.row(&keys::link(repository, digest))?;
    let is_deleting = is_deleting(transaction, repository)?;
    let Some(row) = row.filter(|_| !is_deleting) else {
        return Ok(refuse_naming(Reason::BlobUnknown, vec![digest.clone()]));
    };
    let references = keys::references(repository, digest);
    let manifests = transaction.keys(&references, &[], REFERENCES_NAMED_MAX)?;
    if !manifests.is_empty() {
        let names = manifests.iter().map(|key| keys::last_part(key)).collect();
        return Ok(refuse_naming(Reason::StillReferenced, names));
    }
    unlink(transaction, moment, repository, digest, &row)?;
    Ok(done())
}

/// Somebody is about to be told that these exist: refused if one of them is gone by now.
pub(super) fn renew_hold<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    hold: &RenewHold,
) -> Result<Response, Fault> {
    if is_deleting(transaction, &hold.repository)? {
        return Ok(refuse_naming(Reason::BlobUnknown, hold.digests.clone()));
    }
    let mut gone = Vec::new();
    for digest in &hold.digests {
        let is_link = renew(transaction, moment, &hold.repository, digest)?;
        let is_manifest = manifest::renew_unheld(transaction, moment, &hold.repository, digest)?;
        if !is_link && !is_manifest {
            gone.push(digest.clone());
        }
    }
    Ok(if gone.is_empty() {
        done()
    } else {
        refuse_naming(Reason::BlobUnknown, gone)
    })
}

/// The object under this key is missing or wrong, or right after all: if the digest still lies
/// there.
pub(super) fn mark_damaged<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    mark: &MarkDamaged,
) -> Result<Response, Fault> {
    let key = keys::blob(&mark.digest);
    match transaction.row(&key)? {
        Some(mut blob) if blob.object_key == mark.object_key => {
            blob.damaged = !mark.sound;
            transaction.put(&key, &blob);
            Ok(done())
        }
        _ => Ok(refuse_naming(
            Reason::BlobUnknown,
            vec![mark.digest.clone()],
        )),
    }
}
