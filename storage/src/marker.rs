//! The marker: whose store this is. It is an alarm, not a fence and not a lock.
//!
//! It is text, so that an operator can read it with `cat`:
//!
//! ```text
//! roadstead-marker 1
//! cluster 6f1c2b1e-8a8e-4c3e-9f43-0d8b8c1f7a55
//! incarnation 1
//! ```
//!
//! Invariant: there is exactly one text for a marker, and nothing else is accepted for it.

use std::fmt;

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::path::MARKER_KEY;

const FIRST_WORD: &str = "roadstead-marker";
const VERSION: u64 = 1;

/// The cluster that a store belongs to, and which life of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The id that the cluster got when it was founded.
    pub cluster_id: Uuid,
    /// Raised by every restore, so that what ran before it notices.
    pub incarnation: u64,
}

impl Marker {
    /// The text to store.
    pub fn encode(&self) -> String {
        self.to_string()
    }

    /// Reads what [`Marker::encode`] wrote, in this version or any earlier one.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] for anything else, a marker of a newer version included.
    pub fn decode(encoded: &[u8]) -> Result<Self> {
        let damaged = |reason: &str| Error::corrupt(MARKER_KEY, reason);
        let text = std::str::from_utf8(encoded).map_err(|_| damaged("not text"))?;
        let mut lines = text.lines();
        let mut field = |name: &str| {
            lines
                .next()
                .and_then(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .ok_or_else(|| damaged(&format!("the line {name:?} is missing")))
        };
        let version: u64 = field(FIRST_WORD)?
            .parse()
            .map_err(|_| damaged("the version is not a number"))?;
        if version != VERSION {
            return Err(damaged(&format!(
                "version {version} is unknown to this program"
            )));
        }
        let cluster_id = Uuid::try_parse(field("cluster")?)
            .map_err(|_| damaged("the cluster id is not a UUID"))?;
        let incarnation = field("incarnation")?
            .parse()
            .map_err(|_| damaged("the incarnation is not a number"))?;
        let marker = Self {
            cluster_id,
            incarnation,
        };
        if marker.encode() != text {
            return Err(damaged("it is not written the way this program writes it"));
        }
        Ok(marker)
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{FIRST_WORD} {VERSION}")?;
        writeln!(formatter, "cluster {}", self.cluster_id.hyphenated())?;
        writeln!(formatter, "incarnation {}", self.incarnation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = "roadstead-marker 1\n\
                          cluster 6f1c2b1e-8a8e-4c3e-9f43-0d8b8c1f7a55\n\
                          incarnation 18446744073709551615\n";

    #[test]
    fn golden_text_stays_the_same() {
        let marker = Marker {
            cluster_id: Uuid::from_u128(0x6f1c_2b1e_8a8e_4c3e_9f43_0d8b_8c1f_7a55),
            incarnation: u64::MAX,
        };
        assert_eq!(marker.encode(), GOLDEN);
        assert_eq!(Marker::decode(GOLDEN.as_bytes()).unwrap(), marker);
    }

    #[test]
    fn every_truncation_is_refused() {
        for length in 0..GOLDEN.len() {
            let error = Marker::decode(&GOLDEN.as_bytes()[..length]).expect_err("cut short");
            assert_eq!(error.kind(), "corrupt", "{length} bytes");
        }
    }

    #[test]
    fn refuses_what_is_not_a_marker() {
        let upper_case = GOLDEN.replace("6f1c", "6F1C");
        let newer = GOLDEN.replace("marker 1", "marker 2");
        let padded = GOLDEN.replace("marker 1", "marker 01");
        let windows = GOLDEN.replace('\n', "\r\n");
        let signed = GOLDEN.replace("incarnation 1", "incarnation +1");
        let too_large = GOLDEN.replace("615\n", "616\n");
        let trailing = format!("{GOLDEN}more 1\n");
        let swapped = "roadstead-marker 1\nincarnation 1\n\
                       cluster 6f1c2b1e-8a8e-4c3e-9f43-0d8b8c1f7a55\n";
        let table: [(&[u8], &str); 11] = [
            (b"", "missing"),
            (b"\xff\xfe", "not text"),
            (b"hello\n", "missing"),
            (newer.as_bytes(), "version 2"),
            (padded.as_bytes(), "written"),
            (upper_case.as_bytes(), "written"),
            (windows.as_bytes(), "written"),
            (signed.as_bytes(), "written"),
            (too_large.as_bytes(), "not a number"),
            (trailing.as_bytes(), "written"),
            (swapped.as_bytes(), "missing"),
        ];
        for (encoded, reason) in table {
            let error = Marker::decode(encoded).expect_err(reason);
            assert_eq!(error.kind(), "corrupt", "{reason}");
            assert!(error.to_string().contains(reason), "{reason}: {error}");
        }
    }
}
