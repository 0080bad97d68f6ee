//! `Digest`: the name of a blob or manifest by its content, and the hashers that compute it.
//!
//! Grammar: <https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests>.
//! Only registered algorithms are accepted: a digest that cannot be checked is worth nothing.

use std::fmt;
use std::str::FromStr;

use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest as _, Sha256, Sha512};

use crate::limits::{DIGEST_BYTES_MAX, QUOTED_MAX};

/// First byte of an encoded hash state: written by the 0.11 line of `sha2`.
const HASH_STATE_VERSION: u8 = 1;

/// A registered digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Algorithm {
    /// SHA-256, the default of the specification.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Every algorithm that is supported, in the order in which errors list them.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name as it stands before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Number of hexadecimal digits of the encoded part.
    pub fn hex_digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    /// The digest of `content`.
    pub fn digest(self, content: &[u8]) -> Digest {
        let mut hasher = Hasher::new(self);
        hasher.update(content);
        hasher.finish()
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == text)
            .ok_or_else(|| DigestError::UnsupportedAlgorithm(shorten(text)))
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no `algorithm:encoded` in it.
    #[error("`{0}` is not a digest; expected `algorithm:hex`, such as `sha256:` and 64 digits")]
    Malformed(String),
    /// The algorithm is not one that this registry computes.
    #[error("digest algorithm `{0}` is not supported; supported are sha256 and sha512")]
    UnsupportedAlgorithm(String),
    /// The encoded part has another length than the algorithm's.
    #[error("a {algorithm} digest has {expected} hexadecimal digits, not {actual}")]
    WrongLength {
        /// The algorithm named.
        algorithm: Algorithm,
        /// Digits that it needs.
        expected: usize,
        /// Digits found.
        actual: usize,
    },
    /// The encoded part is not lower-case hexadecimal.
    #[error("the encoded part of `{0}` is not lower-case hexadecimal")]
    NotHexadecimal(String),
}

/// A content digest, such as `sha256:e3b0…`. Equal content has equal digests.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    // Invariant: `<algorithm>:<lower-case hexadecimal digits>`, as long as the algorithm demands.
    text: Box<str>,
}

impl Digest {
    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The whole text, `algorithm:hex`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The hexadecimal digits after the colon.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm.name().len() + 1..]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let Some((algorithm, encoded)) = text.split_once(':') else {
            return Err(DigestError::Malformed(shorten(text)));
        };
        if encoded.is_empty() || algorithm.is_empty() {
            return Err(DigestError::Malformed(shorten(text)));
        }
        let algorithm: Algorithm = algorithm.parse()?;
        if !encoded
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(DigestError::NotHexadecimal(shorten(text)));
        }
        let (expected, actual) = (algorithm.hex_digits(), encoded.len());
        if expected != actual {
            return Err(DigestError::WrongLength {
                algorithm,
                expected,
                actual,
            });
        }
        Ok(Self {
            algorithm,
            text: text.into(),
        })
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A digest in the making. Its state can be saved, and taken up again on another node.
#[derive(Debug, Clone)]
pub enum Hasher {
    /// Computes SHA-256.
    Sha256(Sha256),
    /// Computes SHA-512.
    Sha512(Sha512),
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    /// The algorithm that it computes.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes in the next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest of all that was taken in.
    pub fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        let mut text = String::with_capacity(DIGEST_BYTES_MAX);
        text.push_str(algorithm.name());
        text.push(':');
        match self {
            Self::Sha256(hasher) => push_hex(&mut text, &hasher.finalize()),
            Self::Sha512(hasher) => push_hex(&mut text, &hasher.finalize()),
        }
        Digest {
            algorithm,
            text: text.into_boxed_str(),
        }
    }

    /// The state, encoded: a version byte, an algorithm byte, then `sha2`'s serialized state.
    pub fn save(&self) -> Vec<u8> {
        let (algorithm, state) = match self {
            Self::Sha256(hasher) => (0, hasher.serialize().to_vec()),
            Self::Sha512(hasher) => (1, hasher.serialize().to_vec()),
        };
        let mut encoded = vec![HASH_STATE_VERSION, algorithm];
        encoded.extend_from_slice(&state);
        encoded
    }

    /// Goes on from a saved state. `None` when it was written by a version that is not readable
    /// any more, or is damaged: then the content has to be hashed anew.
    pub fn restore(encoded: &[u8]) -> Option<Self> {
        match encoded {
            [HASH_STATE_VERSION, 0, state @ ..] => Sha256::deserialize(state.try_into().ok()?)
                .ok()
                .map(Self::Sha256),
            [HASH_STATE_VERSION, 1, state @ ..] => Sha512::deserialize(state.try_into().ok()?)
                .ok()
                .map(Self::Sha512),
            _ => None,
        }
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 0xf] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
}

/// The beginning of what a user sent, so that errors and logs stay bounded.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn accepts_the_registered_algorithms() {
        let long = format!("sha512:{}", "a".repeat(128));
        for text in [EMPTY, long.as_str()] {
            let digest: Digest = text.parse().unwrap();
            assert_eq!(digest.to_string(), text);
            assert_eq!(format!("{}:{}", digest.algorithm(), digest.hex()), text);
            assert!(text.len() <= DIGEST_BYTES_MAX);
        }
    }

    #[test]
    fn refuses_what_is_outside_the_grammar() {
        let upper = EMPTY.to_uppercase();
        let short = &EMPTY[..EMPTY.len() - 1];
        let long = format!("{EMPTY}0");
        let huge = "x".repeat(1 << 20);
        for text in [
            "",
            ":",
            "sha256",
            "sha256:",
            ":abc",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            &upper,
            short,
            &long,
            "sha256:../../etc/passwd",
            "sha256:zz",
            "SHA256:00",
            &huge,
        ] {
            let error = text.parse::<Digest>().expect_err(text).to_string();
            assert!(error.chars().count() < 300, "{error}");
        }
    }

    #[test]
    fn hashes_known_content() {
        assert_eq!(Algorithm::Sha256.digest(b"").to_string(), EMPTY);
        assert!(
            Algorithm::Sha512
                .digest(b"abc")
                .hex()
                .starts_with("ddaf35a193617abacc417349")
        );
    }

    #[test]
    fn goes_on_from_a_saved_state_at_any_offset() {
        let content: Vec<u8> = (0..1000u32).map(|n| (n % 251) as u8).collect();
        for algorithm in Algorithm::ALL {
            for split in [0, 1, 63, 64, 65, 127, 128, 129, 500, 1000] {
                let mut first = Hasher::new(algorithm);
                first.update(&content[..split]);
                let mut second = Hasher::restore(&first.save()).unwrap();
                assert_eq!(second.algorithm(), algorithm);
                second.update(&content[split..]);
                assert_eq!(
                    second.finish(),
                    algorithm.digest(&content),
                    "split at {split}"
                );
            }
        }
    }

    #[test]
    fn refuses_a_damaged_state() {
        let saved = Hasher::new(Algorithm::Sha256).save();
        assert!(Hasher::restore(&[]).is_none());
        assert!(Hasher::restore(&saved[..saved.len() - 1]).is_none());
        assert!(Hasher::restore(&[&saved[..], &[0]].concat()).is_none());
        assert!(Hasher::restore(&[&[9], &saved[1..]].concat()).is_none());
    }

    /// The encoding is on disk for as long as an upload lives: it must not change unnoticed.
    #[test]
    fn saved_state_has_golden_bytes() {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(b"abc");
        assert_eq!(
            Algorithm::Sha256.digest(&hasher.save()).hex()[..16],
            *"bc877d9e03859336",
        );
    }
}
