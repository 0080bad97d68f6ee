//! The writer: gathers bytes into batches and writes one batch while the next is gathered.
//!
//! It holds at most two batches, one gathered and one on its way, and what of a chunk goes beyond.
//! Batches end at multiples of their size in the file, except the last of a call that syncs.
//! Invariant: `offset` is `handed_over` plus what is gathered.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_crash::{Point, point};
use tokio::task::JoinHandle;

use super::blocking;
use super::folders;
use super::opening::{Opened, Opening};
use crate::checkpoint::Checkpoint;
use crate::claims::Claim;
use crate::error::{Error, Result};
use crate::limits::{BATCH_BYTES, BATCH_CHUNKS, SMALL_CHUNK_BYTES};
use crate::store::BlobWriter;

/// Names driver and format in every checkpoint. Never changed; a new format gets a new tag.
pub(super) const CHECKPOINT_TAG: &[u8] = b"fs1";

/// The file that is written, as work on the blocking pool sees it.
#[derive(Debug)]
pub(super) struct Target {
    file: File,
    opening: Opening,
    offset: u64,
    is_named: AtomicBool,
}

impl Target {
    pub(super) fn new(opening: Opening, opened: Opened) -> Self {
        let Opened {
            file,
            offset,
            is_named,
        } = opened;
        Self {
            file,
            opening,
            offset,
            is_named: AtomicBool::new(is_named),
        }
    }

    fn partial(&self) -> &Path {
        &self.opening.paths.partial
    }

    fn write(&self, batch: Batch) -> Result<()> {
        point(Point::ObjectWrite);
        write_at(&self.file, &batch.chunks, batch.position)
            .map_err(|error| Error::from_io("write", self.partial(), error))?;
        point(Point::ObjectWritten);
        Ok(())
    }

    fn checkpoint(&self, batch: Batch) -> Result<()> {
        self.write(batch)?;
        self.file
            .sync_data()
            .map_err(|error| Error::from_io("fsync", self.partial(), error))?;
        point(Point::ObjectSynced);
        if !self.is_named.load(Ordering::Relaxed) {
            self.sync_folder()?;
            self.is_named.store(true, Ordering::Relaxed);
        }
        point(Point::ObjectCheckpointed);
        Ok(())
    }

    fn finish(&self, batch: Batch) -> Result<()> {
        self.write(batch)?;
        self.file
            .sync_all()
            .map_err(|error| Error::from_io("fsync", self.partial(), error))?;
        self.publish()
    }

    /// The last step of `finish`, which is all of it where a checkpoint has synced the last byte.
    fn publish(&self) -> Result<()> {
        point(Point::ObjectRename);
        // The bytes are durable before they have the name that says so.
        fs::rename(self.partial(), &self.opening.paths.object)
            .map_err(|error| Error::from_io("finish", self.partial(), error))?;
        point(Point::ObjectRenamed);
        self.sync_folder()?;
        point(Point::ObjectFinished);
        Ok(())
    }

    fn sync_folder(&self) -> Result<()> {
        match self.partial().parent() {
            Some(folder) => folders::sync(folder),
            None => Ok(()),
        }
    }
}

/// Bytes for one place in the file.
#[derive(Debug)]
struct Batch {
    position: u64,
    chunks: VecDeque<Bytes>,
}

#[derive(Debug)]
pub(super) struct Writer {
    target: Arc<Target>,
    gathered: VecDeque<Bytes>,
    offset: u64,
    // Where the next batch begins in the file.
    handed_over: u64,
    // Up to where a checkpoint has made the bytes durable, once there was one.
    durable: Option<u64>,
    under_way: Option<JoinHandle<Result<()>>>,
    is_stopped: bool,
    // Dropped last: the key is free when all work on the file has ended.
    _claim: Claim,
}

impl Writer {
    pub(super) fn new(claim: Claim, target: Target) -> Self {
        let offset = target.offset;
        Self {
            target: Arc::new(target),
            gathered: VecDeque::new(),
            offset,
            handed_over: offset,
            durable: None,
            under_way: None,
            is_stopped: false,
            _claim: claim,
        }
    }

    /// Waits for the work that is under way. Can be dropped: the next call waits for the same.
    async fn settle(&mut self) -> Result<()> {
        if self.is_stopped {
            let subject = self.target.partial().display().to_string();
            return Err(Error::Stopped { subject });
        }
        let Some(work) = &mut self.under_way else {
            return Ok(());
        };
        let result = blocking::joined("write", work.await);
        self.under_way = None;
        // After a failed write or fsync the kernel may drop the bytes and call the file clean, so
        // nothing after this point can be trusted.
        self.is_stopped = result.is_err();
        result
    }

    /// Starts to write what is gathered, up to the last multiple of a batch in the file. The kernel
    /// keeps what is written in aligned pieces in larger ones, which are cheaper to send later.
    async fn start_batch(&mut self) -> Result<()> {
        let aligned = self.offset - self.offset % BATCH_BYTES as u64;
        let is_past = aligned > self.handed_over;
        let end = if is_past { aligned } else { self.offset };
        self.start_until(end, Target::write).await
    }

    /// Starts work on everything gathered, after the work before it has ended.
    async fn start<W>(&mut self, work: W) -> Result<()>
    where
        W: FnOnce(&Target, Batch) -> Result<()> + Send + 'static,
    {
        self.start_until(self.offset, work).await
    }

    async fn start_until<W>(&mut self, end: u64, work: W) -> Result<()>
    where
        W: FnOnce(&Target, Batch) -> Result<()> + Send + 'static,
    {
        self.settle().await?;
        let batch = Batch {
            position: self.handed_over,
            chunks: self.take_until(end),
        };
        self.handed_over = end;
        let target = Arc::clone(&self.target);
        self.under_way = Some(tokio::task::spawn_blocking(move || work(&target, batch)));
        Ok(())
    }

    /// Takes what is gathered up to a place in the file; a chunk that goes beyond is divided.
    fn take_until(&mut self, end: u64) -> VecDeque<Bytes> {
        let mut left = end - self.handed_over;
        let mut taken = VecDeque::new();
        while left > 0
            && let Some(mut chunk) = self.gathered.pop_front()
        {
            if chunk.len() as u64 > left {
                self.gathered.push_front(chunk.split_off(left as usize));
            }
            left -= chunk.len() as u64;
            taken.push_back(chunk);
        }
        taken
    }

    fn gather(&mut self, bytes: Bytes) {
        self.offset += bytes.len() as u64;
        if bytes.len() < SMALL_CHUNK_BYTES {
            self.gathered.push_back(Bytes::copy_from_slice(&bytes));
        } else {
            self.gathered.push_back(bytes);
        }
    }

    fn is_batch_full(&self) -> bool {
        self.offset - self.handed_over >= BATCH_BYTES as u64 || self.gathered.len() >= BATCH_CHUNKS
    }
}

#[async_trait]
impl BlobWriter for Writer {
    fn offset(&self) -> u64 {
        self.offset
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if self.is_stopped || self.is_batch_full() {
            // The batch is full only if a former call was dropped here.
            self.start_batch().await?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.gather(bytes);
        if self.is_batch_full() {
            self.start_batch().await?;
        }
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<Checkpoint> {
        self.settle().await?;
        if self.durable != Some(self.offset) {
            let offset = self.offset;
            self.start(Target::checkpoint).await?;
            self.settle().await?;
            self.durable = Some(offset);
        }
        Checkpoint::new(self.offset, CHECKPOINT_TAG)
    }

    async fn finish(mut self: Box<Self>) -> Result<u64> {
        if self.durable == Some(self.offset) {
            self.start(|target, _nothing| target.publish()).await?;
        } else {
            self.start(Target::finish).await?;
        }
        self.settle().await?;
        Ok(self.offset)
    }
}

/// Writes all chunks one after the other from `position` on.
fn write_at(file: &File, chunks: &VecDeque<Bytes>, mut position: u64) -> io::Result<()> {
    let mut slices: Vec<_> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match rustix::io::pwritev(file, rest, position) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                position += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
