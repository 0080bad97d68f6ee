//! The nouns of the registry and the wires between its parts.
//!
//! A value of one of these types is valid: text is parsed at the edge, once, and inner functions
//! never check it again. Names are the OCI specification's.
//!
//! Architecture invariant: nothing here does I/O, reads a clock or knows HTTP, Raft or an object
//! store.

pub mod digest;
pub mod limits;
pub mod media_type;
pub mod name;
pub mod reference;

pub mod descriptor;
pub mod manifest;

pub mod error_code;
pub mod upload;

pub mod rpc;

pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, Hasher};
pub use error_code::ErrorCode;
pub use manifest::Manifest;
pub use media_type::MediaType;
pub use name::RepositoryName;
pub use reference::{Reference, Tag};
pub use upload::{ContentRange, UploadId};
