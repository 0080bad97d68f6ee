//! What a checkpoint of an upload in parts holds.
//!
//! Invariant: an encoding that was ever written can be decoded for ever, so fields are added, never
//! changed.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};

/// A part that the store holds.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Part {
    /// Its number, from 1 on. Numbers may be left out.
    #[prost(uint32, tag = "1")]
    pub(crate) number: u32,
    /// The store's own name for its bytes.
    #[prost(string, tag = "2")]
    pub(crate) tag: String,
}

/// The bytes after the last part, as an object of their own.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Tail {
    /// Its name.
    #[prost(string, tag = "1")]
    pub(super) name: String,
    /// Its size.
    #[prost(uint64, tag = "2")]
    pub(super) bytes: u64,
}

/// Where the bytes before a checkpoint are.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Payload {
    /// Whether they are the object itself, and nothing can follow.
    #[prost(bool, tag = "1")]
    pub(super) is_sealed: bool,
    /// The id of the upload in parts; empty if none was begun.
    #[prost(string, tag = "2")]
    pub(super) upload: String,
    /// The lowest number that no part has had.
    #[prost(uint32, tag = "3")]
    pub(super) next_number: u32,
    /// How many bytes the parts have together, or the sealed object.
    #[prost(uint64, tag = "4")]
    pub(super) bytes: u64,
    /// The parts in the order of their numbers.
    #[prost(message, repeated, tag = "5")]
    pub(super) parts: Vec<Part>,
    /// The bytes after the last part, if there are any.
    #[prost(message, optional, tag = "6")]
    pub(super) tail: Option<Tail>,
}

impl Payload {
    pub(super) fn tail_bytes(&self) -> u64 {
        self.tail.as_ref().map_or(0, |tail| tail.bytes)
    }

    pub(super) fn checkpoint(&self, tag: &[u8]) -> Result<Checkpoint> {
        let mut encoded = BytesMut::with_capacity(tag.len() + self.encoded_len());
        encoded.put_slice(tag);
        encoded.put_slice(&self.encode_to_vec());
        Checkpoint::new(self.bytes + self.tail_bytes(), encoded.freeze())
    }

    /// Reads what [`Self::checkpoint`] wrote; refuses what another driver did.
    pub(super) fn of(checkpoint: &Checkpoint, tag: &[u8]) -> Result<Self> {
        let Some(encoded) = checkpoint.payload().strip_prefix(tag) else {
            return Err(Error::invalid_checkpoint(
                "it was made by another driver or a newer version",
            ));
        };
        let payload = Self::decode(Bytes::copy_from_slice(encoded)).map_err(|error| {
            Error::invalid_checkpoint(format!("its payload does not decode: {error}"))
        })?;
        let named = payload.bytes.checked_add(payload.tail_bytes());
        if named != Some(checkpoint.offset()) {
            return Err(Error::invalid_checkpoint(format!(
                "it names {} bytes where its parts have {}",
                checkpoint.offset(),
                payload.bytes.saturating_add(payload.tail_bytes())
            )));
        }
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{PART_NUMBER_MAX, PAYLOAD_BYTES_MAX};

    const TAG: &[u8] = b"s3-1";

    fn golden() -> Payload {
        Payload {
            is_sealed: false,
            upload: "u".to_owned(),
            next_number: 3,
            bytes: 10,
            parts: vec![
                Part {
                    number: 1,
                    tag: "a".to_owned(),
                },
                Part {
                    number: 2,
                    tag: "b".to_owned(),
                },
            ],
            tail: Some(Tail {
                name: "t".to_owned(),
                bytes: 4,
            }),
        }
    }

    #[test]
    fn golden_bytes_stay_the_same() {
        let checkpoint = golden().checkpoint(TAG).unwrap();
        let expected = b"s3-1\x12\x01u\x18\x03\x20\x0a\x2a\x05\x08\x01\x12\x01a\
                         \x2a\x05\x08\x02\x12\x01b\x32\x05\x0a\x01t\x10\x04";
        assert_eq!(checkpoint.payload().as_ref(), expected);
        assert_eq!(checkpoint.offset(), 14);
        assert_eq!(Payload::of(&checkpoint, TAG).unwrap(), golden());
    }

    #[test]
    fn other_drivers_and_other_sizes_are_refused() {
        let right = golden().checkpoint(TAG).unwrap();
        let wrong = [
            Checkpoint::new(13, right.payload().clone()).unwrap(),
            Checkpoint::new(u64::MAX, right.payload().clone()).unwrap(),
            Checkpoint::new(0, &b"fs1"[..]).unwrap(),
            Checkpoint::new(0, &b"s3-1\xff"[..]).unwrap(),
        ];
        for checkpoint in wrong {
            let error = Payload::of(&checkpoint, TAG).unwrap_err();
            assert_eq!(error.kind(), "invalid_checkpoint");
        }
    }

    #[test]
    fn all_parts_of_the_largest_upload_fit() {
        let tag = format!("\"{}\"", "f".repeat(32));
        let parts = (1..=PART_NUMBER_MAX)
            .map(|number| Part {
                number,
                tag: tag.clone(),
            })
            .collect();
        let payload = Payload { parts, ..golden() };
        assert!(payload.encoded_len() < PAYLOAD_BYTES_MAX);
        payload.checkpoint(TAG).unwrap();
    }
}
