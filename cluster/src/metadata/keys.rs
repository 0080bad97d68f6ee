//! Every key of the state machine, and the row that lies under it. No other file encodes a key.
//!
//! Text parts are joined by a zero byte, which no name, tag, digest or object key contains, so
//! that rows of one repository lie together and in the order of the next part. Numbers are big
//! endian, so that they sort as numbers.

use std::marker::PhantomData;

use roadstead_proto::rpc::metadata::Response;
use roadstead_proto::rpc::state;

/// A table: a column family of RocksDB. Names are on disk and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each table is described where its key is made")]
pub enum Table {
    Repositories,
    Tags,
    TaggedBy,
    Manifests,
    ManifestIn,
    ManifestBodies,
    Contents,
    Deletions,
    Blobs,
    Committed,
    Links,
    LinkedIn,
    References,
    Referrers,
    Objects,
    Uploads,
    Candidates,
    Reclaimable,
    Events,
    Cursors,
    Requests,
    Members,
    Settings,
    Clock,
    Unheld,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 25] = [
        Self::Repositories,
        Self::Tags,
        Self::TaggedBy,
        Self::Manifests,
        Self::ManifestIn,
        Self::ManifestBodies,
        Self::Contents,
        Self::Deletions,
        Self::Blobs,
        Self::Committed,
        Self::Links,
        Self::LinkedIn,
        Self::References,
        Self::Referrers,
        Self::Objects,
        Self::Uploads,
        Self::Candidates,
        Self::Reclaimable,
        Self::Events,
        Self::Cursors,
        Self::Requests,
        Self::Members,
        Self::Settings,
        Self::Clock,
        Self::Unheld,
    ];

    /// The name of the column family.
    pub fn name(self) -> &'static str {
        match self {
            Self::Repositories => "repositories",
            Self::Tags => "tags",
            Self::TaggedBy => "tagged_by",
            Self::Manifests => "manifests",
            Self::ManifestIn => "manifest_in",
            Self::ManifestBodies => "manifest_bodies",
            Self::Contents => "contents",
            Self::Deletions => "deletions",
            Self::Blobs => "blobs",
            Self::Committed => "committed",
            Self::Links => "links",
            Self::LinkedIn => "linked_in",
            Self::References => "references",
            Self::Referrers => "referrers",
            Self::Objects => "objects",
            Self::Uploads => "uploads",
            Self::Candidates => "candidates",
            Self::Reclaimable => "reclaimable",
            Self::Events => "events",
            Self::Cursors => "cursors",
            Self::Requests => "requests",
            Self::Members => "members",
            Self::Settings => "settings",
            Self::Clock => "clock",
            Self::Unheld => "unheld",
        }
    }

    /// With which part of its keys it is asked whether the table has any row: whoever keeps the
    /// table can have a filter for that.
    pub fn sought_by(self) -> Option<Front> {
        match self {
            Self::LinkedIn | Self::ManifestIn => Some(Front::One),
            Self::References | Self::Referrers | Self::TaggedBy => Some(Front::Two),
            _ => None,
        }
    }
}

/// Text parts that a key begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says how many")]
pub enum Front {
    One,
    Two,
}

impl Front {
    /// These parts of `key` with the separators behind them; `None` if it has no more than these.
    pub fn of(self, key: &[u8]) -> Option<&[u8]> {
        match self {
            Self::One => first_parts::<1>(key),
            Self::Two => first_parts::<2>(key),
        }
    }
}

/// So many text parts of `key` with the separators behind them; `None` if it has fewer. A function
/// for each number, since RocksDB takes no closure with a value.
pub fn first_parts<const PARTS: usize>(key: &[u8]) -> Option<&[u8]> {
    let mut separators = (0..key.len()).filter(|at| key[*at] == 0);
    let last = separators.nth(PARTS - 1)?;
    Some(&key[..=last])
}

/// The key of a row of type `R`.
#[derive(Debug)]
pub struct Key<R> {
    table: Table,
    bytes: Vec<u8>,
    row: PhantomData<fn() -> R>,
}

/// The keys of one table that begin alike, whose rows are of type `R`.
#[derive(Debug)]
pub struct Prefix<R>(Key<R>);

impl<R> Key<R> {
    fn new(table: Table, bytes: Vec<u8>) -> Self {
        Self {
            table,
            bytes,
            row: PhantomData,
        }
    }

    /// The table.
    pub fn table(&self) -> Table {
        self.table
    }

    /// The key inside the table.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<R> Prefix<R> {
    fn new(table: Table, bytes: Vec<u8>) -> Self {
        Self(Key::new(table, bytes))
    }

    /// Every row of a table, whatever its key.
    pub fn whole(table: Table) -> Self {
        Self::new(table, Vec::new())
    }

    /// The table.
    pub fn table(&self) -> Table {
        self.0.table
    }

    /// What the keys begin with.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The key that would follow this prefix with `rest`: where a page goes on.
    pub fn at(&self, rest: &str) -> Vec<u8> {
        [self.bytes(), rest.as_bytes()].concat()
    }
}

fn join(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}

/// All of `parts`, and whatever follows after a separator.
fn join_prefix(parts: &[&str]) -> Vec<u8> {
    let mut bytes = join(parts);
    bytes.push(0);
    bytes
}

fn number_then(number: u64, rest: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes(), rest].concat()
}

/// The text parts of a key, in order. Keys are written by this file only, so they are text.
pub fn parts(key: &[u8]) -> Vec<String> {
    key.split(|byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

/// The last text part of a key.
pub fn last_part(key: &[u8]) -> String {
    let part = key.rsplit(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(part).into_owned()
}

/// The number that a key begins with, and the rest of it.
pub fn split_number(key: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = key.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), rest))
}

/// A repository.
pub fn repository(name: &str) -> Key<state::Repository> {
    Key::new(Table::Repositories, join(&[name]))
}

/// All repositories, by name.
pub fn repositories() -> Prefix<state::Repository> {
    Prefix::new(Table::Repositories, Vec::new())
}

/// What a tag points at.
pub fn tag(repository: &str, tag: &str) -> Key<state::Tag> {
    Key::new(Table::Tags, join(&[repository, tag]))
}

/// The tags of a repository, in ASCII order.
pub fn tags(repository: &str) -> Prefix<state::Tag> {
    Prefix::new(Table::Tags, join_prefix(&[repository]))
}

/// That a tag points at a manifest.
pub fn tagged_by(repository: &str, digest: &str, tag: &str) -> Key<state::Presence> {
    Key::new(Table::TaggedBy, join(&[repository, digest, tag]))
}

/// The tags that point at a manifest.
pub fn tags_of(repository: &str, digest: &str) -> Prefix<state::Presence> {
    Prefix::new(Table::TaggedBy, join_prefix(&[repository, digest]))
}

/// A manifest in a repository.
pub fn manifest(repository: &str, digest: &str) -> Key<state::Manifest> {
    Key::new(Table::Manifests, join(&[repository, digest]))
}

/// The manifests of a repository.
pub fn manifests(repository: &str) -> Prefix<state::Manifest> {
    Prefix::new(Table::Manifests, join_prefix(&[repository]))
}

/// That a repository holds a manifest; the last one takes the body with it.
pub fn manifest_in(digest: &str, repository: &str) -> Key<state::Presence> {
    Key::new(Table::ManifestIn, join(&[digest, repository]))
}

/// The repositories that hold a manifest.
pub fn holders_of_manifest(digest: &str) -> Prefix<state::Presence> {
    Prefix::new(Table::ManifestIn, join_prefix(&[digest]))
}

/// The exact bytes of a manifest.
pub fn manifest_body(digest: &str) -> Key<state::ManifestBody> {
    Key::new(Table::ManifestBodies, join(&[digest]))
}

/// What a manifest points at.
pub fn contents(repository: &str, digest: &str) -> Key<state::Contents> {
    Key::new(Table::Contents, join(&[repository, digest]))
}

/// That a manifest is being deleted in steps; with an empty digest, the whole repository.
pub fn deletion(repository: &str, digest: &str) -> Key<state::Deletion> {
    Key::new(Table::Deletions, join(&[repository, digest]))
}

/// Everything that is being deleted in steps.
pub fn deletions() -> Prefix<state::Deletion> {
    Prefix::new(Table::Deletions, Vec::new())
}

/// A blob: where its bytes are.
pub fn blob(digest: &str) -> Key<state::Blob> {
    Key::new(Table::Blobs, join(&[digest]))
}

/// All blobs, by digest.
pub fn blobs() -> Prefix<state::Blob> {
    Prefix::new(Table::Blobs, Vec::new())
}

/// A remembered commit.
pub fn committed(upload: &str, digest: &str) -> Key<state::Committed> {
    Key::new(Table::Committed, join(&[upload, digest]))
}

/// All remembered commits.
pub fn all_committed() -> Prefix<state::Committed> {
    Prefix::new(Table::Committed, Vec::new())
}

/// That a repository holds a blob.
pub fn link(repository: &str, digest: &str) -> Key<state::Link> {
    Key::new(Table::Links, join(&[repository, digest]))
}

/// The blobs that a repository holds.
pub fn links(repository: &str) -> Prefix<state::Link> {
    Prefix::new(Table::Links, join_prefix(&[repository]))
}

/// That a blob is linked in a repository; the last one takes the blob record with it.
pub fn linked_in(digest: &str, repository: &str) -> Key<state::Presence> {
    Key::new(Table::LinkedIn, join(&[digest, repository]))
}

/// The repositories that hold a blob.
pub fn holders_of_blob(digest: &str) -> Prefix<state::Presence> {
    Prefix::new(Table::LinkedIn, join_prefix(&[digest]))
}

/// That a manifest of the repository points at a blob or child.
pub fn reference(repository: &str, content: &str, manifest: &str) -> Key<state::Presence> {
    Key::new(Table::References, join(&[repository, content, manifest]))
}

/// The manifests of a repository that point at a blob or child.
pub fn references(repository: &str, content: &str) -> Prefix<state::Presence> {
    Prefix::new(Table::References, join_prefix(&[repository, content]))
}

/// That a manifest has this subject.
pub fn referrer(repository: &str, subject: &str, manifest: &str) -> Key<state::Presence> {
    Key::new(Table::Referrers, join(&[repository, subject, manifest]))
}

/// The manifests whose subject this is.
pub fn referrers(repository: &str, subject: &str) -> Prefix<state::Presence> {
    Prefix::new(Table::Referrers, join_prefix(&[repository, subject]))
}

/// The life of an object key.
pub fn object(object_key: &str) -> Key<state::Object> {
    Key::new(Table::Objects, join(&[object_key]))
}

/// An upload in progress.
pub fn upload(upload: &str) -> Key<state::Upload> {
    Key::new(Table::Uploads, join(&[upload]))
}

/// All uploads in progress.
pub fn uploads() -> Prefix<state::Upload> {
    Prefix::new(Table::Uploads, Vec::new())
}

/// A link without a reference, by the time at which its hold is over.
pub fn candidate(eligible_at_ms: u64, repository: &str, digest: &str) -> Key<state::Presence> {
    let bytes = number_then(eligible_at_ms, &join(&[repository, digest]));
    Key::new(Table::Candidates, bytes)
}

/// All candidates, the oldest first.
pub fn candidates() -> Prefix<state::Presence> {
    Prefix::new(Table::Candidates, Vec::new())
}

/// A manifest that neither a tag nor an index holds, by the time since when. It is missing while
/// the collector knows that a subject holds the manifest.
pub fn unheld(since_ms: u64, repository: &str, digest: &str) -> Key<state::Presence> {
    let bytes = number_then(since_ms, &join(&[repository, digest]));
    Key::new(Table::Unheld, bytes)
}

/// All of these, those that are unheld for the longest time first.
pub fn all_unheld() -> Prefix<state::Presence> {
    Prefix::new(Table::Unheld, Vec::new())
}

/// A reclaimed object, by the time at which it was reclaimed.
pub fn reclaimable(since_ms: u64, object_key: &str) -> Key<state::Presence> {
    Key::new(
        Table::Reclaimable,
        number_then(since_ms, object_key.as_bytes()),
    )
}

/// All reclaimed objects, the oldest first.
pub fn all_reclaimable() -> Prefix<state::Presence> {
    Prefix::new(Table::Reclaimable, Vec::new())
}

/// The answer to a request.
pub fn request(node: u64, boot: u64, serial: u64) -> Key<Response> {
    let bytes = [node.to_be_bytes(), boot.to_be_bytes(), serial.to_be_bytes()].concat();
    Key::new(Table::Requests, bytes)
}

/// The boot and serial in the key of a request.
pub fn request_parts(key: &[u8]) -> Option<(u64, u64)> {
    let (_node, rest) = split_number(key)?;
    let (boot, rest) = split_number(rest)?;
    let (serial, _) = split_number(rest)?;
    Some((boot, serial))
}

/// The answers to the requests of a node.
pub fn requests(node: u64) -> Prefix<Response> {
    Prefix::new(Table::Requests, node.to_be_bytes().to_vec())
}

/// A node of the cluster.
pub fn member(node: u64) -> Key<state::Member> {
    Key::new(Table::Members, node.to_be_bytes().to_vec())
}

/// All nodes, by id.
pub fn members() -> Prefix<state::Member> {
    Prefix::new(Table::Members, Vec::new())
}

/// What the whole cluster agrees on.
pub fn settings() -> Key<state::Settings> {
    Key::new(Table::Settings, Vec::new())
}

/// Cluster time.
pub fn clock() -> Key<state::Clock> {
    Key::new(Table::Clock, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_repository_lie_together() {
        let prefix = tags("a/b");
        assert!(tag("a/b", "x").bytes().starts_with(prefix.bytes()));
        assert!(!tag("a/bc", "x").bytes().starts_with(prefix.bytes()));
        assert!(!tag("a/b/c", "x").bytes().starts_with(prefix.bytes()));
        assert_eq!(last_part(tag("a/b", "x").bytes()), "x");
        assert_eq!(parts(reference("r", "c", "m").bytes()), ["r", "c", "m"]);
    }

    #[test]
    fn the_front_of_a_key_ends_with_a_separator() {
        let reference = reference("r", "c", "m");
        let prefix = references("r", "c");
        assert_eq!(Front::Two.of(reference.bytes()), Some(prefix.bytes()));
        assert_eq!(Front::Two.of(prefix.bytes()), Some(prefix.bytes()));
        assert_eq!(Front::One.of(prefix.bytes()), Some(b"r\0".as_slice()));
        assert_eq!(Front::Two.of(links("r").bytes()), None);
        assert_eq!(Front::One.of(b""), None);
    }

    #[test]
    fn times_sort_as_numbers() {
        assert!(candidate(255, "z", "z").bytes() < candidate(256, "a", "a").bytes());
        let key = candidate(7, "r", "d");
        let (time, rest) = split_number(key.bytes()).unwrap();
        assert_eq!(
            (time, parts(rest)),
            (7, vec!["r".to_owned(), "d".to_owned()])
        );
        assert_eq!(split_number(b"short"), None);
    }

    #[test]
    fn every_table_is_listed_once() {
        let mut names: Vec<_> = Table::ALL.iter().map(|table| table.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Table::ALL.len());
    }
}
