//! Garbage collection: what nobody needs leaves the store, while everything runs.
//!
//! It stops nothing and marks nothing: its work is in proportion to the garbage. In order: links
//! whose hold is over are condemned, and with the last link of a blob its object is reclaimed;
//! after the reading delay reclaimed objects are deleted, and then forgotten. Before that,
//! abandoned uploads and, by policy, untagged manifests are expired. A sweep looks for what lies
//! in the store and is named by nothing. `docs/garbage-collection.md` has the whole protocol.
//!
//! Architecture invariant: nothing here decides. What this module saw may be outdated when its
//! command arrives, since it may have slept or been replaced; `apply` checks again. A key that is
//! deleted was reclaimed or never named, and is never used again: a delete that comes late is
//! harmless.

mod failures;
mod pace;
mod pass;
mod policy;
mod progress;
mod settings;
mod sweep;
#[cfg(test)]
mod tests;

pub use pace::{Factor, Pace};
pub use pass::{Pass, Run, Tools};
pub(crate) use policy::Policy;
pub use progress::{Counts, Phase, Progress, Swept, Waits};
pub use settings::settle_ages;
pub(crate) use sweep::orphans;

/// Why a look for garbage did not come to its end. The next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum CollectionError {
    /// Another node leads: that one collects.
    #[error("another node leads the cluster; collection runs there")]
    NotLeader,
    /// An operator has stopped it.
    #[error("collection is paused; `roadstead gc resume` lets it go on")]
    Paused,
    /// The configuration has stopped it.
    #[error("the registry is read-only (`storage.maintenance.readonly`); nothing is collected")]
    ReadOnly,
    /// It was cut off, since the node ends.
    #[error("the node is stopping")]
    Stopping,
    /// The cluster was restored.
    #[error(
        "the cluster was restored from a backup; nothing is collected until `roadstead verify` has \
         compared the store with it"
    )]
    Unverified,
    /// The store is not the cluster's.
    #[error("{0}")]
    Alarm(String),
    /// The metadata did not answer.
    #[error("the metadata cannot be used: {0}")]
    Metadata(#[from] roadstead_cluster::Error),
    /// The store did not answer.
    #[error("the object store cannot be used: {0}")]
    Store(#[from] roadstead_storage::Error),
    /// A pattern of the policy for untagged manifests is no regular expression.
    #[error("gc.untagged.repositories: {0}")]
    Pattern(#[from] regex::Error),
    /// The state machine refused what it never should.
    #[error("a command of the collector was refused: {0}")]
    Refused(String),
}
