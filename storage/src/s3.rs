//! The `s3` driver: objects in a bucket of Amazon S3, or of a server that speaks its protocol.
//!
//! ```text
//! <bucket>/<root>/<key>                  an object
//! <bucket>/<root>/<key>.tail-<random>    the end of an unfinished write
//! ```
//!
//! An upload goes to its final key at once, so that its commit copies nothing. What larger uploads
//! do in parts is in `crate::parts`; here are the requests. Of the store it is wanted that a write
//! that was answered is seen by every later read and listing, which S3 promises.
//!
//! It is not a cache, and does not repair: what is missing or too short is an error.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::runtime::Handle;
use url::Url;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::limits::MARKER_BYTES_MAX;
use crate::marker::Marker;
use crate::parts::{Budget, Opener};
use crate::path::ObjectKey;
use crate::store::{BlobReader, BlobStore, BlobWriter, ObjectInfo};

mod bucket;
mod client;
mod connector;
mod deletion;
mod failure;
mod listing;
mod options;
mod probe;
mod reader;
mod requests;

pub use options::{Credentials, Options};

use bucket::Bucket;

const NAME: &str = "s3";

/// Objects in a bucket.
#[derive(Debug)]
pub struct S3 {
    bucket: Arc<Bucket>,
    runtime: Handle,
    opener: Opener,
}

impl S3 {
    /// Opens the store, and tries at once whether objects can be written, read, listed and deleted
    /// there. Requests run on the tokio runtime that this is called on.
    ///
    /// # Errors
    ///
    /// [`Error::Unsuitable`], which names the setting that is wrong or the permission that is
    /// missing, or [`Error::Unavailable`] if the store does not answer.
    ///
    /// # Cancel safety
    ///
    /// An object under `roadstead/v1/probe-<random>` may remain.
    pub async fn open(options: Options) -> Result<Self> {
        let first_part_bytes = options.chunk_bytes;
        let budget = Budget::new(options.buffer_bytes);
        let bucket = Arc::new(Bucket::new(options).await?);
        probe::run(&bucket).await?;
        let runtime = Handle::current();
        let store = Arc::clone(&bucket) as Arc<_>;
        let opener = Opener::new(store, runtime.clone(), budget, first_part_bytes);
        Ok(Self {
            bucket,
            runtime,
            opener,
        })
    }

    /// Runs requests on the driver's own runtime, which its connections belong to.
    async fn run<T: Send + 'static>(
        &self,
        action: &str,
        requests: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let task = AbortOnDrop(self.runtime.spawn(requests));
        crate::parts::joined(action, task.await)
    }
}

/// A task that nobody wants the result of any more is not worth finishing.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = std::result::Result<T, tokio::task::JoinError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl BlobStore for S3 {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn create(&self, key: &ObjectKey) -> Result<Box<dyn BlobWriter>> {
        self.opener.create(key).await
    }

    async fn resume(
        &self,
        key: &ObjectKey,
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn BlobWriter>> {
        self.opener.resume(key, checkpoint).await
    }

    async fn take_over(
        &self,
        from: &ObjectKey,
        checkpoint: &Checkpoint,
        to: &ObjectKey,
    ) -> Result<Box<dyn BlobWriter>> {
        self.opener.take_over(from, checkpoint, to).await
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<BlobReader> {
        let (bucket, key) = (Arc::clone(&self.bucket), key.clone());
        let reading = reader::open(bucket, key, range, self.runtime.clone());
        self.run("read an object", reading).await
    }

    async fn size(&self, key: &ObjectKey) -> Result<u64> {
        let (bucket, key) = (Arc::clone(&self.bucket), key.clone());
        let looking = async move { bucket.size_of(key.as_str()).await };
        self.run("look at an object", looking).await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        self.remove(keys, deletion::Wanted::Everything).await
    }

    async fn discard_unfinished(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        self.remove(keys, deletion::Wanted::Unfinished).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectInfo>> {
        listing::list(&self.bucket, &self.runtime, prefix).boxed()
    }

    async fn redirect_url(&self, key: &ObjectKey, valid_for: Duration) -> Result<Option<Url>> {
        let (bucket, key) = (Arc::clone(&self.bucket), key.clone());
        let signing = async move { bucket.signed_url(key.as_str(), valid_for).await };
        self.run("sign a URL", signing).await.map(Some)
    }

    async fn read_marker(&self) -> Result<Option<Marker>> {
        match self.read(&ObjectKey::marker(), None).await {
            Ok(reader) => Ok(Some(Marker::decode(
                &reader.collect(MARKER_BYTES_MAX).await?,
            )?)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write_marker(&self, marker: &Marker) -> Result<()> {
        let (bucket, text) = (Arc::clone(&self.bucket), Bytes::from(marker.encode()));
        let writing = async move { bucket.put_object(ObjectKey::marker().as_str(), text).await };
        self.run("write the marker", writing).await
    }

    async fn check(&self) -> Result<()> {
        match self.size(&ObjectKey::marker()).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl S3 {
    async fn remove(&self, keys: &[ObjectKey], wanted: deletion::Wanted) -> Vec<Result<()>> {
        for key in keys {
            // A writer that was dropped may still be about to store what is to be deleted here.
            self.opener.settled(key).await;
        }
        let (bucket, given) = (Arc::clone(&self.bucket), keys.to_vec());
        let removing = async move { Ok(deletion::remove(&bucket, given, wanted).await) };
        let removed = self.run("delete", removing).await;
        removed.unwrap_or_else(|error| {
            let reason = error.to_string();
            let failed = |key: &ObjectKey| {
                let (subject, source) = (format!("delete {key}"), reason.clone().into());
                Err(Error::Unavailable { subject, source })
            };
            keys.iter().map(failed).collect()
        })
    }
}
