//! Bytes in memory of their own, which goes back to the system at once when they are let go.
//!
//! Parts are megabytes and come and go. An allocator keeps what was freed for later, in places of
//! its own for each thread, so that a process would hold several times of what its uploads do.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::MmapMut;

/// Bytes that grow. Room that is not used yet takes no memory.
#[derive(Debug, Default)]
pub(super) struct Block {
    // `None` until there is room.
    map: Option<MmapMut>,
    length: usize,
}

impl Block {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    fn room(&self) -> usize {
        self.map.as_ref().map_or(0, |map| map.len())
    }

    /// Makes room for so many bytes in all.
    ///
    /// # Errors
    /// When the system has no memory; then nothing has changed.
    pub(super) fn make_room(&mut self, bytes: usize) -> io::Result<()> {
        if bytes > self.room() {
            let mut map = MmapMut::map_anon(bytes)?;
            map[..self.length].copy_from_slice(self.as_ref());
            self.map = Some(map);
        }
        Ok(())
    }

    /// Adds bytes, for which there is room.
    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.length + bytes.len();
        self.make_room(end)?;
        if let Some(map) = &mut self.map {
            map[self.length..end].copy_from_slice(bytes);
            self.length = end;
        }
        Ok(())
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self.map.as_ref().map_or(&[], |map| &map[..self.length])
    }
}

/// The bytes of a block, for readers that may outlive whoever has it.
pub(super) fn shared(block: &Arc<Block>) -> Bytes {
    struct Reader(Arc<Block>);
    impl AsRef<[u8]> for Reader {
        fn as_ref(&self) -> &[u8] {
            self.0.as_ref().as_ref()
        }
    }
    Bytes::from_owner(Reader(Arc::clone(block)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_as_they_are_while_room_is_made() {
        let mut block = Block::default();
        let mut expected = Vec::new();
        for number in 0..40_u8 {
            let piece = vec![number; usize::from(number) * 331];
            block.push(&piece).unwrap();
            expected.extend_from_slice(&piece);
            assert!(block.as_ref() == expected);
        }
        assert_eq!(block.len(), expected.len());
    }

    #[test]
    fn readers_keep_what_they_read() {
        let mut block = Block::default();
        block.push(b"abc").unwrap();
        let block = Arc::new(block);
        let reader = shared(&block);
        assert!(Arc::try_unwrap(block).is_err(), "somebody reads it");
        assert_eq!(reader, "abc");
    }

    #[test]
    fn nothing_is_nothing() {
        let block = Arc::new(Block::default());
        assert_eq!(shared(&block), "");
    }
}
