//! Requests happen once, however often their command is proposed.
//!
//! A node numbers its requests; the answer to each is kept until the node says, in a later
//! command, that every lower number has been answered. A repeated number gets the kept answer.

use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::{Origin, Response};
use roadstead_proto::rpc::state::Member;

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
    let before = member.clone();
    member.lowest_serial = member.lowest_serial.max(origin.lowest_outstanding);
    drop_answered(transaction, origin.node, &mut member)?;
    if member != before {
        transaction.put(&key, &member);
    }
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

/// Drops the first few answers of the node that nobody will ask for, those of earlier boots among
/// them. The look begins where the last one ended, not at rows that were removed long ago.
fn drop_answered<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    node: u64,
    member: &mut Member,
) -> Result<(), Fault> {
    let from = keys::request(node, member.dropped_boot, member.dropped_serial);
    let end = keys::request(node, member.boot, member.lowest_serial);
    let oldest = transaction.keys(&keys::requests(node), from.bytes(), REQUESTS_DROPPED_MAX)?;
    for key in oldest {
        if key.as_slice() >= end.bytes() {
            break;
        }
        if let Some((boot, serial)) = keys::request_parts(&key) {
            (member.dropped_boot, member.dropped_serial) = (boot, serial.saturating_add(1));
        }
        transaction.delete_raw(Table::Requests, key);
    }
    Ok(())
}
