//! RocksDB: the Raft log, the state and its snapshots. Nothing else names RocksDB.
//!
//! ```text
//! <datadir>/log/                 entries and vote, fsynced before anything is acknowledged
//! <datadir>/state/<n>/           the state machine; written with the log as its safety net
//! <datadir>/state/current        which <n> is in use
//! <datadir>/snapshots/<term>-<index>/   one checkpoint of the state, as files
//! ```

use std::io;

pub(crate) mod folder;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod options;
pub(crate) mod snapshot;
pub(crate) mod state;

#[cfg(test)]
mod tests;

/// RocksDB's errors as what openraft expects. What RocksDB finds damaged is invalid data.
pub(crate) fn database_error(error: rocksdb::Error) -> io::Error {
    let kind = match error.kind() {
        rocksdb::ErrorKind::Corruption | rocksdb::ErrorKind::InvalidArgument => {
            io::ErrorKind::InvalidData
        }
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
