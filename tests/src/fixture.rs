//! Content to push: random bytes from a seed, descriptors, manifests and indexes.
//!
//! Bytes depend on the seed alone, so that a failure can be repeated.

use roadstead_proto::media_type::{
    DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_IMAGE_INDEX, OCI_IMAGE_MANIFEST,
};
use roadstead_proto::{Algorithm, Digest};
use serde_json::{Value, json};

/// The type of an image's configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The type of a layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// The type of a layer that lies elsewhere.
pub const FOREIGN_LAYER: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
/// The digest of nothing.
pub const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A manifest in the making: JSON, and the type that it is pushed as.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The JSON.
    pub value: Value,
    /// The `Content-Type`.
    pub media_type: String,
}

/// Bytes that look random, the same for the same seed.
pub fn random(seed: u64, length: usize) -> Vec<u8> {
    // splitmix64
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5ee0_5ee0_5ee0_5ee0;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The SHA-256 digest of the bytes.
pub fn digest(bytes: &[u8]) -> Digest {
    Algorithm::Sha256.digest(bytes)
}

/// The SHA-512 digest of the bytes.
pub fn sha512(bytes: &[u8]) -> Digest {
    Algorithm::Sha512.digest(bytes)
}

/// A digest that nothing has.
pub fn unknown(seed: u64) -> Digest {
    digest(&[b"nobody pushes this".as_slice(), &seed.to_be_bytes()].concat())
}

/// A descriptor of these bytes.
pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    describe(media_type, &digest(bytes), bytes.len())
}

/// A descriptor of anything.
pub fn describe(media_type: &str, digest: &Digest, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest.as_str(), "size": size })
}

/// An OCI image manifest with this configuration and these layers.
pub fn image(config: &Value, layers: &[Value]) -> Document {
    Document {
        value: json!({
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE_MANIFEST,
            "config": config,
            "layers": layers,
        }),
        media_type: OCI_IMAGE_MANIFEST.to_owned(),
    }
}

/// An OCI image index over these manifests.
pub fn index(manifests: &[Value]) -> Document {
    Document {
        value: json!({
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE_INDEX,
            "manifests": manifests,
        }),
        media_type: OCI_IMAGE_INDEX.to_owned(),
    }
}

/// A Docker manifest, schema 2.
pub fn docker_manifest(config: &Value, layers: &[Value]) -> Document {
    image(config, layers).typed(DOCKER_MANIFEST)
}

/// A Docker manifest list.
pub fn docker_list(manifests: &[Value]) -> Document {
    index(manifests).typed(DOCKER_MANIFEST_LIST)
}

impl Document {
    /// The same with one more field, or another value for it.
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.value[key] = value;
        self
    }

    /// The same without a field.
    pub fn without(mut self, key: &str) -> Self {
        if let Value::Object(fields) = &mut self.value {
            fields.remove(key);
        }
        self
    }

    /// The same as another type, inside and outside.
    pub fn typed(mut self, media_type: &str) -> Self {
        media_type.clone_into(&mut self.media_type);
        self.with("mediaType", json!(media_type))
    }

    /// The bytes to push.
    pub fn bytes(&self) -> Vec<u8> {
        self.value.to_string().into_bytes()
    }

    /// Its SHA-256 digest.
    pub fn digest(&self) -> Digest {
        digest(&self.bytes())
    }

    /// Its descriptor, as an index holds it.
    pub fn descriptor(&self) -> Value {
        descriptor(&self.media_type, &self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_depend_on_the_seed_alone() {
        assert_eq!(random(1, 100), random(1, 100));
        assert_eq!(random(1, 100)[..37], random(1, 37)[..]);
        assert_ne!(random(1, 100), random(2, 100));
        assert_ne!(random(1, 16)[..8], random(1, 16)[8..]);
    }

    #[test]
    fn empty_is_the_digest_of_nothing() {
        assert_eq!(digest(b"").as_str(), EMPTY);
    }
}
