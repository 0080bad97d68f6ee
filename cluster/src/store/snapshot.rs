//! Snapshots: folders with a checkpoint of the state, never a buffer in memory.
//!
//! A folder is complete when it has its final name: it is filled under another one, synced and
//! renamed, and it loses that name before its files go. The newest is kept; openraft purges the log
//! only up to it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use openraft::{RaftSnapshotBuilder, Snapshot};
use roadstead_crash::{Point, point};

use super::folder;
use crate::consensus::{
    Applied, CommittedLeaderId, Peer, SnapshotMeta, TypeConfig, decode_applied, encode_applied,
};

/// The file with the position of the snapshot, beside the database's own files.
const POSITION: &str = "position";
const DATABASE: &str = "database";

/// End the names of what is not a snapshot yet, and of what is none any more.
const PARTIAL: &str = "partial";
const OBSOLETE: &str = "obsolete";

/// A snapshot with its position.
pub(crate) type SnapshotOf = Snapshot<CommittedLeaderId, u64, Peer, SnapshotFolder>;

/// A folder on this machine that holds a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotFolder {
    path: PathBuf,
}

impl SnapshotFolder {
    /// A folder that may have come from elsewhere.
    pub(crate) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The database inside.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }
}

/// The snapshots of one node.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots {
    root: PathBuf,
}

impl Snapshots {
    /// The snapshots below `root`; what a crash left half made or half removed goes.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        folder::create(root)?;
        for entry in fs::read_dir(root)? {
            let path = entry?.path();
            if path.extension().is_some() {
                folder::remove(&path)?;
            }
        }
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// Makes a snapshot of the position `applied`; `fill` puts the database into a folder.
    pub(crate) fn create(
        &self,
        applied: &Applied,
        fill: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<SnapshotOf> {
        point(Point::SnapshotTake);
        let meta = meta_of(applied);
        let name = name_of(&meta);
        let (partial, path) = (
            self.root.join(format!("{name}.{PARTIAL}")),
            self.root.join(&name),
        );
        folder::remove(&partial)?;
        folder::create(&partial)?;
        fill(&partial.join(DATABASE))?;
        point(Point::SnapshotFilled);
        folder::replace_file(&partial.join(POSITION), &encode_applied(applied))?;
        self.remove(&path)?;
        point(Point::SnapshotRename);
        fs::rename(&partial, &path)?;
        point(Point::SnapshotRenamed);
        folder::sync(&self.root)?;
        point(Point::SnapshotKept);
        self.remove_others(&name)?;
        point(Point::SnapshotTaken);
        Ok(Snapshot {
            meta,
            snapshot: SnapshotFolder { path },
        })
    }

    /// Makes a snapshot that came from elsewhere one of this node's own.
    pub(crate) fn keep(
        &self,
        applied: &Applied,
        received: &SnapshotFolder,
    ) -> io::Result<SnapshotFolder> {
        let path = self.root.join(name_of(&meta_of(applied)));
        if received.path == path {
            return Ok(received.clone());
        }
        let fill = |target: &Path| folder::copy_database(&received.database(), target);
        Ok(self.create(applied, fill)?.snapshot)
    }

    fn remove_others(&self, name: &str) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_str() != Some(name) {
                self.remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes a snapshot, or what was one: half of it must never have the name of a whole one.
    fn remove(&self, path: &Path) -> io::Result<()> {
        if path.extension().is_some() {
            return folder::remove(path);
        }
        let obsolete = path.with_extension(OBSOLETE);
        folder::remove(&obsolete)?;
        match fs::rename(path, &obsolete) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        folder::sync(&self.root)?;
        point(Point::SnapshotRetired);
        folder::remove(&obsolete)
    }

    /// The newest snapshot.
    pub(crate) fn newest(&self) -> io::Result<Option<SnapshotOf>> {
        let mut newest: Option<(SnapshotMeta, PathBuf)> = None;
        for entry in fs::read_dir(&self.root)? {
            let path = entry?.path();
            if path.extension().is_some() {
                continue;
            }
            let meta = meta_of(&decode_applied(&fs::read(path.join(POSITION))?)?);
            if newest
                .as_ref()
                .is_none_or(|(best, _)| meta.last_log_id > best.last_log_id)
            {
                newest = Some((meta, path));
            }
        }
        Ok(newest.map(|(meta, path)| Snapshot {
            meta,
            snapshot: SnapshotFolder { path },
        }))
    }
}

fn meta_of((last_log_id, last_membership): &Applied) -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: *last_log_id,
        last_membership: last_membership.clone(),
    }
}

fn name_of(meta: &SnapshotMeta) -> String {
    meta.last_log_id.map_or_else(
        || "empty".to_owned(),
        |log_id| format!("{}-{}", log_id.leader_id.term, log_id.index),
    )
}

/// A snapshot that was taken when the builder was made: building is handing it over.
#[derive(Debug)]
pub(crate) struct Builder {
    taken: Option<io::Result<SnapshotOf>>,
}

impl Builder {
    pub(crate) fn new(taken: io::Result<SnapshotOf>) -> Self {
        Self { taken: Some(taken) }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotFolder;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf> {
        let again = || Err(io::Error::other("a snapshot builder builds once"));
        self.taken.take().unwrap_or_else(again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(index: u64) -> Applied {
        let leader = CommittedLeaderId::from(1);
        (
            Some(openraft::LogId::new(leader, index)),
            openraft::StoredMembership::default(),
        )
    }

    fn create(snapshots: &Snapshots, index: u64) {
        let created = snapshots.create(&applied(index), |target| fs::create_dir(target));
        created.unwrap();
    }

    fn newest(snapshots: &Snapshots) -> Option<u64> {
        let newest = snapshots.newest().unwrap()?;
        newest.meta.last_log_id.map(|log_id| log_id.index)
    }

    #[test]
    fn newest_snapshot_is_kept_alone() {
        let root = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(root.path()).unwrap();
        assert_eq!(newest(&snapshots), None);
        for index in [5, 9, 9] {
            create(&snapshots, index);
            assert_eq!(newest(&snapshots), Some(index));
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn half_of_a_snapshot_is_none() {
        let root = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(root.path()).unwrap();
        create(&snapshots, 5);
        for name in ["1-3.obsolete", "1-7.partial"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        assert_eq!(newest(&snapshots), Some(5));
        let snapshots = Snapshots::open(root.path()).unwrap();
        assert_eq!(newest(&snapshots), Some(5));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
