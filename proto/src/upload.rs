//! `UploadId` and `ContentRange`: the nouns of an upload session.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The identifier of an upload session: a random UUID that a `Location` carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(Uuid);

/// The text is not an upload id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an upload id; take the one in the `Location` of the last answer")]
pub struct UploadIdError;

impl UploadId {
    /// The id with this value.
    pub fn new(value: Uuid) -> Self {
        Self(value)
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, UploadIdError> {
        // Only the form that we write: `Uuid` would also take braces and no dashes, and then one
        // upload would have several names.
        match Uuid::try_parse(text) {
            Ok(value) if text == value.as_hyphenated().to_string() => Ok(Self(value)),
            _ => Err(UploadIdError),
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The `Content-Range` of a chunk: `<start>-<end>`, both inclusive (end-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset of the last byte. Invariant: not before `start`, and below `u64::MAX`.
    end: u64,
}

/// The text is not such a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a chunk's Content-Range; expected `<start>-<end>`, both offsets of bytes, in order")]
pub struct ContentRangeError;

impl ContentRange {
    /// Number of bytes that the range covers: at least one.
    pub fn length(&self) -> u64 {
        self.end - self.start + 1
    }
}

impl FromStr for ContentRange {
    type Err = ContentRangeError;

    /// Parses `0-99`. `bytes 0-99/100` and `bytes=0-99` are taken too, as some clients send them.
    fn from_str(text: &str) -> Result<Self, ContentRangeError> {
        let text = text.trim();
        let text = text
            .strip_prefix("bytes")
            .map_or(text, |rest| rest.trim_start_matches(['=', ' ']));
        let text = text.split('/').next().unwrap_or_default();
        let (start, end) = text.split_once('-').ok_or(ContentRangeError)?;
        let (start, end) = (parse_offset(start)?, parse_offset(end)?);
        if start <= end && end < u64::MAX {
            Ok(Self { start, end })
        } else {
            Err(ContentRangeError)
        }
    }
}

/// Digits only: `u64::from_str` would also take a sign.
fn parse_offset(text: &str) -> Result<u64, ContentRangeError> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_err(|_| ContentRangeError)
    } else {
        Err(ContentRangeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_id_has_one_form() {
        let id = "0b9a1c58-3a3e-4b9f-9a52-6f6f0e3f5e11";
        assert_eq!(id.parse::<UploadId>().unwrap().to_string(), id);
        for text in [
            "",
            "x",
            "0b9a1c583a3e4b9f9a526f6f0e3f5e11",
            &id.to_uppercase(),
            &format!("{{{id}}}"),
        ] {
            assert!(text.parse::<UploadId>().is_err(), "{text}");
        }
    }

    #[test]
    fn parses_content_ranges() {
        for (text, expected) in [
            ("0-0", Some((0, 1))),
            ("5-9", Some((5, 5))),
            ("bytes 0-99/100", Some((0, 100))),
            ("bytes=0-99", Some((0, 100))),
            ("9-5", None),
            ("-5", None),
            ("5-", None),
            ("+1-2", None),
            ("a-b", None),
            ("", None),
            ("0-18446744073709551615", None),
            ("0-99999999999999999999", None),
        ] {
            let range = text.parse::<ContentRange>().ok();
            assert_eq!(
                range.map(|range| (range.start, range.length())),
                expected,
                "{text}"
            );
        }
    }
}
