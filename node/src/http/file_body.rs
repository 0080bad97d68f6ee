//! The body of an answer that its connection sends out of a file.
//!
//! It yields no bytes itself, unless the file system cannot send files: then it reads them in
//! chunks like any other. An error in the middle breaks the connection: the length was promised.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use roadstead_storage::{BlobReader, Error as StorageError, FileRegion};

use super::connection::{Failure, Lane, Sent};

/// A part of a file on its way over a lane.
pub(super) struct FileBody {
    lane: Lane,
    state: State,
    sent: Sent,
    /// The same bytes, for a file system that does not know `sendfile`. Nothing is read before it
    /// is asked for.
    chunks: BoxStream<'static, Result<Bytes, StorageError>>,
}

enum State {
    /// The head of the answer is not out yet.
    New(FileRegion),
    /// The connection has it.
    Sending,
    /// It is read in chunks instead.
    Chunked,
}

impl FileBody {
    /// A body for the answer that comes next on the connection. `region` is that of the reader.
    pub(super) fn new(lane: Lane, region: FileRegion, reader: BlobReader) -> Self {
        Self {
            lane,
            state: State::New(region),
            sent: Sent::default(),
            chunks: reader.into_chunks(),
        }
    }

    /// Counts what goes out past the body.
    pub(super) fn sent(&self) -> Sent {
        self.sent.clone()
    }
}

impl MessageBody for FileBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        // With a size actix-http would insist on getting the bytes from here.
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = &mut *self;
        let error = match &mut this.state {
            State::New(region) => {
                this.lane.put(region.clone(), this.sent.clone());
                this.state = State::Sending;
                return Poll::Pending;
            }
            State::Sending => match this.lane.take_outcome() {
                None => return Poll::Pending,
                Some(Ok(())) => return Poll::Ready(None),
                Some(Err(Failure::Unsupported)) => {
                    this.state = State::Chunked;
                    return self.poll_next(context);
                }
                Some(Err(failure)) => failure.into(),
            },
            State::Chunked => match this.chunks.poll_next_unpin(context) {
                Poll::Ready(Some(Err(error))) => error.into(),
                polled => return polled.map_err(Into::into),
            },
        };
        let error: Self::Error = error;
        tracing::error!(%error, "a blob broke off in the middle of an answer");
        Poll::Ready(Some(Err(error)))
    }
}

impl Drop for FileBody {
    fn drop(&mut self) {
        if matches!(self.state, State::Sending) {
            self.lane.clear();
        }
    }
}
