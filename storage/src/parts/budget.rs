//! The memory that all uploads of a node share.
//!
//! An upload takes what it needs as bytes come in, and gives it back when they are in the store.
//! When nothing is free, the tails that are kept for uploads between two requests go first: the
//! store has them. Then uploads send what they have, and then they wait.
//!
//! Uploads that have too little to send could wait for each other for ever. So a part is set aside
//! for one of them at a time, which it holds until its bytes are in the store.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::block::{self, Block};
use crate::error::{Error, Result};
use crate::limits::{BUFFER_BYTES_FIRST, BUFFER_BYTES_SPARE, PART_BYTES_MIN};

/// What is counted at once, in bytes: a semaphore counts to less than the bytes of large machines.
const UNIT: u64 = 4096;

/// What all uploads may hold.
#[derive(Debug)]
pub(crate) struct Budget {
    free: Arc<Semaphore>,
    free_units: u32,
    spare: Arc<Semaphore>,
    kept: Mutex<VecDeque<Weak<Mutex<Option<Buffer>>>>>,
    waiting: AtomicUsize,
}

/// Bytes of one upload, and what they have taken of the budget.
#[derive(Debug)]
pub(super) struct Buffer {
    budget: Arc<Budget>,
    bytes: Block,
    // The same bytes while a request may be reading them; then `bytes` is empty.
    shared: Option<Arc<Block>>,
    taken: Option<OwnedSemaphorePermit>,
    // Bytes that `taken` is for.
    counted: u64,
    spare: Option<OwnedSemaphorePermit>,
}

/// A tail that may be taken away when memory is short.
#[derive(Debug)]
pub(super) struct Kept(Arc<Mutex<Option<Buffer>>>);

impl Budget {
    /// A budget of so many bytes, raised to the least that can be worked with.
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        let free = bytes
            .saturating_sub(BUFFER_BYTES_SPARE)
            .max(2 * PART_BYTES_MIN);
        // A semaphore takes no more than this; nobody has as much memory.
        let free_units = u32::try_from(free / UNIT).unwrap_or(u32::MAX >> 3);
        Arc::new(Self {
            free: Arc::new(Semaphore::new(free_units as usize)),
            free_units,
            spare: Arc::new(Semaphore::new(1)),
            kept: Mutex::default(),
            waiting: AtomicUsize::new(0),
        })
    }

    /// The largest part that may be gathered: two of them fit.
    pub(super) fn part_bytes_max(&self) -> u64 {
        u64::from(self.free_units) * UNIT / 2
    }

    /// An empty buffer.
    pub(super) fn buffer(self: &Arc<Self>) -> Buffer {
        Buffer {
            budget: Arc::clone(self),
            bytes: Block::default(),
            shared: None,
            taken: None,
            counted: 0,
            spare: None,
        }
    }

    fn units(&self, bytes: u64) -> u32 {
        // A single chunk larger than the budget is let through when all of it is free.
        u32::try_from(bytes.div_ceil(UNIT))
            .map_or(self.free_units, |units| units.min(self.free_units))
    }

    /// Takes away the tail that was kept first. `false` when none is kept.
    fn drop_kept(&self) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(oldest) = kept.pop_front() {
            let slot = oldest.upgrade();
            let taken =
                slot.and_then(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take());
            if taken.is_some() {
                return true;
            }
        }
        false
    }
}

impl Buffer {
    pub(super) fn len(&self) -> u64 {
        let shared = self.shared.as_ref().map_or(0, |shared| shared.len());
        (self.bytes.len() + shared) as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether these bytes hold what only one upload may hold: they should go soon.
    pub(super) fn has_spare(&self) -> bool {
        self.spare.is_some()
    }

    /// Adds bytes, for which there is room.
    ///
    /// # Errors
    /// [`Error::NoMemory`] when the system has none; then nothing has changed.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let pushed = self.own().and_then(|()| {
            let counted = usize::try_from(self.counted).unwrap_or_default();
            let room = counted.max(self.bytes.len() + bytes.len());
            self.bytes.make_room(room)?;
            self.bytes.push(bytes)
        });
        pushed.map_err(|_refused| no_memory())
    }

    /// The bytes, for a request that may outlive the call that sends it. They stay here too.
    pub(super) fn share(&mut self) -> Bytes {
        let bytes = &mut self.bytes;
        let shared = self
            .shared
            .get_or_insert_with(|| Arc::new(std::mem::take(bytes)));
        block::shared(shared)
    }

    /// Takes shared bytes back, to add to them: by a copy if a request still reads them.
    fn own(&mut self) -> io::Result<()> {
        if let Some(shared) = self.shared.take() {
            match Arc::try_unwrap(shared) {
                Ok(block) => self.bytes = block,
                Err(shared) => {
                    let copied = self.bytes.push(shared.as_ref().as_ref());
                    if copied.is_err() {
                        self.shared = Some(shared);
                    }
                    return copied;
                }
            }
        }
        Ok(())
    }

    /// Makes room for so many bytes if that needs no waiting.
    pub(super) fn try_reserve(&mut self, more: u64) -> bool {
        loop {
            // As much as is there, so that growing is rare; else what is needed.
            for missing in [self.missing_with_room(more), self.missing(more)] {
                let Some(missing) = missing else {
                    return true;
                };
                let units = self.budget.units(missing);
                let free = Arc::clone(&self.budget.free);
                if let Ok(permit) = free.try_acquire_many_owned(units) {
                    self.grow(missing, Some(permit));
                    return true;
                }
            }
            if !self.budget.drop_kept() {
                return false;
            }
        }
    }

    /// Makes room for so many bytes, and waits that long for it.
    ///
    /// Can be dropped: then nothing was taken.
    pub(super) async fn reserve(&mut self, more: u64, limit: Duration) -> Result<()> {
        // Told before the look, so that what is kept after it is given away at once.
        let _waiting = Waiting::new(&self.budget);
        if self.try_reserve(more) {
            return Ok(());
        }
        let waited = timeout(limit, self.wait(more)).await;
        waited.map_err(|_elapsed| no_memory())
    }

    async fn wait(&mut self, more: u64) {
        let Some(missing) = self.missing(more) else {
            return;
        };
        let free = Arc::clone(&self.budget.free).acquire_many_owned(self.budget.units(missing));
        let spare = Arc::clone(&self.budget.spare).acquire_owned();
        // Neither semaphore is ever closed, so that the errors cannot be.
        tokio::select! {
            biased;
            permit = free => self.grow(missing, permit.ok()),
            permit = spare => self.spare = permit.ok(),
        }
    }

    /// What has to be taken before so many bytes can come in; `None` if there is room.
    fn missing(&self, more: u64) -> Option<u64> {
        let needed = self.len() + more;
        (needed > self.counted && !self.has_spare()).then(|| needed - self.counted)
    }

    /// The same, with room for what will come next.
    fn missing_with_room(&self, more: u64) -> Option<u64> {
        let missing = self.missing(more)?;
        let doubled = self.counted.saturating_mul(2).max(BUFFER_BYTES_FIRST);
        let doubled = doubled.min(self.budget.part_bytes_max());
        Some(missing.max(doubled.saturating_sub(self.counted)))
    }

    fn grow(&mut self, missing: u64, permit: Option<OwnedSemaphorePermit>) {
        match (&mut self.taken, permit) {
            (Some(taken), Some(permit)) => taken.merge(permit),
            (taken, permit) => *taken = permit,
        }
        self.counted += missing;
    }

    /// Leaves what may be taken away when memory is short.
    pub(super) fn keep(mut self) -> Kept {
        if self.spare.take().is_some() {
            // What only one upload may hold is not kept for later.
            return Kept(Arc::default());
        }
        let budget = Arc::clone(&self.budget);
        let slot = Arc::new(Mutex::new(Some(self)));
        let mut kept = budget.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|other| other.strong_count() > 0);
        kept.push_back(Arc::downgrade(&slot));
        drop(kept);
        if budget.waiting.load(Ordering::SeqCst) > 0 {
            budget.drop_kept();
        }
        Kept(slot)
    }
}

fn no_memory() -> Error {
    Error::NoMemory {
        subject: "take in more of an upload".to_owned(),
    }
}

/// Counts somebody as waiting for as long as it lives.
struct Waiting(Arc<Budget>);

impl Waiting {
    fn new(budget: &Arc<Budget>) -> Self {
        budget.waiting.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(budget))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Kept {
    /// The bytes, if they were not taken away.
    pub(super) fn take(self) -> Option<Buffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const MIB: u64 = 1 << 20;
    const LIMIT: Duration = Duration::from_secs(30);

    fn filled(budget: &Arc<Budget>, bytes: u64) -> Buffer {
        let mut buffer = budget.buffer();
        assert!(buffer.try_reserve(bytes));
        buffer.push(&vec![7; bytes as usize]).expect("memory");
        buffer
    }

    #[test]
    fn what_is_taken_is_given_back() {
        let budget = Budget::new(64 * MIB);
        for _ in 0..100 {
            let mut buffer = filled(&budget, 20 * MIB);
            let bytes = buffer.share();
            assert_eq!(bytes.len() as u64, 20 * MIB);
            assert!(!budget.buffer().try_reserve(50 * MIB), "still counted");
        }
        assert!(budget.buffer().try_reserve(50 * MIB));
    }

    #[test]
    fn nothing_is_used_that_is_not_counted() {
        let budget = Budget::new(32 * MIB);
        let mut buffers: Vec<_> = (0..8).map(|_| budget.buffer()).collect();
        let mut held = 0;
        for _ in 0..400 {
            for buffer in &mut buffers {
                if buffer.try_reserve(MIB / 8) {
                    buffer.push(&vec![7; (MIB / 8) as usize]).expect("memory");
                    held += MIB / 8;
                }
            }
        }
        assert!(held > 20 * MIB, "{held}");
        assert!(held <= 32 * MIB - BUFFER_BYTES_SPARE, "{held}");
    }

    #[test]
    fn kept_tails_go_before_anybody_waits() {
        let budget = Budget::new(32 * MIB);
        let first = filled(&budget, 8 * MIB).keep();
        let second = filled(&budget, 8 * MIB).keep();
        let buffer = filled(&budget, 10 * MIB);
        assert!(first.take().is_none(), "the oldest goes first");
        assert_eq!(second.take().map(|kept| kept.len()), Some(8 * MIB));
        drop(buffer);
    }

    #[tokio::test]
    async fn one_at_a_time_goes_on_when_all_is_held() {
        let budget = Budget::new(32 * MIB);
        let mut first = filled(&budget, 4 * MIB);
        let mut second = filled(&budget, 4 * MIB);
        let others: Vec<_> = (0..4).map(|_| filled(&budget, 4 * MIB)).collect();
        first.reserve(4 * MIB, LIMIT).await.expect("the spare part");
        assert!(first.has_spare());
        let mut waiting = Box::pin(second.reserve(4 * MIB, LIMIT));
        assert!(waiting.as_mut().now_or_never().is_none(), "there is one");
        drop(first);
        waiting.await.expect("it is free again");
        drop(others);
    }

    #[tokio::test]
    async fn tail_that_is_kept_goes_to_who_waits_already() {
        let budget = Budget::new(32 * MIB);
        let mut first = filled(&budget, 4 * MIB);
        let mut second = filled(&budget, 4 * MIB);
        let mut others: Vec<_> = (0..4).map(|_| filled(&budget, 4 * MIB)).collect();
        first.reserve(4 * MIB, LIMIT).await.expect("the spare part");
        let mut waiting = Box::pin(second.reserve(4 * MIB, LIMIT));
        assert!(waiting.as_mut().now_or_never().is_none());
        let kept = others.pop().map(Buffer::keep);
        waiting.await.expect("what was kept");
        assert!(kept.and_then(Kept::take).is_none());
        assert!(first.keep().take().is_none(), "the spare part is not kept");
    }

    #[test]
    fn what_is_needed_is_taken_where_there_is_no_room_for_more() {
        let budget = Budget::new(32 * MIB);
        let mut buffer = filled(&budget, 8 * MIB);
        let others = filled(&budget, 15 * MIB);
        assert!(buffer.try_reserve(MIB), "it would double, and needs not");
        drop(others);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told() {
        let budget = Budget::new(32 * MIB);
        let held = filled(&budget, 24 * MIB);
        let mut first = budget.buffer();
        first.reserve(MIB, LIMIT).await.expect("the spare part");
        let refused = budget.buffer().reserve(MIB, LIMIT).await.unwrap_err();
        assert_eq!(refused.kind(), "no_memory", "{refused}");
        drop(held);
    }

    #[test]
    fn least_budget_can_be_worked_with() {
        let budget = Budget::new(0);
        assert!(budget.part_bytes_max() >= PART_BYTES_MIN);
        assert!(!filled(&budget, PART_BYTES_MIN).is_empty());
    }
}
