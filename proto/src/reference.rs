//! `Tag` and `Reference`: the ways to name a manifest inside a repository.
//!
//! A tag is mutable, a digest is not: functions take one or the other, and only the HTTP layer
//! sees a `Reference`.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, DigestError, shorten};
use crate::limits::TAG_BYTES_MAX;

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Box<str>);

/// The text is not a tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a tag; expected 1 to 128 letters, digits, `_`, `.` or `-`, the first of them \
     not `.` or `-`"
)]
pub struct TagError(String);

impl Tag {
    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(is_word);
        let rest = bytes.all(|b| is_word(b) || matches!(b, b'.' | b'-'));
        if first && rest && text.len() <= TAG_BYTES_MAX {
            Ok(Self(text.into()))
        } else {
            Err(TagError(shorten(text)))
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The `<reference>` of the specification: a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// By tag.
    Tag(Tag),
    /// By digest.
    Digest(Digest),
}

/// Why a text is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It has no colon, so it was meant as a tag.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// It has a colon, so it was meant as a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.contains(':') {
            Ok(Self::Digest(text.parse()?))
        } else {
            Ok(Self::Tag(text.parse()?))
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_tags() {
        let longest = "a".repeat(TAG_BYTES_MAX);
        for text in ["latest", "v1.0", "_", "0", "A-b_c.d", &longest] {
            assert_eq!(text.parse::<Tag>().expect(text).as_str(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_tag() {
        let too_long = "a".repeat(TAG_BYTES_MAX + 1);
        for text in ["", ".a", "-a", "a/b", "a b", "a+b", "ä", "a\n", &too_long] {
            assert!(text.parse::<Tag>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_colon_makes_a_digest() {
        assert!(matches!("latest".parse(), Ok(Reference::Tag(_))));
        assert!(matches!(
            "sha256:ab".parse::<Reference>(),
            Err(ReferenceError::Digest(_))
        ));
    }
}
