//! Replicated metadata: what the registry knows, the same on every node.
//!
//! A write goes: [`Metadata::propose`] stamps a command with cluster time and gives it to Raft;
//! the log store puts it on disk (`store::log`), a quorum has it, `store::machine` applies it to
//! the state with the pure function in [`metadata`] and writes the result in one batch, and only
//! then the proposer hears. A read goes: [`Metadata::read`] waits until everything acknowledged
//! before is applied here, then looks at the local state.
//!
//! Architecture invariants: this crate never touches blob bytes; only `consensus`, `store`,
//! `network` and `handle` name openraft; only `store` names RocksDB.

pub mod metadata;

mod clock;
mod consensus;
mod error;
mod formation;
mod handle;
mod identity;
mod limits;
mod network;
mod request;
mod store;

pub use error::{Error, OpenError};
pub use handle::{BACKUP_FORMAT, Restore, restore};
pub use handle::{Cluster, MemberStatus, Members, Metadata, Options, Seen, Status, Timing};
pub use identity::Identity;
pub use metadata::{garbage, read};
pub use network::{Connection, Connector, Tls, TlsError, TlsFiles};
