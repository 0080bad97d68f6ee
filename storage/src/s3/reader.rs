//! Reading an object: as it comes, and from where it broke off.
//!
//! The store is read no faster than the consumer takes. Requests run on the driver's own runtime.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::AbortOnDrop;
use super::bucket::Bucket;
use super::failure::status;
use super::requests::http_range;
use crate::error::{Error, Result};
use crate::limits::{READ_CHUNK_BYTES, STORE_BACKOFF_FIRST, STORE_READ_TIME, STORE_REREADS_MAX};
use crate::path::ObjectKey;
use crate::store::{BlobReader, range_within};

/// Opens an object, or the part of it that the range names.
pub(super) async fn open(
    bucket: Arc<Bucket>,
    key: ObjectKey,
    range: Option<Range<u64>>,
    runtime: Handle,
) -> Result<BlobReader> {
    let opened = match &range {
        Some(range) if range.is_empty() => None,
        range => match get(&bucket, &key, range.as_ref()).await {
            Ok(answer) => Some(answer),
            Err(error) => match error {
                Refused::Range => None,
                Refused::Other(error) => return Err(error),
            },
        },
    };
    let Some((size, body)) = opened else {
        let size = bucket.size_of(key.as_str()).await?;
        let range = range_within(range, size)?;
        if !range.is_empty() {
            let reason = "the store does not serve a range that is within the object";
            return Err(Error::corrupt(bucket.subject("read", key.as_str()), reason));
        }
        return Ok(BlobReader::new(size, range, stream::empty().boxed()));
    };
    let range = range_within(range, size)?;
    let reading = Reading {
        bucket,
        key,
        runtime,
        size,
        rest: range.clone(),
        body,
        ready: VecDeque::new(),
        rereads: 0,
    };
    Ok(BlobReader::new(size, range, reading.chunks()))
}

enum Refused {
    /// The range is not within the object, or the store did not look at it.
    Range,
    Other(Error),
}

/// Asks for the bytes; answers the size of the whole object with them.
async fn get(
    bucket: &Bucket,
    key: &ObjectKey,
    range: Option<&Range<u64>>,
) -> Result<(u64, ByteStream), Refused> {
    let get = bucket
        .client
        .get_object()
        .bucket(bucket.name())
        .key(bucket.key(key.as_str()));
    let get = get.set_range(range.map(http_range));
    let answer = get.send().await.map_err(|error| match status(&error) {
        Some(416) => Refused::Range,
        _ => Refused::Other(bucket.failed("read", key.as_str(), error)),
    })?;
    if range.is_some() && answer.content_range().is_none() {
        return Err(Refused::Range);
    }
    let size = whole_size(&answer).ok_or_else(|| {
        let subject = bucket.subject("read", key.as_str());
        let source = "the store does not say its size".into();
        Refused::Other(Error::Unavailable { subject, source })
    })?;
    Ok((size, answer.body))
}

fn whole_size(answer: &GetObjectOutput) -> Option<u64> {
    match answer.content_range() {
        Some(range) => range.rsplit_once('/')?.1.parse().ok(),
        None => u64::try_from(answer.content_length()?).ok(),
    }
}

struct Reading {
    bucket: Arc<Bucket>,
    key: ObjectKey,
    runtime: Handle,
    size: u64,
    // What has not come yet.
    rest: Range<u64>,
    body: ByteStream,
    // Has come, and is cut into chunks.
    ready: VecDeque<Bytes>,
    rereads: u32,
}

impl Reading {
    fn chunks(self) -> BoxStream<'static, Result<Bytes>> {
        let next = |reading: Option<Self>| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        };
        stream::unfold(Some(self), next).boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(chunk));
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            let broken = match timeout(STORE_READ_TIME, self.body.next()).await {
                Ok(Some(Ok(bytes))) => {
                    self.take(bytes)?;
                    continue;
                }
                Ok(Some(Err(error))) => error.to_string(),
                Ok(None) => "it ended too early".to_owned(),
                Err(_elapsed) => "nothing came any more".to_owned(),
            };
            self.reread(&broken).await?;
        }
    }

    fn take(&mut self, mut bytes: Bytes) -> Result<()> {
        let wanted = self.rest.end - self.rest.start;
        if bytes.len() as u64 > wanted {
            return Err(self.damaged("the store sent more than was asked for"));
        }
        self.rest.start += bytes.len() as u64;
        while !bytes.is_empty() {
            let length = bytes.len().min(READ_CHUNK_BYTES);
            self.ready.push_back(bytes.split_to(length));
        }
        Ok(())
    }

    /// Goes on from where it broke off, by a request of its own.
    async fn reread(&mut self, broken: &str) -> Result<()> {
        loop {
            self.rereads += 1;
            let (key, at) = (&self.key, self.rest.start);
            if self.rereads > STORE_REREADS_MAX {
                return Err(Error::Unavailable {
                    subject: self.bucket.subject("read", key.as_str()),
                    source: format!("it broke off at byte {at}: {broken}").into(),
                });
            }
            tracing::debug!(%key, at, broken, "an object is read on");
            let (bucket, key, range) = (Arc::clone(&self.bucket), key.clone(), self.rest.clone());
            let wait = backoff(self.rereads);
            let asking = self.runtime.spawn(async move {
                tokio::time::sleep(wait).await;
                get(&bucket, &key, Some(&range)).await
            });
            match AbortOnDrop(asking).await {
                Ok(Ok((size, body))) if size == self.size => {
                    self.body = body;
                    return Ok(());
                }
                Ok(Ok(_) | Err(Refused::Other(Error::NotFound { .. }))) => {
                    return Err(self.damaged("it has changed while it was read"));
                }
                Ok(Err(Refused::Range | Refused::Other(Error::Unavailable { .. }))) => {}
                Ok(Err(Refused::Other(error))) => return Err(error),
                Err(error) => {
                    let subject = self.bucket.subject("read", self.key.as_str());
                    let source = error.into();
                    return Err(Error::Unavailable { subject, source });
                }
            }
        }
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::corrupt(self.bucket.subject("read", self.key.as_str()), reason)
    }
}

/// Twice as long each time; requests retry with jitter of their own.
fn backoff(attempt: u32) -> Duration {
    STORE_BACKOFF_FIRST * 2_u32.saturating_pow(attempt.saturating_sub(1))
}
