//! Every bound of what a name, a tag, a digest, a media type and a manifest may be, and why it is
//! what it is.

/// Longest digest text, in bytes: `sha512:` and 128 hexadecimal digits.
pub const DIGEST_BYTES_MAX: usize = 7 + 128;

/// Longest tag, in bytes (the specification's grammar).
pub const TAG_BYTES_MAX: usize = 128;

/// Longest name, in bytes, as Distribution and the specification's clients have it.
pub const NAME_BYTES_MAX: usize = 255;

/// Longest media type, in bytes: RFC 6838 allows 127 on each side of the slash.
pub const MEDIA_TYPE_BYTES_MAX: usize = 255;

/// Deepest nesting of JSON that is read: real manifests have about five levels.
pub const NESTING_MAX: usize = 100;

/// Most descriptors in one manifest: one `apply` writes a row for each.
pub const DESCRIPTORS_MAX: usize = 10_000;

/// Characters of a wrong text that an error quotes, so that errors and logs stay bounded.
pub(crate) const QUOTED_MAX: usize = 80;
