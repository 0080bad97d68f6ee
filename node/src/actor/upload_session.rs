//! `UploadSession`: one for each open upload on its owning node.
//!
//! It takes one request at a time, ends when the upload ends or cannot go on, and lets go of an
//! upload that is idle. What it does is in `crate::upload`.

use std::future::Future;

use actix::fut::{self, ActorFutureExt, WrapFuture};
use actix::{Actor, ActorContext, Addr, AsyncContext, AtomicResponse, Context, Handler, Message};
use roadstead_proto::{Digest, UploadId};
use tokio::time::Instant;

use super::upload_registry::{Closed, UploadRegistry};
use crate::error::RegistryError;
use crate::limits::{UPLOAD_IDLE, UPLOAD_MAILBOX};
use crate::upload::{Chunk, Failure, Upload};

/// The actor.
pub(super) struct UploadSession {
    id: UploadId,
    // Tells it from other sessions of the same upload.
    number: u64,
    // Taken out while a request is at work; gone for good when the upload has ended.
    upload: Option<Upload>,
    registry: Addr<UploadRegistry>,
    used: Instant,
}

/// end-5: take in a chunk; answers the acknowledged offset.
#[derive(Debug, Message)]
#[rtype(result = "Result<u64, RegistryError>")]
pub(super) struct Append(pub(super) Chunk);

/// end-6: take in a last chunk, if there is one, and make the upload a blob.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub(super) struct Commit {
    /// What the content must hash to.
    pub(super) digest: Digest,
    /// The chunk that the request carries.
    pub(super) chunk: Chunk,
}

/// end-13: acknowledge all that came in; answers the offset.
#[derive(Debug, Message)]
#[rtype(result = "Result<u64, RegistryError>")]
pub(super) struct GetStatus;

/// end-14: forget the upload.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub(super) struct Cancel;

/// Let go of the upload, so that another owner may go on.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub(super) struct Release;

/// What is left of the upload, and the answer.
type Worked<T> = (Option<Upload>, Result<T, RegistryError>);

impl UploadSession {
    pub(super) fn new(upload: Upload, number: u64, registry: Addr<UploadRegistry>) -> Self {
        Self {
            id: upload.id(),
            number,
            upload: Some(upload),
            registry,
            used: Instant::now(),
        }
    }

    /// Works on the upload while later messages wait.
    fn work<T, F>(&mut self, work: impl FnOnce(Upload) -> F) -> AtomicResponse<Self, Answer<T>>
    where
        T: 'static,
        F: Future<Output = Worked<T>> + 'static,
    {
        let Some(upload) = self.upload.take() else {
            return AtomicResponse::new(Box::pin(fut::err(RegistryError::UploadMoving)));
        };
        let settle = |(upload, answer), actor: &mut Self, context: &mut Context<Self>| {
            actor.upload = upload;
            actor.used = Instant::now();
            if actor.upload.is_none() {
                context.stop();
            }
            answer
        };
        AtomicResponse::new(Box::pin(work(upload).into_actor(self).map(settle)))
    }
}

type Answer<T> = Result<T, RegistryError>;

/// Keeps an upload that can go on.
fn settle<T>(upload: Upload, result: Result<T, Failure>) -> Worked<T> {
    match result {
        Ok(value) => (Some(upload), Ok(value)),
        Err(Failure { error, is_usable }) => (is_usable.then_some(upload), Err(error)),
    }
}

impl Actor for UploadSession {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.set_mailbox_capacity(UPLOAD_MAILBOX);
        context.run_interval(UPLOAD_IDLE / 4, |actor, context| {
            // While a request is at work this does not run: the context waits for it.
            if actor.used.elapsed() >= UPLOAD_IDLE
                && let Some(upload) = actor.upload.take()
            {
                let released = upload.release().into_actor(actor);
                context.wait(released.map(|result, actor, context| {
                    if let Err(error) = result {
                        tracing::warn!(upload = %actor.id, %error, "an idle upload stays ours");
                    }
                    context.stop();
                }));
            }
        });
    }

    fn stopped(&mut self, _context: &mut Context<Self>) {
        // At most one for each session, and the registry always lives: it cannot pile up.
        let (id, number) = (self.id, self.number);
        self.registry.do_send(Closed { id, number });
    }
}

impl Handler<Append> for UploadSession {
    type Result = AtomicResponse<Self, Result<u64, RegistryError>>;

    fn handle(&mut self, append: Append, _context: &mut Context<Self>) -> Self::Result {
        self.work(|mut upload| async move {
            let result = match upload.append(append.0).await {
                Ok(()) => upload.acknowledge().await,
                Err(failure) => Err(failure),
            };
            settle(upload, result)
        })
    }
}

impl Handler<Commit> for UploadSession {
    type Result = AtomicResponse<Self, Result<(), RegistryError>>;

    fn handle(&mut self, commit: Commit, _context: &mut Context<Self>) -> Self::Result {
        self.work(|mut upload| async move {
            upload.expect(commit.digest.algorithm());
            match upload.append(commit.chunk).await {
                Ok(()) => (None, upload.commit(&commit.digest).await),
                Err(failure) => settle(upload, Err(failure)),
            }
        })
    }
}

impl Handler<GetStatus> for UploadSession {
    type Result = AtomicResponse<Self, Result<u64, RegistryError>>;

    fn handle(&mut self, _status: GetStatus, _context: &mut Context<Self>) -> Self::Result {
        self.work(|mut upload| async move {
            let result = upload.acknowledge().await;
            settle(upload, result)
        })
    }
}

impl Handler<Cancel> for UploadSession {
    type Result = AtomicResponse<Self, Result<(), RegistryError>>;

    fn handle(&mut self, _cancel: Cancel, _context: &mut Context<Self>) -> Self::Result {
        self.work(|upload| async move { (None, upload.cancel().await) })
    }
}

impl Handler<Release> for UploadSession {
    type Result = AtomicResponse<Self, Result<(), RegistryError>>;

    fn handle(&mut self, _release: Release, _context: &mut Context<Self>) -> Self::Result {
        self.work(|upload| async move { (None, upload.release().await) })
    }
}
