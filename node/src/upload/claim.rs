//! Taking an upload that this node has no session for, at its acknowledged offset.
//!
//! Who may take it is decided in `apply`, by the epoch. If the former owner let go, its key is
//! written on; otherwise the bytes move to a fresh key, which nobody else has ever written.

use roadstead_proto::digest::Hasher;
use roadstead_proto::rpc::metadata::ClaimUpload;
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::state;
use roadstead_proto::{RepositoryName, UploadId};
use roadstead_storage::{BlobWriter, Checkpoint, ObjectKey};
use uuid::Uuid;

use super::{Acknowledged, Tools, Upload};
use crate::error::RegistryError;

impl Upload {
    /// Claims the upload that has this row.
    ///
    /// # Errors
    /// [`RegistryError::UploadMoving`] when another owner was faster.
    pub async fn claim(
        tools: &Tools,
        id: UploadId,
        repository: &RepositoryName,
        row: &state::Upload,
    ) -> Result<Self, RegistryError> {
        let claim = claim_of(tools, id, row.epoch);
        let row = claimed_row(tools.propose(id, Action::ClaimUpload(claim)).await?)?;
        let object_key = parse_key(&row.object_key)?;
        let checkpoint = decode_checkpoint(&row)?;
        let former_key = match &checkpoint {
            Some(_) if !row.former_key.is_empty() => Some(parse_key(&row.former_key)?),
            _ => None,
        };
        let writer = match &checkpoint {
            Some(checkpoint) => {
                let former_key = former_key.as_ref();
                match open_writer(tools, &object_key, checkpoint, former_key).await {
                    Err(error) if is_lost(&error) => return Err(lost(tools, id, &error).await),
                    opened => Some(opened.map_err(RegistryError::store)?),
                }
            }
            None => None,
        };
        let is_taken_over = former_key.is_some();
        let algorithm = row.algorithm.parse().unwrap_or_default();
        let hasher = if row.offset == 0 {
            Some(Hasher::new(algorithm))
        } else {
            Hasher::restore(&row.hash_state)
        };
        let hash_state = row.hash_state.to_vec();
        let mut upload = Self {
            tools: tools.clone(),
            id,
            repository: repository.clone(),
            object_key,
            former_key,
            epoch: row.epoch,
            algorithm,
            writer,
            hasher,
            offset: row.offset,
            acknowledged: Acknowledged {
                offset: row.offset,
                hash_state,
                checkpoint,
            },
            _open: tools.metrics.upload_opened(),
        };
        if is_taken_over {
            // The checkpoint is the former key's: from here on there has to be one of our own.
            upload.checkpoint().await.map_err(|failure| failure.error)?;
        }
        Ok(upload)
    }
}

/// The writer that goes on at the checkpoint, which is under the former key if there is one.
async fn open_writer(
    tools: &Tools,
    object_key: &ObjectKey,
    checkpoint: &Checkpoint,
    former_key: Option<&ObjectKey>,
) -> roadstead_storage::Result<Box<dyn BlobWriter>> {
    match former_key {
        None => tools.store.resume(object_key, checkpoint).await,
        Some(former) => tools.store.take_over(former, checkpoint, object_key).await,
    }
}

/// Whether the store does not have what was acknowledged: somebody else has removed it.
fn is_lost(error: &roadstead_storage::Error) -> bool {
    use roadstead_storage::Error as E;
    matches!(
        error,
        E::NotFound { .. } | E::AlreadyExists { .. } | E::InvalidCheckpoint { .. }
    )
}

/// Ends an upload that nobody can go on with, so that its client begins another one.
async fn lost(tools: &Tools, id: UploadId, error: &roadstead_storage::Error) -> RegistryError {
    tracing::error!(%error, upload = %id, "the store has lost an upload; it is ended");
    match tools.cancel(id).await {
        Ok(()) | Err(RegistryError::UploadUnknown(_)) => {
            RegistryError::UploadUnknown(id.to_string())
        }
        Err(error) => error,
    }
}

/// A claim by this node, with a key that was never used.
pub(super) fn claim_of(tools: &Tools, id: UploadId, epoch_seen: u64) -> ClaimUpload {
    ClaimUpload {
        upload: id.to_string(),
        epoch_seen,
        owner: Some(tools.owner()),
        fresh_key: ObjectKey::for_upload(Uuid::new_v4()).to_string(),
    }
}

pub(super) fn claimed_row(outcome: Outcome) -> Result<state::Upload, RegistryError> {
    match outcome {
        Outcome::Claimed(claimed) => Ok(claimed.upload.unwrap_or_default()),
        _ => Err(RegistryError::internal(
            "a claim was answered with something else",
        )),
    }
}

pub(super) fn parse_key(text: &str) -> Result<ObjectKey, RegistryError> {
    text.parse()
        .map_err(|error: roadstead_storage::Error| RegistryError::Internal(error.into()))
}

fn decode_checkpoint(row: &state::Upload) -> Result<Option<Checkpoint>, RegistryError> {
    if row.checkpoint.is_empty() {
        return Ok(None);
    }
    let decoded = Checkpoint::decode(&row.checkpoint);
    decoded
        .map(Some)
        .map_err(|error| RegistryError::Internal(error.into()))
}
