//! What stores share whose objects are made of parts: when a part is full, what a checkpoint
//! writes, and how much memory all of that may take.
//!
//! It speaks to a store by [`PartStore`] alone and knows no requests.
//!
//! ```text
//! a small upload      put(key)                                one request, sealed by a checkpoint
//! a larger one        begin(key), put_part 1, 2, 3 ..., complete(key)
//! a checkpoint        put(tail): the bytes after the last part, under a name of their own
//! taking over         complete(former), begin(fresh), copy_part 1 ..., put(tail of fresh)
//! ```
//!
//! Invariants: a name is never written with other bytes than before, nor is the number of a part.
//! What a checkpoint names stays until a later one was applied.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;

mod block;
mod budget;
mod opening;
mod payload;
mod schedule;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use budget::Budget;
pub(crate) use opening::Opener;
pub(crate) use payload::Part;
pub(crate) use tail::parse;
pub(crate) use writer::joined;

/// The requests of a store whose objects are made of parts.
///
/// Names are keys, and names of tails. Every call may be repeated by the store's client with the
/// same bytes, and answers when the store has answered one of those attempts.
#[async_trait]
pub(crate) trait PartStore: fmt::Debug + Send + Sync + 'static {
    /// Begins every checkpoint: driver and format.
    fn tag(&self) -> &'static [u8];

    /// Stores an object in one request.
    async fn put(&self, name: &str, bytes: Bytes) -> Result<()>;

    /// Reads part of an object, which is known to be small.
    async fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes>;

    /// The size of an object.
    async fn size(&self, name: &str) -> Result<u64>;

    /// Removes objects, as well as it can.
    async fn remove(&self, names: Vec<String>) -> Result<()>;

    /// Begins an upload in parts, and answers its id.
    async fn begin(&self, name: &str) -> Result<String>;

    /// The highest number above `after` that the upload has a part of.
    ///
    /// [`crate::Error::NotFound`] if there is no such upload: it was completed or removed.
    async fn highest_part(&self, name: &str, upload: &str, after: u32) -> Result<Option<u32>>;

    /// Stores a part, and answers its tag.
    async fn put_part(&self, name: &str, upload: &str, number: u32, bytes: Bytes)
    -> Result<String>;

    /// Stores a range of another object as a part, and answers its tag.
    async fn copy_part(
        &self,
        source: &str,
        range: Range<u64>,
        to: (&str, &str, u32),
    ) -> Result<String>;

    /// Makes the object of the parts, in the order of their numbers. From then on no part reaches
    /// it. `size` is what comes of it.
    ///
    /// [`crate::Error::NotFound`] if there is no such upload, and no object of that size either.
    async fn complete(&self, name: &str, upload: &str, parts: &[Part], size: u64) -> Result<()>;
}
