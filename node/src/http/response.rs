//! Headers that several answers share, and bodies of a known length.

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{HeaderName, HeaderValue, WARNING};
use bytes::Bytes;
use futures::stream::BoxStream;
use roadstead_storage::Error as StorageError;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The digest of what is answered (end-2, end-3).
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The id of an upload, as Docker's clients know it.
pub(super) const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// The digest of a pushed manifest's subject (end-7).
pub(super) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// A tag that was set (end-7b).
pub(super) const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// Which filters an answer about referrers has applied (end-12b).
pub(super) const OCI_FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");
/// Which API this is.
pub(super) const API_VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("docker-distribution-api-version"),
    HeaderValue::from_static("registry/2.0"),
);
/// The id that the log knows a request by.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is named by its digest never changes.
pub(super) const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// A tag may move at any time.
pub(super) const NO_CACHE: &str = "no-cache";

/// A tag that was read while nobody could decide (the specification's section "Warnings").
pub(super) const MAY_BE_OLD: (HeaderName, HeaderValue) = (
    WARNING,
    HeaderValue::from_static(
        "299 - \"no majority of the nodes answers: the tag may have moved since\"",
    ),
);

/// The `Range` of an upload: the bytes that are there, first and last. An empty one is `0-0` by
/// Docker's convention, which clients rely on.
pub(super) fn range_of(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

/// The entity tag of a digest.
pub(super) fn etag_of(digest: &str) -> String {
    format!("\"{digest}\"")
}

/// Whether an `If-None-Match` or `If-Range` names the digest.
pub(super) fn etag_matches(header: Option<&HeaderValue>, digest: &str) -> bool {
    let Some(text) = header.and_then(|value| value.to_str().ok()) else {
        return false;
    };
    text.split(',').map(str::trim).any(|tag| {
        // Weak comparison; Distribution also takes the digest without quotes.
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || tag.trim_matches('"') == digest
    })
}

/// A body of a known length, out of the object store. An error in the middle breaks the
/// connection, and so does an end that comes too early: the length was promised.
pub(super) struct StreamedBlob {
    length: u64,
    left: u64,
    chunks: BoxStream<'static, Result<Bytes, StorageError>>,
}

impl StreamedBlob {
    pub(super) fn new(
        length: u64,
        chunks: BoxStream<'static, Result<Bytes, StorageError>>,
    ) -> Self {
        Self {
            length,
            left: length,
            chunks,
        }
    }

    /// Holds what came against what was promised. HTTP/2 would end such an answer as if it were
    /// whole.
    fn checked(
        &mut self,
        found: Option<Result<Bytes, StorageError>>,
    ) -> Option<Result<Bytes, StorageError>> {
        let (left, length) = (std::mem::take(&mut self.left), self.length);
        let reason = match &found {
            Some(Ok(chunk)) => match left.checked_sub(chunk.len() as u64) {
                Some(left) => {
                    self.left = left;
                    return found;
                }
                None => format!("more than {length} bytes came"),
            },
            None if left > 0 => format!("{left} of {length} bytes did not come"),
            None | Some(Err(_)) => return found,
        };
        let subject = "read an object".to_owned();
        Some(Err(StorageError::Corrupt { subject, reason }))
    }
}

impl MessageBody for StreamedBlob {
    type Error = StorageError;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, StorageError>>> {
        let found = ready!(self.chunks.as_mut().poll_next(context));
        let checked = self.checked(found);
        if let Some(Err(error)) = &checked {
            tracing::error!(%error, "a blob broke off in the middle of an answer");
        }
        Poll::Ready(checked)
    }
}

/// No body, but the length that there would be: for `HEAD`.
pub(super) struct LengthOnly(pub(super) u64);

impl MessageBody for LengthOnly {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use futures::StreamExt;
    use futures::stream;

    use super::*;

    #[test]
    fn ranges_follow_dockers_convention() {
        assert_eq!(
            (range_of(0), range_of(1), range_of(10)),
            ("0-0".into(), "0-0".into(), "0-9".into())
        );
    }

    #[test]
    fn bodies_keep_the_length_that_was_promised() {
        let polled = |length, chunks: &[&'static [u8]]| {
            let chunks: Vec<_> = chunks
                .iter()
                .map(|chunk| Ok(Bytes::from_static(chunk)))
                .collect();
            let mut body = Box::pin(StreamedBlob::new(length, stream::iter(chunks).boxed()));
            let mut found = Vec::new();
            let mut context = Context::from_waker(Waker::noop());
            while let Poll::Ready(Some(chunk)) = body.as_mut().poll_next(&mut context) {
                found.push(chunk.map_err(|error| error.to_string()));
            }
            found
        };
        let is_whole = |found: &[Result<Bytes, String>]| found.iter().all(Result::is_ok);
        assert!(is_whole(&polled(0, &[])));
        assert!(is_whole(&polled(5, &[b"abc", b"", b"de"])));
        for (length, chunks, words) in [
            (6, &[b"abc".as_slice(), b"de"][..], "1 of 6 bytes"),
            (4, &[b"abc", b"de"], "more than 4 bytes"),
            (1, &[], "1 of 1 bytes"),
        ] {
            let found = polled(length, chunks);
            let last = found.last().expect("an error");
            let error = last.as_ref().expect_err("it is not whole");
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn entity_tags_are_compared_weakly() {
        for (header, expected) in [
            ("\"sha256:a\"", true),
            ("sha256:a", true),
            ("W/\"sha256:a\"", true),
            ("\"x\", \"sha256:a\"", true),
            ("*", true),
            ("\"sha256:b\"", false),
            ("", false),
        ] {
            let value = HeaderValue::from_str(header).unwrap();
            assert_eq!(etag_matches(Some(&value), "sha256:a"), expected, "{header}");
        }
        assert!(!etag_matches(None, "sha256:a"));
    }
}
