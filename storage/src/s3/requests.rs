//! The requests of uploads.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    CompletedMultipartUpload, CompletedPart, ObjectCannedAcl, ServerSideEncryption, StorageClass,
};
use bytes::Bytes;
use tokio::time::timeout;

use super::bucket::Bucket;
use super::deletion;
use super::failure::status;
use crate::error::{Cause, Error, Result};
use crate::limits::{
    STORE_ASSEMBLY_TIME, STORE_ATTEMPT_TIME, STORE_BYTES_PER_SECOND_MIN,
    STORE_COPIED_PER_SECOND_MIN, STORE_OPERATION_TIME, STORE_READ_TIME,
};
use crate::parts::{Part, PartStore};

/// Begins every checkpoint of this driver. Never changed; a new format gets a new tag.
const CHECKPOINT_TAG: &[u8] = b"s3-1";

impl Bucket {
    fn encryption(&self) -> Option<ServerSideEncryption> {
        let by_key = self.options.key_id.is_some();
        self.options.encrypt.then_some(if by_key {
            ServerSideEncryption::AwsKms
        } else {
            ServerSideEncryption::Aes256
        })
    }

    fn key_id(&self) -> Option<String> {
        self.options.key_id.clone().filter(|_| self.options.encrypt)
    }

    fn storage_class(&self) -> Option<StorageClass> {
        self.options
            .storage_class
            .as_deref()
            .map(StorageClass::from)
    }

    fn acl(&self) -> Option<ObjectCannedAcl> {
        self.options
            .object_acl
            .as_deref()
            .map(ObjectCannedAcl::from)
    }

    /// Time limits for a request that sends so many bytes.
    fn in_time_to_send(bytes: usize) -> Builder {
        let sending = Duration::from_secs(bytes as u64 / STORE_BYTES_PER_SECOND_MIN);
        limited(
            STORE_ATTEMPT_TIME + sending,
            STORE_OPERATION_TIME + 2 * sending,
        )
    }

    /// Time limits for a request that has the store write so many bytes anew.
    fn in_time_to_copy(bytes: u64) -> Builder {
        let limit = STORE_ASSEMBLY_TIME;
        let limit = limit + Duration::from_secs(bytes / STORE_COPIED_PER_SECOND_MIN);
        limited(limit, 2 * limit)
    }

    pub(super) async fn put_object(&self, name: &str, bytes: Bytes) -> Result<()> {
        let limit = Self::in_time_to_send(bytes.len());
        let put = self
            .client
            .put_object()
            .bucket(self.name())
            .key(self.key(name))
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.key_id())
            .set_storage_class(self.storage_class())
            .set_acl(self.acl())
            .content_length(length(&bytes))
            .body(ByteStream::from(bytes))
            .customize()
            .config_override(limit);
        let put = if self.is_encrypted() {
            put.disable_payload_signing()
        } else {
            put
        };
        let answer = put.send().await;
        answer
            .map(drop)
            .map_err(|error| self.failed("write", name, error))
    }

    pub(super) async fn size_of(&self, name: &str) -> Result<u64> {
        let head = self
            .client
            .head_object()
            .bucket(self.name())
            .key(self.key(name));
        let answer = match head.send().await {
            Ok(answer) => answer,
            // The answer to HEAD has no body to say whether it is the bucket that is missing.
            Err(error) if status(&error) == Some(404) => {
                let get = self
                    .client
                    .get_object()
                    .bucket(self.name())
                    .key(self.key(name));
                let answer = get.range("bytes=0-0").send().await;
                let answer = answer.map_err(|error| self.failed("look at", name, error))?;
                let subject = self.subject("look at", name);
                let found = answer.content_length;
                let source = format!("absent by HEAD, but GET tells of {found:?} bytes").into();
                return Err(Error::Unavailable { subject, source });
            }
            Err(error) => return Err(self.failed("look at", name, error)),
        };
        let size = answer
            .content_length()
            .and_then(|length| u64::try_from(length).ok());
        size.ok_or_else(|| self.cut_short("look at", name))
    }

    /// The answer lacks what it is there to tell.
    fn cut_short(&self, action: &str, name: &str) -> Error {
        let subject = self.subject(action, name);
        let source = "the store's answer was cut short".into();
        Error::Unavailable { subject, source }
    }
}

fn limited(attempt: Duration, operation: Duration) -> Builder {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(attempt)
        .operation_timeout(operation);
    Builder::new().timeout_config(timeouts.build())
}

fn length(bytes: &Bytes) -> i64 {
    // What is in memory is never as long as that.
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

/// The number of a part, as the SDK wants it.
fn numbered(number: u32) -> i32 {
    // Numbers end at 10,000.
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[async_trait]
impl PartStore for Bucket {
    fn tag(&self) -> &'static [u8] {
        CHECKPOINT_TAG
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        self.put_object(name, bytes).await
    }

    async fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let subject = self.subject("read", name);
        let wanted = range.end - range.start;
        let cut_short = || Error::corrupt(&subject, format!("fewer bytes than {}", range.end));
        let get = self
            .client
            .get_object()
            .bucket(self.name())
            .key(self.key(name));
        let answer = get.range(http_range(&range)).send().await;
        let answer = answer.map_err(|error| match status(&error) {
            Some(416) => cut_short(),
            _ => self.failed("read", name, error),
        })?;
        if answer
            .content_length()
            .and_then(|length| u64::try_from(length).ok())
            != Some(wanted)
        {
            return Err(cut_short());
        }
        let limit = STORE_READ_TIME + Duration::from_secs(wanted / STORE_BYTES_PER_SECOND_MIN);
        let body = timeout(limit, answer.body.collect()).await;
        let failed = |source: Cause| Error::Unavailable {
            subject: subject.clone(),
            source,
        };
        let body = body.map_err(|elapsed| failed(elapsed.into()))?;
        let bytes = body.map_err(|error| failed(error.into()))?.into_bytes();
        if bytes.len() as u64 == wanted {
            Ok(bytes)
        } else {
            Err(failed("it broke off".into()))
        }
    }

    async fn size(&self, name: &str) -> Result<u64> {
        self.size_of(name).await
    }

    async fn remove(&self, names: Vec<String>) -> Result<()> {
        deletion::remove_objects(self, &names)
            .await
            .into_values()
            .collect()
    }

    async fn begin(&self, name: &str) -> Result<String> {
        let begin = self
            .client
            .create_multipart_upload()
            .bucket(self.name())
            .key(self.key(name))
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.key_id())
            .set_storage_class(self.storage_class())
            .set_acl(self.acl());
        let answer = begin.send().await;
        let answer = answer.map_err(|error| self.failed("begin to write", name, error))?;
        answer
            .upload_id
            .ok_or_else(|| self.cut_short("begin to write", name))
    }

    async fn highest_part(&self, name: &str, upload: &str, after: u32) -> Result<Option<u32>> {
        let mut pages = self
            .client
            .list_parts()
            .bucket(self.name())
            .key(self.key(name))
            .upload_id(upload)
            .part_number_marker(after.to_string())
            .into_paginator()
            .send();
        let mut highest = None;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed("look at parts of", name, error))?;
            let numbers = page.parts().iter().filter_map(|part| part.part_number());
            let numbers = numbers.filter_map(|number| u32::try_from(number).ok());
            // Some servers ignore the marker.
            highest = numbers
                .filter(|number| *number > after)
                .chain(highest)
                .max();
        }
        Ok(highest)
    }

    async fn put_part(
        &self,
        name: &str,
        upload: &str,
        number: u32,
        bytes: Bytes,
    ) -> Result<String> {
        let limit = Self::in_time_to_send(bytes.len());
        let put = self
            .client
            .upload_part()
            .bucket(self.name())
            .key(self.key(name))
            .upload_id(upload)
            .part_number(numbered(number))
            .content_length(length(&bytes))
            .body(ByteStream::from(bytes))
            .customize()
            .config_override(limit);
        let put = if self.is_encrypted() {
            put.disable_payload_signing()
        } else {
            put
        };
        let answer = put.send().await;
        let answer = answer.map_err(|error| self.failed("write a part of", name, error))?;
        answer
            .e_tag
            .ok_or_else(|| self.cut_short("write a part of", name))
    }

    async fn copy_part(
        &self,
        source: &str,
        range: Range<u64>,
        (name, upload, number): (&str, &str, u32),
    ) -> Result<String> {
        let source = format!("{}/{}", self.name(), self.key(source));
        // Keys are of letters, digits and the like, but `rootdirectory` may be anything.
        let source: String = url::form_urlencoded::byte_serialize(source.as_bytes()).collect();
        let source = source.replace('+', "%20").replace("%2F", "/");
        let copy = self
            .client
            .upload_part_copy()
            .bucket(self.name())
            .key(self.key(name))
            .upload_id(upload)
            .part_number(numbered(number))
            .copy_source(source)
            .copy_source_range(http_range(&range))
            .customize()
            .config_override(Self::in_time_to_copy(range.end - range.start));
        let answer = copy.send().await;
        let answer = answer.map_err(|error| self.failed("copy to", name, error))?;
        let tag = answer.copy_part_result.and_then(|result| result.e_tag);
        tag.ok_or_else(|| self.cut_short("copy to", name))
    }

    async fn complete(&self, name: &str, upload: &str, parts: &[Part], size: u64) -> Result<()> {
        let completed = parts.iter().map(|part| {
            let completed = CompletedPart::builder().part_number(numbered(part.number));
            completed.e_tag(&part.tag).build()
        });
        let completed = CompletedMultipartUpload::builder().set_parts(Some(completed.collect()));
        let complete = self
            .client
            .complete_multipart_upload()
            .bucket(self.name())
            .key(self.key(name))
            .upload_id(upload)
            .multipart_upload(completed.build())
            .customize()
            .config_override(Self::in_time_to_copy(size));
        let answer = complete.send().await;
        let failed = answer
            .map(drop)
            .map_err(|error| self.failed("complete", name, error));
        match failed {
            // The answer to an earlier attempt may have been lost on its way.
            Err(Error::NotFound { subject, source }) => match self.size_of(name).await {
                Ok(stored) if stored == size => Ok(()),
                Ok(_) | Err(Error::NotFound { .. }) => Err(Error::NotFound { subject, source }),
                Err(error) => Err(error),
            },
            other => other,
        }
    }
}

/// A range that is not empty, as HTTP writes it.
pub(super) fn http_range(range: &Range<u64>) -> String {
    format!("bytes={}-{}", range.start, range.end.saturating_sub(1))
}
