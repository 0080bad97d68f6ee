//! Commands of the collector. Each checks again what the collector saw: it may have slept.

use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{Condemn, Condemned, Forget, Response};
use roadstead_proto::rpc::state::object;

use super::apply::Moment;
use super::hold::unlink;
use super::keys;
use super::refusal::{answer, done};
use super::transaction::Transaction;
use super::view::{Fault, View, ViewExt};

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
