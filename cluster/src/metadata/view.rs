//! `View`: a point-in-time look at the tables, wherever they lie.
//!
//! In production a RocksDB snapshot; in tests a `BTreeMap`.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

use super::keys::{Key, Prefix, Table};

/// One key and its encoded row.
pub type Row = (Vec<u8>, Vec<u8>);

/// Why the state cannot be read or a command cannot be applied. The node has to stop: to go on
/// would be to differ from the other replicas.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The database failed.
    #[error("the metadata database cannot be read")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row does not decode, or contradicts another.
    #[error("the metadata are corrupt: {0}")]
    Corrupt(String),
    /// The log holds a command that this binary does not know.
    #[error(
        "the log holds a command that this version of roadstead does not know; start a newer one"
    )]
    UnknownCommand,
}

/// Reads the tables as they were at one moment.
pub trait View {
    /// The row under `key`.
    ///
    /// # Errors
    /// [`Fault::Read`].
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// At most `limit` rows in the order of their keys: those that begin with `prefix`, and whose
    /// key is `from` or greater.
    ///
    /// # Errors
    /// [`Fault::Read`].
    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, Fault>;
}

/// Typed reading, the same for every view.
pub trait ViewExt: View {
    /// The row under `key`.
    ///
    /// # Errors
    /// [`Fault`].
    fn row<R: Message + Default>(&self, key: &Key<R>) -> Result<Option<R>, Fault> {
        match self.get(key.table(), key.bytes())? {
            Some(bytes) => decode(key.table(), bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Whether there is a row under `key`.
    ///
    /// # Errors
    /// [`Fault`].
    fn has<R>(&self, key: &Key<R>) -> Result<bool, Fault> {
        Ok(self.get(key.table(), key.bytes())?.is_some())
    }

    /// Whether any key begins with `prefix`.
    ///
    /// # Errors
    /// [`Fault`].
    fn any<R>(&self, prefix: &Prefix<R>) -> Result<bool, Fault> {
        Ok(!self
            .scan(prefix.table(), prefix.bytes(), &[], 1)?
            .is_empty())
    }

    /// At most `limit` keys that begin with `prefix`, the first being `from` or greater.
    ///
    /// # Errors
    /// [`Fault`].
    fn keys<R>(
        &self,
        prefix: &Prefix<R>,
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, Fault> {
        let rows = self.scan(prefix.table(), prefix.bytes(), from, limit)?;
        Ok(rows.into_iter().map(|(key, _)| key).collect())
    }

    /// As [`Self::keys`], with the rows.
    ///
    /// # Errors
    /// [`Fault`].
    fn rows<R: Message + Default>(
        &self,
        prefix: &Prefix<R>,
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, R)>, Fault> {
        self.scan(prefix.table(), prefix.bytes(), from, limit)?
            .into_iter()
            .map(|(key, bytes)| Ok((key, decode(prefix.table(), bytes)?)))
            .collect()
    }
}

impl<V: View + ?Sized> ViewExt for V {}

/// Takes the row over, so that a field of bytes is a part of it and no copy.
fn decode<R: Message + Default>(table: Table, row: Vec<u8>) -> Result<R, Fault> {
    R::decode(Bytes::from(row)).map_err(|error| {
        Fault::Corrupt(format!(
            "a row of table `{}` does not decode: {error}",
            table.name()
        ))
    })
}

/// The tables in memory: for tests, and as the specification of a view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

impl Memory {
    /// Writes (`Some`) or removes (`None`) rows.
    pub fn write(&mut self, changes: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>) {
        for (key, row) in changes {
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
    }
}

impl View for Memory {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.rows.get(&(table, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        let start = prefix.max(from).to_vec();
        Ok(self
            .rows
            .range((table, start)..)
            .take_while(|((at, key), _)| *at == table && key.starts_with(prefix))
            .take(limit)
            .map(|((_, key), row)| (key.clone(), row.clone()))
            .collect())
    }
}
