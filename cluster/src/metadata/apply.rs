//! `apply`: what a command does to the state. One line for each command.

use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::{Command, Response};
use roadstead_proto::rpc::state::Clock;

use super::transaction::Transaction;
use super::view::{Fault, View, ViewExt};
use super::{blob, collection, deletion, keys, manifest, membership, repository, request, upload};

/// When a command happens: the same on every replica.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Cluster time: the greatest that was ever stamped.
    pub(super) now_ms: u64,
    /// The proposer's wall clock, for people to read.
    pub(super) unix_ms: u64,
}

/// Applies one command. Deterministic: the outcome depends on the state and the command alone.
///
/// # Errors
/// A [`Fault`]: the state cannot be read, is corrupt, or the command is unknown. The node must
/// stop, and must not write the transaction.
pub fn apply<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    command: &Command,
) -> Result<Response, Fault> {
    let Some(action) = &command.action else {
        return Err(Fault::UnknownCommand);
    };
    let moment = advance_clock(transaction, command)?;
    let Some(origin) = &command.origin else {
        return dispatch(transaction, moment, action);
    };
    if let Some(answer) = request::admit(transaction, origin)? {
        return Ok(answer);
    }
    let response = dispatch(transaction, moment, action)?;
    request::remember(transaction, origin, &response);
    Ok(response)
}

fn dispatch<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    action: &Action,
) -> Result<Response, Fault> {
    match action {
        Action::FoundCluster(found) => membership::found(transaction, found),
        Action::AdmitNode(admit) => membership::admit_node(transaction, admit),
        Action::RemoveNode(remove) => membership::remove_node(transaction, remove.node),
        Action::StartNode(start) => membership::start_node(transaction, start),
        Action::RestoreCluster(restore) => membership::restore(transaction, restore),
        Action::ConfirmVerified(_) => membership::confirm_verified(transaction),
        Action::ConfirmMarker(confirm) => membership::confirm_marker(transaction, confirm),
        Action::ChangeSettings(change) => membership::change_settings(transaction, change),
        Action::RaiseFeatureLevel(raise) => membership::raise_feature_level(transaction, raise),

        Action::BeginUpload(begin) => upload::begin(transaction, moment, begin),
        Action::CheckpointUpload(at) => upload::checkpoint(transaction, moment, at),
        Action::ReleaseUpload(release) => upload::release(transaction, moment, release),
        Action::ClaimUpload(claim) => upload::claim(transaction, moment, claim),
        Action::CommitUpload(commit) => upload::commit(transaction, moment, commit),
        Action::CancelUpload(cancel) => upload::cancel(transaction, moment, cancel),

        Action::MountBlob(mount) => blob::mount(transaction, moment, mount),
        Action::DeleteBlob(delete) => blob::delete(transaction, moment, delete),
        Action::RenewHold(renew) => blob::renew_hold(transaction, moment, renew),
        Action::MarkDamaged(mark) => blob::mark_damaged(transaction, mark),

        Action::PutManifest(put) => manifest::put(transaction, moment, put),
        Action::DeleteManifest(delete) => deletion::delete_manifest(transaction, moment, delete),
        Action::ContinueDeletion(step) => deletion::go_on(transaction, moment, step),
        Action::DeleteTag(delete) => manifest::delete_tag(transaction, moment, delete),
        Action::DeleteRepository(delete) => repository::delete(transaction, moment, delete),

        Action::Condemn(condemn) => collection::condemn(transaction, moment, condemn),
        Action::Forget(forget) => collection::forget(transaction, forget),
        Action::ExpireUploads(expire) => collection::expire_uploads(transaction, moment, expire),
        Action::ExpireManifests(expire) => {
            collection::expire_manifests(transaction, moment, expire)
        }
    }
}

/// Cluster time never goes back, whatever a new leader's clock says.
fn advance_clock<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    command: &Command,
) -> Result<Moment, Fault> {
    let last = transaction.row(&keys::clock())?.unwrap_or_default();
    if command.now_ms > last.now_ms {
        transaction.put(
            &keys::clock(),
            &Clock {
                now_ms: command.now_ms,
            },
        );
    }
    Ok(Moment {
        now_ms: command.now_ms.max(last.now_ms),
        unix_ms: command.unix_ms,
    })
}
