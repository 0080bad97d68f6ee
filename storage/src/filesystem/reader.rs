//! Reading: one chunk is read on the blocking pool while the consumer handles the one before.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use rustix::buffer::spare_capacity;
use tokio::task::JoinHandle;

use super::blocking;
use crate::error::{Error, Result};
use crate::limits::READ_CHUNK_BYTES;
use crate::store::{BlobReader, range_within};

/// An open object.
#[derive(Debug)]
pub(super) struct Object {
    file: Arc<File>,
    path: Arc<Path>,
    size: u64,
}

/// Opens an object. Runs on the blocking pool.
pub(super) fn open(path: PathBuf) -> Result<Object> {
    let file = File::open(&path).map_err(|error| absent("open", &path, error))?;
    let found = file
        .metadata()
        .map_err(|error| Error::from_io("look at", &path, error))?;
    let size = size_of(&path, &found)?;
    Ok(Object {
        file: Arc::new(file),
        path: path.into(),
        size,
    })
}

/// The size of an object. Runs on the blocking pool.
pub(super) fn size(path: &Path) -> Result<u64> {
    let found = fs::metadata(path).map_err(|error| absent("look at", path, error))?;
    size_of(path, &found)
}

fn size_of(path: &Path, found: &fs::Metadata) -> Result<u64> {
    if found.is_file() {
        return Ok(found.len());
    }
    // A folder on the way to other keys is no object.
    Err(Error::not_found(path.display().to_string()))
}

/// Where a part of the path is a file there cannot be an object.
fn absent(action: &str, path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotADirectory => {
            let subject = format!("{action} {}", path.display());
            Error::NotFound {
                subject,
                source: Some(error.into()),
            }
        }
        _ => Error::from_io(action, path, error),
    }
}

impl Object {
    pub(super) fn read(self, range: Option<Range<u64>>) -> Result<BlobReader> {
        let range = range_within(range, self.size)?;
        let (size, file) = (self.size, Arc::clone(&self.file));
        let reading = Reading {
            object: Arc::new(self),
            rest: range.clone(),
            ahead: None,
        };
        let chunks = stream::unfold(reading, Reading::next).boxed();
        Ok(BlobReader::new(size, range, chunks).with_file(file))
    }

    /// Reads one chunk. Runs on the blocking pool.
    fn chunk(&self, part: Range<u64>) -> Result<Bytes> {
        // At most READ_CHUNK_BYTES, so it fits.
        let length = (part.end - part.start) as usize;
        let mut chunk = Vec::with_capacity(length);
        while chunk.len() < length {
            let position = part.start + chunk.len() as u64;
            match rustix::io::pread(&self.file, spare_capacity(&mut chunk), position) {
                Ok(0) => {
                    let reason = format!("it ends at {position} where it had {} bytes", self.size);
                    return Err(Error::corrupt(self.path.display().to_string(), reason));
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Error::from_io("read", &self.path, error.into())),
            }
        }
        // A vector may have more room than it was asked for.
        chunk.truncate(length);
        Ok(Bytes::from(chunk))
    }
}

/// The state between two chunks.
#[derive(Debug)]
struct Reading {
    object: Arc<Object>,
    /// What was not asked for yet.
    rest: Range<u64>,
    ahead: Option<JoinHandle<Result<Bytes>>>,
}

impl Reading {
    async fn next(mut self) -> Option<(Result<Bytes>, Self)> {
        let current = self.ahead.take().or_else(|| self.ask())?;
        let chunk = blocking::joined("read", current.await);
        if chunk.is_ok() {
            self.ahead = self.ask();
        } else {
            // An error is the last item.
            self.rest.start = self.rest.end;
        }
        Some((chunk, self))
    }

    fn ask(&mut self) -> Option<JoinHandle<Result<Bytes>>> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.end.min(self.rest.start + READ_CHUNK_BYTES as u64);
        let part = self.rest.start..end;
        self.rest.start = end;
        let object = Arc::clone(&self.object);
        Some(tokio::task::spawn_blocking(move || object.chunk(part)))
    }
}
