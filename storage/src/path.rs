//! Every key that this registry stores under: the only file that decides object keys.
//!
//! ```text
//! <root>/
//!   roadstead/v1/
//!     cluster                      the marker: whose store this is
//!     probe-…                      written and deleted by the first-start check of a driver
//!     objects/
//!       3f/                        first two hex digits of the upload's random id
//!         3fa9c1d2-…-9b1e          the bytes of one upload; never written twice
//!   docker/registry/v2/blobs/…     objects adopted from a Distribution store keep their keys
//! ```
//!
//! It is not about how a driver names files: the filesystem's suffix for unfinished writes is its
//! own affair.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::limits::KEY_BYTES_MAX;

/// Everything that uploads write lies under this prefix.
pub const OBJECTS_PREFIX: &str = "roadstead/v1/objects/";

/// The key of the marker, see [`crate::Marker`].
pub const MARKER_KEY: &str = "roadstead/v1/cluster";

/// What a driver's first-start check writes begins with this.
pub(crate) const PROBE_PREFIX: &str = "roadstead/v1/probe-";

/// A key relative to the root of a store, such as `roadstead/v1/objects/3f/3fa9…`.
///
/// A key that exists is valid: at most [`KEY_BYTES_MAX`] bytes, one or more segments divided by
/// `/`, none of them empty, `.` or `..`, and no control characters. Keys are ordered by their
/// bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// Checks the text and takes it as a key.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidKey`], which names the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > KEY_BYTES_MAX {
            return Err(Error::invalid_key(
                text,
                format!("longer than {KEY_BYTES_MAX} bytes"),
            ));
        }
        if text.is_empty() {
            return Err(Error::invalid_key(text, "empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(Error::invalid_key(text, "has a control character"));
        }
        for segment in text.split('/') {
            match segment {
                "" => return Err(Error::invalid_key(text, "has an empty segment")),
                "." | ".." => {
                    return Err(Error::invalid_key(text, "has a segment of dots"));
                }
                _ => {}
            }
        }
        Ok(Self(Arc::from(text)))
    }

    /// The key that one upload writes to. The id must be fresh and random.
    pub fn for_upload(id: Uuid) -> Self {
        let id = id.hyphenated().to_string();
        let folder = &id[..2];
        Self(Arc::from(format!("{OBJECTS_PREFIX}{folder}/{id}")))
    }

    /// Whether the key is one that [`Self::for_upload`] makes: then nobody else has put it there.
    pub fn is_of_upload(&self) -> bool {
        let id = self.0.rsplit('/').next().unwrap_or_default();
        Uuid::try_parse(id).is_ok_and(|id| Self::for_upload(id) == *self)
    }

    /// The key of the marker.
    pub fn marker() -> Self {
        Self(Arc::from(MARKER_KEY))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ObjectKey({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_valid_keys_unchanged() {
        let longest = "k".repeat(KEY_BYTES_MAX);
        let table = [
            "a",
            "roadstead/v1/cluster",
            "docker/registry/v2/blobs/sha256/ab/abcdef/data",
            ".hidden/..still/a...b",
            "with space/ünïcödé",
            longest.as_str(),
        ];
        for text in table {
            let key = ObjectKey::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(key.as_str(), text);
            assert_eq!(key.to_string().parse::<ObjectKey>().unwrap(), key);
        }
    }

    #[test]
    fn rejects_texts_that_are_not_keys() {
        let too_long = "k".repeat(KEY_BYTES_MAX + 1);
        let table = [
            ("", "empty"),
            ("/", "empty segment"),
            ("/a", "empty segment"),
            ("a/", "empty segment"),
            ("a//b", "empty segment"),
            (".", "dots"),
            ("..", "dots"),
            ("a/./b", "dots"),
            ("a/../../etc/passwd", "dots"),
            ("a/..", "dots"),
            ("a\0b", "control"),
            ("a\nb", "control"),
            ("a\u{7f}", "control"),
            (too_long.as_str(), "longer"),
        ];
        for (text, reason) in table {
            let error = ObjectKey::parse(text).expect_err(text);
            assert_eq!(error.kind(), "invalid_key", "{text:?}");
            assert!(error.to_string().contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn upload_keys_spread_by_their_first_two_digits() {
        let id = Uuid::parse_str("3FA9C1D2-0000-4000-8000-00000000009b").unwrap();
        let key = ObjectKey::for_upload(id);
        assert_eq!(
            key.as_str(),
            "roadstead/v1/objects/3f/3fa9c1d2-0000-4000-8000-00000000009b"
        );
        assert_eq!(ObjectKey::parse(key.as_str()).unwrap(), key);
        assert!(key.as_str().starts_with(OBJECTS_PREFIX));
    }

    #[test]
    fn only_what_an_upload_is_given_is_of_an_upload() {
        let key = |text: &str| ObjectKey::parse(&format!("{OBJECTS_PREFIX}{text}")).unwrap();
        let id = "3fa9c1d2-0000-4000-8000-00000000009b";
        assert!(key(&format!("3f/{id}")).is_of_upload());
        for other in [
            format!("3e/{id}"),
            format!("3f/{}", id.to_uppercase()),
            format!("3f/{}", id.replace('-', "")),
            format!("3f/x/{id}"),
            "3f/note.txt".to_owned(),
            "note.txt".to_owned(),
        ] {
            assert!(!key(&other).is_of_upload(), "{other}");
        }
        assert!(!ObjectKey::parse(id).unwrap().is_of_upload());
    }

    #[test]
    fn constant_keys_are_valid() {
        assert_eq!(ObjectKey::parse(MARKER_KEY).unwrap(), ObjectKey::marker());
        assert!(ObjectKey::parse(OBJECTS_PREFIX.trim_end_matches('/')).is_ok());
    }

    #[test]
    fn keys_are_ordered_by_their_bytes() {
        let mut keys = ["b", "a/b", "a", "a.b"].map(|text| ObjectKey::parse(text).unwrap());
        keys.sort();
        assert_eq!(
            keys.each_ref().map(ObjectKey::as_str),
            ["a", "a.b", "a/b", "b"]
        );
    }
}
