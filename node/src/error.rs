//! `RegistryError`: what can go wrong, in sentences of the domain.
//!
//! Which code and status each gets is decided in `http/error.rs`. There is no blanket conversion
//! from the errors of storage and cluster: the call site knows what was sought, and says so.

use std::error::Error;

use roadstead_proto::digest::DigestError;
use roadstead_proto::limits::DESCRIPTORS_MAX;
use roadstead_proto::manifest::ManifestError;
use roadstead_proto::name::NameError;
use roadstead_proto::reference::{ReferenceError, TagError};
use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{Refusal, Response};
use roadstead_proto::upload::ContentRangeError;
use roadstead_proto::{Digest, RepositoryName};

use crate::limits::{MANIFEST_BYTES_MAX, TAGS_PER_PUT_MAX};
use crate::space::Shortage;

/// An error with its cause, which only the log sees.
pub type Source = Box<dyn Error + Send + Sync>;

/// Why a request was not answered as it wished.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is the sentence that it prints")]
pub enum RegistryError {
    #[error("no such page: {0}")]
    PathUnknown(String),
    #[error("the method {method} is not supported here; supported are {allowed}")]
    MethodUnknown {
        method: String,
        allowed: &'static str,
    },

    #[error("{0}")]
    NameInvalid(#[from] NameError),
    #[error("{0}")]
    TagInvalid(#[from] TagError),
    #[error("{0}")]
    DigestInvalid(#[from] DigestError),
    #[error("the parameter `{0}` is missing")]
    ParameterMissing(&'static str),
    #[error("`n` must be a number from 0 to {max}, not `{found}`")]
    PageInvalid { found: String, max: usize },

    #[error("the repository `{0}` is not known to this registry")]
    NameUnknown(RepositoryName),
    #[error("the blob {0} is not known in this repository")]
    BlobUnknown(Digest),
    #[error("the manifest `{0}` is not known in this repository")]
    ManifestUnknown(String),
    #[error("the tag `{0}` is not known in this repository")]
    TagUnknown(String),
    #[error("the upload `{0}` is not known in this repository; start a new one")]
    UploadUnknown(String),

    #[error("the range `{range}` cannot be satisfied: the blob has {size} bytes")]
    RangeUnsatisfiable { range: String, size: u64 },
    #[error("the chunk begins at {found}, but the upload is at {offset}; go on from there")]
    RangeOutOfOrder { found: u64, offset: u64 },
    #[error("Content-Range: {0}")]
    RangeInvalid(#[from] ContentRangeError),
    #[error("the body has {actual} bytes, but {expected} were announced")]
    SizeMismatch { expected: u64, actual: u64 },
    #[error("the content has the digest {actual}, not {expected}; push it again")]
    DigestMismatch { expected: Digest, actual: Digest },
    #[error("the body broke off; ask for the upload's offset and go on from there")]
    BodyBroken,
    #[error("the body stood still for too long; ask for the upload's offset and go on from there")]
    BodySlow,

    #[error("{0}")]
    ManifestInvalid(#[from] ManifestError),
    #[error("{0}")]
    ManifestForbidden(String),
    #[error("the body broke off; push the manifest again")]
    ManifestBroken,
    #[error("the body took too long; push the manifest again")]
    ManifestSlow,
    #[error("a manifest has at most {MANIFEST_BYTES_MAX} bytes")]
    ManifestTooLarge,
    #[error("a manifest with at most {DESCRIPTORS_MAX} descriptors was too large to store")]
    ManifestTooComplex,
    #[error("the manifest names content that this repository does not have; push that first")]
    ManifestBlobsUnknown(Vec<String>),
    #[error("one request sets at most {TAGS_PER_PUT_MAX} tags, not {0}")]
    TooManyTags(usize),
    #[error("manifests of this repository need the blob {digest}, {} of them named in the detail; \
             delete those first", .manifests.len())]
    StillReferenced {
        digest: Digest,
        manifests: Vec<String>,
    },

    #[error("deleting is turned off; set `storage.delete.enabled` to allow it")]
    DeleteDisabled,
    #[error("the registry is read-only (`storage.maintenance.readonly`)")]
    ReadOnly,
    #[error("too many {0} at once; try again in a moment")]
    TooMany(&'static str),
    #[error("it is being deleted; try again in a moment")]
    Deleting,
    #[error("the upload is moving to another node; try again in a moment")]
    UploadMoving,
    #[error("{0}")]
    CollectionStopped(String),
    #[error("a health check fails; see /debug/health")]
    Unhealthy,
    #[error("the node is stopping; send requests to another one")]
    Draining,
    #[error("the node has not found its cluster yet; its log says what it waits for")]
    Waiting,
    #[error("{0}; pulls and deletes go on")]
    Short(Shortage),
    #[error("the object store is not this registry's any more; pulls go on")]
    StoreChanged,
    #[error("the object store is out of space")]
    NoSpace(#[source] Source),
    #[error("the object store refuses this registry; its log says more under this request's id")]
    StoreRefuses(#[source] Source),
    #[error("other uploads hold all memory that uploads may have; try again in a moment")]
    Crowded(#[source] Source),
    #[error("{what} cannot be reached; try again in a moment")]
    Unavailable { what: &'static str, source: Source },
    #[error("the bytes of {digest} are missing or damaged in the object store; push it again")]
    BlobDamaged { digest: Digest, source: Source },
    #[error("an internal error; the log of the registry says more under this request's id")]
    Internal(#[source] Source),
}

impl RegistryError {
    /// A reference is a tag or a digest.
    pub fn reference(error: ReferenceError) -> Self {
        match error {
            ReferenceError::Tag(error) => Self::TagInvalid(error),
            ReferenceError::Digest(error) => Self::DigestInvalid(error),
        }
    }

    /// The metadata did not answer.
    pub fn metadata(error: roadstead_cluster::Error) -> Self {
        match error {
            roadstead_cluster::Error::TooLarge { .. } => Self::ManifestTooComplex,
            roadstead_cluster::Error::Fault(_) => Self::Internal(error.into()),
            error => Self::Unavailable {
                what: "the metadata",
                source: error.into(),
            },
        }
    }

    /// The object store failed where absence is no answer.
    pub fn store(error: roadstead_storage::Error) -> Self {
        use roadstead_storage::Error as E;
        match error {
            E::NoSpace { .. } => Self::NoSpace(error.into()),
            // Keys that have expired, a clock that is off, a mount that has turned read-only:
            // what operators mend while clients wait.
            E::PermissionDenied { .. } => Self::StoreRefuses(error.into()),
            E::NoMemory { .. } => Self::Crowded(error.into()),
            error if error.is_transient() => Self::Unavailable {
                what: "the object store",
                source: error.into(),
            },
            error => Self::Internal(error.into()),
        }
    }

    /// Whether the client may still be sending: a body that broke off or stood still is over.
    pub fn leaves_a_body(&self) -> bool {
        !matches!(
            self,
            Self::BodyBroken | Self::BodySlow | Self::ManifestBroken | Self::ManifestSlow
        )
    }

    /// A rule of our own was broken.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::Internal(what.into().into())
    }
}

/// A sentence with all that led to it, each said once.
pub fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let text = source.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = source.source();
    }
    message
}

/// What a command came to: an outcome, or a refusal that the caller puts into words.
pub fn outcome(response: Response) -> Result<Outcome, Refused> {
    match response.outcome {
        Some(Outcome::Refusal(refusal)) => Err(Refused::from(refusal)),
        Some(outcome) => Ok(outcome),
        None => Err(Refused {
            reason: Reason::Unspecified,
            digests: Vec::new(),
        }),
    }
}

/// A refusal by the state machine.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// Because of these.
    pub digests: Vec<String>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            reason: refusal.reason(),
            digests: refusal.digests,
        }
    }
}

impl Refused {
    /// The refusals that any command may get. The caller has put its own into words before.
    pub fn other(self) -> RegistryError {
        match self.reason {
            Reason::Deleting => RegistryError::Deleting,
            Reason::EpochStale | Reason::OffsetBehind => RegistryError::UploadMoving,
            Reason::BootStale | Reason::SerialForgotten => RegistryError::Unavailable {
                what: "the metadata",
                source: format!("refused: {:?}", self.reason).into(),
            },
            Reason::Unspecified
            | Reason::RepositoryUnknown
            | Reason::BlobUnknown
            | Reason::ManifestUnknown
            | Reason::TagUnknown
            | Reason::UploadUnknown
            | Reason::StillReferenced
            | Reason::KeyUsed
            | Reason::IdentityMismatch
            | Reason::FeatureLevel => {
                RegistryError::internal(format!("an unexpected refusal: {:?}", self.reason))
            }
        }
    }
}
