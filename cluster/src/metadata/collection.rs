//! Commands of the collector. Each checks again what the collector saw: it may have slept.

use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{
    Condemn, Condemned, ExpireManifests, ExpireUploads, Expired, Forget, Response,
};
use roadstead_proto::rpc::state::{Manifest, Settings, object};

use super::apply::Moment;
use super::hold::{is_deleting, unlink};
use super::refusal::{answer, done};
use super::transaction::Transaction;
use super::view::{Fault, View, ViewExt};
use super::{deletion, keys, upload};

/// Removes links that no manifest references and whose hold is over; the others stay.
pub(super) fn condemn<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    condemn: &Condemn,
) -> Result<Response, Fault> {
    let mut condemned = Condemned::default();
    for name in &condemn.links {
        let (repository, digest) = (&name.repository, &name.digest);
        let Some(link) = transaction.row(&keys::link(repository, digest))? else {
            continue;
        };
        let is_held = link.hold_until_ms > moment.now_ms;
        if is_held || transaction.any(&keys::references(repository, digest))? {
            continue;
        }
        condemned.links += 1;
        if unlink(transaction, moment, repository, digest, &link)? {
            condemned.objects += 1;
        }
    }
    Ok(answer(Outcome::Condemned(condemned)))
}

/// Drops the rows of reclaimed objects that are gone from the store.
pub(super) fn forget<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    forget: &Forget,
) -> Result<Response, Fault> {
    for object_key in &forget.object_keys {
        let key = keys::object(object_key);
        let row = transaction.row(&key)?.unwrap_or_default();
        if let Some(object::State::Reclaimed(reclaimed)) = row.state {
            transaction.delete(&key);
            transaction.delete(&keys::reclaimable(reclaimed.since_ms, object_key));
        }
    }
    Ok(done())
}

/// Ends uploads that have the epoch and the age; the others go on.
pub(super) fn expire_uploads<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    expire: &ExpireUploads,
) -> Result<Response, Fault> {
    let settings = transaction.row(&keys::settings())?.unwrap_or_default();
    let age_ms = settings.upload_age_ms.unwrap_or_default();
    let mut expired = Expired::default();
    for name in &expire.uploads {
        let Some(row) = transaction.row(&keys::upload(&name.upload))? else {
            continue;
        };
        let is_old = moment.now_ms >= row.updated_at_ms.saturating_add(age_ms);
        if age_ms > 0 && is_old && row.epoch == name.epoch {
            upload::end(transaction, moment, &name.upload, row);
            expired.count += 1;
        }
    }
    Ok(answer(Outcome::Expired(expired)))
}

/// Deletes manifests that nothing held for the age in the settings; the others stay. One with a
/// living subject leaves `unheld` until that subject goes, so that nobody looks at it again.
pub(super) fn expire_manifests<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    expire: &ExpireManifests,
) -> Result<Response, Fault> {
    let settings = transaction.row(&keys::settings())?.unwrap_or_default();
    let mut expired = Expired::default();
    for name in &expire.manifests {
        let (repository, digest) = (&name.repository, &name.digest);
        let row = transaction.row(&keys::manifest(repository, digest))?;
        let Some(row) = row.filter(|row| !row.deleting) else {
            continue;
        };
        let Some(since_ms) = row.unheld_since_ms else {
            continue;
        };
        let due_ms = untagged_age_ms(&settings).map(|age_ms| since_ms.saturating_add(age_ms));
        if due_ms.is_none_or(|due_ms| due_ms > moment.now_ms)
            || is_deleting(transaction, repository)?
        {
            continue;
        }
        if has_living_subject(transaction, repository, &row)? {
            transaction.delete(&keys::unheld(since_ms, repository, digest));
            continue;
        }
        deletion::begin(transaction, moment, repository, digest, row)?;
        expired.count += 1;
    }
    Ok(answer(Outcome::Expired(expired)))
}

/// How long a manifest stays that nothing holds, in milliseconds; `None`: for ever. Never less than
/// a hold, so that who was told of it can use it for a grace.
pub fn untagged_age_ms(settings: &Settings) -> Option<u64> {
    let untagged = settings.untagged.as_ref()?;
    let hold_ms = settings.grace_ms.saturating_mul(2);
    (untagged.age_ms > 0).then_some(untagged.age_ms.max(hold_ms))
}

/// Whether the manifest refers to one that the repository holds.
pub(super) fn has_living_subject<V: View + ?Sized>(
    view: &V,
    repository: &str,
    manifest: &Manifest,
) -> Result<bool, Fault> {
    if manifest.subject.is_empty() {
        return Ok(false);
    }
    let subject = view.row(&keys::manifest(repository, &manifest.subject))?;
    Ok(subject.is_some_and(|subject| !subject.deleting))
}
