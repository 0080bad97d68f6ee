//! RocksDB: the Raft log, the state and its snapshots. Nothing else names RocksDB.
//!
//! ```text
//! <datadir>/log/                 entries and vote, fsynced before anything is acknowledged
//! <datadir>/state/<n>/           the state machine; written with the log as its safety net
//! <datadir>/state/current        which <n> is in use
//! <datadir>/snapshots/<term>-<index>/   one checkpoint of the state, as files
//! ```

pub(crate) mod folder;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod options;
pub(crate) mod snapshot;
pub(crate) mod state;

#[cfg(test)]
mod tests;

/// RocksDB's errors as what openraft expects.
pub(crate) fn database_error(error: rocksdb::Error) -> std::io::Error {
    std::io::Error::other(error)
}
