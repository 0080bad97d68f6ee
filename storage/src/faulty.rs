//! A decorator for tests: makes chosen calls fail or wait, by a script or by a seed.
//!
//! It is not for production, and not a model of one particular store.
//! Invariant: a plan decides by action and by how often that action was called before, so the same
//! calls meet the same faults, however they interleave with calls of other actions.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use url::Url;

use crate::action::Action;
use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::marker::Marker;
use crate::path::ObjectKey;
use crate::store::{BlobReader, BlobStore, BlobWriter, ObjectInfo};

mod plan;
#[cfg(test)]
mod tests;

pub use plan::{Failure, Fault, Plan};

use plan::Calls;

/// A store that fails when its plan says so.
///
/// Faults of `ReadBody` count chunks, those of `List`, `Delete` and `DiscardUnfinished` count
/// calls: a failed listing yields one error and ends, a failed delete answers an error for every
/// key.
/// Its readers have no file, so that every byte passes here.
#[derive(Clone, Debug)]
pub struct Faulty {
    inner: Arc<dyn BlobStore>,
    script: Arc<Script>,
}

#[derive(Debug)]
struct Script {
    plan: Plan,
    calls: Mutex<Calls>,
}

impl Script {
    /// Counts the call and tells what is to happen to it.
    fn next(&self, action: Action) -> Option<Fault> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let nth = calls.count(action);
        let fault = self.plan.fault(action, nth)?;
        tracing::info!(%action, nth, ?fault, "injecting a fault");
        calls.injected += 1;
        Some(fault)
    }

    /// Runs a call with what the plan has in store for it.
    async fn run<T>(&self, action: Action, call: impl Future<Output = Result<T>>) -> Result<T> {
        match self.next(action) {
            None => call.await,
            Some(Fault::Fail(failure)) => Err(failure.error(action)),
            Some(Fault::FailAfter(failure)) => {
                call.await?;
                Err(failure.error(action))
            }
            Some(Fault::Delay(duration)) => {
                tokio::time::sleep(duration).await;
                call.await
            }
        }
    }

    /// The same for a call that answers for each key.
    async fn run_each(
        &self,
        action: Action,
        keys: &[ObjectKey],
        call: impl Future<Output = Vec<Result<()>>>,
    ) -> Vec<Result<()>> {
        let failures = |failure: Failure| keys.iter().map(|_| Err(failure.error(action))).collect();
        match self.next(action) {
            None => call.await,
            Some(Fault::Fail(failure)) => failures(failure),
            Some(Fault::FailAfter(failure)) => {
                call.await;
                failures(failure)
            }
            Some(Fault::Delay(duration)) => {
                tokio::time::sleep(duration).await;
                call.await
            }
        }
    }
}

impl Faulty {
    /// Disturbs `inner` by `plan`.
    pub fn new(inner: Arc<dyn BlobStore>, plan: Plan) -> Self {
        Self {
            inner,
            script: Arc::new(Script {
                plan,
                calls: Mutex::default(),
            }),
        }
    }

    /// How often an action was called so far.
    pub fn calls(&self, action: Action) -> u64 {
        self.script
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .of(action)
    }

    /// How many faults were injected so far: a test that wants faults checks that there were any.
    pub fn injected(&self) -> u64 {
        self.script
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .injected
    }

    fn writer(&self, inner: Box<dyn BlobWriter>) -> Box<dyn BlobWriter> {
        Box::new(FaultyWriter {
            inner,
            script: Arc::clone(&self.script),
        })
    }
}

#[async_trait]
impl BlobStore for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn create(&self, key: &ObjectKey) -> Result<Box<dyn BlobWriter>> {
        let writer = self
            .script
            .run(Action::Create, self.inner.create(key))
            .await?;
        Ok(self.writer(writer))
    }

    async fn resume(
        &self,
        key: &ObjectKey,
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn BlobWriter>> {
        let call = self.inner.resume(key, checkpoint);
        Ok(self.writer(self.script.run(Action::Resume, call).await?))
    }

    async fn take_over(
        &self,
        from: &ObjectKey,
        checkpoint: &Checkpoint,
        to: &ObjectKey,
    ) -> Result<Box<dyn BlobWriter>> {
        let call = self.inner.take_over(from, checkpoint, to);
        Ok(self.writer(self.script.run(Action::TakeOver, call).await?))
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<BlobReader> {
        let reader = self
            .script
            .run(Action::Read, self.inner.read(key, range))
            .await?;
        let script = Arc::clone(&self.script);
        Ok(reader
            .without_file()
            .map_chunks(|chunks| disturbed(chunks, script)))
    }

    async fn size(&self, key: &ObjectKey) -> Result<u64> {
        self.script.run(Action::Size, self.inner.size(key)).await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        let call = self.inner.delete(keys);
        self.script.run_each(Action::Delete, keys, call).await
    }

    async fn discard_unfinished(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        let call = self.inner.discard_unfinished(keys);
        let action = Action::DiscardUnfinished;
        self.script.run_each(action, keys, call).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectInfo>> {
        let found = self.inner.list(prefix);
        match self.script.next(Action::List) {
            None => found,
            Some(Fault::Fail(failure)) => stream::iter([Err(failure.error(Action::List))]).boxed(),
            Some(Fault::FailAfter(failure)) => found
                .chain(stream::iter([Err(failure.error(Action::List))]))
                .boxed(),
            Some(Fault::Delay(duration)) => stream::once(tokio::time::sleep(duration))
                .map(|()| stream::empty().boxed())
                .chain(stream::iter([found]))
                .flatten()
                .boxed(),
        }
    }

    async fn redirect_url(&self, key: &ObjectKey, valid_for: Duration) -> Result<Option<Url>> {
        let call = self.inner.redirect_url(key, valid_for);
        self.script.run(Action::RedirectUrl, call).await
    }

    async fn read_marker(&self) -> Result<Option<Marker>> {
        self.script
            .run(Action::ReadMarker, self.inner.read_marker())
            .await
    }

    async fn write_marker(&self, marker: &Marker) -> Result<()> {
        self.script
            .run(Action::WriteMarker, self.inner.write_marker(marker))
            .await
    }

    async fn check(&self) -> Result<()> {
        self.script.run(Action::Check, self.inner.check()).await
    }
}

/// The chunks until a fault; after an error the stream ends, as a driver's would.
fn disturbed(
    chunks: BoxStream<'static, Result<Bytes>>,
    script: Arc<Script>,
) -> BoxStream<'static, Result<Bytes>> {
    stream::unfold(Some((chunks, script)), |state| async move {
        let (mut chunks, script) = state?;
        let chunk = chunks.next().await?;
        match script.run(Action::ReadBody, async { chunk }).await {
            Ok(chunk) => Some((Ok(chunk), Some((chunks, script)))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

#[derive(Debug)]
struct FaultyWriter {
    inner: Box<dyn BlobWriter>,
    script: Arc<Script>,
}

#[async_trait]
impl BlobWriter for FaultyWriter {
    fn offset(&self) -> u64 {
        self.inner.offset()
    }

    fn is_sealed(&self) -> bool {
        self.inner.is_sealed()
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.script
            .run(Action::Write, self.inner.write(bytes))
            .await
    }

    async fn checkpoint(&mut self) -> Result<Checkpoint> {
        self.script
            .run(Action::Checkpoint, self.inner.checkpoint())
            .await
    }

    async fn checkpoint_applied(&mut self) -> Result<()> {
        self.script
            .run(Action::CheckpointApplied, self.inner.checkpoint_applied())
            .await
    }

    async fn finish(self: Box<Self>) -> Result<u64> {
        let Self { inner, script } = *self;
        script.run(Action::Finish, inner.finish()).await
    }
}
