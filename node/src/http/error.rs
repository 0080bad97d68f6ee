//! Errors as answers: the one file that decides code and status.
//!
//! Clients never see a cause; the log does, once, here.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_RANGE, RANGE, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use roadstead_proto::ErrorCode;
use serde_json::{Value, json};

use super::response::range_of;
use crate::error::RegistryError;
use crate::limits::RETRY_AFTER_SECONDS;

/// The code of the specification.
fn code(error: &RegistryError) -> ErrorCode {
    use RegistryError as E;
    match error {
        E::PathUnknown(_) | E::NameUnknown(_) => ErrorCode::NameUnknown,
        E::NameInvalid(_) => ErrorCode::NameInvalid,
        E::TagInvalid(_) => ErrorCode::TagInvalid,
        E::DigestInvalid(_) | E::DigestMismatch { .. } | E::ParameterMissing(_) => {
            ErrorCode::DigestInvalid
        }
        E::PageInvalid { .. } => ErrorCode::PaginationNumberInvalid,
        E::BlobUnknown(_) => ErrorCode::BlobUnknown,
        E::ManifestUnknown(_) | E::TagUnknown(_) => ErrorCode::ManifestUnknown,
        E::UploadUnknown(_) => ErrorCode::BlobUploadUnknown,
        E::RangeUnsatisfiable { .. } | E::RangeOutOfOrder { .. } => ErrorCode::RangeInvalid,
        E::RangeInvalid(_) | E::BodyBroken | E::BodySlow => ErrorCode::BlobUploadInvalid,
        E::SizeMismatch { .. } => ErrorCode::SizeInvalid,
        E::ManifestInvalid(_)
        | E::ManifestForbidden(_)
        | E::ManifestBroken
        | E::ManifestSlow
        | E::ManifestTooLarge
        | E::ManifestTooComplex => ErrorCode::ManifestInvalid,
        E::ManifestBlobsUnknown(_) => ErrorCode::ManifestBlobUnknown,
        E::MethodUnknown { .. }
        | E::StillReferenced { .. }
        | E::DeleteDisabled
        | E::ReadOnly
        | E::TooManyTags(_) => ErrorCode::Unsupported,
        E::TooMany(_) => ErrorCode::TooManyRequests,
        E::Deleting
        | E::UploadMoving
        | E::Unhealthy
        | E::Draining
        | E::Waiting
        | E::Short(_)
        | E::StoreChanged
        | E::CollectionStopped(_)
        | E::NoSpace(_)
        | E::StoreRefuses(_)
        | E::Crowded(_)
        | E::Unavailable { .. } => ErrorCode::Unavailable,
        E::BlobDamaged { .. } | E::Internal(_) => ErrorCode::Unknown,
    }
}

fn status(error: &RegistryError) -> StatusCode {
    use RegistryError as E;
    match error {
        E::PathUnknown(_)
        | E::NameUnknown(_)
        | E::BlobUnknown(_)
        | E::ManifestUnknown(_)
        | E::TagUnknown(_)
        | E::UploadUnknown(_)
        | E::ManifestBlobsUnknown(_) => StatusCode::NOT_FOUND,
        E::NameInvalid(_)
        | E::TagInvalid(_)
        | E::DigestInvalid(_)
        | E::ParameterMissing(_)
        | E::PageInvalid { .. }
        | E::SizeMismatch { .. }
        | E::DigestMismatch { .. }
        | E::RangeInvalid(_)
        | E::BodyBroken
        | E::ManifestBroken
        | E::ManifestInvalid(_)
        | E::ManifestForbidden(_) => StatusCode::BAD_REQUEST,
        E::BodySlow | E::ManifestSlow => StatusCode::REQUEST_TIMEOUT,
        // end-7: a manifest above the limit answers 413, too many tags 414.
        E::ManifestTooLarge | E::ManifestTooComplex => StatusCode::PAYLOAD_TOO_LARGE,
        E::TooManyTags(_) => StatusCode::URI_TOO_LONG,
        E::RangeUnsatisfiable { .. } | E::RangeOutOfOrder { .. } => {
            StatusCode::RANGE_NOT_SATISFIABLE
        }
        E::MethodUnknown { .. } | E::StillReferenced { .. } | E::DeleteDisabled | E::ReadOnly => {
            StatusCode::METHOD_NOT_ALLOWED
        }
        E::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        E::Deleting
        | E::UploadMoving
        | E::Unhealthy
        | E::Draining
        | E::Waiting
        | E::Short(_)
        | E::StoreChanged
        | E::CollectionStopped(_)
        | E::NoSpace(_)
        | E::StoreRefuses(_)
        | E::Crowded(_)
        | E::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        E::BlobDamaged { .. } | E::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What the error is about, for programs.
fn detail(error: &RegistryError) -> Value {
    use RegistryError as E;
    match error {
        E::NameUnknown(name) => json!({ "name": name.as_str() }),
        E::BlobUnknown(digest) | E::BlobDamaged { digest, .. } => json!({ "digest": digest }),
        E::ManifestUnknown(reference) => json!({ "reference": reference }),
        E::TagUnknown(tag) => json!({ "tag": tag }),
        E::UploadUnknown(upload) => json!({ "upload": upload }),
        E::RangeUnsatisfiable { range, size } => json!({ "range": range, "size": size }),
        E::RangeOutOfOrder { found, offset } => json!({ "start": found, "offset": offset }),
        E::SizeMismatch { expected, actual } => json!({ "expected": expected, "actual": actual }),
        E::DigestMismatch { expected, actual } => {
            json!({ "expected": expected, "actual": actual })
        }
        E::ManifestBlobsUnknown(digests) => {
            json!(
                digests
                    .iter()
                    .map(|digest| json!({ "digest": digest }))
                    .collect::<Vec<_>>()
            )
        }
        E::StillReferenced { digest, manifests } => {
            json!({ "digest": digest, "manifests": manifests })
        }
        E::PageInvalid { found, max } => json!({ "n": found, "max": max }),
        _ => Value::Null,
    }
}

/// The status of a report that says what is wrong.
pub(super) fn status_of_health(is_healthy: bool) -> StatusCode {
    if is_healthy {
        StatusCode::OK
    } else {
        status(&RegistryError::Unhealthy)
    }
}

impl ResponseError for RegistryError {
    fn status_code(&self) -> StatusCode {
        status(self)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        log(self);
        let mut response = HttpResponse::build(status(self));
        match self {
            Self::MethodUnknown { allowed, .. } => {
                response.insert_header((ALLOW, *allowed));
            }
            Self::RangeUnsatisfiable { size, .. } => {
                response.insert_header((CONTENT_RANGE, format!("bytes */{size}")));
            }
            Self::RangeOutOfOrder { offset, .. } => {
                response.insert_header((RANGE, range_of(*offset)));
            }
            _ => {}
        }
        if matches!(
            code(self),
            ErrorCode::Unavailable | ErrorCode::TooManyRequests
        ) {
            response.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS));
        }
        response.json(json!({
            "errors": [{
                "code": code(self).as_str(),
                "message": self.to_string(),
                "detail": detail(self),
            }]
        }))
    }
}

/// Once, where it is handled, under the request's id: what the client did wrong for information,
/// what we did wrong loudly.
fn log(error: &RegistryError) {
    if matches!(error, RegistryError::Waiting) {
        // The log says what the node waits for, and not who asks meanwhile.
        return;
    }
    let mut causes = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        let text = source.to_string();
        // Some sentences already hold their cause.
        if !error.to_string().contains(&text) {
            causes.push_str(": ");
            causes.push_str(&text);
        }
        cause = source.source();
    }
    // That a disk is short was said when that began, and every push is refused from then on.
    let is_known = matches!(error, RegistryError::Short(_) | RegistryError::StoreChanged);
    if status(error).is_server_error() && !is_known {
        tracing::error!(code = %code(error), "{error}{causes}");
    } else {
        tracing::info!(code = %code(error), "{error}{causes}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> roadstead_proto::Digest {
        roadstead_proto::Algorithm::Sha256.digest(b"")
    }

    #[test]
    fn every_answer_has_its_status_and_names_its_thing() {
        for (error, expected, named) in [
            (RegistryError::BlobUnknown(digest()), 404, "sha256:e3b0"),
            (RegistryError::ManifestUnknown("v1".to_owned()), 404, "v1"),
            (RegistryError::UploadUnknown("u".to_owned()), 404, "`u`"),
            (
                RegistryError::RangeOutOfOrder {
                    found: 5,
                    offset: 3,
                },
                416,
                "at 3",
            ),
            (RegistryError::ManifestTooLarge, 413, "4194304"),
            (RegistryError::TooManyTags(65), 414, "65"),
            (RegistryError::TooMany("uploads"), 429, "uploads"),
            (RegistryError::Deleting, 503, "deleted"),
            (RegistryError::Crowded("secret".into()), 503, "memory"),
            (RegistryError::Waiting, 503, "cluster"),
            (RegistryError::ReadOnly, 405, "read-only"),
            (RegistryError::internal("secret"), 500, "log"),
        ] {
            let text = error.to_string();
            assert_eq!(error.status_code().as_u16(), expected, "{text}");
            assert!(text.contains(named), "{text}");
            assert!(!text.contains("secret"), "a cause is not for clients");
        }
    }

    #[test]
    fn what_may_be_tried_again_says_when() {
        for error in [
            RegistryError::TooMany("uploads"),
            RegistryError::Crowded("secret".into()),
            RegistryError::UploadMoving,
        ] {
            assert!(error.error_response().headers().contains_key(RETRY_AFTER));
        }
    }

    #[test]
    fn trouble_of_the_store_is_never_an_absence() {
        use roadstead_storage::Error as E;
        let (subject, key) = (|| "read x".to_owned(), "x".to_owned());
        let source = || "secret".into();
        for (error, expected) in [
            (
                E::Unavailable {
                    subject: subject(),
                    source: source(),
                },
                503,
            ),
            (
                E::PermissionDenied {
                    subject: subject(),
                    source: source(),
                },
                503,
            ),
            (
                E::NoSpace {
                    subject: subject(),
                    source: source(),
                },
                503,
            ),
            (E::Busy { key: key.clone() }, 503),
            (E::Sealed { key }, 500),
            (E::Stopped { subject: subject() }, 500),
            (
                E::NotFound {
                    subject: subject(),
                    source: None,
                },
                500,
            ),
        ] {
            let kind = error.kind();
            let error = RegistryError::store(error);
            assert_eq!(error.status_code().as_u16(), expected, "{kind}");
            assert!(!error.to_string().contains("secret"), "{kind}");
            let is_told = error.error_response().headers().contains_key(RETRY_AFTER);
            assert_eq!(is_told, expected == 503, "{kind}");
        }
    }
}
