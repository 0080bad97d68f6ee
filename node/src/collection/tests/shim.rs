//! A store in memory between which and the collector a test stands: deletes wait or are refused,
//! and unfinished writes lie beside objects.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use roadstead_storage::{
    BlobReader, BlobStore, BlobWriter, Checkpoint, Marker, Memory, ObjectInfo, ObjectKey, Result,
};
use tokio::sync::{Notify, Semaphore};
use url::Url;

/// The store.
#[derive(Debug)]
pub(super) struct Shim {
    inner: Memory,
    marker: Mutex<Option<Option<Marker>>>,
    // Whether the store is unmounted as soon as somebody asks for a size.
    is_about_to_go: AtomicBool,
    refused: Mutex<BTreeSet<String>>,
    // What is found under a key instead of its object.
    spoiled: Mutex<BTreeMap<String, Bytes>>,
    deletes: Mutex<BTreeMap<String, u64>>,
    // Keys with an unfinished write beside whatever is stored there.
    leftovers: Mutex<BTreeSet<ObjectKey>>,
    asked: Notify,
    gate: Arc<Semaphore>,
    // Whether a listing never comes to its end.
    is_listing_for_ever: AtomicBool,
    listings: AtomicU64,
}

/// Holds deletes back until it is released.
pub(super) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(super) fn release(self) {
        self.0.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

impl Default for Shim {
    fn default() -> Self {
        Self {
            inner: Memory::new(),
            marker: Mutex::default(),
            is_about_to_go: AtomicBool::new(false),
            refused: Mutex::default(),
            spoiled: Mutex::default(),
            deletes: Mutex::default(),
            leftovers: Mutex::default(),
            asked: Notify::new(),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS / 2)),
            is_listing_for_ever: AtomicBool::new(false),
            listings: AtomicU64::new(0),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shim {
    /// From now on deletes wait.
    pub(super) fn hold_deletes(&self) -> Gate {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
        Gate(Arc::clone(&self.gate))
    }

    /// How often it was listed.
    pub(super) fn listings(&self) -> u64 {
        self.listings.load(Ordering::Relaxed)
    }

    /// From now on nobody sees the end of a listing.
    pub(super) fn list_for_ever(&self) {
        self.is_listing_for_ever.store(true, Ordering::Relaxed);
    }

    /// From now on exactly these keys cannot be deleted.
    pub(super) fn refuse(&self, keys: impl IntoIterator<Item = String>) {
        *lock(&self.refused) = keys.into_iter().collect();
    }

    /// From now on other bytes are found under the key.
    pub(super) fn spoil(&self, key: &ObjectKey, bytes: &'static [u8]) {
        lock(&self.spoiled).insert(key.as_str().to_owned(), Bytes::from_static(bytes));
    }

    /// The object is found under the key again.
    pub(super) fn restore(&self, key: &ObjectKey) {
        lock(&self.spoiled).remove(key.as_str());
    }

    fn spoiled(&self, key: &ObjectKey) -> Option<Bytes> {
        lock(&self.spoiled).get(key.as_str()).cloned()
    }

    /// Puts another marker in place, or none.
    pub(super) fn put_marker(&self, marker: Option<&Marker>) {
        *lock(&self.marker) = Some(marker.copied());
    }

    /// The next question for a size finds the store unmounted.
    pub(super) fn unmount_when_asked(&self) {
        self.is_about_to_go.store(true, Ordering::Relaxed);
    }

    /// Leaves an unfinished write beside what is stored under the key.
    pub(super) fn leave_beside(&self, key: &ObjectKey) {
        lock(&self.leftovers).insert(key.clone());
    }

    /// The keys that have an unfinished write beside what is stored.
    pub(super) fn leftovers(&self) -> BTreeSet<ObjectKey> {
        lock(&self.leftovers).clone()
    }

    /// How often the delete of a key was asked for.
    pub(super) fn deletes_of(&self, key: &str) -> u64 {
        lock(&self.deletes).get(key).copied().unwrap_or_default()
    }

    /// Waits until as many deletes were asked for.
    pub(super) async fn wait_for_deletes(&self, count: u64) {
        let all = async {
            loop {
                let asked = self.asked.notified();
                if lock(&self.deletes).values().sum::<u64>() >= count {
                    return;
                }
                asked.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), all).await;
        waited.expect("deletes are asked for");
    }
}

#[async_trait]
impl BlobStore for Shim {
    fn name(&self) -> &'static str {
        "shim"
    }

    async fn create(&self, key: &ObjectKey) -> Result<Box<dyn BlobWriter>> {
        self.inner.create(key).await
    }

    async fn resume(
        &self,
        key: &ObjectKey,
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn BlobWriter>> {
        self.inner.resume(key, checkpoint).await
    }

    async fn take_over(
        &self,
        from: &ObjectKey,
        checkpoint: &Checkpoint,
        to: &ObjectKey,
    ) -> Result<Box<dyn BlobWriter>> {
        self.inner.take_over(from, checkpoint, to).await
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<BlobReader> {
        let Some(bytes) = self.spoiled(key) else {
            return self.inner.read(key, range).await;
        };
        let size = bytes.len() as u64;
        let chunks = futures::stream::iter([Ok(bytes)]).boxed();
        Ok(BlobReader::new(size, 0..size, chunks))
    }

    async fn size(&self, key: &ObjectKey) -> Result<u64> {
        if self.is_about_to_go.load(Ordering::Relaxed) {
            self.put_marker(None);
            return self.inner.size(&super::fresh_key()).await;
        }
        match self.spoiled(key) {
            Some(bytes) => Ok(bytes.len() as u64),
            None => self.inner.size(key).await,
        }
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        for key in keys {
            *lock(&self.deletes)
                .entry(key.as_str().to_owned())
                .or_default() += 1;
        }
        self.asked.notify_waiters();
        let _permit = self.gate.acquire().await.expect("it is never closed");
        let refused = lock(&self.refused).clone();
        let mut results = Vec::new();
        for key in keys {
            if refused.contains(key.as_str()) {
                // Any error serves: that of a key which is not there is at hand.
                let missing = self.inner.size(&super::fresh_key()).await;
                results.push(missing.map(drop));
            } else {
                lock(&self.leftovers).remove(key);
                results.extend(self.inner.delete(std::slice::from_ref(key)).await);
            }
        }
        results
    }

    async fn discard_unfinished(&self, keys: &[ObjectKey]) -> Vec<Result<()>> {
        let refused = lock(&self.refused).clone();
        let mut results = Vec::new();
        for key in keys {
            if refused.contains(key.as_str()) {
                let missing = self.inner.size(&super::fresh_key()).await;
                results.push(missing.map(drop));
            } else {
                lock(&self.leftovers).remove(key);
                let discarded = self.inner.discard_unfinished(std::slice::from_ref(key));
                results.extend(discarded.await);
            }
        }
        results
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectInfo>> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        let beside = self.leftovers().into_iter().map(|key| {
            Ok(ObjectInfo {
                key,
                size: 0,
                unfinished: true,
            })
        });
        let beside: Vec<_> = beside.collect();
        let listed = self.inner.list(prefix);
        let listed = listed.chain(futures::stream::iter(beside));
        if self.is_listing_for_ever.load(Ordering::Relaxed) {
            return listed.chain(futures::stream::pending()).boxed();
        }
        listed.boxed()
    }

    async fn redirect_url(&self, key: &ObjectKey, valid_for: Duration) -> Result<Option<Url>> {
        self.inner.redirect_url(key, valid_for).await
    }

    async fn read_marker(&self) -> Result<Option<Marker>> {
        let put = *lock(&self.marker);
        match put {
            Some(marker) => Ok(marker),
            None => self.inner.read_marker().await,
        }
    }

    async fn write_marker(&self, marker: &Marker) -> Result<()> {
        self.inner.write_marker(marker).await
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}
