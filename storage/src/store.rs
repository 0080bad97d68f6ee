//! The trait that a driver implements, and what it hands out.
//!
//! It is not a cache, does not hash, and does not know what the bytes mean.
//! Each promise below is one function of the same meaning in the `contract` module.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use url::Url;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::marker::Marker;
use crate::path::ObjectKey;

/// Bytes under keys. Knows nothing of repositories, tags or Raft.
///
/// A caller gives every upload a fresh random key, has at most one writer on a key, and never uses
/// one key as a folder of another (`a` and `a/b`).
///
/// # Errors
///
/// Every method may answer [`Error::Unavailable`] for trouble that may pass,
/// [`Error::PermissionDenied`], and [`Error::InvalidKey`] for a key that this driver cannot hold.
/// Those that write may answer [`Error::NoSpace`].
/// Each method names what it answers besides.
///
/// # Cancel safety
///
/// A future of this trait may be dropped at any point. What it was doing may then have been done or
/// not, or be done a little later; each method says what that means.
#[async_trait]
pub trait BlobStore: fmt::Debug + Send + Sync + 'static {
    /// The driver's name in the configuration, such as `filesystem`.
    fn name(&self) -> &'static str;

    /// Opens a writer on a key that was never used.
    ///
    /// Nothing is readable under the key before `checkpoint` or `finish`.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] if the driver can tell that the key was used: by an object, by an
    /// unfinished write, or by a live writer.
    ///
    /// # Cancel safety
    ///
    /// An empty unfinished write may remain. The key counts as used.
    async fn create(&self, key: &ObjectKey) -> Result<Box<dyn BlobWriter>>;

    /// Goes on from a checkpoint whose former writer has let go: same key, any node.
    ///
    /// The writer's offset is that of the checkpoint, and what lay beyond it is dropped.
    /// From a checkpoint that sealed the object the writer is sealed, whether the former one
    /// finished or not.
    /// An earlier checkpoint serves as well, until a later one was reported as applied.
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`] if there is no unfinished write under the key.
    /// - [`Error::AlreadyExists`] if the object is finished and the checkpoint did not seal it;
    ///   `take_over` accepts that.
    /// - [`Error::InvalidCheckpoint`] if it names more than is stored, or is another driver's.
    /// - [`Error::Busy`] if the driver can tell that the former writer is still open.
    ///
    /// # Cancel safety
    ///
    /// The checkpoint stays valid. Can be called again.
    async fn resume(&self, key: &ObjectKey, checkpoint: &Checkpoint)
    -> Result<Box<dyn BlobWriter>>;

    /// Goes on from a checkpoint whose former writer may still be alive: the bytes before it move
    /// to the fresh key `to`.
    ///
    /// They are durable under `to` when this returns.
    /// It can be repeated with the same `to`, and then begins anew.
    /// It accepts a source that is already finished.
    /// The bytes under `from` that the checkpoint names stay; who holds `from` deletes it.
    /// Whatever the former writer still sends does not reach `to`.
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`] if nothing is stored under `from`.
    /// - [`Error::AlreadyExists`] if the driver can tell that an object is finished under `to`.
    /// - [`Error::InvalidCheckpoint`] if it names more than is stored, or is another driver's.
    /// - [`Error::InvalidKey`] if both keys are the same.
    /// - [`Error::Busy`] if the driver can tell that a writer on `to` is still open.
    ///
    /// # Cancel safety
    ///
    /// An unfinished write may remain under `to`. Can be called again.
    async fn take_over(
        &self,
        from: &ObjectKey,
        checkpoint: &Checkpoint,
        to: &ObjectKey,
    ) -> Result<Box<dyn BlobWriter>>;

    /// Reads an object, or the part of it that the half-open range names.
    ///
    /// The chunks add up to exactly the range, or end with an error.
    ///
    /// # Errors
    ///
    /// - [`Error::NotFound`] if there is no object under the key.
    /// - [`Error::RangeUnsatisfiable`] if the range is reversed or ends beyond the object.
    ///
    /// A chunk may also be [`Error::Corrupt`]: the object holds fewer bytes than it announced.
    ///
    /// # Cancel safety
    ///
    /// Nothing remains.
    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<BlobReader>;

    /// The size of an object in bytes.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no object under the key.
    ///
    /// # Cancel safety
    ///
    /// Nothing remains.
    async fn size(&self, key: &ObjectKey) -> Result<u64>;

    /// Removes the object and any unfinished write of each key.
    ///
    /// There is one result for each key, in the order of the keys. Absent is success.
    ///
    /// # Errors
    ///
    /// A failed key may be removed or not, and can be deleted again.
    ///
    /// # Cancel safety
    ///
    /// Each key may be removed or not.
    async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<()>>;

    /// Removes any unfinished write of each key, and leaves an object that is there.
    ///
    /// For keys whose object is finished: what a crash left beside it. There is one result for each
    /// key, in the order of the keys. Absent is success.
    ///
    /// # Errors
    ///
    /// As for `delete`.
    ///
    /// # Cancel safety
    ///
    /// As for `delete`.
    async fn discard_unfinished(&self, keys: &[ObjectKey]) -> Vec<Result<()>>;

    /// Every stored object and every unfinished write whose key begins with the prefix.
    ///
    /// The prefix is text: `a/b` covers `a/b`, `a/bc` and `a/b/c`. The order is not defined.
    /// What was there from before the call until the end of the stream is in it at least once.
    /// What is stored but has no valid key is an error in the stream, which then goes on.
    ///
    /// # Errors
    ///
    /// An error that is not [`Error::InvalidKey`] means that entries may be missing.
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectInfo>>;

    /// A URL that a client can fetch directly, where the store can give one.
    ///
    /// # Cancel safety
    ///
    /// Nothing remains.
    async fn redirect_url(&self, key: &ObjectKey, valid_for: Duration) -> Result<Option<Url>>;

    /// The marker, or `None` on a store that has none.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if there is something else in its place.
    ///
    /// # Cancel safety
    ///
    /// Nothing remains.
    async fn read_marker(&self) -> Result<Option<Marker>>;

    /// Replaces the marker: a reader sees the old one or the new one, and the new one is durable
    /// when this returns.
    ///
    /// # Cancel safety
    ///
    /// The old or the new marker is there.
    async fn write_marker(&self, marker: &Marker) -> Result<()>;

    /// Asks cheaply whether the store can be used now.
    ///
    /// # Errors
    ///
    /// Any of the common ones: the store cannot be used at present.
    ///
    /// # Cancel safety
    ///
    /// Nothing remains.
    async fn check(&self) -> Result<()>;
}

/// Appends to one key.
///
/// Dropping a writer leaves what was written, for `resume`; bytes after the last checkpoint may be
/// lost with it.
///
/// # Errors
///
/// After an error a writer is stopped: every later call answers [`Error::Stopped`], and the caller
/// goes on from the last checkpoint. An error may be reported later than by the call that caused
/// it, but never later than by the next `checkpoint` or `finish`.
///
/// # Cancel safety
///
/// A dropped call leaves the writer usable, and the next call first waits for what that call left
/// under way. So once a `checkpoint` has returned, nothing of this writer is on its way to the
/// store any more, and its key may be resumed elsewhere.
#[async_trait]
pub trait BlobWriter: fmt::Debug + Send {
    /// How many bytes of the object the writer has taken, those before a resume included.
    fn offset(&self) -> u64;

    /// Whether the last checkpoint stored the bytes as the object itself, which costs a small blob
    /// one request where a store cannot append. `finish` serves as ever; `write` takes no more
    /// bytes, and the caller goes on by `take_over` to a fresh key. What was taken over is never
    /// sealed, so an upload moves only once.
    fn is_sealed(&self) -> bool {
        false
    }

    /// Takes the bytes. They are not durable before the next `checkpoint` or `finish`.
    ///
    /// # Errors
    ///
    /// See the trait. [`Error::Sealed`] if the writer is sealed; it is not stopped by that.
    ///
    /// # Cancel safety
    ///
    /// The bytes were taken whole or not at all: `offset` tells.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes every byte taken so far durable and names the point.
    ///
    /// What the checkpoint names stays until a later one was reported as applied.
    ///
    /// # Errors
    ///
    /// See the trait.
    ///
    /// # Cancel safety
    ///
    /// Can be called again.
    async fn checkpoint(&mut self) -> Result<Checkpoint>;

    /// Tells the driver that the latest checkpoint was applied to the metadata, so that what it
    /// replaced may be removed.
    ///
    /// # Errors
    ///
    /// See the trait. The checkpoint is valid in any case.
    ///
    /// # Cancel safety
    ///
    /// Can be called again.
    async fn checkpoint_applied(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes the object whole, durable and readable, and tells its size.
    ///
    /// # Errors
    ///
    /// The object may be finished or not; `take_over` goes on from the last checkpoint either way.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    async fn finish(self: Box<Self>) -> Result<u64>;
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The key.
    pub key: ObjectKey,
    /// The stored bytes; of an unfinished write, those that are known to be there.
    pub size: u64,
    /// Whether this is an unfinished write rather than an object.
    pub unfinished: bool,
}

/// The part of an open file that a reader covers, for `sendfile`.
#[derive(Clone, Debug)]
pub struct FileRegion {
    /// The file, open for reading. It may be read at any position by several readers at once.
    pub file: Arc<File>,
    /// The bytes of the file that are the answer.
    pub range: Range<u64>,
}

/// An open object: its size, the range that is read, and the bytes.
pub struct BlobReader {
    size: u64,
    // Invariant: start <= end <= size, and the chunks add up to it or end with an error.
    range: Range<u64>,
    chunks: BoxStream<'static, Result<Bytes>>,
    file: Option<Arc<File>>,
}

impl BlobReader {
    /// A reader of `range` of an object of `size` bytes.
    pub fn new(size: u64, range: Range<u64>, chunks: BoxStream<'static, Result<Bytes>>) -> Self {
        debug_assert!(range.start <= range.end && range.end <= size);
        Self {
            size,
            range,
            chunks,
            file: None,
        }
    }

    /// The same reader, for an object whose bytes are those of a file at the same positions.
    #[must_use]
    pub fn with_file(mut self, file: Arc<File>) -> Self {
        self.file = Some(file);
        self
    }

    /// The size of the whole object.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The part that is read.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// The bytes as part of a file, where they are that.
    ///
    /// Who reads the file instead of the chunks must itself notice that it is too short.
    pub fn file(&self) -> Option<FileRegion> {
        let file = Arc::clone(self.file.as_ref()?);
        Some(FileRegion {
            file,
            range: self.range(),
        })
    }

    /// The bytes, in order, in chunks of bounded size.
    pub fn into_chunks(self) -> BoxStream<'static, Result<Bytes>> {
        self.chunks
    }

    /// Reads everything into memory.
    ///
    /// # Errors
    ///
    /// What the chunks answer, and [`Error::Corrupt`] if the range exceeds `bytes_max` or the
    /// chunks do not add up to it.
    ///
    /// # Cancel safety
    ///
    /// What was read is lost.
    pub async fn collect(mut self, bytes_max: u64) -> Result<Bytes> {
        let expected = self.range.end - self.range.start;
        if expected > bytes_max {
            let reason = format!("{expected} bytes where at most {bytes_max} belong");
            return Err(Error::corrupt("an object", reason));
        }
        let mut collected = BytesMut::new();
        while let Some(chunk) = self.chunks.next().await {
            collected.extend_from_slice(&chunk?);
        }
        let found = collected.len() as u64;
        if found != expected {
            let reason = format!("{found} bytes where {expected} were announced");
            return Err(Error::corrupt("an object", reason));
        }
        Ok(collected.freeze())
    }

    /// The same reader with another stream over the same bytes, for decorators.
    pub(crate) fn map_chunks(
        self,
        map: impl FnOnce(BoxStream<'static, Result<Bytes>>) -> BoxStream<'static, Result<Bytes>>,
    ) -> Self {
        Self {
            chunks: map(self.chunks),
            ..self
        }
    }

    /// The same reader without its file, for a decorator that must see every chunk.
    pub(crate) fn without_file(self) -> Self {
        Self { file: None, ..self }
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BlobReader")
            .field("size", &self.size)
            .field("range", &self.range)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// The range to read of an object of `size` bytes: all of it if none was asked for.
pub(crate) fn range_within(requested: Option<Range<u64>>, size: u64) -> Result<Range<u64>> {
    match requested {
        None => Ok(0..size),
        Some(range) if range.start <= range.end && range.end <= size => Ok(range),
        Some(requested) => Err(Error::RangeUnsatisfiable { requested, size }),
    }
}
