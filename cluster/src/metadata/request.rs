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

/// Nodes begin to number their requests with it in every boot.
const FIRST_SERIAL: u64 = 1;

/// Drops the first few answers of the node that nobody will ask for: first those of earlier boots,
/// which are looked for from where the last look ended, then those of this boot by their numbers,
/// without a look, whether they are there or not.
fn drop_answered<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    node: u64,
    member: &mut Member,
) -> Result<(), Fault> {
    if member.dropped_boot < member.boot {
        let from = keys::request(node, member.dropped_boot, member.dropped_serial);
        let end = keys::request(node, member.boot, 0);
        let oldest = transaction.keys(&keys::requests(node), from.bytes(), REQUESTS_DROPPED_MAX)?;
        let earlier = oldest
            .into_iter()
            .take_while(|key| key.as_slice() < end.bytes());
        let mut dropped = 0;
        for key in earlier {
            if let Some((boot, serial)) = keys::request_parts(&key) {
                (member.dropped_boot, member.dropped_serial) = (boot, serial.saturating_add(1));
            }
            transaction.delete_raw(Table::Requests, key);
            dropped += 1;
        }
        if dropped == REQUESTS_DROPPED_MAX {
            return Ok(());
        }
        (member.dropped_boot, member.dropped_serial) = (member.boot, FIRST_SERIAL);
    }
    let some = member
        .dropped_serial
        .saturating_add(REQUESTS_DROPPED_MAX as u64);
    let end = member.lowest_serial.min(some);
    for serial in member.dropped_serial..end {
        transaction.delete(&keys::request(node, member.boot, serial));
    }
    member.dropped_serial = end.max(member.dropped_serial);
    Ok(())
}
