//! The bounds of one `apply`: unbounded work is done in steps.
//!
//! These are part of the state machine's meaning: every replica must use the same ones for an
//! entry, for ever. Changing one is a new command variant.

/// Tags that one step of a manifest's deletion removes.
pub const TAGS_PER_DELETION_STEP: usize = 256;

/// Referrers that one such step tells that their subject goes.
pub const REFERRERS_PER_DELETION_STEP: usize = 256;

/// Manifests that one step of a repository's deletion removes.
pub const MANIFESTS_PER_DELETION_STEP: usize = 64;

/// Blobs and children that such a step lets go of before it ends; the last manifest may go beyond,
/// as one that is deleted by itself may.
pub const CONTENTS_PER_DELETION_STEP: usize = 1_024;

/// Links that such a step removes.
pub const LINKS_PER_DELETION_STEP: usize = 256;

/// Manifests that a refused blob deletion names, as the HTTP answer promises.
pub const REFERENCES_NAMED_MAX: usize = 10;

/// Answered requests that one command drops, of earlier boots and of this one each: it adds one, so
/// more than one is enough to shrink.
pub const REQUESTS_DROPPED_MAX: usize = 16;

/// Remembered commits that one commit looks at, and drops when they have expired.
pub const COMMITTED_SWEPT_MAX: usize = 4;

/// How long a commit is remembered, in milliseconds.
pub const COMMITTED_FOR_MS: u64 = 60 * 60 * 1000;
