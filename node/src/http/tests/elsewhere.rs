//! A store in memory that says it could serve clients itself.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use roadstead_storage::{
    BlobReader, BlobStore, BlobWriter, Checkpoint, Marker, Memory, ObjectInfo, ObjectKey, Result,
};
use url::Url;

#[derive(Debug, Default)]
pub(super) struct Elsewhere(Memory);

#[async_trait]
impl BlobStore for Elsewhere {
    fn name(&self) -> &'static str {
        "elsewhere"
    }

    async fn create(&self, key: &ObjectKey) -> Result<Box<dyn BlobWriter>> {
        self.0.create(key).await
    }

    async fn resume(
        &self,
        key: &ObjectKey,
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn BlobWriter>> {
        self.0.resume(key, checkpoint).await
    }

    async fn take_over(
        &self,
        from: &ObjectKey,
        checkpoint: &Checkpoint,
        to: &ObjectKey,
    ) -> Result<Box<dyn BlobWriter>> {
        self.0.take_over(from, checkpoint, to).await
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<BlobReader> {
        self.0.read(key, range).await
    }

    async fn size(&self, key: &ObjectKey) -> Result<u64> {
        self.0.size(key).await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        self.0.delete(keys).await
    }

    async fn discard_unfinished(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        self.0.discard_unfinished(keys).await
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectInfo>> {
        self.0.list(prefix)
    }

    async fn redirect_url(&self, key: &ObjectKey, valid_for: Duration) -> Result<Option<Url>> {
        let seconds = valid_for.as_secs();
        let text = format!("https://store.example.com/b/{key}?valid={seconds}&signed=a%2Fb");
        Ok(Url::parse(&text).ok())
    }

    async fn read_marker(&self) -> Result<Option<Marker>> {
        self.0.read_marker().await
    }

    async fn write_marker(&self, marker: &Marker) -> Result<()> {
        self.0.write_marker(marker).await
    }

    async fn check(&self) -> Result<()> {
        self.0.check().await
    }
}
