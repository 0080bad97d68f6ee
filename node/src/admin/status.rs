//! Errors as answers of the administration service: the one file that decides the code of gRPC.
//!
//! Operators see causes, unlike clients of the registry.

use roadstead_cluster::Error;
use tonic::{Code, Status};

use crate::error::{RegistryError, with_causes};

/// The answer to a call that failed so.
pub(super) fn of(error: &RegistryError) -> Status {
    Status::new(code(error), with_causes(error))
}

/// The metadata did not answer.
pub(super) fn of_metadata(error: Error) -> Status {
    of(&RegistryError::metadata(error))
}

fn code(error: &RegistryError) -> Code {
    use RegistryError as E;
    match error {
        E::PathUnknown(_)
        | E::NameUnknown(_)
        | E::BlobUnknown(_)
        | E::ManifestUnknown(_)
        | E::TagUnknown(_)
        | E::UploadUnknown(_)
        | E::ManifestBlobsUnknown(_) => Code::NotFound,
        E::NameInvalid(_)
        | E::TagInvalid(_)
        | E::DigestInvalid(_)
        | E::ParameterMissing(_)
        | E::PageInvalid { .. }
        | E::RangeUnsatisfiable { .. }
        | E::RangeOutOfOrder { .. }
        | E::RangeInvalid(_)
        | E::SizeMismatch { .. }
        | E::DigestMismatch { .. }
        | E::BodyBroken
        | E::BodySlow
        | E::ManifestInvalid(_)
        | E::ManifestForbidden(_)
        | E::ManifestBroken
        | E::ManifestSlow
        | E::ManifestTooLarge
        | E::ManifestTooComplex
        | E::TooManyTags(_) => Code::InvalidArgument,
        E::MethodUnknown { .. }
        | E::StillReferenced { .. }
        | E::DeleteDisabled
        | E::ReadOnly
        | E::CollectionStopped(_)
        | E::StoreChanged
        | E::StoreRefuses(_) => Code::FailedPrecondition,
        E::TooMany(_) | E::Short(_) | E::NoSpace(_) | E::Crowded(_) => Code::ResourceExhausted,
        E::Deleting
        | E::UploadMoving
        | E::Unhealthy
        | E::Draining
        | E::Waiting
        | E::Unavailable { .. } => Code::Unavailable,
        E::BlobDamaged { .. } => Code::DataLoss,
        E::Internal(_) => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_what_is_absent_from_what_is_refused_and_what_may_be_tried_again() {
        let unavailable = RegistryError::Unavailable {
            what: "the metadata",
            source: "no leader".into(),
        };
        let paused = RegistryError::CollectionStopped("paused".to_owned());
        for (error, expected, words) in [
            (
                RegistryError::UploadUnknown("x".to_owned()),
                Code::NotFound,
                "`x`",
            ),
            (
                RegistryError::ReadOnly,
                Code::FailedPrecondition,
                "readonly",
            ),
            (paused, Code::FailedPrecondition, "paused"),
            (RegistryError::Draining, Code::Unavailable, "stopping"),
            (
                unavailable,
                Code::Unavailable,
                "try again in a moment: no leader",
            ),
            (RegistryError::internal("a rule"), Code::Internal, "a rule"),
        ] {
            let status = of(&error);
            assert_eq!(status.code(), expected, "{error}");
            assert!(status.message().contains(words), "{status:?}");
        }
    }
}
