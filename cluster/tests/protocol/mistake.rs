//! Seeded mistakes: each must make a property fail, so that the silence of the checker counts.

use roadstead_cluster::metadata::view::{Memory, ViewExt};
use roadstead_cluster::metadata::{Transaction, keys};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::{ClaimUpload, Condemn, ReleaseUpload};
use roadstead_proto::rpc::state::{Object, Reclaimed, object};

use super::universe::NOW_MS;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake {
    /// An upload is given a key that was in use before and is forgotten.
    ReusedKey,
    /// `Condemn` believes what the collector saw.
    NoSecondCheck,
    /// The sweep looks keys up first and lists then.
    LookUpBeforeList,
    /// A claim keeps the key of an upload that was not released.
    ClaimKeepsKey,
    /// The owner releases while a write is unanswered.
    ReleaseUnanswered,
    /// The sweep takes the key that an upload was taken over from.
    SweepTakesFormerKey,
    /// `HEAD` says 200 whatever remains of the hold.
    HeadRenewsNothing,
    /// Nobody sweeps.
    NoSweep,
}

/// `Condemn` without its second look: rows go as the collector saw them, referenced or held.
pub(super) fn condemn_unchecked(transaction: &mut Transaction<'_, Memory>, condemn: &Condemn) {
    for name in &condemn.links {
        let (repository, digest) = (&name.repository, &name.digest);
        let row = |transaction: &Transaction<'_, Memory>| {
            let link = transaction.row(&keys::link(repository, digest));
            link.expect("a link that decodes")
        };
        let Some(link) = row(transaction) else {
            continue;
        };
        transaction.delete(&keys::link(repository, digest));
        transaction.delete(&keys::linked_in(digest, repository));
        transaction.delete(&keys::candidate(link.hold_until_ms, repository, digest));
        let counters = transaction.row(&keys::repository(repository));
        let mut counters = counters.expect("counters").unwrap_or_default();
        counters.links -= 1;
        transaction.put(&keys::repository(repository), &counters);
        if transaction
            .any(&keys::holders_of_blob(digest))
            .expect("a scan")
        {
            continue;
        }
        let blob = transaction.row(&keys::blob(digest));
        let object_key = blob.expect("a blob").unwrap_or_default().object_key;
        transaction.delete(&keys::blob(digest));
        let reclaimed = Reclaimed {
            since_ms: NOW_MS,
            ..Reclaimed::default()
        };
        let object = Object {
            state: Some(object::State::Reclaimed(reclaimed)),
        };
        transaction.put(&keys::object(&object_key), &object);
        transaction.put(
            &keys::reclaimable(NOW_MS, &object_key),
            &roadstead_proto::rpc::state::Presence {},
        );
    }
}

/// The release that a mistaken claim pretends to have seen: what the row says, let go.
pub(super) fn pretended_release(state: &Memory, claim: &ClaimUpload) -> Action {
    let row = state.row(&keys::upload(&claim.upload));
    let row = row.expect("an upload that decodes").unwrap_or_default();
    Action::ReleaseUpload(ReleaseUpload {
        upload: claim.upload.clone(),
        epoch: claim.epoch_seen,
        offset: row.offset,
        hash_state: row.hash_state,
        checkpoint: row.checkpoint,
    })
}
