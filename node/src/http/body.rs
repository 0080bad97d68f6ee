//! Bodies of requests: pumped to an upload, read whole, or dropped politely.

use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::error::RegistryError;
use crate::limits::{
    BODY_IDLE, BODY_PIECES_WAITING, DRAINED_BYTES_MAX, DRAINED_TIME, MANIFEST_BODY_TIME,
    MANIFEST_BYTES_MAX,
};
use crate::space::Space;
use crate::upload::{Chunk, Piece};

#[cfg(test)]
mod tests;

/// How a body ended.
#[derive(Debug)]
enum End {
    /// It came whole.
    Whole,
    /// The client went away, or broke the protocol.
    Broken,
    /// Nothing came for too long.
    Slow,
    /// Nobody wants the rest.
    Unwanted,
    /// There is no room for the rest.
    Short(RegistryError),
}

/// Pumps a body into a chunk while `work` takes it in, and returns what the work came to.
///
/// It ends early when there is no more room: what came until then is kept.
pub(super) async fn pumped<T, F>(
    space: &Space,
    payload: &mut Payload,
    start: Option<u64>,
    length: Option<u64>,
    work: impl FnOnce(Chunk) -> F,
) -> Result<T, RegistryError>
where
    F: Future<Output = Result<T, RegistryError>>,
{
    let (sender, body) = mpsc::channel(BODY_PIECES_WAITING);
    let (end, result) = futures::join!(
        pump(space, payload, sender),
        work(Chunk {
            start,
            length,
            body
        })
    );
    match (end, result) {
        (End::Slow, Err(RegistryError::BodyBroken)) => Err(RegistryError::BodySlow),
        (End::Short(short), Err(RegistryError::BodyBroken)) => Err(short),
        (_, result) => result,
    }
}

async fn pump(space: &Space, payload: &mut Payload, sender: mpsc::Sender<Piece>) -> End {
    loop {
        let next = tokio::select! {
            // Whoever took the chunk in has its answer: do not wait for a client that stands still.
            () = sender.closed() => return End::Unwanted,
            next = timeout(BODY_IDLE, payload.next()) => next,
        };
        let piece = match next {
            Err(_elapsed) => return End::Slow,
            Ok(Some(Ok(data))) => Piece::Data(data),
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "a body broke off");
                return End::Broken;
            }
            Ok(None) => Piece::End,
        };
        if let Err(short) = space.check() {
            return End::Short(short);
        }
        let is_end = matches!(piece, Piece::End);
        let is_wanted = sender.send(piece).await.is_ok();
        match (is_end, is_wanted) {
            (true, _) => return End::Whole,
            (false, true) => {}
            (false, false) => return End::Unwanted,
        }
    }
}

/// Reads a manifest's body whole.
pub(super) async fn read_manifest(payload: &mut Payload) -> Result<Bytes, RegistryError> {
    let read = async {
        let mut body = BytesMut::new();
        while let Some(data) = payload.next().await {
            body.extend_from_slice(&data.map_err(|_| RegistryError::ManifestBroken)?);
            if body.len() > MANIFEST_BYTES_MAX {
                return Err(RegistryError::ManifestTooLarge);
            }
        }
        Ok(body.freeze())
    };
    timeout(MANIFEST_BODY_TIME, read)
        .await
        .unwrap_or(Err(RegistryError::ManifestSlow))
}

/// Reads a little of what is left, so that the client gets to see the answer: a connection that
/// is closed with unread bytes is reset.
pub(super) async fn drain(payload: &mut Payload) {
    let drained = async {
        let mut bytes = 0;
        while let Some(Ok(data)) = payload.next().await {
            bytes += data.len();
            if bytes > DRAINED_BYTES_MAX {
                break;
            }
        }
    };
    // Either way the answer is sent now.
    let _ = timeout(DRAINED_TIME, drained).await;
}
