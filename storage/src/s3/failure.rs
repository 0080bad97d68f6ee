//! What an error of the store means: the one place that maps them.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::error::{Cause, Error};

/// What the SDK answers when it has no answer to give.
pub(super) type Failure<E> = SdkError<E, HttpResponse>;

/// The store's own word for what is wrong, if it said one.
pub(super) fn code<E: ProvideErrorMetadata>(error: &Failure<E>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
}

/// The status of the answer, if there was one.
pub(super) fn status<E>(error: &Failure<E>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

/// Maps an error of the store. What is not known to be certain is [`Error::Unavailable`]: a caller
/// that tries again in vain does less harm than one that takes an outage for an absence.
pub(super) fn mapped<E>(subject: String, error: Failure<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let (code, status) = (code(&error).unwrap_or_default(), status(&error));
    match (code, status) {
        ("NoSuchKey" | "NoSuchUpload", _) => Error::NotFound {
            subject,
            source: Some(cause(error)),
        },
        // versitygw's word for a key that it does not know.
        ("InvalidAccessKeyId" | "XAdminUserNotFound", _) => Error::PermissionDenied {
            subject,
            source: cause(error),
        },
        ("QuotaExceeded" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded", _)
        | (_, Some(507)) => Error::NoSpace {
            subject,
            source: cause(error),
        },
        (_, Some(401 | 403)) => Error::PermissionDenied {
            subject,
            source: cause(error),
        },
        _ => Error::Unavailable {
            subject,
            source: cause(error),
        },
    }
}

/// The error with what the store said: the SDK's own text is only that it said something.
fn cause<E>(error: Failure<E>) -> Cause
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let said = error.as_service_error().map(|service| {
        let (code, message) = (service.code(), service.message());
        [code, message]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(": ")
    });
    match (said, status(&error)) {
        (Some(said), Some(status)) if said.is_empty() => format!("status {status}").into(),
        (Some(said), Some(status)) => format!("{said} (status {status})").into(),
        _ => error.into(),
    }
}
