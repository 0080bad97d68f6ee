//! The `inmemory` driver: the promises of the trait in their plainest form.
//!
//! It is the reference that other drivers are compared with, and serves tests and trials.
//! It is not bounded and keeps nothing beyond the process.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use url::Url;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::limits::{MARKER_BYTES_MAX, READ_CHUNK_BYTES};
use crate::marker::Marker;
use crate::path::ObjectKey;
use crate::store::{BlobReader, BlobStore, BlobWriter, ObjectInfo, range_within};

#[cfg(test)]
mod tests;

const NAME: &str = "inmemory";
/// Names driver and format in every checkpoint. Never changed; a new format gets a new tag.
const CHECKPOINT_TAG: &[u8] = b"mem1";
/// The same, of a checkpoint whose bytes are the object itself.
const SEALED_TAG: &[u8] = b"mem1 sealed";

/// Objects in the memory of this process. Clones share them, like nodes share a store.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    entries: Arc<Mutex<BTreeMap<ObjectKey, Entry>>>,
    // Up to how many bytes a checkpoint stores as the object itself.
    seals_up_to: Option<usize>,
}

#[derive(Debug)]
enum Entry {
    // The map and at most one writer hold it, so its count tells whether a writer is alive.
    Unfinished(Arc<Mutex<BytesMut>>),
    Finished(Bytes),
}

type Entries<'a> = MutexGuard<'a, BTreeMap<ObjectKey, Entry>>;
type Writer = Box<dyn BlobWriter>;

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that seals like one that cannot append: a checkpoint of at most `bytes_max`
    /// bytes stores them as the object itself, unless they were taken over.
    pub fn sealing(bytes_max: usize) -> Self {
        Self {
            seals_up_to: Some(bytes_max),
            ..Self::default()
        }
    }

    fn entries(&self) -> Entries<'_> {
        lock(&self.entries)
    }

    fn object(&self, key: &ObjectKey) -> Result<Bytes> {
        match self.entries().get(key) {
            Some(Entry::Finished(bytes)) => Ok(bytes.clone()),
            Some(Entry::Unfinished(_)) | None => Err(Error::not_found(key.as_str())),
        }
    }

    /// Puts the bytes under the key as an unfinished write that a new writer holds.
    fn writer(&self, mut entries: Entries<'_>, key: &ObjectKey, bytes: BytesMut) -> MemoryWriter {
        let bytes = Arc::new(Mutex::new(bytes));
        entries.insert(key.clone(), Entry::Unfinished(Arc::clone(&bytes)));
        MemoryWriter {
            store: self.clone(),
            key: key.clone(),
            bytes,
            seals_up_to: None,
            sealed_size: None,
        }
    }

    /// A writer on an object that a former writer has sealed.
    fn sealed_writer(&self, key: &ObjectKey, size: u64) -> MemoryWriter {
        MemoryWriter {
            store: self.clone(),
            key: key.clone(),
            bytes: Arc::default(),
            seals_up_to: None,
            sealed_size: Some(size),
        }
    }
}

// A panic elsewhere leaves the bytes as they are: every change under a lock is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn has_writer(unfinished: &Arc<Mutex<BytesMut>>) -> bool {
    Arc::strong_count(unfinished) > 1
}

/// Whether the checkpoint sealed its object.
fn is_sealing(checkpoint: &Checkpoint) -> bool {
    checkpoint.payload() == SEALED_TAG
}

fn expect_own(checkpoint: &Checkpoint) -> Result<()> {
    if is_sealing(checkpoint) {
        return Ok(());
    }
    checkpoint.expect_payload(CHECKPOINT_TAG)
}

/// The first bytes of an unfinished or finished object, as many as the checkpoint names.
fn prefix(stored: &[u8], checkpoint: &Checkpoint) -> Result<BytesMut> {
    expect_own(checkpoint)?;
    usize::try_from(checkpoint.offset())
        .ok()
        .and_then(|offset| stored.get(..offset))
        .map(BytesMut::from)
        .ok_or_else(|| {
            Error::invalid_checkpoint(format!(
                "it names {} bytes where {} are stored",
                checkpoint.offset(),
                stored.len()
            ))
        })
}

#[async_trait]
impl BlobStore for Memory {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn create(&self, key: &ObjectKey) -> Result<Writer> {
        let entries = self.entries();
        if entries.contains_key(key) {
            return Err(Error::already_exists(key.as_str()));
        }
        let mut writer = self.writer(entries, key, BytesMut::new());
        writer.seals_up_to = self.seals_up_to;
        Ok(Box::new(writer))
    }

    async fn resume(&self, key: &ObjectKey, checkpoint: &Checkpoint) -> Result<Writer> {
        expect_own(checkpoint)?;
        let entries = self.entries();
        let kept = match entries.get(key) {
            None => return Err(Error::not_found(key.as_str())),
            // Sealed and finished are the same: the checkpoint tells what the writer can do.
            Some(Entry::Finished(object)) if is_sealing(checkpoint) => {
                let size = prefix(object, checkpoint)?.len() as u64;
                return Ok(Box::new(self.sealed_writer(key, size)));
            }
            Some(Entry::Finished(_)) => return Err(Error::already_exists(key.as_str())),
            Some(Entry::Unfinished(bytes)) if has_writer(bytes) => {
                return Err(Error::Busy {
                    key: key.to_string(),
                });
            }
            Some(Entry::Unfinished(bytes)) => prefix(&lock(bytes), checkpoint)?,
        };
        Ok(Box::new(self.writer(entries, key, kept)))
    }

    async fn take_over(
        &self,
        from: &ObjectKey,
        checkpoint: &Checkpoint,
        to: &ObjectKey,
    ) -> Result<Writer> {
        if from == to {
            return Err(Error::invalid_key(
                to.as_str(),
                "an upload cannot take over itself",
            ));
        }
        let entries = self.entries();
        match entries.get(to) {
            Some(Entry::Finished(_)) => return Err(Error::already_exists(to.as_str())),
            Some(Entry::Unfinished(bytes)) if has_writer(bytes) => {
                return Err(Error::Busy {
                    key: to.to_string(),
                });
            }
            Some(Entry::Unfinished(_)) | None => {}
        }
        let copied = match entries.get(from) {
            None => return Err(Error::not_found(from.as_str())),
            Some(Entry::Finished(bytes)) => prefix(bytes, checkpoint)?,
            Some(Entry::Unfinished(bytes)) => prefix(&lock(bytes), checkpoint)?,
        };
        Ok(Box::new(self.writer(entries, to, copied)))
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<BlobReader> {
        let object = self.object(key)?;
        let size = object.len() as u64;
        let range = range_within(range, size)?;
        // Both ends are at most the length of a slice, so neither conversion loses anything.
        let mut rest = object.slice(range.start as usize..range.end as usize);
        let chunks = std::iter::from_fn(move || {
            let length = rest.len().min(READ_CHUNK_BYTES);
            (length > 0).then(|| Ok(rest.split_to(length)))
        });
        Ok(BlobReader::new(size, range, stream::iter(chunks).boxed()))
    }

    async fn size(&self, key: &ObjectKey) -> Result<u64> {
        Ok(self.object(key)?.len() as u64)
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        let mut entries = self.entries();
        keys.iter()
            .map(|key| {
                entries.remove(key);
                Ok(())
            })
            .collect()
    }

    async fn discard_unfinished(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        let mut entries = self.entries();
        keys.iter()
            .map(|key| {
                if let Some(Entry::Unfinished(_)) = entries.get(key) {
                    entries.remove(key);
                }
                Ok(())
            })
            .collect()
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectInfo>> {
        let found: Vec<_> = self
            .entries()
            .iter()
            .filter(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, entry)| {
                let (size, unfinished) = match entry {
                    Entry::Finished(bytes) => (bytes.len(), false),
                    Entry::Unfinished(bytes) => (lock(bytes).len(), true),
                };
                Ok(ObjectInfo {
                    key: key.clone(),
                    size: size as u64,
                    unfinished,
                })
            })
            .collect();
        stream::iter(found).boxed()
    }

    async fn redirect_url(&self, _: &ObjectKey, _: Duration) -> Result<Option<Url>> {
        Ok(None)
    }

    async fn read_marker(&self) -> Result<Option<Marker>> {
        match self.read(&ObjectKey::marker(), None).await {
            Ok(reader) => Ok(Some(Marker::decode(
                &reader.collect(MARKER_BYTES_MAX).await?,
            )?)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write_marker(&self, marker: &Marker) -> Result<()> {
        let text = Bytes::from(marker.encode());
        self.entries()
            .insert(ObjectKey::marker(), Entry::Finished(text));
        Ok(())
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryWriter {
    store: Memory,
    key: ObjectKey,
    bytes: Arc<Mutex<BytesMut>>,
    // `None` where it cannot come to that any more: bytes that were taken over are never sealed,
    // and what is resumed unsealed was too large.
    seals_up_to: Option<usize>,
    // The object's, once it is sealed; `bytes` are empty then.
    sealed_size: Option<u64>,
}

impl MemoryWriter {
    /// Puts what was written in its place as an object.
    fn publish(&self) -> Result<u64> {
        let mut entries = self.store.entries();
        match entries.get_mut(&self.key) {
            Some(entry) if entry.is_unfinished(&self.bytes) => {
                let whole = lock(&self.bytes).split().freeze();
                let size = whole.len() as u64;
                *entry = Entry::Finished(whole);
                Ok(size)
            }
            // Deleted while it was written: what is there now, if anything, is not this write.
            Some(_) | None => Err(Error::not_found(self.key.as_str())),
        }
    }
}

#[async_trait]
impl BlobWriter for MemoryWriter {
    fn offset(&self) -> u64 {
        self.sealed_size
            .unwrap_or_else(|| lock(&self.bytes).len() as u64)
    }

    fn is_sealed(&self) -> bool {
        self.sealed_size.is_some()
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if self.is_sealed() {
            return Err(Error::Sealed {
                key: self.key.to_string(),
            });
        }
        lock(&self.bytes).extend_from_slice(&bytes);
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<Checkpoint> {
        let offset = self.offset();
        let is_small = |bytes_max: usize| offset <= bytes_max as u64;
        if !self.is_sealed() && self.seals_up_to.is_some_and(is_small) {
            self.sealed_size = Some(self.publish()?);
        }
        let tag = match self.sealed_size {
            Some(_) => SEALED_TAG,
            None => CHECKPOINT_TAG,
        };
        Checkpoint::new(offset, tag)
    }

    async fn finish(self: Box<Self>) -> Result<u64> {
        match self.sealed_size {
            Some(size) => Ok(size),
            None => self.publish(),
        }
    }
}

impl Entry {
    fn is_unfinished(&self, write: &Arc<Mutex<BytesMut>>) -> bool {
        matches!(self, Self::Unfinished(bytes) if Arc::ptr_eq(bytes, write))
    }
}
