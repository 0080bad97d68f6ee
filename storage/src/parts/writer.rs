//! The writer: gathers bytes into parts, and sends some parts while the next is gathered.
//!
//! Requests run as tasks of their own, so that a call that is dropped leaves none half done; each
//! task keeps the key taken. Invariant: `offset` is `sent` plus what is gathered or kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::PartStore;
use super::budget::{Budget, Buffer, Kept};
use super::payload::{Part, Payload, Tail};
use super::schedule::part_bytes;
use super::tail::name_of_tail;
use crate::checkpoint::Checkpoint;
use crate::claims::Claim;
use crate::error::{Error, Result};
use crate::limits::{BUFFER_WAIT_TIME, PART_BYTES_MIN, PART_NUMBER_MAX, PARTS_AT_ONCE};
use crate::store::BlobWriter;

/// What all writers of a store work with.
#[derive(Clone, Debug)]
pub(super) struct Means {
    pub(super) store: Arc<dyn PartStore>,
    pub(super) runtime: Handle,
    pub(super) budget: Arc<Budget>,
    pub(super) first_part_bytes: u64,
}

/// An upload in parts that the store knows of.
#[derive(Debug)]
struct Multipart {
    upload: String,
    parts: BTreeMap<u32, String>,
}

#[derive(Debug)]
pub(super) struct Writer {
    means: Means,
    offset: u64,
    // Bytes in parts that were handed over, whether the store has answered or not.
    sent: u64,
    // Bytes after them.
    gathered: Buffer,
    // The same, when they are also in the store.
    kept: Option<Kept>,
    multipart: Option<Multipart>,
    // Requests that a dropped call may have left; the next one waits for them.
    beginning: Option<JoinHandle<Result<String>>>,
    storing_tail: Option<(Tail, JoinHandle<Result<()>>)>,
    next_number: u32,
    under_way: JoinSet<Result<(u32, String)>>,
    sealing: Sealing,
    tail: Option<Tail>,
    // Tails that no checkpoint names once the latest was applied.
    replaced: Vec<String>,
    durable: Option<Payload>,
    is_stopped: bool,
    // How long this writer has waited for memory since its last checkpoint.
    waited: Duration,
    // Dropped last: the key is free when all requests have ended.
    claim: Claim,
}

/// Whether the bytes are the object.
#[derive(Debug)]
enum Sealing {
    /// They may become that.
    Open,
    /// They may not: something else was written for this upload.
    Never,
    /// They are becoming that. Nothing else may follow, whatever comes of it.
    UnderWay(JoinHandle<Result<()>>),
    Sealed,
}

impl Writer {
    /// A writer on a key that nothing was stored under.
    pub(super) fn new(means: Means, claim: Claim) -> Self {
        Self {
            offset: 0,
            sent: 0,
            gathered: means.budget.buffer(),
            kept: None,
            multipart: None,
            beginning: None,
            storing_tail: None,
            next_number: 1,
            under_way: JoinSet::new(),
            sealing: Sealing::Open,
            tail: None,
            replaced: Vec::new(),
            durable: None,
            is_stopped: false,
            waited: Duration::ZERO,
            means,
            claim,
        }
    }

    /// A writer that goes on from a checkpoint; the store has what it names. `next_number` is above
    /// the number of every part that was ever sent.
    pub(super) fn resumed(means: Means, claim: Claim, payload: Payload, next_number: u32) -> Self {
        let mut writer = Self::new(means, claim);
        writer.offset = payload.bytes + payload.tail_bytes();
        writer.sent = payload.bytes;
        writer.next_number = next_number;
        writer.sealing = if payload.is_sealed {
            Sealing::Sealed
        } else {
            Sealing::Never
        };
        if !payload.upload.is_empty() {
            let parts = payload.parts.iter();
            writer.multipart = Some(Multipart {
                upload: payload.upload.clone(),
                parts: parts.map(|part| (part.number, part.tag.clone())).collect(),
            });
        }
        writer.tail = payload.tail.clone();
        writer.durable = Some(payload);
        writer
    }

    /// A writer on a fresh key that begins with the bytes of a former one: parts that the store has
    /// copied, and what comes after them.
    pub(super) fn taken_over(
        means: Means,
        claim: Claim,
        copied: Option<(String, Vec<Part>, u64)>,
        rest: Buffer,
    ) -> Self {
        let mut writer = Self::new(means, claim);
        if let Some((upload, parts, bytes)) = copied {
            writer.sent = bytes;
            writer.next_number = parts.last().map_or(1, |part| part.number + 1);
            let parts = parts.into_iter().map(|part| (part.number, part.tag));
            writer.multipart = Some(Multipart {
                upload,
                parts: parts.collect(),
            });
        }
        writer.offset = writer.sent + rest.len();
        writer.gathered = rest;
        writer.sealing = Sealing::Never;
        writer
    }

    fn key(&self) -> &str {
        self.claim.key().as_str()
    }

    /// Refuses to go on after an error.
    fn check(&self) -> Result<()> {
        if self.is_stopped {
            let subject = self.key().to_owned();
            return Err(Error::Stopped { subject });
        }
        Ok(())
    }

    fn stop<T>(&mut self, result: Result<T>) -> Result<T> {
        self.is_stopped |= result.is_err();
        result
    }

    /// Runs a request to its end, even if nobody waits for it.
    fn start<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T>> + Send + 'static,
    ) -> JoinHandle<Result<T>> {
        let tenure = self.claim.tenure();
        self.means.runtime.spawn(async move {
            let result = request.await;
            drop(tenure);
            result
        })
    }

    /// How large the next part is to be.
    fn part_bytes(&self) -> u64 {
        if self.gathered.has_spare() {
            return PART_BYTES_MIN;
        }
        let most = self.means.budget.part_bytes_max();
        part_bytes(self.next_number, self.means.first_part_bytes, most)
    }

    /// Takes in the answer of one part.
    fn record(
        &mut self,
        answer: Result<Result<(u32, String)>, tokio::task::JoinError>,
    ) -> Result<()> {
        let result = joined("send a part", answer).map(|(number, tag)| {
            if let Some(multipart) = &mut self.multipart {
                multipart.parts.insert(number, tag);
            }
        });
        self.stop(result)
    }

    /// Waits until all parts are stored. Can be dropped: the next call waits for the same.
    async fn settle(&mut self) -> Result<()> {
        while let Some(answer) = self.under_way.join_next().await {
            self.record(answer)?;
        }
        Ok(())
    }

    /// Brings back the bytes of a tail that was kept or has to be read.
    async fn recall(&mut self) -> Result<()> {
        if let Some(buffer) = self.kept.take().and_then(Kept::take) {
            self.gathered = buffer;
        }
        let missing = self.offset - self.sent - self.gathered.len();
        if missing == 0 {
            return Ok(());
        }
        let Some(tail) = self.tail.clone() else {
            return Ok(());
        };
        let mut buffer = self.means.budget.buffer();
        let began = Instant::now();
        let reserved = buffer.reserve(tail.bytes, self.patience()).await;
        self.waited += began.elapsed();
        reserved?;
        let store = Arc::clone(&self.means.store);
        let reading = self.start(async move { store.get(&tail.name, 0..tail.bytes).await });
        let read = joined("read a tail", reading.await);
        let bytes = self.stop(read)?;
        buffer.push(&bytes)?;
        self.gathered = buffer;
        Ok(())
    }

    /// How long this writer may still wait for memory. Who has waited too long, all in all, is
    /// told; nothing is lost by that.
    fn patience(&self) -> Duration {
        BUFFER_WAIT_TIME.saturating_sub(self.waited)
    }

    /// Sends what is gathered as the next part; waits while enough others are on their way.
    async fn send_part(&mut self) -> Result<()> {
        while self.under_way.len() >= PARTS_AT_ONCE
            && let Some(answer) = self.under_way.join_next().await
        {
            self.record(answer)?;
        }
        if self.next_number > PART_NUMBER_MAX {
            let source = format!(
                "it has {PART_NUMBER_MAX} parts, and no store takes more; a larger \
                 storage.s3.buffermemory or chunksize makes them larger"
            );
            let subject = format!("write {}", self.key());
            let source = source.into();
            return self.stop(Err(Error::NoSpace { subject, source }));
        }
        let upload = self.begin().await?;
        // From here on nothing waits, so that a dropped call has done all of it or nothing.
        let (store, key) = (Arc::clone(&self.means.store), self.key().to_owned());
        let number = self.next_number;
        let fresh = self.means.budget.buffer();
        let mut buffer = std::mem::replace(&mut self.gathered, fresh);
        let (bytes, tenure) = (buffer.share(), self.claim.tenure());
        self.next_number += 1;
        self.sent += bytes.len() as u64;
        let request = async move {
            let tag = store.put_part(&key, &upload, number, bytes).await;
            drop((buffer, tenure));
            Ok((number, tag?))
        };
        self.under_way.spawn_on(request, &self.means.runtime);
        Ok(())
    }

    /// The id of the upload in parts, which is begun if there is none.
    async fn begin(&mut self) -> Result<String> {
        if let Some(multipart) = &self.multipart {
            return Ok(multipart.upload.clone());
        }
        self.sealing = Sealing::Never;
        if self.beginning.is_none() {
            let (store, key) = (Arc::clone(&self.means.store), self.key().to_owned());
            self.beginning = Some(self.start(async move { store.begin(&key).await }));
        }
        let begun = match &mut self.beginning {
            Some(beginning) => joined("begin an upload", beginning.await),
            None => Err(Error::corrupt(self.key(), "nothing was begun")),
        };
        self.beginning = None;
        let upload = self.stop(begun)?;
        self.multipart = Some(Multipart {
            upload: upload.clone(),
            parts: BTreeMap::new(),
        });
        Ok(upload)
    }

    /// Waits for the request that makes the bytes the object.
    async fn settle_sealing(&mut self) -> Result<()> {
        if let Sealing::UnderWay(request) = &mut self.sealing {
            let result = joined("store an object", request.await);
            self.sealing = Sealing::Sealed;
            self.stop(result)?;
        }
        Ok(())
    }

    /// Stores the bytes as the object.
    async fn seal(&mut self) -> Result<()> {
        let (store, key) = (Arc::clone(&self.means.store), self.key().to_owned());
        let fresh = self.means.budget.buffer();
        let mut buffer = std::mem::replace(&mut self.gathered, fresh);
        let request = async move {
            let stored = store.put(&key, buffer.share()).await;
            drop(buffer);
            stored
        };
        self.sent = self.offset;
        self.sealing = Sealing::UnderWay(self.start(request));
        self.settle_sealing().await
    }

    /// Makes what is gathered durable without ending a part that is far from full.
    async fn store_rest(&mut self) -> Result<()> {
        let is_large = self.gathered.len() >= PART_BYTES_MIN.max(self.part_bytes() / 2);
        if is_large {
            self.send_part().await?;
        }
        self.settle().await?;
        self.tail = None;
        if self.gathered.is_empty() {
            return Ok(());
        }
        if self.storing_tail.is_none() {
            let name = name_of_tail(self.claim.key());
            let (bytes, size) = (self.gathered.share(), self.gathered.len());
            let (store, to) = (Arc::clone(&self.means.store), name.clone());
            let storing = self.start(async move { store.put(&to, bytes).await });
            self.storing_tail = Some((Tail { name, bytes: size }, storing));
        }
        self.tail = self.settle_tail().await?;
        let fresh = self.means.budget.buffer();
        self.kept = Some(std::mem::replace(&mut self.gathered, fresh).keep());
        Ok(())
    }

    /// Waits for the request that stores a tail, if there is one.
    async fn settle_tail(&mut self) -> Result<Option<Tail>> {
        let Some((_, storing)) = &mut self.storing_tail else {
            return Ok(None);
        };
        let stored = joined("store a tail", storing.await);
        let tail = self.storing_tail.take().map(|(tail, _)| tail);
        self.stop(stored)?;
        Ok(tail)
    }

    /// Waits for a tail that nobody was told of, and which what follows makes useless.
    async fn forget_tail(&mut self) -> Result<()> {
        let useless = self.settle_tail().await?;
        self.replaced.extend(useless.map(|tail| tail.name));
        Ok(())
    }

    fn payload(&self) -> Payload {
        let (upload, parts) = match &self.multipart {
            Some(multipart) => (multipart.upload.clone(), multipart.parts()),
            None => (String::new(), Vec::new()),
        };
        Payload {
            is_sealed: matches!(self.sealing, Sealing::Sealed),
            upload,
            next_number: self.next_number,
            bytes: self.sent,
            parts,
            tail: self.tail.clone(),
        }
    }

    /// Removes tails in the background: nobody waits for that, and the sweep takes what remains.
    fn remove(&mut self, names: Vec<String>) {
        if names.is_empty() {
            return;
        }
        let store = Arc::clone(&self.means.store);
        self.start(async move {
            if let Err(error) = store.remove(names).await {
                tracing::debug!(%error, "what a checkpoint replaced stays for the sweep");
            }
            Ok(())
        });
    }
}

impl Multipart {
    fn parts(&self) -> Vec<Part> {
        let parts = self.parts.iter();
        parts
            .map(|(number, tag)| Part {
                number: *number,
                tag: tag.clone(),
            })
            .collect()
    }
}

/// The answer of a task. One that ended without an answer may have done anything.
pub(crate) fn joined<T>(
    action: &str,
    answer: Result<Result<T>, tokio::task::JoinError>,
) -> Result<T> {
    answer.unwrap_or_else(|error| {
        Err(Error::Unavailable {
            subject: action.to_owned(),
            source: error.into(),
        })
    })
}

impl Drop for Writer {
    fn drop(&mut self) {
        // They end by themselves: a request that is cut off may have been done or not.
        self.under_way.detach_all();
    }
}

#[async_trait]
impl BlobWriter for Writer {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn is_sealed(&self) -> bool {
        matches!(self.sealing, Sealing::UnderWay(_) | Sealing::Sealed)
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.check()?;
        if bytes.is_empty() {
            return Ok(());
        }
        if self.is_sealed() {
            let key = self.key().to_owned();
            return Err(Error::Sealed { key });
        }
        self.forget_tail().await?;
        self.recall().await?;
        if self.gathered.len() >= self.part_bytes() {
            self.send_part().await?;
        }
        let more = bytes.len() as u64;
        if !self.gathered.try_reserve(more) {
            // What is gathered is of more use in the store than here.
            if self.gathered.len() >= PART_BYTES_MIN {
                self.send_part().await?;
            }
            let (began, patience) = (Instant::now(), self.patience());
            let reserved = self.gathered.reserve(more, patience).await;
            self.waited += began.elapsed();
            reserved?;
        }
        self.gathered.push(&bytes)?;
        self.offset += more;
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<Checkpoint> {
        self.check()?;
        self.settle_sealing().await?;
        self.settle().await?;
        let durable = self.durable.as_ref();
        // A tail that a dropped call has sent as a part since is in the way of the next checkpoint.
        let is_durable = durable
            .is_some_and(|at| at.bytes == self.sent && at.bytes + at.tail_bytes() == self.offset);
        if !is_durable && self.offset > 0 && !matches!(self.sealing, Sealing::Sealed) {
            self.recall().await?;
            if matches!(self.sealing, Sealing::Open) {
                self.seal().await?;
            } else {
                self.store_rest().await?;
            }
        }
        self.waited = Duration::ZERO;
        let payload = self.payload();
        let checkpoint = payload.checkpoint(self.means.store.tag())?;
        // Only now does no checkpoint need the former tail any more, once this one was applied.
        let former = self.durable.take().and_then(|durable| durable.tail);
        let former = former.filter(|former| payload.tail.as_ref() != Some(former));
        self.replaced.extend(former.map(|tail| tail.name));
        self.durable = Some(payload);
        Ok(checkpoint)
    }

    async fn checkpoint_applied(&mut self) -> Result<()> {
        let replaced = std::mem::take(&mut self.replaced);
        self.remove(replaced);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<u64> {
        self.check()?;
        self.settle_sealing().await?;
        if matches!(self.sealing, Sealing::Sealed) {
            return Ok(self.offset);
        }
        self.forget_tail().await?;
        self.recall().await?;
        if self.multipart.is_none() {
            self.seal().await?;
        } else {
            if !self.gathered.is_empty() {
                self.send_part().await?;
            }
            self.settle().await?;
            let parts = self
                .multipart
                .as_ref()
                .map(Multipart::parts)
                .unwrap_or_default();
            let upload = self.begin().await?;
            let (store, key) = (Arc::clone(&self.means.store), self.key().to_owned());
            let size = self.offset;
            let completing =
                self.start(async move { store.complete(&key, &upload, &parts, size).await });
            let completed = joined("complete an upload", completing.await);
            self.stop(completed)?;
        }
        let mut leftovers = std::mem::take(&mut self.replaced);
        leftovers.extend(self.tail.take().map(|tail| tail.name));
        let durable = self.durable.take().and_then(|durable| durable.tail);
        leftovers.extend(durable.map(|tail| tail.name));
        self.remove(leftovers);
        Ok(self.offset)
    }
}
