//! `Descriptor`: what a manifest says of the content that it points at.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/descriptor.md>

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Digest, MediaType};

/// A pointer to content, as manifests and indexes hold them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The type of the content.
    pub media_type: MediaType,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes. Negative sizes do not parse, and neither do those beyond 63 bits, which
    /// clients hold in a signed number.
    #[serde(deserialize_with = "signed_size")]
    pub size: u64,
    /// Where else the content may be fetched.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub urls: Vec<String>,
    /// Free annotations.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// The platform that an index entry is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The type of an artifact, in an index entry or an answer about referrers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

/// The part of an index entry's platform that validation looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64` and so on.
    #[serde(default)]
    pub architecture: String,
    /// `linux`, `windows` and so on.
    #[serde(default)]
    pub os: String,
}

/// Go encodes an absent list or map as `null`.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn signed_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size = u64::deserialize(deserializer)?;
    if i64::try_from(size).is_ok() {
        Ok(size)
    } else {
        Err(serde::de::Error::custom("a size has at most 63 bits"))
    }
}
