//! Links and their holds: which repository holds which blob, and how long without a manifest.
//!
//! A link that no manifest of its repository references has a hold and a row in `candidates`
//! under the hold's end; a referenced link has no such row. Every function here keeps that true.

use roadstead_proto::rpc::state::{Link, Object, Presence, Reclaimed, Repository, object};

use super::apply::Moment;
use super::keys;
use super::transaction::Transaction;
use super::view::{Fault, View, ViewExt};

/// Twice the grace: a hold that is renewed when less than one grace remains lasts one grace at
/// least.
fn hold_until<V: View + ?Sized>(
    transaction: &Transaction<'_, V>,
    moment: Moment,
) -> Result<u64, Fault> {
    let settings = transaction.row(&keys::settings())?.unwrap_or_default();
    Ok(moment
        .now_ms
        .saturating_add(settings.grace_ms.saturating_mul(2)))
}

/// The repository's row, made if it is new.
pub(super) fn ensure_repository<V: View + ?Sized>(
    transaction: &Transaction<'_, V>,
    moment: Moment,
    name: &str,
) -> Result<Repository, Fault> {
    let fresh = || Repository {
        created_at_unix_ms: moment.unix_ms,
        ..Repository::default()
    };
    Ok(transaction
        .row(&keys::repository(name))?
        .unwrap_or_else(fresh))
}

/// Whether the repository is being deleted: it reads as absent and refuses writes.
pub(super) fn is_deleting<V: View + ?Sized>(
    transaction: &Transaction<'_, V>,
    repository: &str,
) -> Result<bool, Fault> {
    Ok(transaction
        .row(&keys::repository(repository))?
        .is_some_and(|row| row.deleting))
}

/// Links a blob into a repository, or renews its hold if it is there.
pub(super) fn link<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    repository: &str,
    digest: &str,
) -> Result<(), Fault> {
    if renew(transaction, moment, repository, digest)? {
        return Ok(());
    }
    let hold_until_ms = hold_until(transaction, moment)?;
    let link = Link {
        linked_at_unix_ms: moment.unix_ms,
        hold_until_ms,
    };
    transaction.put(&keys::link(repository, digest), &link);
    transaction.put(&keys::linked_in(digest, repository), &Presence {});
    // A manifest may have come before its blob, where validation is disabled.
    if !transaction.any(&keys::references(repository, digest))? {
        transaction.put(
            &keys::candidate(hold_until_ms, repository, digest),
            &Presence {},
        );
    }
    let mut row = ensure_repository(transaction, moment, repository)?;
    row.links += 1;
    transaction.put(&keys::repository(repository), &row);
    Ok(())
}

/// Renews the hold of a link without references. Returns whether there is a link at all.
pub(super) fn renew<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    repository: &str,
    digest: &str,
) -> Result<bool, Fault> {
    let key = keys::link(repository, digest);
    let Some(mut link) = transaction.row(&key)? else {
        return Ok(false);
    };
    if !transaction.any(&keys::references(repository, digest))? {
        transaction.delete(&keys::candidate(link.hold_until_ms, repository, digest));
        // A grace that was lowered since does not take back what a client was told before.
        link.hold_until_ms = hold_until(transaction, moment)?.max(link.hold_until_ms);
        transaction.put(&key, &link);
        transaction.put(
            &keys::candidate(link.hold_until_ms, repository, digest),
            &Presence {},
        );
    }
    Ok(true)
}

/// A manifest of the repository begins to reference the blob: it is no candidate any more.
/// Call it before the reference is written.
pub(super) fn retain<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    repository: &str,
    digest: &str,
) -> Result<(), Fault> {
    if let Some(link) = transaction.row(&keys::link(repository, digest))? {
        transaction.delete(&keys::candidate(link.hold_until_ms, repository, digest));
    }
    Ok(())
}

/// Removes a link that has no references. With the last one goes the blob record, and its object
/// is reclaimed. Returns whether an object was.
pub(super) fn unlink<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    repository: &str,
    digest: &str,
    link: &Link,
) -> Result<bool, Fault> {
    transaction.delete(&keys::link(repository, digest));
    transaction.delete(&keys::linked_in(digest, repository));
    transaction.delete(&keys::candidate(link.hold_until_ms, repository, digest));
    let mut row = ensure_repository(transaction, moment, repository)?;
    row.links = row.links.checked_sub(1).ok_or_else(|| {
        Fault::Corrupt(format!(
            "repository {repository} counts fewer links than it has"
        ))
    })?;
    transaction.put(&keys::repository(repository), &row);
    if transaction.any(&keys::holders_of_blob(digest))? {
        return Ok(false);
    }
    let Some(blob) = transaction.row(&keys::blob(digest))? else {
        return Err(Fault::Corrupt(format!(
            "{digest} was linked but has no blob record"
        )));
    };
    transaction.delete(&keys::blob(digest));
    reclaim(transaction, moment, &blob.object_key, Vec::new(), blob.size);
    Ok(true)
}

/// Nothing names the object any more: it waits for its deletion. `size` is what the store is rid
/// of then, in bytes, as far as the metadata know.
pub(super) fn reclaim<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    object_key: &str,
    checkpoint: Vec<u8>,
    size: u64,
) {
    let reclaimed = Reclaimed {
        since_ms: moment.now_ms,
        checkpoint: checkpoint.into(),
        size,
    };
    let object = Object {
        state: Some(object::State::Reclaimed(reclaimed)),
    };
    transaction.put(&keys::object(object_key), &object);
    transaction.put(&keys::reclaimable(moment.now_ms, object_key), &Presence {});
}
