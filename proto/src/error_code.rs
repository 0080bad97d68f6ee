//! `ErrorCode`: the codes of the distribution specification and of Distribution.
//!
//! Which HTTP status goes with which is decided in `node/src/http/error.rs`, not here.

use std::fmt;

/// A code in the `errors` of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// A blob that the repository does not hold.
    BlobUnknown,
    /// An upload that cannot go on as asked.
    BlobUploadInvalid,
    /// An upload session that does not exist here.
    BlobUploadUnknown,
    /// A digest outside the grammar, of an unknown algorithm, or that the content does not have.
    DigestInvalid,
    /// A manifest that names content which the repository does not hold.
    ManifestBlobUnknown,
    /// A manifest that does not parse or contradicts itself.
    ManifestInvalid,
    /// A manifest that the repository does not hold.
    ManifestUnknown,
    /// A repository name outside the grammar.
    NameInvalid,
    /// A repository that does not exist.
    NameUnknown,
    /// A page size that is not a number, or too large.
    PaginationNumberInvalid,
    /// A chunk or range that does not fit (Distribution's code).
    RangeInvalid,
    /// A length that does not fit.
    SizeInvalid,
    /// A tag outside the grammar.
    TagInvalid,
    /// Credentials are missing or wrong.
    Unauthorized,
    /// The user may not do this.
    Denied,
    /// The operation is not supported, or not by this configuration.
    Unsupported,
    /// Slow down.
    TooManyRequests,
    /// The registry cannot do this now; try again.
    Unavailable,
    /// A defect of the registry.
    Unknown,
}

impl ErrorCode {
    /// The code as the answer spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
