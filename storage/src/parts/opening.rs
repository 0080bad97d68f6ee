//! How a writer comes to be: on a fresh key, from a checkpoint, or from another key.

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::PartStore;
use super::budget::{Budget, Buffer};
use super::payload::{Part, Payload};
use super::schedule::copies;
use super::tail;
use super::writer::{Means, Writer, joined};
use crate::checkpoint::Checkpoint;
use crate::claims::{Claim, Claims};
use crate::error::{Error, Result};
use crate::limits::{BUFFER_WAIT_TIME, PART_BYTES_MAX, PARTS_AT_ONCE};
use crate::path::ObjectKey;
use crate::store::BlobWriter;

/// Opens writers of one store.
#[derive(Debug)]
pub(crate) struct Opener {
    means: Means,
    claims: Arc<Claims>,
}

impl Opener {
    /// Writers send their requests on `runtime`, whoever calls them. The first parts of an upload
    /// have `first_part_bytes`.
    pub(crate) fn new(
        store: Arc<dyn PartStore>,
        runtime: Handle,
        budget: Arc<Budget>,
        first_part_bytes: u64,
    ) -> Self {
        let means = Means {
            store,
            runtime,
            budget,
            first_part_bytes,
        };
        Self {
            means,
            claims: Arc::default(),
        }
    }

    /// Waits for requests of a writer on the key that was dropped.
    pub(crate) async fn settled(&self, key: &ObjectKey) {
        self.claims.settled(key).await;
    }

    async fn take(&self, key: &ObjectKey) -> Result<Claim> {
        tail::check(key)?;
        let claim = self.claims.take(key).await;
        claim.ok_or_else(|| Error::Busy {
            key: key.to_string(),
        })
    }

    pub(crate) async fn create(&self, key: &ObjectKey) -> Result<Box<dyn BlobWriter>> {
        let claim = self.take(key).await?;
        Ok(Box::new(Writer::new(self.means.clone(), claim)))
    }

    pub(crate) async fn resume(
        &self,
        key: &ObjectKey,
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn BlobWriter>> {
        let store = Arc::clone(&self.means.store);
        let payload = Payload::of(checkpoint, store.tag())?;
        let claim = self.take(key).await?;
        let name = key.to_string();
        let looked = payload.clone();
        let look = async move { next_number(&*store, &name, &looked).await };
        let looked = self.means.runtime.spawn(look).await;
        let next_number = joined("look at an upload", looked)?;
        let writer = Writer::resumed(self.means.clone(), claim, payload, next_number);
        Ok(Box::new(writer))
    }

    pub(crate) async fn take_over(
        &self,
        from: &ObjectKey,
        checkpoint: &Checkpoint,
        to: &ObjectKey,
    ) -> Result<Box<dyn BlobWriter>> {
        if from == to {
            return Err(Error::invalid_key(
                to.as_str(),
                "an upload cannot take over itself",
            ));
        }
        let payload = Payload::of(checkpoint, self.means.store.tag())?;
        let claim = self.take(to).await?;
        let taking = TakingOver {
            store: Arc::clone(&self.means.store),
            budget: Arc::clone(&self.means.budget),
            from: from.to_string(),
            to: to.to_string(),
            payload,
        };
        let tenure = claim.tenure();
        let moved = self.means.runtime.spawn(async move {
            let moved = taking.run().await;
            drop(tenure);
            moved
        });
        let Moved { copied, rest } = joined("take an upload over", moved.await)?;
        let mut writer = Writer::taken_over(self.means.clone(), claim, copied, rest);
        // Durable under the fresh key before anybody is told.
        writer.checkpoint().await?;
        Ok(Box::new(writer))
    }
}

/// Looks whether there is something to go on with, and answers a number that no part has had.
async fn next_number(store: &dyn PartStore, name: &str, payload: &Payload) -> Result<u32> {
    if payload.is_sealed {
        let stored = store.size(name).await?;
        if stored != payload.bytes {
            return Err(more_than_stored(payload.bytes, stored));
        }
        return Ok(payload.next_number);
    }
    if payload.upload.is_empty() {
        // Only a tail, if that: nothing may have become of the key itself.
        match store.size(name).await {
            Ok(_) => return Err(Error::already_exists(name)),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        check_tail(store, payload).await?;
        return Ok(payload.next_number);
    }
    let after = payload.next_number.saturating_sub(1);
    match store.highest_part(name, &payload.upload, after).await {
        // Requests whose answer never came may still be under way.
        Ok(highest) => {
            check_tail(store, payload).await?;
            Ok(highest.map_or(after, |highest| highest.max(after)) + PARTS_AT_ONCE as u32 + 1)
        }
        Err(Error::NotFound { subject, source }) => match store.size(name).await {
            Ok(_) => Err(Error::already_exists(name)),
            Err(Error::NotFound { .. }) => Err(Error::NotFound { subject, source }),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

async fn check_tail(store: &dyn PartStore, payload: &Payload) -> Result<()> {
    if let Some(tail) = &payload.tail {
        let stored = store.size(&tail.name).await?;
        if stored != tail.bytes {
            return Err(more_than_stored(tail.bytes, stored));
        }
    }
    Ok(())
}

fn more_than_stored(named: u64, stored: u64) -> Error {
    Error::invalid_checkpoint(format!("it names {named} bytes where {stored} are stored"))
}

/// Parts that the store has copied, and the bytes that come after them.
struct Moved {
    copied: Option<(String, Vec<Part>, u64)>,
    rest: Buffer,
}

struct TakingOver {
    store: Arc<dyn PartStore>,
    budget: Arc<Budget>,
    from: String,
    to: String,
    payload: Payload,
}

impl TakingOver {
    async fn run(self) -> Result<Moved> {
        match self.store.size(&self.to).await {
            Ok(_) => return Err(Error::already_exists(&self.to)),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let offset = self.payload.bytes + self.payload.tail_bytes();
        let from = if self.payload.parts.is_empty() {
            0
        } else {
            self.payload.bytes
        };
        // The copy first, which may take long: nobody waits for the memory of the rest meanwhile.
        let copied = if from > 0 {
            Some(self.copy(from).await?)
        } else {
            None
        };
        let rest = self.rest(from, offset).await?;
        Ok(Moved { copied, rest })
    }

    /// The bytes that no part holds: the sealed object, or the tail.
    async fn rest(&self, from: u64, offset: u64) -> Result<Buffer> {
        let mut buffer = self.budget.buffer();
        if from == offset {
            return Ok(buffer);
        }
        buffer.reserve(offset - from, BUFFER_WAIT_TIME).await?;
        let bytes = match &self.payload.tail {
            None => self.of_object(0..offset).await?,
            Some(tail) => match self.store.get(&tail.name, 0..tail.bytes).await {
                Ok(bytes) => bytes,
                // The former writer has finished, and removed what it needs no more.
                Err(Error::NotFound { .. }) => self.of_object(from..offset).await?,
                Err(error) => return Err(error),
            },
        };
        if bytes.len() as u64 != offset - from {
            return Err(more_than_stored(offset, from + bytes.len() as u64));
        }
        buffer.push(&bytes)?;
        Ok(buffer)
    }

    async fn of_object(&self, range: std::ops::Range<u64>) -> Result<Bytes> {
        let stored = self.store.size(&self.from).await?;
        if stored < range.end {
            return Err(more_than_stored(range.end, stored));
        }
        self.store.get(&self.from, range).await
    }

    /// Makes an object of the former parts, which keeps the former writer out, and has the store
    /// copy it.
    async fn copy(&self, bytes: u64) -> Result<(String, Vec<Part>, u64)> {
        let Payload { upload, parts, .. } = &self.payload;
        match self.store.complete(&self.from, upload, parts, bytes).await {
            Ok(()) => {}
            // It was completed before: by a take-over as this, or by the former writer with more.
            Err(Error::NotFound { .. }) => {
                let stored = self.store.size(&self.from).await?;
                if stored < bytes {
                    return Err(more_than_stored(bytes, stored));
                }
            }
            Err(error) => return Err(error),
        }
        let upload = self.store.begin(&self.to).await?;
        let mut copied = Vec::new();
        for (number, range) in (1_u32..).zip(copies(bytes, PART_BYTES_MAX)) {
            let to = (self.to.as_str(), upload.as_str(), number);
            let tag = self.store.copy_part(&self.from, range, to).await?;
            copied.push(Part { number, tag });
        }
        Ok((upload, copied, bytes))
    }
}
