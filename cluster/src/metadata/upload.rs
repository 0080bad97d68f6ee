//! Commands about uploads: who may write which object, how far it is, and when it becomes a blob.
//!
//! Every command carries the epoch that its sender knows. A claim raises it, so whatever a former
//! owner still proposes is refused, and whatever it still writes hits a key that nobody uses.

use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{
    BeginUpload, CancelUpload, CheckpointUpload, ClaimUpload, Claimed, CommitUpload, ReleaseUpload,
    Response,
};
use roadstead_proto::rpc::state::{Blob, Committed, Object, Upload, object};

use super::apply::Moment;
use super::hold::{is_deleting, link, reclaim, renew};
use super::limits::{COMMITTED_FOR_MS, COMMITTED_SWEPT_MAX};
use super::refusal::{answer, done, refuse, refuse_naming};
use super::transaction::Transaction;
use super::view::{Fault, View, ViewExt};
use super::{Table, keys};

/// The upload's row, if it has this epoch; otherwise the answer.
fn current<V: View + ?Sized>(
    transaction: &Transaction<'_, V>,
    upload: &str,
    epoch: u64,
) -> Result<Result<Upload, Response>, Fault> {
    Ok(match transaction.row(&keys::upload(upload))? {
        Some(row) if row.epoch == epoch => Ok(row),
        Some(_) => Err(refuse(Reason::EpochStale)),
        None => Err(refuse(Reason::UploadUnknown)),
    })
}

fn put_uploading<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    object_key: &str,
    upload: &str,
) {
    let object = Object {
        state: Some(object::State::Uploading(upload.to_owned())),
    };
    transaction.put(&keys::object(object_key), &object);
}

/// The former key of a take-over is needed no longer.
fn let_go_of_former<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    row: &mut Upload,
    checkpoint: Vec<u8>,
) {
    if !row.former_key.is_empty() {
        let former_key = std::mem::take(&mut row.former_key);
        reclaim(transaction, moment, &former_key, checkpoint, row.offset);
    }
}

/// A session begins. No object is created before this is applied.
pub(super) fn begin<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    begin: &BeginUpload,
) -> Result<Response, Fault> {
    if let Some(row) = transaction.row(&keys::upload(&begin.upload))? {
        let is_retry = row.epoch == 1 && row.object_key == begin.object_key;
        return Ok(if is_retry {
            done()
        } else {
            refuse(Reason::KeyUsed)
        });
    }
    if transaction.has(&keys::object(&begin.object_key))? {
        return Ok(refuse(Reason::KeyUsed));
    }
    if is_deleting(transaction, &begin.repository)? {
        return Ok(refuse(Reason::Deleting));
    }
    let row = Upload {
        repository: begin.repository.clone(),
        object_key: begin.object_key.clone(),
        algorithm: begin.algorithm.clone(),
        owner: begin.owner,
        epoch: 1,
        started_at_unix_ms: moment.unix_ms,
        updated_at_ms: moment.now_ms,
        ..Upload::default()
    };
    transaction.put(&keys::upload(&begin.upload), &row);
    put_uploading(transaction, &begin.object_key, &begin.upload);
    Ok(done())
}

/// Bytes are durable up to an offset that a client will be told.
pub(super) fn checkpoint<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    at: &CheckpointUpload,
) -> Result<Response, Fault> {
    let mut row = match current(transaction, &at.upload, at.epoch)? {
        Ok(row) => row,
        Err(refusal) => return Ok(refusal),
    };
    if at.offset < row.offset {
        return Ok(refuse(Reason::OffsetBehind));
    }
    let former_checkpoint = row.checkpoint.to_vec();
    let_go_of_former(transaction, moment, &mut row, former_checkpoint);
    row.offset = at.offset;
    row.hash_state = at.hash_state.clone();
    row.checkpoint = at.checkpoint.clone();
    row.updated_at_ms = moment.now_ms;
    transaction.put(&keys::upload(&at.upload), &row);
    Ok(done())
}

/// The owner lets go at a checkpoint: the next one may write on under the same key.
pub(super) fn release<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    release: &ReleaseUpload,
) -> Result<Response, Fault> {
    let at = CheckpointUpload {
        upload: release.upload.clone(),
        epoch: release.epoch,
        offset: release.offset,
        hash_state: release.hash_state.clone(),
        checkpoint: release.checkpoint.clone(),
    };
    let response = checkpoint(transaction, moment, &at)?;
    if let (Some(Outcome::Done(_)), Some(mut row)) = (
        &response.outcome,
        transaction.row(&keys::upload(&release.upload))?,
    ) {
        row.released = true;
        transaction.put(&keys::upload(&release.upload), &row);
    }
    Ok(response)
}

/// Another owner takes the upload: under its key if it was released, else under a fresh one.
pub(super) fn claim<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    claim: &ClaimUpload,
) -> Result<Response, Fault> {
    let Some(mut row) = transaction.row(&keys::upload(&claim.upload))? else {
        return Ok(refuse(Reason::UploadUnknown));
    };
    if row.epoch != claim.epoch_seen {
        // The fresh key is random, so only a retry of the claim that took it knows it.
        let is_retry = Some(row.epoch) == claim.epoch_seen.checked_add(1)
            && row.owner == claim.owner
            && row.object_key == claim.fresh_key;
        return Ok(if is_retry {
            claimed(row)
        } else {
            refuse(Reason::EpochStale)
        });
    }
    if row.released {
        row.released = false;
    } else {
        if transaction.has(&keys::object(&claim.fresh_key))? {
            return Ok(refuse(Reason::KeyUsed));
        }
        put_uploading(transaction, &claim.fresh_key, &claim.upload);
        let abandoned = std::mem::replace(&mut row.object_key, claim.fresh_key.clone());
        if row.former_key.is_empty() {
            row.former_key = abandoned;
        } else {
            // The key of a claimer that came to no checkpoint; the bytes are still the former's.
            reclaim(transaction, moment, &abandoned, Vec::new(), 0);
        }
    }
    row.epoch += 1;
    row.owner = claim.owner;
    row.updated_at_ms = moment.now_ms;
    transaction.put(&keys::upload(&claim.upload), &row);
    Ok(claimed(row))
}

fn claimed(row: Upload) -> Response {
    answer(Outcome::Claimed(Claimed { upload: Some(row) }))
}

/// The object is whole and has this digest: it becomes a blob of the repository.
pub(super) fn commit<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    commit: &CommitUpload,
) -> Result<Response, Fault> {
    let mut row = match current(transaction, &commit.upload, commit.epoch)? {
        Ok(row) => row,
        Err(refusal) => {
            return Ok(remembered(transaction, moment, commit)?.unwrap_or(refusal));
        }
    };
    if is_deleting(transaction, &row.repository)? {
        return Ok(refuse(Reason::Deleting));
    }
    let former_checkpoint = row.checkpoint.to_vec();
    let_go_of_former(transaction, moment, &mut row, former_checkpoint);
    let stored = transaction.row(&keys::blob(&commit.digest))?;
    if stored.as_ref().is_some_and(|blob| !blob.damaged) {
        reclaim(
            transaction,
            moment,
            &row.object_key,
            Vec::new(),
            commit.size,
        );
    } else {
        if let Some(damaged) = stored {
            let (key, size) = (&damaged.object_key, damaged.size);
            reclaim(transaction, moment, key, Vec::new(), size);
        }
        let object = Object {
            state: Some(object::State::Live(commit.digest.clone())),
        };
        transaction.put(&keys::object(&row.object_key), &object);
        let blob = Blob {
            size: commit.size,
            object_key: row.object_key.clone(),
            committed_at_unix_ms: moment.unix_ms,
            damaged: false,
        };
        transaction.put(&keys::blob(&commit.digest), &blob);
    }
    link(transaction, moment, &row.repository, &commit.digest)?;
    transaction.delete(&keys::upload(&commit.upload));
    remember_commit(
        transaction,
        moment,
        &commit.upload,
        &commit.digest,
        row.repository,
    )?;
    Ok(done())
}

/// The answer to a commit that happened before: yes, as long as its link is there.
fn remembered<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    commit: &CommitUpload,
) -> Result<Option<Response>, Fault> {
    let key = keys::committed(&commit.upload, &commit.digest);
    let Some(row) = transaction.row(&key)? else {
        return Ok(None);
    };
    if row.repository != commit.repository || row.expires_at_ms <= moment.now_ms {
        return Ok(None);
    }
    let is_linked = !is_deleting(transaction, &row.repository)?
        && renew(transaction, moment, &row.repository, &commit.digest)?;
    let unknown = || refuse_naming(Reason::BlobUnknown, vec![commit.digest.clone()]);
    Ok(Some(if is_linked { done() } else { unknown() }))
}

/// Remembers a commit and drops a few expired ones. Upload ids are random, so the rows that
/// follow this one are a random sample: the table stays within a third of an hour's commits.
fn remember_commit<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    upload: &str,
    digest: &str,
    repository: String,
) -> Result<(), Fault> {
    let key = keys::committed(upload, digest);
    let sample = transaction.rows(&keys::all_committed(), key.bytes(), COMMITTED_SWEPT_MAX)?;
    for (key, row) in sample {
        if row.expires_at_ms <= moment.now_ms {
            transaction.delete_raw(Table::Committed, key);
        }
    }
    let expires_at_ms = moment.now_ms.saturating_add(COMMITTED_FOR_MS);
    transaction.put(
        &key,
        &Committed {
            repository,
            expires_at_ms,
        },
    );
    Ok(())
}

/// The client does not want it any more, or its bytes turned out to be wrong.
pub(super) fn cancel<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    cancel: &CancelUpload,
) -> Result<Response, Fault> {
    let row = match current(transaction, &cancel.upload, cancel.epoch)? {
        Ok(row) => row,
        Err(refusal) => return Ok(refusal),
    };
    end(transaction, moment, &cancel.upload, row);
    Ok(done())
}

/// The upload will never become a blob: its objects go.
pub(super) fn end<V: View + ?Sized>(
    transaction: &mut Transaction<'_, V>,
    moment: Moment,
    upload: &str,
    mut row: Upload,
) {
    let checkpoint = row.checkpoint.to_vec();
    if row.former_key.is_empty() {
        reclaim(transaction, moment, &row.object_key, checkpoint, row.offset);
    } else {
        let_go_of_former(transaction, moment, &mut row, checkpoint);
        reclaim(transaction, moment, &row.object_key, Vec::new(), 0);
    }
    transaction.delete(&keys::upload(upload));
}
