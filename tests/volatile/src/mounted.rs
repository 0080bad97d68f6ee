//! The disk as a mounted file system: FUSE's requests as calls of the disk.
//!
//! A loss of power unmounts it and mounts it again, so that the kernel remembers nothing either.
//! The kernel writes through: it is not allowed to gather writes, so that whatever a process has
//! written before it was killed has come here. Locks are the kernel's own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    AccessFlags, BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType,
    Filesystem, FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use rustix::mount::UnmountFlags;

use crate::disk::{Content, Disk, Loss, Node, Number};
use crate::file::File;
use crate::folder::Folder;

/// How long the kernel may remember what it was told: nobody else changes the disk.
const REMEMBER: Duration = Duration::from_secs(60);

/// The size of the disk as programs are told it.
const BLOCKS: u64 = 1 << 24;
const BLOCK_BYTES: u32 = 4096;

/// `fallocate` that leaves the size as it is.
const KEEP_SIZE: i32 = 1;

/// A disk and where it is mounted.
#[derive(Debug)]
pub(crate) struct Mounted {
    folder: PathBuf,
    disk: Arc<Mutex<Disk>>,
    // `None` only between an unmounting and the next mounting.
    session: Option<BackgroundSession>,
}

impl Mounted {
    pub(crate) fn mount(folder: &Path) -> io::Result<Self> {
        let mut mounted = Self {
            folder: folder.to_owned(),
            disk: Arc::default(),
            session: None,
        };
        mounted.begin()?;
        Ok(mounted)
    }

    pub(crate) fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }

    fn begin(&mut self) -> io::Result<()> {
        let service = Service {
            disk: Arc::clone(&self.disk),
            listings: Mutex::default(),
        };
        let mut config = Config::default();
        let name = MountOption::FSName("roadstead-volatile".to_owned());
        config.mount_options = vec![name, MountOption::DefaultPermissions];
        let session = fuser::spawn_mount(service, &self.folder, &config)?;
        self.session = Some(session);
        Ok(())
    }

    pub(crate) fn unmount(&mut self) -> io::Result<()> {
        let Some(session) = self.session.take() else {
            return Ok(());
        };
        // Detached, it ends when the last one lets go of it, which the session waits for: a process
        // that another thread is just starting may have a folder open for a moment. Who is not root
        // leaves it to fusermount3.
        let ended = match rustix::mount::unmount(&self.folder, UnmountFlags::DETACH) {
            Ok(()) => session.join(),
            Err(_) => session.umount_and_join(),
        };
        match ended {
            // The kernel may say so where it as a rule says that the device is gone.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(()),
            result => result,
        }
    }

    pub(crate) fn lose_power(&mut self, loss: Loss) -> io::Result<()> {
        self.unmount()?;
        self.disk().lose_power(loss);
        self.begin()
    }
}

// A panic in the middle of a change ends the session's thread, and with it the test.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What answers the kernel.
#[derive(Debug)]
struct Service {
    disk: Arc<Mutex<Disk>>,
    // What an opened folder held when it was opened.
    listings: Mutex<(u64, BTreeMap<u64, Listing>)>,
}

type Listing = Vec<(OsString, Number, FileType)>;

impl Service {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }

    fn list(&self, number: Number) -> Result<u64, Errno> {
        let disk = self.disk();
        let mut listing = Vec::new();
        for (name, number) in disk.folder(number)?.names() {
            listing.push((name.clone(), number, kind(disk.node(number)?)));
        }
        let mut listings = lock(&self.listings);
        listings.0 += 1;
        let handle = listings.0;
        listings.1.insert(handle, listing);
        Ok(handle)
    }

    fn truncate(&self, number: Number, size: u64) -> Result<(), Errno> {
        self.disk().file_mut(number)?.truncate(index(size)?);
        Ok(())
    }
}

fn index(size: u64) -> Result<usize, Errno> {
    usize::try_from(size).map_err(|_| Errno::EFBIG)
}

fn kind(node: &Node) -> FileType {
    if node.is_folder() {
        FileType::Directory
    } else {
        FileType::RegularFile
    }
}

fn attributes(disk: &Disk, number: Number) -> Result<FileAttr, Errno> {
    let node = disk.node(number)?;
    let size = match &node.content {
        Content::File(file) => file.len() as u64,
        Content::Folder(_) => 0,
    };
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: node.modified,
        mtime: node.modified,
        ctime: node.modified,
        crtime: node.modified,
        kind: kind(node),
        perm: node.mode,
        nlink: node.links,
        uid: node.owner.0,
        gid: node.owner.1,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    })
}

fn mode_of(mode: u32, umask: u32) -> u16 {
    u16::try_from(mode & !umask & 0o7777).unwrap_or_default()
}

fn done(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn entered(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attributes) => reply.entry(&REMEMBER, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Service {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let disk = self.disk();
        let found = disk.lookup(parent.0, name);
        entered(reply, found.and_then(|number| attributes(&disk, number)));
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match attributes(&self.disk(), number.0) {
            Ok(attributes) => reply.attr(&REMEMBER, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = || {
            if let Some(size) = size {
                self.truncate(number.0, size)?;
            }
            let mut disk = self.disk();
            let node = disk.node_mut(number.0)?;
            node.mode = mode.map_or(node.mode, |mode| mode_of(mode, 0));
            node.owner = (uid.unwrap_or(node.owner.0), gid.unwrap_or(node.owner.1));
            match modified {
                Some(TimeOrNow::SpecificTime(time)) => node.modified = time,
                Some(TimeOrNow::Now) => node.modified = SystemTime::now(),
                None => {}
            }
            attributes(&disk, number.0)
        };
        match change() {
            Ok(attributes) => reply.attr(&REMEMBER, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let mut disk = self.disk();
        let content = Content::Folder(Folder::default());
        let owner = (request.uid(), request.gid());
        let made = disk.create(parent.0, name, content, mode_of(mode, umask), owner);
        entered(reply, made.and_then(|number| attributes(&disk, number)));
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut disk = self.disk();
        let content = Content::File(File::default());
        let owner = (request.uid(), request.gid());
        let made = disk.create(parent.0, name, content, mode_of(mode, umask), owner);
        match made.and_then(|number| attributes(&disk, number)) {
            Ok(attributes) => {
                let (handle, flags) = (FileHandle(0), FopenFlags::empty());
                reply.created(&REMEMBER, &attributes, Generation(0), handle, flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(reply, self.disk().unlink(parent.0, name));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(reply, self.disk().remove_folder(parent.0, name));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to_parent: INodeNo,
        to_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !(flags - RenameFlags::RENAME_NOREPLACE).is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let may_replace = flags.is_empty();
        let (from, to) = ((parent.0, name), (to_parent.0, to_name));
        done(reply, self.disk().rename(from, to, may_replace));
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut disk = self.disk();
        let linked = disk.link(number.0, parent.0, name);
        entered(reply, linked.and_then(|()| attributes(&disk, number.0)));
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let disk = self.disk();
        let read = || Ok(disk.file(number.0)?.read(index(offset)?, size as usize));
        match read() {
            Ok(bytes) => reply.data(bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        // O_DSYNC, which is a part of O_SYNC: nothing under test uses it.
        const SYNCHRONOUS: i32 = 0o10_000;
        if flags.0 & SYNCHRONOUS != 0 {
            return reply.error(Errno::EINVAL);
        }
        let write = || {
            let offset = index(offset)?;
            self.disk().file_mut(number.0)?.write(offset, data);
            Ok(())
        };
        match write() {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or_default()),
            Err(error) => reply.error(error),
        }
    }

    /// A file is closed: that promises nothing.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(reply, self.disk().sync(number.0));
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.list(number.0) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listings = lock(&self.listings);
        let Some(listing) = listings.1.get(&handle.0) else {
            return reply.error(Errno::EBADF);
        };
        let begin = usize::try_from(offset).unwrap_or(usize::MAX);
        for (position, (name, number, kind)) in listing.iter().enumerate().skip(begin) {
            if reply.add(INodeNo(*number), position as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        lock(&self.listings).1.remove(&handle.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(reply, self.disk().sync(number.0));
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCK_BYTES, 255, 0);
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let allocate = || match mode {
            KEEP_SIZE => self.disk().file(number.0).map(drop),
            0 => {
                let end = offset.saturating_add(length);
                let size = self.disk().file(number.0)?.len() as u64;
                self.truncate(number.0, size.max(end))
            }
            _ => Err(Errno::EOPNOTSUPP),
        };
        done(reply, allocate());
    }
}

#[cfg(test)]
mod tests;
