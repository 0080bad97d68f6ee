//! Requests happen once, however often their command is proposed.
//!
//! A node numbers its requests; the answer to each is kept until the node says, in a later
//! command, that every lower number has been answered. A repeated number gets the kept answer.

use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::{Origin, Response};

use super::limits::REQUESTS_DROPPED_MAX;
use super::refusal::refuse;
use super::transaction::Transaction;
use super::view::{Fault, View, ViewExt};
use super::{Table, keys};

/// Looks a request up and drops a few that are answered. Returns its answer if it was answered
/// before or must not happen any more; `None` when it is to be executed.
pub(super) fn admit<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    origin: &Origin,
) -> Result<Option<Response>, Fault> {
    let key = keys::member(origin.node);
    let Some(mut member) = transaction.row(&key)? else {
        return Ok(Some(refuse(Reason::BootStale)));
    };
    if member.removed || member.boot != origin.boot {
        return Ok(Some(refuse(Reason::BootStale)));
    }
    if origin.lowest_outstanding > member.lowest_serial {
        member.lowest_serial = origin.lowest_outstanding;
        transaction.put(&key, &member);
    }
    drop_answered(transaction, origin, member.lowest_serial)?;
    if origin.serial < member.lowest_serial {
        // Its answer is gone, so whether it happened is not known here any more.
        return Ok(Some(refuse(Reason::SerialForgotten)));
    }
    transaction.row(&keys::request(origin.node, origin.boot, origin.serial))
}

/// Keeps the answer to a request.
pub(super) fn remember<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    origin: &Origin,
    response: &Response,
) {
    transaction.put(
        &keys::request(origin.node, origin.boot, origin.serial),
        response,
    );
}

/// Drops the first few requests of the node that lie below `lowest`, those of earlier boots
/// among them.
fn drop_answered<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    origin: &Origin,
    lowest: u64,
) -> Result<(), Fault> {
    let end = keys::request(origin.node, origin.boot, lowest);
    let oldest = transaction.keys(&keys::requests(origin.node), &[], REQUESTS_DROPPED_MAX)?;
    for key in oldest {
        if key.as_slice() >= end.bytes() {
            break;
        }
        transaction.delete_raw(Table::Requests, key);
    }
    Ok(())
}
