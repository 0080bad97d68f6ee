//! Blob bytes under keys: one trait, its drivers, and the suite that every driver must pass.
//!
//! This crate knows nothing of repositories, tags, digests or Raft.
//! It stores bytes under an [`ObjectKey`] and gives them back.
//!
//! # What a driver promises
//!
//! - A key is written once. A writer on it goes on from a [`Checkpoint`], or its bytes move to a
//!   fresh key, and nothing that a former writer still sends can reach that fresh key.
//! - What a checkpoint names is durable when `checkpoint` returns, and an object is durable and
//!   whole when `finish` returns: it survives the loss of power, on every node.
//! - An object is never readable in part by accident: a reader yields every byte that it announced,
//!   or an error, never a clean end that comes too early.
//! - Trouble that may pass is [`Error::Unavailable`]. It is never told as [`Error::NotFound`].
//!
//! Each promise is a sentence in the documentation of [`BlobStore`] or [`BlobWriter`], and a
//! function in the `contract` module (feature `contract`).
//!
//! # The path of a push
//!
//! ```text
//! create(key) -> writer      the key is fresh and random; metadata knows it already
//!   write(bytes) ...         buffered, handed to the store in large batches
//!   checkpoint()             durable from here; the caller replicates offset and payload
//!   checkpoint_applied()     the driver may drop what the checkpoint replaced
//!   ... node dies ...
//! resume(key, checkpoint)    the former writer has let go: same key
//! take_over(old, checkpoint, new)   the former writer may be alive: fresh key
//!   write(bytes) ...
//!   finish() -> size         durable and readable; metadata may link it now
//! ```
//!
//! Modules in reading order: [`path`], [`store`], [`checkpoint`], [`marker`], [`error`],
//! [`memory`], [`filesystem`], [`s3`] with what it shares with others (`parts`), then the
//! decorators [`measured`] and [`faulty`].

pub mod action;
pub mod checkpoint;
mod claims;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod error;
pub mod faulty;
pub mod filesystem;
pub mod limits;
pub mod marker;
pub mod measured;
pub mod memory;
mod parts;
pub mod path;
pub mod s3;
pub mod store;

pub use action::Action;
pub use checkpoint::Checkpoint;
pub use error::{Error, Result};
pub use faulty::Faulty;
pub use filesystem::Filesystem;
pub use marker::Marker;
pub use measured::{Measured, Observer, Outcome};
pub use memory::Memory;
pub use path::ObjectKey;
pub use s3::S3;
pub use store::{BlobReader, BlobStore, BlobWriter, FileRegion, ObjectInfo};
