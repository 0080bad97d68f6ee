//! The disk: files and folders by number, what processes see of them, and what is durable.
//!
//! Not here: FUSE. Every call is one step, and errors are the system's.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

use fuser::Errno;

use crate::chance::Chance;
use crate::file::File;
use crate::folder::Folder;

/// Of a file or folder; given once.
pub(crate) type Number = u64;

/// The folder that is mounted.
pub(crate) const ROOT: Number = 1;

/// What a loss of power takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Loss {
    /// Everything that was not synced.
    Everything,
    /// A part of it, which the seed decides.
    Some { seed: u64 },
}

/// An fsync that does nothing, as if somebody had forgotten it.
#[derive(Debug)]
pub(crate) struct Mistake {
    /// Of a folder, or of a file.
    pub(crate) is_folder: bool,
    /// The path below the root; `*` is any text.
    pub(crate) pattern: String,
}

/// What a number stands for.
#[derive(Debug)]
pub(crate) enum Content {
    File(File),
    Folder(Folder),
}

/// A file or folder.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) content: Content,
    pub(crate) mode: u16,
    pub(crate) owner: (u32, u32),
    pub(crate) links: u32,
    pub(crate) modified: SystemTime,
    // Where it was named last.
    place: (Number, OsString),
}

/// The disk.
#[derive(Debug)]
pub(crate) struct Disk {
    nodes: BTreeMap<Number, Node>,
    last: Number,
    mistakes: Vec<Mistake>,
    ignored: u64,
}

impl Default for Disk {
    fn default() -> Self {
        let root = Node::new(Content::Folder(Folder::default()), 0o755, (0, 0));
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            last: ROOT,
            mistakes: Vec::new(),
            ignored: 0,
        }
    }
}

impl Node {
    fn new(content: Content, mode: u16, owner: (u32, u32)) -> Self {
        let links = if matches!(content, Content::File(_)) {
            1
        } else {
            2
        };
        Self {
            content,
            mode,
            owner,
            links,
            modified: SystemTime::now(),
            place: (ROOT, OsString::new()),
        }
    }

    pub(crate) fn is_folder(&self) -> bool {
        matches!(self.content, Content::Folder(_))
    }
}

impl Disk {
    pub(crate) fn node(&self, number: Number) -> Result<&Node, Errno> {
        self.nodes.get(&number).ok_or(Errno::ENOENT)
    }

    pub(crate) fn node_mut(&mut self, number: Number) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&number).ok_or(Errno::ENOENT)
    }

    pub(crate) fn file(&self, number: Number) -> Result<&File, Errno> {
        match &self.node(number)?.content {
            Content::File(file) => Ok(file),
            Content::Folder(_) => Err(Errno::EISDIR),
        }
    }

    /// The file, to be changed.
    pub(crate) fn file_mut(&mut self, number: Number) -> Result<&mut File, Errno> {
        let node = self.node_mut(number)?;
        node.modified = SystemTime::now();
        match &mut node.content {
            Content::File(file) => Ok(file),
            Content::Folder(_) => Err(Errno::EISDIR),
        }
    }

    pub(crate) fn folder(&self, number: Number) -> Result<&Folder, Errno> {
        match &self.node(number)?.content {
            Content::Folder(folder) => Ok(folder),
            Content::File(_) => Err(Errno::ENOTDIR),
        }
    }

    fn folder_mut(&mut self, number: Number) -> Result<&mut Folder, Errno> {
        let node = self.node_mut(number)?;
        node.modified = SystemTime::now();
        match &mut node.content {
            Content::Folder(folder) => Ok(folder),
            Content::File(_) => Err(Errno::ENOTDIR),
        }
    }

    pub(crate) fn lookup(&self, parent: Number, name: &OsStr) -> Result<Number, Errno> {
        self.folder(parent)?.get(name).ok_or(Errno::ENOENT)
    }

    pub(crate) fn create(
        &mut self,
        parent: Number,
        name: &OsStr,
        content: Content,
        mode: u16,
        owner: (u32, u32),
    ) -> Result<Number, Errno> {
        if self.folder(parent)?.get(name).is_some() {
            return Err(Errno::EEXIST);
        }
        self.last += 1;
        let number = self.last;
        self.nodes.insert(number, Node::new(content, mode, owner));
        self.name(parent, name, number)?;
        Ok(number)
    }

    fn name(&mut self, parent: Number, name: &OsStr, number: Number) -> Result<(), Errno> {
        let step = vec![(name.to_owned(), Some(number))];
        self.folder_mut(parent)?.change(step);
        self.node_mut(number)?.place = (parent, name.to_owned());
        Ok(())
    }

    pub(crate) fn link(
        &mut self,
        number: Number,
        parent: Number,
        name: &OsStr,
    ) -> Result<(), Errno> {
        self.file(number)?;
        if self.folder(parent)?.get(name).is_some() {
            return Err(Errno::EEXIST);
        }
        self.node_mut(number)?.links += 1;
        self.name(parent, name, number)
    }

    pub(crate) fn unlink(&mut self, parent: Number, name: &OsStr) -> Result<(), Errno> {
        let number = self.lookup(parent, name)?;
        // The bytes stay: processes may have it open, and a loss of power brings the name back.
        self.file(number)?;
        let node = self.node_mut(number)?;
        node.links = node.links.saturating_sub(1);
        self.folder_mut(parent)?
            .change(vec![(name.to_owned(), None)]);
        Ok(())
    }

    pub(crate) fn remove_folder(&mut self, parent: Number, name: &OsStr) -> Result<(), Errno> {
        let number = self.lookup(parent, name)?;
        if !self.folder(number)?.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.folder_mut(parent)?
            .change(vec![(name.to_owned(), None)]);
        Ok(())
    }

    pub(crate) fn rename(
        &mut self,
        from: (Number, &OsStr),
        to: (Number, &OsStr),
        may_replace: bool,
    ) -> Result<(), Errno> {
        let number = self.lookup(from.0, from.1)?;
        if let Some(replaced) = self.folder(to.0)?.get(to.1) {
            if !may_replace {
                return Err(Errno::EEXIST);
            }
            if replaced == number {
                return Ok(());
            }
            match (
                self.node(number)?.is_folder(),
                &self.node(replaced)?.content,
            ) {
                (true, Content::File(_)) => return Err(Errno::ENOTDIR),
                (false, Content::Folder(_)) => return Err(Errno::EISDIR),
                (_, Content::Folder(folder)) if !folder.is_empty() => {
                    return Err(Errno::ENOTEMPTY);
                }
                _ => {}
            }
            let node = self.node_mut(replaced)?;
            node.links = node.links.saturating_sub(1);
        }
        let removed = (from.1.to_owned(), None);
        let added = (to.1.to_owned(), Some(number));
        if from.0 == to.0 {
            self.folder_mut(from.0)?.change(vec![removed, added]);
        } else {
            let (left, entered) = (self.folder_mut(from.0)?, to.0);
            left.change(vec![removed]);
            left.joined.insert(entered);
            let entered = self.folder_mut(to.0)?;
            entered.change(vec![added]);
            entered.joined.insert(from.0);
        }
        self.node_mut(number)?.place = (to.0, to.1.to_owned());
        Ok(())
    }

    /// fsync or fdatasync: of a file its bytes, of a folder its names.
    pub(crate) fn sync(&mut self, number: Number) -> Result<(), Errno> {
        if self.is_mistaken(number)? {
            self.ignored += 1;
            return Ok(());
        }
        match &mut self.node_mut(number)?.content {
            Content::File(file) => file.sync(),
            Content::Folder(_) => {
                for joined in self.joined(number)? {
                    self.sync_names(joined)?;
                }
            }
        }
        Ok(())
    }

    fn sync_names(&mut self, number: Number) -> Result<(), Errno> {
        if let Content::Folder(folder) = &mut self.node_mut(number)?.content {
            folder.sync();
        }
        Ok(())
    }

    /// The folder, and those that renames have joined it with.
    fn joined(&self, number: Number) -> Result<BTreeSet<Number>, Errno> {
        let mut found = BTreeSet::new();
        let mut left = vec![number];
        while let Some(next) = left.pop() {
            if found.insert(next) {
                left.extend(&self.folder(next)?.joined);
            }
        }
        Ok(found)
    }

    pub(crate) fn ignore(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    pub(crate) fn ignored(&self) -> u64 {
        self.ignored
    }

    fn is_mistaken(&self, number: Number) -> Result<bool, Errno> {
        if self.mistakes.is_empty() {
            return Ok(false);
        }
        let is_folder = self.node(number)?.is_folder();
        let path = self.path(number)?;
        let hits =
            |mistake: &Mistake| mistake.is_folder == is_folder && fits(&mistake.pattern, &path);
        Ok(self.mistakes.iter().any(hits))
    }

    /// The path below the root by which it was named last.
    fn path(&self, number: Number) -> Result<String, Errno> {
        let mut parts = Vec::new();
        let mut at = number;
        while at != ROOT {
            let (parent, name) = &self.node(at)?.place;
            parts.push(name.to_string_lossy());
            at = *parent;
        }
        parts.reverse();
        Ok(parts.join("/"))
    }

    /// Everything that was not synced is lost, or some of it. No process may have files open.
    pub(crate) fn lose_power(&mut self, loss: Loss) {
        let mut chance = match loss {
            Loss::Everything => None,
            Loss::Some { seed } => Some(Chance::new(seed)),
        };
        for node in self.nodes.values_mut() {
            match (&mut node.content, &mut chance) {
                (Content::File(file), None) => file.lose_everything(),
                (Content::File(file), Some(chance)) => file.lose_some(chance),
                (Content::Folder(folder), None) => folder.lose_everything(),
                (Content::Folder(folder), Some(chance)) => folder.lose_some(chance),
            }
        }
        self.forget_nameless();
    }

    /// Drops what no name leads to, and counts and places the rest anew.
    fn forget_nameless(&mut self) {
        let mut places: BTreeMap<Number, Vec<(Number, OsString)>> = BTreeMap::new();
        let mut left = vec![ROOT];
        while let Some(parent) = left.pop() {
            let Ok(folder) = self.folder(parent) else {
                continue;
            };
            for (name, number) in folder.names() {
                let of_number = places.entry(number).or_default();
                if of_number.is_empty() {
                    left.push(number);
                }
                of_number.push((parent, name.clone()));
            }
        }
        self.nodes
            .retain(|number, _| *number == ROOT || places.contains_key(number));
        for (number, names) in places {
            let Some(node) = self.nodes.get_mut(&number) else {
                continue;
            };
            if !node.is_folder() {
                node.links = u32::try_from(names.len()).unwrap_or(u32::MAX);
            }
            if let Some(place) = names.into_iter().next() {
                node.place = place;
            }
        }
    }
}

/// Whether a text fits a pattern, in which `*` is any text.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((begin, rest)) => text.strip_prefix(begin).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| fits(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests;
