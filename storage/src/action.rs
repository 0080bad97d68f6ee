//! The names of what a store can be asked, for decorators that measure or disturb it.
//!
//! It is not a way to call a store.

use std::fmt;

/// One kind of call on a store, a writer or a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Action {
    /// `BlobStore::create`
    Create,
    /// `BlobStore::resume`
    Resume,
    /// `BlobStore::take_over`
    TakeOver,
    /// `BlobWriter::write`
    Write,
    /// `BlobWriter::checkpoint`
    Checkpoint,
    /// `BlobWriter::checkpoint_applied`
    CheckpointApplied,
    /// `BlobWriter::finish`
    Finish,
    /// `BlobStore::read`, until the reader is there
    Read,
    /// The chunks of a reader
    ReadBody,
    /// `BlobStore::size`
    Size,
    /// `BlobStore::delete`
    Delete,
    /// `BlobStore::discard_unfinished`
    DiscardUnfinished,
    /// `BlobStore::list` and its entries
    List,
    /// `BlobStore::redirect_url`
    RedirectUrl,
    /// `BlobStore::read_marker`
    ReadMarker,
    /// `BlobStore::write_marker`
    WriteMarker,
    /// `BlobStore::check`
    Check,
}

impl Action {
    /// The name for metric labels and log fields.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Resume => "resume",
            Self::TakeOver => "take_over",
            Self::Write => "write",
            Self::Checkpoint => "checkpoint",
            Self::CheckpointApplied => "checkpoint_applied",
            Self::Finish => "finish",
            Self::Read => "read",
            Self::ReadBody => "read_body",
            Self::Size => "size",
            Self::Delete => "delete",
            Self::DiscardUnfinished => "discard_unfinished",
            Self::List => "list",
            Self::RedirectUrl => "redirect_url",
            Self::ReadMarker => "read_marker",
            Self::WriteMarker => "write_marker",
            Self::Check => "check",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
