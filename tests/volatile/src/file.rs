//! The bytes of a file, twice: as processes see them, and as a loss of power leaves them.
//!
//! Not here: names. A file whose bytes are durable is gone all the same if no name of it is.

use crate::chance::Chance;

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct File {
    visible: Vec<u8>,
    durable: Vec<u8>,
    // What may differ between the two: from the first to before the second, beyond the end of
    // either if it has to.
    changed: Option<(usize, usize)>,
}

impl File {
    pub(crate) fn len(&self) -> usize {
        self.visible.len()
    }

    pub(crate) fn read(&self, offset: usize, length: usize) -> &[u8] {
        let end = offset.saturating_add(length).min(self.visible.len());
        self.visible.get(offset..end).unwrap_or_default()
    }

    /// Writes; what lies between the former end and `offset` reads as zeros.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        let former = self.visible.len();
        if former < end {
            self.visible.resize(end, 0);
        }
        self.visible[offset..end].copy_from_slice(bytes);
        self.change(offset.min(former), end);
    }

    /// Cuts off, or grows with zeros.
    pub(crate) fn truncate(&mut self, length: usize) {
        let former = self.visible.len();
        self.visible.resize(length, 0);
        self.change(length.min(former), length.max(former));
    }

    fn change(&mut self, from: usize, to: usize) {
        let (first, last) = self.changed.unwrap_or((from, to));
        self.changed = Some((first.min(from), last.max(to)));
    }

    /// fsync: what is visible now stays.
    pub(crate) fn sync(&mut self) {
        let Some((from, to)) = self.changed.take() else {
            return;
        };
        let length = self.visible.len();
        self.durable.resize(length, 0);
        let (from, to) = (from.min(length), to.min(length));
        self.durable[from..to].copy_from_slice(&self.visible[from..to]);
    }

    /// A loss of power that takes everything that was not synced.
    pub(crate) fn lose_everything(&mut self) {
        let Some((from, to)) = self.changed.take() else {
            return;
        };
        let length = self.durable.len();
        self.visible.resize(length, 0);
        let (from, to) = (from.min(length), to.min(length));
        self.visible[from..to].copy_from_slice(&self.durable[from..to]);
    }

    /// A loss of power that found some of it on disk already: all, nothing, or the beginning of
    /// what was appended.
    pub(crate) fn lose_some(&mut self, chance: &mut Chance) {
        let Some((from, _)) = self.changed else {
            return;
        };
        let is_appended = from >= self.durable.len() && self.visible.len() > self.durable.len();
        match chance.below(3) {
            0 => self.lose_everything(),
            1 if is_appended => {
                let appended = self.visible.len() - self.durable.len();
                let kept = self.durable.len() + chance.below(appended + 1);
                self.visible.truncate(kept);
                self.changed = Some((from, kept));
                self.sync();
            }
            _ => self.sync(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_loss(change: impl FnOnce(&mut File)) -> Vec<u8> {
        let mut file = File::default();
        file.write(0, b"durable");
        file.sync();
        change(&mut file);
        file.lose_everything();
        assert_eq!(file.visible, file.durable, "both are the same after a loss");
        file.visible
    }

    #[test]
    fn what_was_not_synced_is_lost() {
        assert_eq!(after_loss(|file| file.write(7, b" not")), b"durable");
        assert_eq!(after_loss(|file| file.write(0, b"NOT")), b"durable");
        assert_eq!(after_loss(|file| file.truncate(3)), b"durable");
        assert_eq!(after_loss(|file| file.truncate(30)), b"durable");
        let shorter_and_longer = |file: &mut File| {
            file.truncate(2);
            file.write(4, b"x");
        };
        assert_eq!(after_loss(shorter_and_longer), b"durable");
    }

    #[test]
    fn what_was_synced_stays() {
        let synced = |change: fn(&mut File)| {
            after_loss(|file| {
                change(file);
                file.sync();
                file.write(1, b"lost");
            })
        };
        assert_eq!(synced(|file| file.write(7, b" too")), b"durable too");
        assert_eq!(synced(|file| file.truncate(3)), b"dur");
        let shorter_and_longer = |file: &mut File| {
            file.truncate(2);
            file.write(4, b"x");
        };
        assert_eq!(synced(shorter_and_longer), b"du\0\0x");
    }

    #[test]
    fn some_of_what_was_appended_may_stay() {
        let mut kept = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut file = File::default();
            file.write(0, b"durable");
            file.sync();
            file.write(7, b" and more");
            file.lose_some(&mut Chance::new(seed));
            assert!(b"durable and more".starts_with(&file.visible));
            assert_eq!(file.visible, file.durable);
            kept.insert(file.len());
        }
        assert_eq!(kept.first(), Some(&7));
        assert_eq!(kept.last(), Some(&16));
        assert!(kept.len() > 5, "{kept:?}");
    }

    #[test]
    fn reads_end_with_the_file() {
        let mut file = File::default();
        file.write(2, b"ab");
        assert_eq!(file.read(0, 100), b"\0\0ab");
        assert_eq!(file.read(3, 1), b"b");
        assert_eq!(file.read(4, 1), b"");
        assert_eq!(file.read(9, usize::MAX), b"");
    }
}
