//! `MediaType`: the type of a manifest or blob, and the few that the registry must know.

use std::fmt;
use std::str::FromStr;

use crate::digest::shorten;
use crate::limits::MEDIA_TYPE_BYTES_MAX;

/// OCI image manifest.
pub const OCI_IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const OCI_IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker manifest list.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The types of manifest that can be pushed.
pub const MANIFESTS: [&str; 4] = [
    OCI_IMAGE_MANIFEST,
    OCI_IMAGE_INDEX,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
];

/// A media type without parameters, such as `application/vnd.oci.image.manifest.v1+json`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaType(Box<str>);

/// The text is not a media type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a media type; expected `type/subtype`")]
pub struct MediaTypeError(String);

impl MediaType {
    /// The type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a layer of this type lies elsewhere, so that the registry may never hold it.
    pub fn is_non_distributable(&self) -> bool {
        self.0
            .starts_with("application/vnd.oci.image.layer.nondistributable.v1.")
            || *self.0 == *"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    }
}

impl FromStr for MediaType {
    type Err = MediaTypeError;

    /// Parses a media type; parameters (`; charset=…`) are dropped, they are not part of it.
    fn from_str(text: &str) -> Result<Self, MediaTypeError> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        let is_token = |part: &str| {
            part.bytes()
                .next()
                .is_some_and(|b| b.is_ascii_alphanumeric())
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        match essence.split_once('/') {
            Some((kind, subtype))
                if is_token(kind) && is_token(subtype) && essence.len() <= MEDIA_TYPE_BYTES_MAX =>
            {
                Ok(Self(essence.into()))
            }
            _ => Err(MediaTypeError(shorten(text))),
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for MediaType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for MediaType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_types_and_drops_parameters() {
        for (text, expected) in [
            (OCI_IMAGE_INDEX, OCI_IMAGE_INDEX),
            ("text/plain; charset=utf-8", "text/plain"),
            (" application/x ", "application/x"),
        ] {
            assert_eq!(text.parse::<MediaType>().expect(text).as_str(), expected);
        }
    }

    #[test]
    fn refuses_what_is_no_type() {
        let long = format!("a/{}", "b".repeat(MEDIA_TYPE_BYTES_MAX));
        for text in [
            "", "a", "a/", "/b", "a/b/c", "a b/c", "ä/b", "a/\r\nx", &long,
        ] {
            assert!(text.parse::<MediaType>().is_err(), "{text}");
        }
    }

    #[test]
    fn knows_layers_that_lie_elsewhere() {
        for (text, expected) in [
            (
                "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                true,
            ),
            (
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                true,
            ),
            ("application/vnd.oci.image.layer.v1.tar+gzip", false),
        ] {
            assert_eq!(
                text.parse::<MediaType>().unwrap().is_non_distributable(),
                expected
            );
        }
    }
}
