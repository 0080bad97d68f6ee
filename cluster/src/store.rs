//! RocksDB: the Raft log, the state and its snapshots. Nothing else names RocksDB.
//!
//! ```text
//! <datadir>/log/                 entries and vote, fsynced before anything is acknowledged
//! <datadir>/state/<n>/           the state machine; written with the log as its safety net
//! <datadir>/state/current        which <n> is in use
//! <datadir>/snapshots/<term>-<index>/   one checkpoint of the state, as files
//! ```

use std::io;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use rocksdb::DB;

pub(crate) mod folder;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod options;
pub(crate) mod snapshot;
pub(crate) mod state;

#[cfg(test)]
mod tests;

/// An open database. Its fields are dropped in their order: the sign goes when RocksDB has closed
/// everything, not when it begins to.
#[derive(Debug)]
pub(crate) struct Database {
    inner: DB,
    sign: Arc<()>,
}

/// Tells whether a database is still open.
#[derive(Debug, Clone)]
pub(crate) struct Watch(Weak<()>);

impl Database {
    pub(crate) fn new(inner: DB) -> Self {
        Self {
            inner,
            sign: Arc::default(),
        }
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch(Arc::downgrade(&self.sign))
    }
}

impl Watch {
    pub(crate) fn is_open(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Deref for Database {
    type Target = DB;

    fn deref(&self) -> &DB {
        &self.inner
    }
}

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
