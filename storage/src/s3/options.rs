//! What an S3 store is told: where it is, who asks, and how much memory uploads may take.
//!
//! Names and defaults are those of Distribution's `storage.s3`; the node reads them from the
//! configuration. Nothing is checked here that only the store can answer.

use std::fmt;

use url::Url;

/// The settings of an S3 store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `bucket`. It must exist.
    pub bucket: String,
    /// `region`, such as `eu-central-1`. Without it the usual AWS places are asked.
    pub region: Option<String>,
    /// `regionendpoint`: where the store listens; without it, AWS. Always with a scheme.
    pub endpoint: Option<Url>,
    /// Where clients reach the same store, for redirects; without it, as the node does.
    pub public_endpoint: Option<Url>,
    /// `forcepathstyle`: `endpoint/bucket/key` rather than `bucket.endpoint/key`.
    pub force_path_style: bool,
    /// `accesskey` and `secretkey`; without them the usual AWS chain is asked.
    pub credentials: Option<Credentials>,
    /// `rootdirectory`: what every key begins with; without slashes at either end, may be empty.
    pub root: String,
    /// `secure`: whether AWS is spoken to over TLS. An endpoint says that by its scheme.
    pub is_secure: bool,
    /// `skipverify`: whether certificates are taken as they come.
    pub skip_verify: bool,
    /// `encrypt`: whether the store is asked to encrypt what it holds.
    pub encrypt: bool,
    /// `keyid`: the KMS key for that; without it the store's own.
    pub key_id: Option<String>,
    /// `storageclass`; without it the bucket's default.
    pub storage_class: Option<String>,
    /// `objectacl`; without it none is sent.
    pub object_acl: Option<String>,
    /// `usedualstack`: IPv6 as well as IPv4, of AWS.
    pub use_dual_stack: bool,
    /// `accelerate`: AWS's transfer acceleration.
    pub accelerate: bool,
    /// `useragent`: put after the client's own name.
    pub user_agent: Option<String>,
    /// `loglevel` other than `off`: whether every request is written to the log.
    pub log_requests: bool,
    /// `chunksize`: the size of the first parts, in bytes. From [`PART_BYTES_MIN`] on.
    ///
    /// [`PART_BYTES_MIN`]: crate::limits::PART_BYTES_MIN
    pub chunk_bytes: u64,
    /// `buffermemory`: what all uploads together may hold in memory, in bytes.
    pub buffer_bytes: u64,
}

/// A key and its secret. Shown without the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `accesskey`.
    pub access_key: String,
    /// `secretkey`.
    pub secret_key: String,
    /// `sessiontoken`, of temporary keys.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}
