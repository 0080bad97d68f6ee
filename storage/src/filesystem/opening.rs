//! The three ways to a file that is written: create, resume, take over. Runs on the blocking pool.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use roadstead_crash::{Point, point};

use super::folders::{self, Folders};
use super::layout::Paths;
use crate::claims::Tenure;
use crate::error::{Error, Result};
use crate::limits::COPY_BYTES;

/// Where a writer is to be opened.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) paths: Paths,
    pub(super) folders: Arc<Folders>,
    pub(super) tenure: Arc<Tenure>,
}

/// A file to go on with.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) offset: u64,
    /// Whether the name of the file is known to be durable.
    pub(super) is_named: bool,
}

impl Opening {
    pub(super) fn create(&self) -> Result<Opened> {
        point(Point::ObjectCreate);
        self.expect_unfinished()?;
        let file = self.folders.create_file(&self.paths.partial)?;
        point(Point::ObjectCreated);
        Ok(Opened {
            file,
            offset: 0,
            is_named: false,
        })
    }

    pub(super) fn resume(&self, offset: u64) -> Result<Opened> {
        let partial = &self.paths.partial;
        let failed = |action| move |error| Error::from_io(action, partial, error);
        let file = match File::options().read(true).write(true).open(partial) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.expect_unfinished()?;
                return Err(Error::from_io("resume", partial, error));
            }
            Err(error) => return Err(Error::from_io("resume", partial, error)),
        };
        let stored = file.metadata().map_err(failed("look at"))?.len();
        expect_at_least(offset, stored)?;
        file.set_len(offset).map_err(failed("truncate"))?;
        Ok(Opened {
            file,
            offset,
            is_named: true,
        })
    }

    pub(super) fn take_over(&self, from: &Paths, offset: u64) -> Result<Opened> {
        self.expect_unfinished()?;
        let (source, source_path) = open_source(from)?;
        let failed = |action, path| move |error| Error::from_io(action, path, error);
        let stored = source
            .metadata()
            .map_err(failed("look at", source_path))?
            .len();
        expect_at_least(offset, stored)?;

        let partial = &self.paths.partial;
        match fs::remove_file(partial) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::from_io("replace", partial, error)),
        }
        // A new file rather than the old one truncated: what still has the old one open cannot
        // reach this one.
        let mut file = self.folders.create_file(partial)?;
        let mut copied = 0;
        while copied < offset {
            if self.tenure.is_abandoned() {
                return Err(Error::Stopped {
                    subject: format!("copy to {}", partial.display()),
                });
            }
            let mut part = (&source).take(COPY_BYTES.min(offset - copied));
            let length = io::copy(&mut part, &mut file).map_err(failed("copy to", partial))?;
            if length == 0 {
                let reason = format!("it ends at {copied} where it had {stored} bytes");
                return Err(Error::corrupt(source_path.display().to_string(), reason));
            }
            copied += length;
        }
        point(Point::ObjectCopied);
        file.sync_data().map_err(failed("fsync", partial))?;
        if let Some(folder) = partial.parent() {
            folders::sync(folder)?;
        }
        point(Point::ObjectTakenOver);
        Ok(Opened {
            file,
            offset,
            is_named: true,
        })
    }

    fn expect_unfinished(&self) -> Result<()> {
        let object = &self.paths.object;
        match fs::symlink_metadata(object) {
            Ok(_) => Err(Error::already_exists(object.display().to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::from_io("look at", object, error)),
        }
    }
}

/// Opens what the key holds, unfinished or finished.
fn open_source(from: &Paths) -> Result<(File, &Path)> {
    match File::open(&from.partial) {
        Ok(file) => Ok((file, &from.partial)),
        // In this order: a former writer that is still alive turns the one into the other, never
        // back.
        Err(error) if error.kind() == io::ErrorKind::NotFound => File::open(&from.object)
            .map(|file| (file, from.object.as_path()))
            .map_err(|error| Error::from_io("take over", &from.object, error)),
        Err(error) => Err(Error::from_io("take over", &from.partial, error)),
    }
}

fn expect_at_least(offset: u64, stored: u64) -> Result<()> {
    if stored < offset {
        let reason = format!("it names {offset} bytes where {stored} are stored");
        return Err(Error::invalid_checkpoint(reason));
    }
    Ok(())
}
