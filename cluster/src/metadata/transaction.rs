//! `Transaction`: the changes of commands that are not written yet, over a view.
//!
//! It reads its own changes, so that many commands can be applied one after the other and
//! written at once.

use std::collections::BTreeMap;

use prost::Message;

use super::keys::{Key, Table};
use super::view::{Fault, Row, View};

/// Changed rows: `None` is a removed one.
pub type Changes = BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>;

/// An ordered overlay on a view.
#[derive(Debug)]
pub struct Transaction<'a, V: View + ?Sized> {
    view: &'a V,
    changes: Changes,
}

impl<'a, V: View + ?Sized> Transaction<'a, V> {
    /// No changes, over `view`.
    pub fn new(view: &'a V) -> Self {
        Self {
            view,
            changes: Changes::new(),
        }
    }

    /// Writes a row.
    pub fn put<R: Message>(&mut self, key: &Key<R>, row: &R) {
        let encoded = row.encode_to_vec();
        self.changes
            .insert((key.table(), key.bytes().to_vec()), Some(encoded));
    }

    /// Removes a row, if it is there.
    pub fn delete<R>(&mut self, key: &Key<R>) {
        self.delete_raw(key.table(), key.bytes().to_vec());
    }

    /// Removes a row whose key came from a scan.
    pub fn delete_raw(&mut self, table: Table, key: Vec<u8>) {
        self.changes.insert((table, key), None);
    }

    /// The changes, to be written.
    pub fn into_changes(self) -> Changes {
        self.changes
    }
}

impl<V: View + ?Sized> View for Transaction<'_, V> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self.changes.get(&(table, key.to_vec())) {
            Some(row) => Ok(row.clone()),
            None => self.view.get(table, key),
        }
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        let start = prefix.max(from).to_vec();
        let changed: Vec<_> = self
            .changes
            .range((table, start)..)
            .take_while(|((at, key), _)| *at == table && key.starts_with(prefix))
            .collect();
        // Each removed row may hide one of the view's, so that many more are asked for.
        let removed = changed.iter().filter(|(_, row)| row.is_none()).count();
        let stored = self
            .view
            .scan(table, prefix, from, limit.saturating_add(removed))?;
        let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
        for ((_, key), row) in changed {
            match row {
                Some(row) => merged.insert(key.clone(), row.clone()),
                None => merged.remove(key),
            };
        }
        Ok(merged.into_iter().take(limit).collect())
    }
}

#[cfg(test)]
mod tests {
    use roadstead_proto::rpc::state::Tag;

    use super::super::keys;
    use super::super::view::{Memory, ViewExt};
    use super::*;

    fn tag(digest: &str) -> Tag {
        Tag {
            digest: digest.to_owned(),
            updated_at_unix_ms: 0,
        }
    }

    #[test]
    fn reads_its_own_changes_over_the_view() {
        let mut memory = Memory::default();
        let mut first = Transaction::new(&memory);
        for name in ["a", "b", "c", "d"] {
            first.put(&keys::tag("r", name), &tag("old"));
        }
        first.put(&keys::tag("s", "a"), &tag("other"));
        let changes = first.into_changes();
        memory.write(changes);

        let mut second = Transaction::new(&memory);
        second.delete(&keys::tag("r", "a"));
        second.delete(&keys::tag("r", "b"));
        second.put(&keys::tag("r", "bb"), &tag("new"));
        second.put(&keys::tag("r", "c"), &tag("new"));
        let names = |limit| -> Vec<String> {
            let rows = second.keys(&keys::tags("r"), &[], limit).unwrap();
            rows.iter().map(|key| keys::last_part(key)).collect()
        };
        assert_eq!(names(10), ["bb", "c", "d"]);
        assert_eq!(names(2), ["bb", "c"]);
        assert_eq!(names(0), [] as [&str; 0]);
        assert_eq!(second.row(&keys::tag("r", "c")).unwrap(), Some(tag("new")));
        assert_eq!(second.row(&keys::tag("r", "a")).unwrap(), None);
        assert!(!second.has(&keys::tag("r", "b")).unwrap());

        let page = second
            .keys(&keys::tags("r"), &keys::tags("r").at("c\u{1}"), 10)
            .unwrap();
        assert_eq!(
            page.iter()
                .map(|key| keys::last_part(key))
                .collect::<Vec<_>>(),
            ["d"]
        );
    }
}
