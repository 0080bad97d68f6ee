//! `roadstead cluster backup` and `restore`: the metadata as one file.
//!
//! The file begins with a line that says what it is; messages follow, each behind its length. It
//! gets its name when it is whole and on disk.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{Stream, stream};
use prost::Message;
use prost::encoding::decode_varint;
use roadstead_cluster::BACKUP_FORMAT;
use roadstead_proto::rpc::admin::backup_piece::Piece;
use roadstead_proto::rpc::admin::{BackupHead, BackupPiece, BackupRequest};
use roadstead_proto::rpc::peer::snapshot_piece;
use serde_json::json;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

use super::super::figures::{age, size, time};
use super::super::progress;
use super::super::remote::{Failure, Node, Output, print, print_either, print_json};
use super::super::table::Table;
use crate::limits::{BACKUP_PIECE_BYTES_MAX, EVENTS_WAITING, MISSING_SHOWN};
use crate::restoring;
use crate::verify::{Event, Finding, Kind, Report};

const FIRST_LINE: &[u8] = b"roadstead backup\n";

/// Has a node send its state, and writes it.
pub(super) async fn back_up(mut node: Node, output: Output, path: &Path) -> Result<(), Failure> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let reason = "it is there, and no file that could be replaced";
        return Err(Failure::usage(format!("{}: {reason}", path.display())));
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = write(&mut node, output, &partial).await;
    let named = written.and_then(|written| {
        let renamed = fs::rename(&partial, path).and_then(|()| sync_folder(path));
        renamed.map_err(|error| unreadable(path, &error))?;
        Ok(written)
    });
    let (head, bytes) = named.inspect_err(|_failure| {
        // Nobody restores what has another name; it is only in the way.
        let _ = fs::remove_file(&partial);
    })?;
    let document = json!({
        "file": path.display().to_string(),
        "bytes": bytes,
        "cluster_id": head.cluster_id,
        "incarnation": head.incarnation,
        "index": head.index,
    });
    let mut table = facts(&head);
    table.fact("file", format!("{}, {}", path.display(), size(bytes)));
    let kept = age(head.reading_delay_ms);
    table.fact("objects kept for", format!("{kept} (`gc.backupretention`)"));
    print_either(output, &document, &table.to_string())
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Writes all pieces, to disk. Answers their head, and how many bytes they are.
async fn write(node: &mut Node, output: Output, path: &Path) -> Result<(BackupHead, u64), Failure> {
    let answer = node.client.backup(BackupRequest {}).await;
    let mut pieces = answer.map_err(|error| node.failed(&error))?.into_inner();
    let written = |error: io::Error| unreadable(path, &error);
    let mut file = File::create(path).map_err(written)?;
    file.write_all(FIRST_LINE).map_err(written)?;
    let spinner = progress::spinner(output);
    let mut head = None;
    let mut bytes = FIRST_LINE.len() as u64;
    let mut is_whole = false;
    while let Some(piece) = pieces
        .message()
        .await
        .map_err(|error| node.failed(&error))?
    {
        let encoded = piece.encode_length_delimited_to_vec();
        file.write_all(&encoded).map_err(written)?;
        bytes += encoded.len() as u64;
        spinner.set_message(format!("{} written", size(bytes)));
        match piece.piece {
            Some(Piece::Head(found)) => head = Some(found),
            Some(Piece::Snapshot(piece)) => {
                is_whole = matches!(piece.piece, Some(snapshot_piece::Piece::End(_)));
            }
            None => {}
        }
    }
    spinner.finish_and_clear();
    let head = head.filter(|_| is_whole);
    let early = || Failure::here("the node ended the backup early; try again");
    let head = head.ok_or_else(early)?;
    file.sync_all().map_err(written)?;
    Ok((head, bytes))
}

fn facts(head: &BackupHead) -> Table {
    let mut table = Table::of_facts();
    table.fact("cluster", format!("{} ({})", head.name, head.cluster_id));
    table.fact("taken", time(head.taken_at_unix_ms));
    table.fact("last entry", head.index.to_string());
    table
}

/// Makes the data folder of a configuration out of a backup. Asks no node.
pub(super) fn restore(output: Output, path: &Path, config: Option<PathBuf>) -> Result<(), Failure> {
    let loaded = super::super::load(config);
    let loaded = loaded.map_err(|error| Failure::config(error.to_string()))?;
    let mut reader = Backup::open(path).map_err(|error| unreadable(path, &error))?;
    let head = reader.head().map_err(|error| unreadable(path, &error))?;
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::here(format!("cannot start: {error}")))?;
    let spinner = progress::spinner(output);
    spinner.set_message("looking for what the backup names");
    let (sender, mut events) = mpsc::channel(EVENTS_WAITING);
    let (restored, (report, missing)) = runtime.block_on(async {
        let pieces = Box::pin(reader.pieces());
        let restoring = async {
            let restored = restoring::restore(&loaded.config, &head, pieces, &sender).await;
            drop(sender);
            restored
        };
        tokio::join!(restoring, async {
            let mut report = Report::default();
            let mut missing: Vec<Finding> = Vec::new();
            while let Some(event) = events.recv().await {
                match event {
                    Event::Finding(finding) if is_missing(&finding) => {
                        if missing.len() < MISSING_SHOWN {
                            missing.push(finding);
                        }
                    }
                    Event::Report(found) => report = found,
                    Event::Finding(_) | Event::Progress(..) => {}
                }
            }
            (report, missing)
        })
    });
    spinner.finish_and_clear();
    let incarnation = restored.map_err(|error| Failure::here(restoring::sentence(&error)))?;
    show(output, &head, incarnation, &report, &missing)
}

/// What the next push brings back. What could not be read may be there.
fn is_missing(finding: &Finding) -> bool {
    matches!(finding.kind, Kind::Missing | Kind::WrongSize)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::here(format!("{}: {error}", path.display()))
}

fn show(
    output: Output,
    head: &BackupHead,
    incarnation: u64,
    report: &Report,
    missing: &[Finding],
) -> Result<(), Failure> {
    let lost = report.missing + report.wrong_size;
    let digests: Vec<_> = missing.iter().map(|finding| &finding.digest).collect();
    if output == Output::Json {
        print_json(&json!({
            "cluster_id": head.cluster_id,
            "incarnation": incarnation,
            "index": head.index,
            "taken_at_unix_ms": head.taken_at_unix_ms,
            "blobs": report.blobs,
            "missing": lost,
            "unreadable": report.unreadable,
            "first_missing": digests,
        }))?;
    } else {
        let mut table = facts(head);
        table.fact("incarnation", incarnation.to_string());
        table.fact(
            "blobs",
            format!("{}, of which {lost} are missing", report.blobs),
        );
        print(&table.to_string())?;
        for finding in missing {
            let repositories = finding.repositories.join(", ");
            print(&format!("missing: {} in {repositories}", finding.digest))?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = u64::try_from(now.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX);
        if let Some(kept) = restoring::is_too_old(head, now_ms) {
            let kept = age(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX));
            print(&format!(
                "The backup is older than objects are kept for it ({kept}, `gc.backupretention`): \
                 what was collected since is missing, and the next push of it brings it back."
            ))?;
        }
        print(
            "Nodes of the former life take no pushes any more: stop them. Start this node now; the \
             others need empty folders, and join it. Nothing is deleted from the store until \
             `roadstead verify` has run.",
        )?;
    }
    if lost + report.unreadable > 0 {
        // What was missing was named.
        return Err(Failure::found());
    }
    Ok(())
}

/// A backup that is being read.
struct Backup {
    file: BufReader<File>,
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

impl Backup {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let mut first = [0; FIRST_LINE.len()];
        let read = file.read_exact(&mut first);
        if read.is_err() || first != FIRST_LINE {
            return Err(invalid("this is no backup of `roadstead cluster backup`"));
        }
        Ok(Self { file })
    }

    fn head(&mut self) -> io::Result<BackupHead> {
        match self.next()?.and_then(|piece| piece.piece) {
            Some(Piece::Head(head)) if head.format > BACKUP_FORMAT => Err(invalid(&format!(
                "it has format {}, and this version reads up to {BACKUP_FORMAT}; use version {}",
                head.format, head.version
            ))),
            Some(Piece::Head(head)) => Ok(head),
            _ => Err(invalid("the backup has no head: it is cut off or damaged")),
        }
    }

    fn next(&mut self) -> io::Result<Option<BackupPiece>> {
        // A length has at most ten bytes, of which all but the last have the highest bit set.
        let mut length = Vec::with_capacity(10);
        loop {
            let mut byte = [0];
            if self.file.read(&mut byte)? == 0 {
                return if length.is_empty() {
                    Ok(None)
                } else {
                    Err(invalid("the backup is cut off"))
                };
            }
            length.push(byte[0]);
            if byte[0] < 0x80 || length.len() == 10 {
                break;
            }
        }
        let length = decode_varint(&mut length.as_slice());
        let length = length.map_err(|_| invalid("the backup is damaged"))?;
        let length = usize::try_from(length).ok();
        let length = length.filter(|length| *length <= BACKUP_PIECE_BYTES_MAX);
        let mut bytes = vec![0; length.ok_or_else(|| invalid("the backup is damaged"))?];
        let read = self.file.read_exact(&mut bytes);
        read.map_err(|_| invalid("the backup is cut off"))?;
        let piece = BackupPiece::decode(bytes.as_slice());
        piece
            .map(Some)
            .map_err(|_| invalid("the backup is damaged"))
    }

    /// What follows. A piece is a megabyte, and read in place: nothing else goes on meanwhile.
    fn pieces(self) -> impl Stream<Item = io::Result<BackupPiece>> + Send {
        stream::unfold(self, |mut backup| async move {
            let piece = backup.next().transpose()?;
            Some((piece, backup))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, bytes: &[u8]) -> PathBuf {
        let path = folder.join("backup");
        fs::write(&path, [FIRST_LINE, bytes].concat()).unwrap();
        path
    }

    #[test]
    fn what_is_no_backup_or_half_of_one_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "something else").unwrap();
        let error = Backup::open(&other).err().expect("it is none");
        assert!(error.to_string().contains("no backup"), "{error}");
        let head = BackupHead {
            format: BACKUP_FORMAT + 1,
            version: "9.9".to_owned(),
            ..BackupHead::default()
        };
        let piece = BackupPiece {
            piece: Some(Piece::Head(head)),
        };
        let newer = piece.encode_length_delimited_to_vec();
        for (bytes, words) in [
            (&[][..], "no head"),
            (&newer[..newer.len() - 1], "cut off"),
            (&[0xff; 12], "damaged"),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f, 1], "damaged"),
            (&newer, "use version 9.9"),
        ] {
            let path = written(folder.path(), bytes);
            let head = Backup::open(&path).unwrap().head();
            let error = head.expect_err(words);
            assert!(error.to_string().contains(words), "{words}: {error}");
        }
    }
}
