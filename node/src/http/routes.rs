//! The table of endpoints. Names hold slashes, so paths are matched from their end.

use roadstead_proto::{Digest, Reference, RepositoryName, UploadId};

use crate::error::RegistryError;
use crate::limits::{QUOTED_MAX, QUOTED_PATH_MAX};
use crate::telemetry::metrics::Handler;

/// What a path names, with its parts parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `/`: the node answers.
    Alive,
    /// `/livez`: the process is there.
    Live,
    /// `/readyz`: send requests here.
    Ready,
    /// end-1.
    Base,
    /// The list of repositories.
    Catalog,
    /// end-2 and end-10.
    Blob(RepositoryName, Digest),
    /// end-3, end-7 and end-9.
    Manifest(RepositoryName, Reference),
    /// end-4 and end-11.
    Uploads(RepositoryName),
    /// end-5, end-6, end-13 and end-14.
    Upload(RepositoryName, UploadId),
    /// end-8.
    Tags(RepositoryName),
    /// end-12.
    Referrers(RepositoryName, Digest),
}

impl Endpoint {
    /// Parses a decoded path, from which `prefix` (`/` or `/…/`) is taken off first.
    ///
    /// # Errors
    /// [`RegistryError::PathUnknown`], or what is wrong with a name, tag, digest or id.
    pub(super) fn parse(path: &str, prefix: &str) -> Result<Self, RegistryError> {
        match path {
            "/livez" => return Ok(Self::Live),
            "/readyz" => return Ok(Self::Ready),
            _ => {}
        }
        let unknown = || RegistryError::PathUnknown(path.chars().take(QUOTED_PATH_MAX).collect());
        let below = path.strip_prefix(prefix).ok_or_else(unknown)?;
        match below {
            "" => return Ok(Self::Alive),
            "v2" | "v2/" => return Ok(Self::Base),
            "v2/_catalog" => return Ok(Self::Catalog),
            _ => {}
        }
        let rest = below.strip_prefix("v2/").ok_or_else(unknown)?;
        // Distribution answers the collection with and without the last slash.
        let (head, last) = rest
            .trim_end_matches('/')
            .rsplit_once('/')
            .ok_or_else(unknown)?;
        if let Some(name) = head.strip_suffix("/blobs").filter(|_| last == "uploads") {
            return Ok(Self::Uploads(name.parse()?));
        }
        if let Some(name) = head.strip_suffix("/tags").filter(|_| last == "list") {
            return Ok(Self::Tags(name.parse()?));
        }
        if rest.ends_with('/') {
            return Err(unknown());
        }
        if last == "list" && head == "tags" || last == "uploads" && head == "blobs" {
            return Ok(Self::Tags("".parse()?));
        }
        if let Some(name) = head.strip_suffix("/blobs/uploads") {
            let id = last.parse();
            let id = id
                .map_err(|_| RegistryError::UploadUnknown(last.chars().take(QUOTED_MAX).collect()));
            return Ok(Self::Upload(name.parse()?, id?));
        }
        if let Some(name) = head.strip_suffix("/blobs") {
            return Ok(Self::Blob(name.parse()?, last.parse()?));
        }
        if let Some(name) = head.strip_suffix("/manifests") {
            let reference = last.parse().map_err(RegistryError::reference)?;
            return Ok(Self::Manifest(name.parse()?, reference));
        }
        if let Some(name) = head.strip_suffix("/referrers") {
            return Ok(Self::Referrers(name.parse()?, last.parse()?));
        }
        Err(unknown())
    }

    /// The methods that the endpoint answers, as `Allow` lists them.
    pub(super) fn allowed(&self) -> &'static str {
        match self {
            Self::Alive | Self::Live | Self::Ready | Self::Base => "GET, HEAD",
            Self::Catalog | Self::Tags(_) | Self::Referrers(..) => "GET, HEAD",
            Self::Blob(..) => "GET, HEAD, DELETE",
            Self::Manifest(..) => "GET, HEAD, PUT, DELETE",
            Self::Uploads(_) => "POST",
            Self::Upload(..) => "GET, HEAD, PATCH, PUT, DELETE",
        }
    }

    /// The methods that are left after an error has taken some away.
    pub(super) fn allowed_after(&self, error: &RegistryError) -> Option<String> {
        let is_left = |method: &&str| match error {
            RegistryError::ReadOnly => matches!(*method, "GET" | "HEAD"),
            _ => *method != "DELETE",
        };
        match error {
            RegistryError::ReadOnly
            | RegistryError::DeleteDisabled
            | RegistryError::StillReferenced { .. } => {
                let left = self.allowed().split(", ").filter(is_left);
                Some(left.collect::<Vec<_>>().join(", "))
            }
            _ => None,
        }
    }

    /// What metrics tell it by.
    pub(super) fn handler(&self) -> Handler {
        match self {
            Self::Alive | Self::Live | Self::Ready => Handler::Other,
            Self::Base => Handler::Base,
            Self::Catalog => Handler::Catalog,
            Self::Blob(..) => Handler::Blob,
            Self::Manifest(..) => Handler::Manifest,
            Self::Uploads(_) => Handler::BlobUpload,
            Self::Upload(..) => Handler::BlobUploadChunk,
            Self::Tags(_) => Handler::Tags,
            Self::Referrers(..) => Handler::Referrers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ID: &str = "0b9a1c58-3a3e-4b9f-9a52-6f6f0e3f5e11";

    fn name() -> RepositoryName {
        "a/b".parse().unwrap()
    }

    #[test]
    fn paths_are_matched_from_their_end() {
        let digest: Digest = DIGEST.parse().unwrap();
        for (path, expected) in [
            ("/".to_owned(), Endpoint::Alive),
            ("/livez".to_owned(), Endpoint::Live),
            ("/v2".to_owned(), Endpoint::Base),
            ("/v2/".to_owned(), Endpoint::Base),
            ("/v2/_catalog".to_owned(), Endpoint::Catalog),
            ("/v2/a/b/tags/list".to_owned(), Endpoint::Tags(name())),
            (
                "/v2/a/b/blobs/uploads/".to_owned(),
                Endpoint::Uploads(name()),
            ),
            (
                "/v2/a/b/blobs/uploads".to_owned(),
                Endpoint::Uploads(name()),
            ),
            (
                format!("/v2/a/b/blobs/{DIGEST}"),
                Endpoint::Blob(name(), digest.clone()),
            ),
            (
                format!("/v2/a/b/blobs/uploads/{ID}"),
                Endpoint::Upload(name(), ID.parse().unwrap()),
            ),
            (
                format!("/v2/a/b/referrers/{DIGEST}"),
                Endpoint::Referrers(name(), digest.clone()),
            ),
            (
                format!("/v2/a/b/manifests/{DIGEST}"),
                Endpoint::Manifest(name(), Reference::Digest(digest)),
            ),
            (
                "/v2/tags/list/manifests/list".to_owned(),
                Endpoint::Manifest(
                    "tags/list".parse().unwrap(),
                    Reference::Tag("list".parse().unwrap()),
                ),
            ),
        ] {
            assert_eq!(
                Endpoint::parse(&path, "/").expect(&path),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn a_prefix_is_taken_off() {
        assert_eq!(
            Endpoint::parse("/x/y/v2/", "/x/y/").unwrap(),
            Endpoint::Base
        );
        assert!(Endpoint::parse("/v2/", "/x/y/").is_err());
        assert_eq!(
            Endpoint::parse("/readyz", "/x/y/").unwrap(),
            Endpoint::Ready
        );
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for path in [
            "",
            "/v1/",
            "/v2/a",
            "/v2/a/b",
            "/v2//tags/list",
            "/v2/A/tags/list",
            "/v2/tags/list",
            "/v2/blobs/uploads/",
            "/v2/a/blobs/sha256:x",
            "/v2/a/manifests/",
            "/v2/a/manifests/-x",
            "/v2/a/blobs/uploads/x",
            "/v2/a/../b/tags/list",
            "/v3/",
        ] {
            assert!(Endpoint::parse(path, "/").is_err(), "{path}");
        }
    }
}
