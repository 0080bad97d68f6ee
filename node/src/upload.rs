//! `Upload`: one upload of a blob, as its owner works on it.
//!
//! Bytes go to the object store and through the hasher as they come. An offset is *acknowledged*
//! when a client may be told it: then the bytes before it are durable in the store and the
//! metadata know where they are. What lies beyond may be lost or dropped.
//!
//! Not here: who owns the upload (decided in `apply`), and one request at a time (the actor).

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use roadstead_cluster::metadata::View;
use roadstead_cluster::{Metadata, read};
use roadstead_proto::digest::Hasher;
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{
    BeginUpload, CancelUpload, CheckpointUpload, CommitUpload, Forget, ReleaseUpload,
};
use roadstead_proto::rpc::state;
use roadstead_proto::{Algorithm, Digest, RepositoryName, UploadId};
use roadstead_storage::{BlobStore, BlobWriter, Checkpoint, ObjectKey};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::{Refused, RegistryError, outcome};
use crate::limits::UPLOAD_KNOWN_LOOK;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::UploadOpen;

mod claim;
mod moving;

/// A piece of a request's body. A channel that closes without `End` is a body that broke off.
#[derive(Debug)]
pub enum Piece {
    /// The next bytes.
    Data(Bytes),
    /// The body is whole.
    End,
}

/// The chunk that a request carries.
#[derive(Debug)]
pub struct Chunk {
    /// Where it begins, if the request says so (`Content-Range`).
    pub start: Option<u64>,
    /// How long it is, if the request says so.
    pub length: Option<u64>,
    /// The bytes.
    pub body: mpsc::Receiver<Piece>,
}

/// What an upload works with.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Where uploads are recorded.
    pub metadata: Metadata,
    /// Where bytes go.
    pub store: Arc<dyn BlobStore>,
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
}

/// An upload that this node owns.
#[derive(Debug)]
pub struct Upload {
    tools: Tools,
    id: UploadId,
    repository: RepositoryName,
    object_key: ObjectKey,
    // Where the acknowledged checkpoint is, if not under `object_key`: the row's former key.
    former_key: Option<ObjectKey>,
    epoch: u64,
    // What is computed as bytes come in.
    algorithm: Algorithm,
    // `None` before the first byte.
    writer: Option<Box<dyn BlobWriter>>,
    // `None` when a saved state could not be read: the digest is then computed from the object.
    hasher: Option<Hasher>,
    // Bytes taken in. Invariant: not before `acknowledged.offset`.
    offset: u64,
    acknowledged: Acknowledged,
    // Counts it as open for as long as it lives.
    _open: UploadOpen,
}

/// The last state that a client may have been told of.
#[derive(Debug, Clone, Default)]
struct Acknowledged {
    offset: u64,
    hash_state: Vec<u8>,
    checkpoint: Option<Checkpoint>,
}

/// Whether an upload can go on after an error.
#[derive(Debug)]
pub struct Failure {
    /// What to answer.
    pub error: RegistryError,
    /// Whether the value is still good; otherwise it must be dropped, and the next request claims
    /// the upload at its acknowledged offset.
    pub is_usable: bool,
}

impl Failure {
    fn usable(error: RegistryError) -> Self {
        Self {
            error,
            is_usable: true,
        }
    }

    fn broken(error: RegistryError) -> Self {
        Self {
            error,
            is_usable: false,
        }
    }
}

fn refused(id: UploadId, refused: Refused) -> RegistryError {
    match refused.reason {
        Reason::UploadUnknown => RegistryError::UploadUnknown(id.to_string()),
        _ => refused.other(),
    }
}

impl Tools {
    fn owner(&self) -> state::Owner {
        state::Owner {
            node: self.metadata.identity().node,
            boot: self.metadata.boot(),
        }
    }

    async fn propose(&self, id: UploadId, action: Action) -> Result<Outcome, RegistryError> {
        let response = self
            .metadata
            .propose(action)
            .await
            .map_err(RegistryError::metadata)?;
        outcome(response).map_err(|refusal| refused(id, refusal))
    }

    /// Ends an upload, whoever owns it. Its bytes are left to the collector.
    pub async fn cancel(&self, id: UploadId) -> Result<(), RegistryError> {
        let upload = id.to_string();
        let row = self
            .metadata
            .read(|view| read::upload(view, &upload))
            .await
            .map_err(RegistryError::metadata)?;
        let Some(row) = row else {
            return Err(RegistryError::UploadUnknown(upload));
        };
        let epoch = row.epoch;
        self.propose(id, Action::CancelUpload(CancelUpload { upload, epoch }))
            .await
            .map(drop)
    }

    /// end-6 for an upload that is gone: yes, if this very commit happened before.
    pub async fn repeat_commit(
        &self,
        id: UploadId,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let (upload, text) = (id.to_string(), digest.to_string());
        let is_remembered = |view: &dyn View| read::is_committed(view, &upload, &text);
        let is_remembered = self.metadata.read(is_remembered).await;
        if !is_remembered.map_err(RegistryError::metadata)? {
            return Err(RegistryError::UploadUnknown(id.to_string()));
        }
        let commit = CommitUpload {
            upload: id.to_string(),
            epoch: 0,
            digest: digest.to_string(),
            size: 0,
            repository: repository.to_string(),
        };
        let response = self.metadata.propose(Action::CommitUpload(commit)).await;
        match outcome(response.map_err(RegistryError::metadata)?) {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.reason == Reason::BlobUnknown => {
                Err(RegistryError::BlobUnknown(digest.clone()))
            }
            Err(refusal) => Err(refused(id, refusal)),
        }
    }
}

impl Upload {
    /// end-4: records a new upload. Nothing is written to the store yet.
    pub async fn begin(
        tools: &Tools,
        repository: &RepositoryName,
        algorithm: Algorithm,
    ) -> Result<Self, RegistryError> {
        let id = UploadId::new(Uuid::new_v4());
        let object_key = ObjectKey::for_upload(Uuid::new_v4());
        let begin = BeginUpload {
            upload: id.to_string(),
            repository: repository.to_string(),
            object_key: object_key.to_string(),
            algorithm: algorithm.name().to_owned(),
            owner: Some(tools.owner()),
        };
        tools.propose(id, Action::BeginUpload(begin)).await?;
        let hasher = Hasher::new(algorithm);
        Ok(Self {
            tools: tools.clone(),
            id,
            repository: repository.clone(),
            object_key,
            former_key: None,
            epoch: 1,
            algorithm,
            writer: None,
            acknowledged: Acknowledged {
                hash_state: hasher.save(),
                ..Acknowledged::default()
            },
            hasher: Some(hasher),
            offset: 0,
            _open: tools.metrics.upload_opened(),
        })
    }

    /// The id.
    pub fn id(&self) -> UploadId {
        self.id
    }

    /// The repository that it was begun in.
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// Takes in the bytes of a chunk. A body that breaks off leaves those that came.
    pub async fn append(&mut self, chunk: Chunk) -> Result<(), Failure> {
        let Chunk {
            start,
            length,
            mut body,
        } = chunk;
        self.seek(start).await?;
        let (begin, mut looked) = (self.offset, Instant::now());
        loop {
            match body.recv().await {
                Some(Piece::Data(data)) => self.write(data).await?,
                Some(Piece::End) => break,
                None => return Err(self.break_off(RegistryError::BodyBroken).await),
            }
            if looked.elapsed() >= UPLOAD_KNOWN_LOOK {
                looked = Instant::now();
                self.check_known().await?;
            }
        }
        let actual = self.offset - begin;
        match length {
            Some(expected) if expected != actual => {
                self.rewind().await?;
                Err(Failure::usable(RegistryError::SizeMismatch {
                    expected,
                    actual,
                }))
            }
            _ => Ok(()),
        }
    }

    /// Has the store hold what came of a body that is not taken in further: nobody knows whether
    /// there will be more, and memory that it holds is missing to others.
    async fn break_off(&mut self, reason: RegistryError) -> Failure {
        let stored = match &mut self.writer {
            Some(writer) => writer.checkpoint().await.map(drop),
            None => Ok(()),
        };
        match stored {
            Ok(()) => Failure::usable(reason),
            Err(error) => Failure::broken(RegistryError::store(error)),
        }
    }

    /// Goes to where the chunk begins: here, or back at what was acknowledged.
    async fn seek(&mut self, start: Option<u64>) -> Result<(), Failure> {
        let acknowledged = self.acknowledged.offset;
        match start.unwrap_or(acknowledged) {
            start if start == self.offset => Ok(()),
            start if start == acknowledged => self.rewind().await,
            found => {
                let offset = acknowledged;
                Err(Failure::usable(RegistryError::RangeOutOfOrder {
                    found,
                    offset,
                }))
            }
        }
    }

    async fn write(&mut self, data: Bytes) -> Result<(), Failure> {
        let broken = |error| Failure::broken(RegistryError::store(error));
        if self
            .writer
            .as_ref()
            .is_some_and(|writer| writer.is_sealed())
        {
            if data.is_empty() {
                return Ok(());
            }
            self.move_on().await?;
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let created = self.tools.store.create(&self.object_key).await;
                self.writer.insert(created.map_err(broken)?)
            }
        };
        let length = data.len() as u64;
        // The driver writes behind: the bytes are hashed while it does.
        match writer.write(data.clone()).await {
            Ok(()) => {}
            Err(error @ roadstead_storage::Error::NoMemory { .. }) => {
                return Err(self.break_off(RegistryError::store(error)).await);
            }
            Err(error) => {
                self.drop_object().await;
                return Err(broken(error));
            }
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&data);
        }
        self.offset += length;
        self.tools.metrics.upload_bytes_received(length);
        Ok(())
    }

    /// Makes room at once where a write failed, which a full disk needs most: nothing under the key
    /// was acknowledged, so whoever goes on begins under a fresh key.
    async fn drop_object(&mut self) {
        drop(self.writer.take());
        if self.acknowledged.checkpoint.is_some() && self.former_key.is_none() {
            return;
        }
        let keys = std::slice::from_ref(&self.object_key);
        for deleted in self.tools.store.delete(keys).await {
            if let Err(error) = deleted {
                tracing::debug!(%error, upload = %self.id, "what was written stays for now");
            }
        }
    }

    /// Makes everything taken in durable and known, and returns the offset to tell.
    pub async fn acknowledge(&mut self) -> Result<u64, Failure> {
        if self.offset != self.acknowledged.offset {
            self.checkpoint().await?;
        } else {
            self.check_known().await?;
        }
        Ok(self.offset)
    }

    /// Whether the upload is still this one's: it may have expired, been cancelled or claimed.
    async fn check_known(&self) -> Result<(), Failure> {
        let id = self.id.to_string();
        let row = self
            .tools
            .metadata
            .read(|view| read::upload(view, &id))
            .await;
        let row = row.map_err(|error| Failure::broken(RegistryError::metadata(error)))?;
        match row {
            Some(row) if row.epoch == self.epoch => Ok(()),
            Some(_) => Err(Failure::broken(RegistryError::UploadMoving)),
            None => Err(Failure::broken(RegistryError::UploadUnknown(id))),
        }
    }

    /// Makes everything taken in durable under this upload's own key, and has it recorded.
    async fn checkpoint(&mut self) -> Result<(), Failure> {
        let Some(writer) = &mut self.writer else {
            return Err(Failure::broken(RegistryError::internal(
                "bytes without a writer",
            )));
        };
        let broken = |error| Failure::broken(RegistryError::store(error));
        let checkpoint = writer.checkpoint().await.map_err(broken)?;
        let hash_state = self.hasher.as_ref().map(Hasher::save).unwrap_or_default();
        let at = CheckpointUpload {
            upload: self.id.to_string(),
            epoch: self.epoch,
            offset: self.offset,
            hash_state: hash_state.clone().into(),
            checkpoint: checkpoint.encode().into(),
        };
        let proposed = self
            .tools
            .propose(self.id, Action::CheckpointUpload(at))
            .await;
        proposed.map_err(Failure::broken)?;
        self.acknowledged = Acknowledged {
            offset: self.offset,
            hash_state,
            checkpoint: Some(checkpoint),
        };
        // By the same command it was reclaimed.
        self.former_key = None;
        writer.checkpoint_applied().await.map_err(broken)
    }

    /// The digest will be of this algorithm: as long as nothing came in, hash with that one.
    pub fn expect(&mut self, algorithm: Algorithm) {
        if self.offset == 0 {
            self.algorithm = algorithm;
            self.hasher = Some(Hasher::new(algorithm));
        }
    }

    /// end-6: the object is whole; if it has the digest, it becomes a blob of the repository.
    pub async fn commit(mut self, digest: &Digest) -> Result<(), RegistryError> {
        if let Some(hasher) = self
            .hasher
            .take()
            .filter(|h| h.algorithm() == digest.algorithm())
        {
            let actual = hasher.finish();
            if actual != *digest {
                return self.refuse_content(digest, actual).await;
            }
            self.finish().await?;
        } else {
            self.finish().await?;
            let actual = self.read_back(digest.algorithm()).await?;
            if actual != *digest {
                return self.refuse_content(digest, actual).await;
            }
        }
        let commit = CommitUpload {
            upload: self.id.to_string(),
            epoch: self.epoch,
            digest: digest.to_string(),
            size: self.offset,
            repository: self.repository.to_string(),
        };
        self.tools
            .propose(self.id, Action::CommitUpload(commit))
            .await
            .map(drop)
    }

    async fn refuse_content(self, expected: &Digest, actual: Digest) -> Result<(), RegistryError> {
        let expected = expected.clone();
        match self.cancel().await {
            // It was sent again, since an answer was lost.
            Ok(()) | Err(RegistryError::UploadUnknown(_)) => {
                Err(RegistryError::DigestMismatch { expected, actual })
            }
            Err(error) => Err(error),
        }
    }

    async fn finish(&mut self) -> Result<(), RegistryError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            // An empty blob is a blob.
            None => self
                .tools
                .store
                .create(&self.object_key)
                .await
                .map_err(RegistryError::store)?,
        };
        let size = writer.finish().await.map_err(RegistryError::store)?;
        if size == self.offset {
            Ok(())
        } else {
            let (id, offset) = (self.id, self.offset);
            Err(RegistryError::internal(format!(
                "upload {id} has {size} bytes, not {offset}"
            )))
        }
    }

    /// Computes the digest of the finished object.
    async fn read_back(&self, algorithm: Algorithm) -> Result<Digest, RegistryError> {
        let reader = self.tools.store.read(&self.object_key, None).await;
        let mut chunks = reader.map_err(RegistryError::store)?.into_chunks();
        let mut hasher = Hasher::new(algorithm);
        while let Some(chunk) = chunks.next().await {
            hasher.update(&chunk.map_err(RegistryError::store)?);
        }
        Ok(hasher.finish())
    }

    /// end-14: forgets the upload, and removes its bytes, which nobody could ever read.
    pub async fn cancel(mut self) -> Result<(), RegistryError> {
        let cancel = CancelUpload {
            upload: self.id.to_string(),
            epoch: self.epoch,
        };
        self.tools
            .propose(self.id, Action::CancelUpload(cancel))
            .await?;
        // What is not removed here is left to the collector: the key is reclaimed.
        drop(self.writer.take());
        let deleted = self
            .tools
            .store
            .delete(std::slice::from_ref(&self.object_key))
            .await;
        if deleted.iter().all(Result::is_ok) {
            let forget = Forget {
                object_keys: vec![self.object_key.to_string()],
            };
            self.tools.propose(self.id, Action::Forget(forget)).await?;
        }
        Ok(())
    }

    /// Lets go at what was acknowledged, so that the next owner goes on without copying.
    pub async fn release(mut self) -> Result<(), RegistryError> {
        let Some(acknowledged) = self.acknowledged.checkpoint.take() else {
            // There is nothing durable to hand over.
            return Ok(());
        };
        // After this nothing of the writer is under way any more.
        let newest = match self.writer.take() {
            Some(mut writer) => Some(writer.checkpoint().await.map_err(RegistryError::store)?),
            None => None,
        };
        // It may know more than the acknowledged one of the same offset, such as what is used up.
        let newest = newest.filter(|newest| newest.offset() == self.acknowledged.offset);
        let checkpoint = match (newest, &self.former_key) {
            (Some(newest), _) => newest,
            (None, None) => acknowledged,
            // Nothing under this key was acknowledged: the next owner takes over the former.
            (None, Some(_)) => return Ok(()),
        };
        let release = ReleaseUpload {
            upload: self.id.to_string(),
            epoch: self.epoch,
            offset: self.acknowledged.offset,
            hash_state: self.acknowledged.hash_state.into(),
            checkpoint: checkpoint.encode().into(),
        };
        self.tools
            .propose(self.id, Action::ReleaseUpload(release))
            .await
            .map(drop)
    }
}

#[cfg(test)]
mod tests;
