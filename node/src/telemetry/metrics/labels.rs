//! What requests are told apart by: the handler and the method, each out of a small set.
//!
//! It does not know paths; whoever routes a request says which handler it is.

/// What a request was for. The values are those of Distribution, `referrers` and `other` are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handler {
    /// `/v2/`
    Base,
    /// `/v2/<name>/manifests/<reference>`
    Manifest,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags,
    /// `/v2/<name>/blobs/<digest>`
    Blob,
    /// `/v2/<name>/blobs/uploads/`
    BlobUpload,
    /// `/v2/<name>/blobs/uploads/<id>`
    BlobUploadChunk,
    /// `/v2/<name>/referrers/<digest>`
    Referrers,
    /// Everything else.
    Other,
}

impl Handler {
    /// The value of the label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Manifest => "manifest",
            Self::Catalog => "catalog",
            Self::Tags => "tags",
            Self::Blob => "blob",
            Self::BlobUpload => "blob_upload",
            Self::BlobUploadChunk => "blob_upload_chunk",
            Self::Referrers => "referrers",
            Self::Other => "other",
        }
    }
}

/// A method of HTTP, out of those that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// Any other. A client can make up as many as it likes.
    Other,
}

impl Method {
    /// Reads the method of a request, which HTTP spells in capitals.
    pub fn of(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }

    /// The value of the label: lowercase, as in Distribution.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Head => "head",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Options => "options",
            Self::Other => "other",
        }
    }
}
