//! Snapshots on their way from one node to another: as files, each with its digest, and never as a
//! whole in memory.
//!
//! What arrives is kept beside the snapshots until it is whole; a transfer that is cut off, or that
//! is not what was sent, leaves nothing.

use std::io;
use std::path::{Path, PathBuf};

use futures::{Stream, StreamExt, stream};
use roadstead_proto::digest::{Algorithm, Hasher};
use roadstead_proto::rpc::admin::{BackupPiece, backup_piece};
use roadstead_proto::rpc::peer::snapshot_piece::Piece;
use roadstead_proto::rpc::peer::{SnapshotHead, SnapshotPiece};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::consensus::{Applied, applied_message, applied_of};
use crate::limits::{SNAPSHOT_PIECE_BYTES, SNAPSHOT_PIECES_AHEAD};
use crate::store::folder;
use crate::store::snapshot::SnapshotFolder;
use crate::store::state::position_in;

/// The pieces of a snapshot, whose folder is kept until they have been sent. They end early when a
/// file cannot be read.
pub(super) fn pieces(
    head: SnapshotHead,
    snapshot: Kept,
) -> impl Stream<Item = SnapshotPiece> + Send + 'static {
    let (sender, receiver) = mpsc::channel(SNAPSHOT_PIECES_AHEAD);
    tokio::spawn(async move {
        // Without its end the receiver does not take it.
        if let Err(error) = send(head, &snapshot.folder().database(), &sender).await {
            tracing::warn!(%error, "a snapshot was not sent whole");
        }
        drop(snapshot);
    });
    stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((SnapshotPiece { piece: Some(piece) }, receiver))
    })
}

async fn send(head: SnapshotHead, database: &Path, sender: &mpsc::Sender<Piece>) -> io::Result<()> {
    let give = async |piece| {
        let given = sender.send(piece).await;
        given.map_err(|_| io::Error::other("the receiver has gone"))
    };
    give(Piece::Head(head)).await?;
    let mut count = 0;
    let mut entries = fs::read_dir(database).await?;
    while let Some(entry) = entries.next_entry().await? {
        let Ok(name) = entry.file_name().into_string() else {
            return Err(io::Error::other(
                "a file of the snapshot has no name in UTF-8",
            ));
        };
        give(Piece::File(name)).await?;
        let mut file = File::open(entry.path()).await?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        loop {
            let mut data = Vec::with_capacity(SNAPSHOT_PIECE_BYTES);
            let mut some = (&mut file).take(SNAPSHOT_PIECE_BYTES as u64);
            if some.read_to_end(&mut data).await? == 0 {
                break;
            }
            hasher.update(&data);
            give(Piece::Data(data.into())).await?;
        }
        give(Piece::FileEnd(hasher.finish().to_string())).await?;
        count += 1;
    }
    give(Piece::End(count)).await
}

/// A folder with a snapshot that nobody else removes. It goes with the value.
#[derive(Debug)]
pub(crate) struct Kept {
    path: PathBuf,
}

impl Kept {
    /// A fresh one below `root`.
    pub(crate) fn below(root: &Path) -> Self {
        let path = root.join(Uuid::new_v4().simple().to_string());
        Self { path }
    }

    /// The same snapshot once more, which is sent even if the node's own makes way for a newer one.
    pub(super) fn of(root: &Path, snapshot: &SnapshotFolder) -> io::Result<Self> {
        let kept = Self::below(root);
        folder::copy_database(&snapshot.database(), &kept.folder().database())?;
        Ok(kept)
    }

    pub(crate) fn folder(&self) -> SnapshotFolder {
        SnapshotFolder::at(&self.path)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Err(error) = folder::remove(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "a copy of a snapshot stays");
        }
    }
}

fn wrong(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

/// Takes in a whole snapshot, into a folder of its own below `root`.
pub(crate) async fn receive<E: std::fmt::Display>(
    root: &Path,
    mut pieces: impl Stream<Item = Result<SnapshotPiece, E>> + Unpin,
) -> io::Result<(SnapshotHead, Kept)> {
    let mut next = async || match pieces.next().await {
        Some(Ok(SnapshotPiece { piece: Some(piece) })) => Ok(piece),
        Some(Ok(_)) => Err(wrong("a piece of a kind that this version does not know")),
        Some(Err(error)) => Err(io::Error::other(format!("the transfer broke off: {error}"))),
        None => Err(wrong("the snapshot was cut off")),
    };
    let Piece::Head(head) = next().await? else {
        return Err(wrong("a snapshot without a head"));
    };
    let received = Kept::below(root);
    let database = received.folder().database();
    fs::create_dir_all(&database).await?;
    let mut count = 0;
    loop {
        let name = match next().await? {
            Piece::File(name) => name,
            Piece::End(sent) if sent == count => return Ok((head, received)),
            Piece::End(_) => return Err(wrong("files of the snapshot are missing")),
            _ => return Err(wrong("a file without a name")),
        };
        let mut file = File::create_new(database.join(plain(&name)?)).await?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        loop {
            match next().await? {
                Piece::Data(data) => {
                    hasher.update(&data);
                    file.write_all(&data).await?;
                }
                Piece::FileEnd(digest) => {
                    if digest != hasher.finish().as_str() {
                        return Err(wrong(format!("{name} is not what was sent")));
                    }
                    break;
                }
                _ => return Err(wrong(format!("{name} was cut off"))),
            }
        }
        // Installing it copies and syncs it.
        file.flush().await?;
        count += 1;
    }
}

/// The pieces of a copy of the state, for a backup.
pub(crate) fn sent(
    applied: &Applied,
    kept: Kept,
) -> impl Stream<Item = SnapshotPiece> + Send + 'static + use<> {
    // It comes of no leader: nobody takes it for what another node sends.
    let head = SnapshotHead {
        vote: None,
        applied: Some(applied_message(applied)),
    };
    pieces(head, kept)
}

/// Takes in the copy of a backup, which holds what its head says.
pub(crate) async fn received(
    root: &Path,
    pieces: impl Stream<Item = io::Result<BackupPiece>> + Unpin,
) -> io::Result<(Applied, Kept)> {
    let mut pieces = pieces.map(|piece| match piece?.piece {
        Some(backup_piece::Piece::Snapshot(piece)) => Ok(piece),
        _ => Err(wrong("a piece of a kind that this version does not know")),
    });
    let (head, kept) = receive(root, &mut pieces).await?;
    if pieces.next().await.is_some() {
        return Err(wrong("something follows its end"));
    }
    let applied = head
        .applied
        .ok_or_else(|| wrong("a head without a position"))?;
    let applied = applied_of(applied)?;
    let database = kept.folder().database();
    let found = spawn_blocking(move || position_in(&database)).await;
    if found.map_err(io::Error::other)?? != applied {
        return Err(wrong("it holds another position than it says"));
    }
    Ok((applied, kept))
}

/// A name that stays within its folder.
fn plain(name: &str) -> io::Result<&str> {
    let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    if is_plain {
        Ok(name)
    } else {
        Err(wrong(format!("{name:?} is no name of a file")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(root: &Path) -> SnapshotFolder {
        let folder = SnapshotFolder::at(&root.join("sent"));
        std::fs::create_dir_all(folder.database()).unwrap();
        std::fs::write(folder.database().join("CURRENT"), b"MANIFEST-1\n").unwrap();
        let large = vec![7_u8; 3 * SNAPSHOT_PIECE_BYTES + 5];
        std::fs::write(folder.database().join("000001.sst"), large).unwrap();
        std::fs::write(folder.database().join("empty"), b"").unwrap();
        folder
    }

    async fn sent(root: &Path) -> Vec<Piece> {
        let kept = Kept::of(&root.join("sending"), &filled(root)).unwrap();
        let pieces = pieces(SnapshotHead::default(), kept);
        let pieces = pieces.filter_map(|piece| async move { piece.piece });
        pieces.collect().await
    }

    async fn take(root: &Path, pieces: Vec<Piece>) -> io::Result<(SnapshotHead, Kept)> {
        let pieces = pieces
            .into_iter()
            .map(|piece| Ok::<_, String>(SnapshotPiece { piece: Some(piece) }));
        receive(root, stream::iter(pieces)).await
    }

    fn count(root: &Path) -> usize {
        std::fs::read_dir(root).map_or(0, Iterator::count)
    }

    #[tokio::test]
    async fn what_arrives_is_what_was_sent() {
        let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let pieces = sent(source.path()).await;
        let (_, received) = take(target.path(), pieces).await.unwrap();
        for name in ["CURRENT", "000001.sst", "empty"] {
            let original = std::fs::read(source.path().join("sent/database").join(name)).unwrap();
            let copy = std::fs::read(received.folder().database().join(name)).unwrap();
            assert!(original == copy, "{name}");
        }
        drop(received);
        assert_eq!(count(target.path()), 0);
    }

    #[tokio::test]
    async fn what_is_cut_off_or_changed_leaves_nothing() {
        let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let pieces = sent(source.path()).await;
        for length in 0..pieces.len() {
            let cut = pieces[..length].to_vec();
            assert!(take(target.path(), cut).await.is_err(), "{length} pieces");
        }
        for at in 0..pieces.len() {
            let mut changed = pieces.clone();
            match &mut changed[at] {
                Piece::Data(data) => *data = vec![8; data.len()].into(),
                Piece::File(name) => *name = format!("../{name}"),
                Piece::FileEnd(digest) => digest.push('0'),
                Piece::End(count) => *count += 1,
                Piece::Head(_) => continue,
            }
            assert!(take(target.path(), changed).await.is_err(), "piece {at}");
        }
        assert_eq!(count(target.path()), 0);
    }
}
