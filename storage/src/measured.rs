//! A decorator that tells an observer how long each action took and how it ended.
//!
//! It knows no metrics library and changes nothing about what the store does.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, Stream};
use futures::{StreamExt, ready};
use url::Url;

use crate::action::Action;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::marker::Marker;
use crate::path::ObjectKey;
use crate::store::{BlobReader, BlobStore, BlobWriter, ObjectInfo};

#[cfg(test)]
mod tests;

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It did what it promises.
    Succeeded,
    /// It answered an error of this [kind](Error::kind).
    Failed(&'static str),
    /// The caller dropped it before it ended.
    Abandoned,
}

impl Outcome {
    fn of<T>(result: &Result<T>) -> Self {
        match result {
            Ok(_) => Self::Succeeded,
            Err(error) => Self::Failed(error.kind()),
        }
    }

    /// The name for metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed(kind) => kind,
            Self::Abandoned => "abandoned",
        }
    }
}

/// Hears of every action. Called often and must not block.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// One action of the driver ended.
    ///
    /// For a stream (`read_body`, `list`) there is one call for the whole of it, and the duration
    /// is the time that the store was waited for, without the time that the consumer took.
    fn observe(&self, driver: &'static str, action: Action, duration: Duration, outcome: Outcome);
}

/// A store whose actions are measured.
#[derive(Clone, Debug)]
pub struct Measured {
    inner: Arc<dyn BlobStore>,
    observer: Arc<dyn Observer>,
}

impl Measured {
    /// Measures `inner` for `observer`.
    pub fn new(inner: Arc<dyn BlobStore>, observer: Arc<dyn Observer>) -> Self {
        Self { inner, observer }
    }

    fn start(&self, action: Action) -> Timer {
        Timer::start(self.inner.name(), action, Arc::clone(&self.observer))
    }

    fn writer(&self, result: Result<Box<dyn BlobWriter>>) -> Result<Box<dyn BlobWriter>> {
        let (driver, observer) = (self.inner.name(), Arc::clone(&self.observer));
        Ok(Box::new(MeasuredWriter {
            inner: result?,
            driver,
            observer,
        }))
    }
}

/// Reports once: when it is stopped, or as abandoned when it is dropped before.
#[derive(Debug)]
struct Timer {
    driver: &'static str,
    action: Action,
    observer: Arc<dyn Observer>,
    running_since: Option<Instant>,
    elapsed: Duration,
    reported: bool,
}

impl Timer {
    fn start(driver: &'static str, action: Action, observer: Arc<dyn Observer>) -> Self {
        let mut timer = Self::paused(driver, action, observer);
        timer.resume();
        timer
    }

    fn paused(driver: &'static str, action: Action, observer: Arc<dyn Observer>) -> Self {
        let (running_since, elapsed, reported) = (None, Duration::ZERO, false);
        Self {
            driver,
            action,
            observer,
            running_since,
            elapsed,
            reported,
        }
    }

    fn resume(&mut self) {
        self.running_since.get_or_insert_with(Instant::now);
    }

    fn pause(&mut self) {
        if let Some(since) = self.running_since.take() {
            self.elapsed += since.elapsed();
        }
    }

    fn report(&mut self, outcome: Outcome) {
        if !std::mem::replace(&mut self.reported, true) {
            self.pause();
            self.observer
                .observe(self.driver, self.action, self.elapsed, outcome);
        }
    }

    fn stop<T>(mut self, result: Result<T>) -> Result<T> {
        self.report(Outcome::of(&result));
        result
    }

    /// One call, one observation: the first failure stands for all keys.
    fn stop_each(mut self, results: Vec<Result<()>>) -> Vec<Result<()>> {
        let failed = results.iter().find(|result| result.is_err());
        self.report(failed.map_or(Outcome::Succeeded, Outcome::of));
        results
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.report(Outcome::Abandoned);
    }
}

#[async_trait]
impl BlobStore for Measured {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn create(&self, key: &ObjectKey) -> Result<Box<dyn BlobWriter>> {
        let timer = self.start(Action::Create);
        self.writer(timer.stop(self.inner.create(key).await))
    }

    async fn resume(
        &self,
        key: &ObjectKey,
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn BlobWriter>> {
        let timer = self.start(Action::Resume);
        self.writer(timer.stop(self.inner.resume(key, checkpoint).await))
    }

    async fn take_over(
        &self,
        from: &ObjectKey,
        checkpoint: &Checkpoint,
        to: &ObjectKey,
    ) -> Result<Box<dyn BlobWriter>> {
        let timer = self.start(Action::TakeOver);
        self.writer(timer.stop(self.inner.take_over(from, checkpoint, to).await))
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<BlobReader> {
        let timer = self.start(Action::Read);
        let reader = timer.stop(self.inner.read(key, range).await)?;
        let (driver, observer) = (self.inner.name(), Arc::clone(&self.observer));
        // With a file at hand the chunks may never be asked for, so only a stream that was polled
        // is reported.
        Ok(reader.map_chunks(|chunks| {
            MeasuredStream::new(chunks, driver, Action::ReadBody, observer).boxed()
        }))
    }

    async fn size(&self, key: &ObjectKey) -> Result<u64> {
        let timer = self.start(Action::Size);
        timer.stop(self.inner.size(key).await)
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        let timer = self.start(Action::Delete);
        timer.stop_each(self.inner.delete(keys).await)
    }

    async fn discard_unfinished(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        let timer = self.start(Action::DiscardUnfinished);
        timer.stop_each(self.inner.discard_unfinished(keys).await)
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectInfo>> {
        let (driver, observer) = (self.inner.name(), Arc::clone(&self.observer));
        MeasuredStream::new(self.inner.list(prefix), driver, Action::List, observer).boxed()
    }

    async fn redirect_url(&self, key: &ObjectKey, valid_for: Duration) -> Result<Option<Url>> {
        let timer = self.start(Action::RedirectUrl);
        timer.stop(self.inner.redirect_url(key, valid_for).await)
    }

    async fn read_marker(&self) -> Result<Option<Marker>> {
        let timer = self.start(Action::ReadMarker);
        timer.stop(self.inner.read_marker().await)
    }

    async fn write_marker(&self, marker: &Marker) -> Result<()> {
        let timer = self.start(Action::WriteMarker);
        timer.stop(self.inner.write_marker(marker).await)
    }

    async fn check(&self) -> Result<()> {
        let timer = self.start(Action::Check);
        timer.stop(self.inner.check().await)
    }
}

#[derive(Debug)]
struct MeasuredWriter {
    inner: Box<dyn BlobWriter>,
    driver: &'static str,
    observer: Arc<dyn Observer>,
}

impl MeasuredWriter {
    fn start(&self, action: Action) -> Timer {
        Timer::start(self.driver, action, Arc::clone(&self.observer))
    }
}

#[async_trait]
impl BlobWriter for MeasuredWriter {
    fn offset(&self) -> u64 {
        self.inner.offset()
    }

    fn is_sealed(&self) -> bool {
        self.inner.is_sealed()
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let timer = self.start(Action::Write);
        timer.stop(self.inner.write(bytes).await)
    }

    async fn checkpoint(&mut self) -> Result<Checkpoint> {
        let timer = self.start(Action::Checkpoint);
        timer.stop(self.inner.checkpoint().await)
    }

    async fn checkpoint_applied(&mut self) -> Result<()> {
        let timer = self.start(Action::CheckpointApplied);
        timer.stop(self.inner.checkpoint_applied().await)
    }

    async fn finish(self: Box<Self>) -> Result<u64> {
        let timer = self.start(Action::Finish);
        timer.stop(self.inner.finish().await)
    }
}

/// Adds up the time from each poll to its item, and reports when the stream ends or is dropped.
struct MeasuredStream<'a, T> {
    inner: BoxStream<'a, Result<T>>,
    timer: Timer,
    failed: Option<&'static str>,
    polled: bool,
}

impl<'a, T> MeasuredStream<'a, T> {
    fn new(
        inner: BoxStream<'a, Result<T>>,
        driver: &'static str,
        action: Action,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let timer = Timer::paused(driver, action, observer);
        Self {
            inner,
            timer,
            failed: None,
            polled: false,
        }
    }
}

impl<T> Stream for MeasuredStream<'_, T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.polled = true;
        self.timer.resume();
        let item = ready!(self.inner.poll_next_unpin(context));
        self.timer.pause();
        match &item {
            Some(Ok(_)) => {}
            // The first error names the outcome; a listing goes on after one.
            Some(Err(error)) => {
                self.failed.get_or_insert(Error::kind(error));
            }
            None => {
                let outcome = self.failed.map_or(Outcome::Succeeded, Outcome::Failed);
                self.timer.report(outcome);
            }
        }
        Poll::Ready(item)
    }
}

impl<T> Drop for MeasuredStream<'_, T> {
    fn drop(&mut self) {
        if !self.polled {
            self.timer.reported = true;
        } else if let Some(kind) = self.failed {
            self.timer.report(Outcome::Failed(kind));
        }
    }
}
