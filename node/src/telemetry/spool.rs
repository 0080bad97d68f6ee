//! Lines on their way to a stream: a bounded buffer and one thread that writes it out.
//!
//! It does not know what is in a line. Invariant: whoever hands in a line never waits for the
//! stream. When the buffer is full, because the stream is slower than the lines or stands still,
//! lines are dropped and counted.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::limits::{LOG_GATHER_TIME, LOG_GATHERED_BYTES, LOG_PENDING_BYTES_MAX, LOG_STREAM_PAUSE};

#[cfg(test)]
pub(super) mod tests;

/// Writes the line that tells of dropped lines, given their number.
pub(super) type Notice = Box<dyn Fn(u64) -> Vec<u8> + Send>;

/// How many lines of one log were dropped.
#[derive(Clone, Debug, Default)]
pub struct Dropped(Arc<AtomicU64>);

impl Dropped {
    /// The number since the start of the process.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Takes lines for one stream. Dropping it lets the thread write what is there and end.
pub(super) struct Spool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Told when the thread has something to do.
    filled: Condvar,
    /// Told when everything was written.
    emptied: Condvar,
    dropped: Dropped,
}

#[derive(Default)]
struct State {
    // Invariant: at most LOG_PENDING_BYTES_MAX bytes, and whole lines.
    pending: Vec<u8>,
    dropped_untold: u64,
    /// How many wait for everything to be written.
    flushes: usize,
    phase: Phase,
    is_closed: bool,
}

/// What the thread does.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// It waits for a line.
    #[default]
    Idle,
    /// It writes what it took.
    Writing,
    /// It waits for more lines to come together.
    Gathering,
}

impl Spool {
    /// Starts the thread that writes to the stream.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        name: &str,
        mut stream: Box<dyn Write + Send>,
        notice: Option<Notice>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            dropped: Dropped::default(),
        });
        let spool = Self {
            shared: Arc::clone(&shared),
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || shared.write_to(stream.as_mut(), notice.as_ref()))?;
        Ok(spool)
    }

    /// Takes a line, which ends with a newline, or drops it when too much is waiting.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.shared.lock();
        if state.pending.len() + line.len() > LOG_PENDING_BYTES_MAX {
            state.dropped_untold += 1;
            self.shared.dropped.increment();
            return;
        }
        let before = state.pending.len();
        state.pending.extend_from_slice(line);
        let must_wake = match state.phase {
            Phase::Idle => before == 0,
            // It looks again by itself when it is done.
            Phase::Writing => false,
            Phase::Gathering => before < LOG_GATHERED_BYTES && state.is_worth_writing(),
        };
        if must_wake {
            self.shared.filled.notify_one();
        }
    }

    /// Waits until the stream has taken every line. False when that took too long.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let waits = |state: &mut State| state.phase == Phase::Writing || !state.pending.is_empty();
        let mut state = self.shared.lock();
        state.flushes += 1;
        self.shared.filled.notify_one();
        let (mut state, waited) = self
            .shared
            .emptied
            .wait_timeout_while(state, within, waits)
            .unwrap_or_else(PoisonError::into_inner);
        state.flushes -= 1;
        !waited.timed_out()
    }

    /// How many lines were dropped.
    pub(super) fn dropped(&self) -> Dropped {
        self.shared.dropped.clone()
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.filled.notify_one();
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Spool")
            .field("dropped", &self.shared.dropped)
            .finish_non_exhaustive()
    }
}

impl State {
    fn is_worth_writing(&self) -> bool {
        self.pending.len() >= LOG_GATHERED_BYTES || self.flushes > 0 || self.is_closed
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of the thread.
    fn write_to(&self, stream: &mut dyn Write, notice: Option<&Notice>) {
        let mut batch = Vec::new();
        while let Some(dropped) = self.take(&mut batch) {
            if dropped > 0
                && let Some(notice) = notice
            {
                batch.extend(notice(dropped));
            }
            // A log that cannot be written has nobody left to be told.
            let _ = write(stream, &batch);
            batch.clear();
        }
    }

    /// Waits for lines and moves them into `batch`, which is empty. Answers how many were dropped
    /// since the last time, or `None` when the spool is gone and everything was written.
    fn take(&self, batch: &mut Vec<u8>) -> Option<u64> {
        let mut state = self.lock();
        if state.phase == Phase::Writing {
            if state.pending.is_empty() {
                self.emptied.notify_all();
            }
            state.phase = Phase::Gathering;
            let waits = |state: &mut State| !state.is_worth_writing();
            let gathered = self
                .filled
                .wait_timeout_while(state, LOG_GATHER_TIME, waits);
            state = gathered.unwrap_or_else(PoisonError::into_inner).0;
            state.phase = Phase::Idle;
        }
        let waits = |state: &mut State| state.pending.is_empty() && !state.is_closed;
        let waited = self.filled.wait_while(state, waits);
        state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.pending.is_empty() {
            return None;
        }
        std::mem::swap(&mut state.pending, batch);
        state.phase = Phase::Writing;
        Some(std::mem::take(&mut state.dropped_untold))
    }
}

/// As `write_all`, but waits for a stream that somebody else has set to non-blocking.
fn write(stream: &mut dyn Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(LOG_STREAM_PAUSE)
            }
            Err(error) => return Err(error),
        }
    }
    stream.flush()
}
