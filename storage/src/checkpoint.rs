//! The point from which a write goes on: an offset and what the driver needs to know besides.
//!
//! It is not the bytes, and not proof that they are there: `resume` and `take_over` check.
//!
//! Invariant: an encoding that was ever written can be decoded for ever, so a version is added,
//! never changed.
//!
//! ```text
//! version 1:  01 | offset, 8 bytes | payload length, 4 bytes | payload      (big endian)
//! ```

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::limits::PAYLOAD_BYTES_MAX;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + 8 + 4;

/// A durable point of a write, small enough to be replicated as metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    offset: u64,
    payload: Bytes,
}

impl Checkpoint {
    /// A checkpoint at `offset` with what the driver needs to go on from there.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCheckpoint`] if the payload exceeds [`PAYLOAD_BYTES_MAX`].
    pub fn new(offset: u64, payload: impl Into<Bytes>) -> Result<Self> {
        let payload = payload.into();
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(Error::invalid_checkpoint(format!(
                "a payload of {} bytes exceeds {PAYLOAD_BYTES_MAX}",
                payload.len()
            )));
        }
        Ok(Self { offset, payload })
    }

    /// How many bytes of the object lie before this point.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What the driver wrote down for itself. Begins with a tag that names driver and format.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The bytes to keep.
    pub fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("bounded by PAYLOAD_BYTES_MAX");
        let mut encoded = Vec::with_capacity(HEADER_BYTES + self.payload.len());
        encoded.push(VERSION);
        encoded.extend_from_slice(&self.offset.to_be_bytes());
        encoded.extend_from_slice(&length.to_be_bytes());
        encoded.extend_from_slice(&self.payload);
        encoded
    }

    /// Reads what [`Checkpoint::encode`] wrote, in this version or any earlier one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCheckpoint`] for an unknown version, for too few bytes and for too many.
    pub fn decode(encoded: &[u8]) -> Result<Self> {
        let (&version, rest) = encoded
            .split_first()
            .ok_or_else(|| Error::invalid_checkpoint("empty"))?;
        if version != VERSION {
            return Err(Error::invalid_checkpoint(format!(
                "version {version} is unknown"
            )));
        }
        let cut_short = || Error::invalid_checkpoint("cut short");
        let (offset, rest) = rest.split_first_chunk().ok_or_else(cut_short)?;
        let (length, payload) = rest.split_first_chunk().ok_or_else(cut_short)?;
        let length = usize::try_from(u32::from_be_bytes(*length))
            .map_err(|_| Error::invalid_checkpoint("payload length out of range"))?;
        if payload.len() < length {
            return Err(cut_short());
        }
        if payload.len() > length {
            return Err(Error::invalid_checkpoint("bytes follow the payload"));
        }
        Self::new(u64::from_be_bytes(*offset), Bytes::copy_from_slice(payload))
    }

    /// Accepts only a payload that is exactly this driver's tag.
    pub(crate) fn expect_payload(&self, tag: &'static [u8]) -> Result<()> {
        if self.payload == tag {
            return Ok(());
        }
        Err(Error::invalid_checkpoint(
            "it was made by another driver or a newer version",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> (Checkpoint, Vec<u8>) {
        let checkpoint = Checkpoint::new(0x0102_0304_0506_0708, &b"fs1"[..]).unwrap();
        let encoded = b"\x01\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x00\x03fs1".to_vec();
        (checkpoint, encoded)
    }

    #[test]
    fn golden_bytes_stay_the_same() {
        let (checkpoint, encoded) = golden();
        assert_eq!(checkpoint.encode(), encoded);
        assert_eq!(Checkpoint::decode(&encoded).unwrap(), checkpoint);
    }

    #[test]
    fn decodes_what_it_encodes() {
        for (offset, payload) in [
            (0, vec![]),
            (u64::MAX, vec![0; 7]),
            (5, vec![0xab; PAYLOAD_BYTES_MAX]),
        ] {
            let checkpoint = Checkpoint::new(offset, payload).unwrap();
            assert_eq!(
                Checkpoint::decode(&checkpoint.encode()).unwrap(),
                checkpoint
            );
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let (_, encoded) = golden();
        for length in 0..encoded.len() {
            let error = Checkpoint::decode(&encoded[..length]).expect_err("cut short");
            assert_eq!(error.kind(), "invalid_checkpoint", "{length} bytes");
        }
    }

    #[test]
    fn refuses_what_is_not_a_checkpoint() {
        let (_, mut trailing) = golden();
        trailing.push(0);
        let table: [(&[u8], &str); 5] = [
            (b"", "empty"),
            (b"\x00", "version 0"),
            (b"\x02\0\0\0\0\0\0\0\0\0\0\0\0", "version 2"),
            (b"\x01\0\0\0\0\0\0\0\0\xff\xff\xff\xff", "cut short"),
            (&trailing, "bytes follow"),
        ];
        for (encoded, reason) in table {
            let error = Checkpoint::decode(encoded).expect_err(reason);
            assert!(error.to_string().contains(reason), "{encoded:?}: {error}");
        }
    }

    #[test]
    fn oversized_payload_is_refused() {
        let error = Checkpoint::new(0, vec![0; PAYLOAD_BYTES_MAX + 1]).expect_err("too large");
        assert_eq!(error.kind(), "invalid_checkpoint");
        let mut encoded = vec![1, 0, 0, 0, 0, 0, 0, 0, 0];
        encoded.extend_from_slice(&u32::try_from(PAYLOAD_BYTES_MAX + 1).unwrap().to_be_bytes());
        encoded.resize(encoded.len() + PAYLOAD_BYTES_MAX + 1, 0);
        assert_eq!(
            Checkpoint::decode(&encoded).unwrap_err().kind(),
            "invalid_checkpoint"
        );
    }
}
