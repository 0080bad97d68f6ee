//! A plain TCP connection, which also sends parts of files without copying them.
//!
//! It speaks no HTTP: actix-http does, over this instead of over a bare stream. An answer leaves
//! a part of a file on the connection's [`Lane`]; the next flush, which comes when the head of the
//! answer is out, sends it by `sendfile`.
//! As a rule a worker does not wait for a disk: what does not lie in memory at both ends of a
//! window is loaded by the blocking pool first.
//! Invariant: a client that takes nothing for long loses its connection.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_rt::net::TcpStream;
use roadstead_storage::FileRegion;
use rustix::fs::Advice;
use rustix::io::{Errno, ReadWriteFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::{ANSWER_IDLE, FILE_READ_BYTES, FILE_TURN_BYTES, FILE_WINDOW_BYTES};

/// One connection.
pub(super) struct Connection {
    stream: TcpStream,
    lane: Option<Lane>,
    stall: Stall,
}

impl Connection {
    /// A connection that files can be sent over as they lie.
    pub(super) fn with_lane(stream: TcpStream) -> Self {
        Self {
            stream,
            lane: Some(Lane::default()),
            stall: Stall::default(),
        }
    }

    /// A connection whose protocol puts its own bytes between those of a file, as HTTP/2 does.
    pub(super) fn without_lane(stream: TcpStream) -> Self {
        Self {
            stream,
            lane: None,
            stall: Stall::default(),
        }
    }

    /// Where answers leave files, if they can.
    pub(super) fn lane(&self) -> Option<&Lane> {
        self.lane.as_ref()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.stall.judge(written, context)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(lane) = &this.lane {
            let before = lane.position();
            let sent = lane.poll_send(&this.stream, context);
            if lane.position() != before || lane.is_loading() {
                this.stall.moved();
            }
            ready!(this.stall.judge(sent, context))?;
        }
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// How long a client has taken nothing of what is there for it.
#[derive(Default)]
struct Stall {
    since: Option<Instant>,
    /// Made once for a connection, at the first time that it has to wait.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    fn moved(&mut self) {
        self.since = None;
    }

    /// Passes on what a write came to, unless it has been waiting for too long.
    fn judge<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.moved();
            return written;
        }
        let ends = *self.since.get_or_insert_with(Instant::now) + ANSWER_IDLE;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(sleep_until(ends)));
        // An alarm that was set for an earlier wait goes off too early, and is set anew.
        ready!(alarm.as_mut().poll(context));
        if Instant::now() < ends {
            alarm.as_mut().reset(ends);
            ready!(alarm.as_mut().poll(context));
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// What a connection and the answers on it share: the part of a file that is sent next.
#[derive(Clone, Default)]
pub(super) struct Lane(Rc<RefCell<Option<Transfer>>>);

impl Lane {
    /// Leaves a part of a file to be sent. `sent` is told of every byte that the kernel takes.
    ///
    /// Only one answer is under way on a connection, so that nothing else lies there.
    pub(super) fn put(&self, region: FileRegion, sent: Sent) {
        debug_assert!(self.0.borrow().is_none(), "two answers at once");
        *self.0.borrow_mut() = Some(Transfer {
            loaded: region.range.start,
            rest: region.range,
            file: region.file,
            loading: None,
            sent,
            outcome: None,
        });
    }

    /// How the sending ended, once it has. Meant for the task of the connection, which is woken.
    pub(super) fn take_outcome(&self) -> Option<Result<(), Failure>> {
        let mut slot = self.0.borrow_mut();
        let outcome = slot.as_mut()?.outcome.take()?;
        *slot = None;
        Some(outcome)
    }

    /// How far the file was sent, if there is one.
    fn position(&self) -> Option<u64> {
        self.0.borrow().as_ref().map(|transfer| transfer.rest.start)
    }

    /// Whether the disk is waited for, and not the client.
    fn is_loading(&self) -> bool {
        let slot = self.0.borrow();
        slot.as_ref()
            .is_some_and(|transfer| transfer.loading.is_some())
    }

    /// Sends no more of what lies here.
    pub(super) fn clear(&self) {
        *self.0.borrow_mut() = None;
    }

    /// Sends what lies here. An error is one of the connection; one of the file is an outcome.
    fn poll_send(&self, stream: &TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut slot = self.0.borrow_mut();
        let Some(transfer) = slot.as_mut().filter(|transfer| transfer.outcome.is_none()) else {
            return Poll::Ready(Ok(()));
        };
        let outcome = ready!(transfer.poll(stream, context))?;
        transfer.outcome = Some(outcome);
        // The answer is polled by the task that polls this.
        context.waker().wake_by_ref();
        Poll::Ready(Ok(()))
    }
}

/// How many bytes of an answer went out on a lane.
#[derive(Clone, Default)]
pub(super) struct Sent(Rc<Cell<u64>>);

impl Sent {
    /// The number so far.
    pub(super) fn bytes(&self) -> u64 {
        self.0.get()
    }
}

/// Why a part of a file was not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The file system cannot do it, and nothing was sent.
    #[error("the file system sends no files")]
    Unsupported,
    /// The file ends too early.
    #[error("the file ends at {0}")]
    Short(u64),
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
}

/// The part of a file that is being sent.
struct Transfer {
    file: Arc<File>,
    /// What was not sent yet.
    rest: Range<u64>,
    /// Up to where it lies in memory.
    loaded: u64,
    loading: Option<JoinHandle<()>>,
    sent: Sent,
    outcome: Option<Result<(), Failure>>,
}

impl Transfer {
    fn poll(
        &mut self,
        stream: &TcpStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Result<(), Failure>>> {
        let turn_ends = self.rest.start.saturating_add(FILE_TURN_BYTES);
        while !self.rest.is_empty() {
            if self.rest.start >= turn_ends {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(self.poll_loaded(context));
            ready!(stream.poll_write_ready(context))?;
            let mut position = self.rest.start;
            // At most FILE_WINDOW_BYTES, so it fits.
            let count = (self.loaded - position) as usize;
            let sent = stream.try_io(Interest::WRITABLE, || {
                let sent = rustix::fs::sendfile(stream, &self.file, Some(&mut position), count);
                sent.map_err(io::Error::from)
            });
            match sent {
                Ok(0) => return Poll::Ready(Ok(Err(Failure::Short(self.rest.start)))),
                Ok(sent) => {
                    self.rest.start += sent as u64;
                    self.sent.0.set(self.sent.0.get() + sent as u64);
                }
                Err(error) => match self.judged(error) {
                    Ok(None) => {}
                    Ok(Some(failure)) => return Poll::Ready(Ok(Err(failure))),
                    Err(error) => return Poll::Ready(Err(error)),
                },
            }
        }
        Poll::Ready(Ok(Ok(())))
    }

    /// Tells the file's failures from the connection's errors. `None`: try again.
    fn judged(&self, error: io::Error) -> io::Result<Option<Failure>> {
        if let io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted = error.kind() {
            return Ok(None);
        }
        match Errno::from_io_error(&error) {
            Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if self.sent.bytes() == 0 => {
                Ok(Some(Failure::Unsupported))
            }
            Some(
                Errno::IO
                | Errno::INVAL
                | Errno::STALE
                | Errno::OVERFLOW
                | Errno::BADF
                | Errno::ACCESS
                | Errno::PERM,
            ) => Ok(Some(Failure::Unreadable(error))),
            _ => Err(error),
        }
    }

    /// Waits until the next bytes lie in memory, as far as that can be told.
    fn poll_loaded(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.rest.start < self.loaded {
            return Poll::Ready(());
        }
        let end = self.rest.end.min(self.rest.start + FILE_WINDOW_BYTES);
        let window = self.rest.start..end;
        if self.loading.is_none() && !is_in_memory(&self.file, &window) {
            let file = Arc::clone(&self.file);
            let window = window.clone();
            self.loading = Some(tokio::task::spawn_blocking(move || load(&file, window)));
        }
        if let Some(loading) = &mut self.loading {
            // Only a runtime that ends, and with it the connection, does not do it.
            let _ = ready!(Pin::new(loading).poll(context));
            self.loading = None;
        }
        self.loaded = window.end;
        Poll::Ready(())
    }
}

/// Whether both ends of a part can be read without waiting for the disk. Where the file system
/// cannot tell, it counts as absent.
fn is_in_memory(file: &File, part: &Range<u64>) -> bool {
    let is_there = |position| {
        let mut byte = [0];
        let buffers = &mut [IoSliceMut::new(&mut byte)];
        rustix::io::preadv2(file, buffers, position, ReadWriteFlags::NOWAIT).is_ok()
    };
    is_there(part.start) && is_there(part.end - 1)
}

/// Reads a part of a file, so that it lies in memory, and has the kernel begin with the one after
/// it. What cannot be read shows when it is sent. Runs on the blocking pool.
fn load(file: &File, part: Range<u64>) {
    // Only a hint: where it fails the next part comes later.
    let _ = rustix::fs::fadvise(
        file,
        part.start,
        NonZeroU64::new(2 * FILE_WINDOW_BYTES),
        Advice::WillNeed,
    );
    let mut buffer = vec![0; FILE_READ_BYTES];
    let mut position = part.start;
    while position < part.end {
        match rustix::io::pread(file, buffer.as_mut_slice(), position) {
            Ok(0) => return,
            Ok(read) => position += read as u64,
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn failures_of_the_file_are_told_from_those_of_the_connection() {
        let transfer = |bytes| Transfer {
            file: Arc::new(tempfile::tempfile().unwrap()),
            rest: 0..9,
            loaded: 0,
            loading: None,
            sent: Sent(Rc::new(Cell::new(bytes))),
            outcome: None,
        };
        let judged = |bytes, errno: Errno| transfer(bytes).judged(errno.into());
        assert!(matches!(judged(0, Errno::AGAIN), Ok(None)));
        assert!(matches!(judged(0, Errno::INTR), Ok(None)));
        for errno in [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP] {
            assert!(matches!(judged(0, errno), Ok(Some(Failure::Unsupported))));
        }
        assert!(matches!(
            judged(1, Errno::INVAL),
            Ok(Some(Failure::Unreadable(_)))
        ));
        assert!(matches!(
            judged(0, Errno::IO),
            Ok(Some(Failure::Unreadable(_)))
        ));
        assert!(judged(0, Errno::PIPE).is_err());
        assert!(judged(0, Errno::CONNRESET).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_takes_nothing_is_given_up() {
        let mut stall = Stall::default();
        let mut waits = 0;
        let ended = std::future::poll_fn(|context| {
            waits += 1;
            stall.judge::<()>(Poll::Pending, context)
        });
        let began = Instant::now();
        assert_eq!(ended.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), ANSWER_IDLE.as_secs());

        // A wait that ends begins anew, though the alarm was set for the one before.
        let mut stall = Stall::default();
        let step = ANSWER_IDLE / 2;
        for _ in 0..5 {
            let waited = std::future::poll_fn(|context| stall.judge::<()>(Poll::Pending, context));
            assert!(tokio::time::timeout(step, waited).await.is_err());
            stall.moved();
        }
    }

    #[test]
    fn part_that_was_loaded_lies_in_memory() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 3 * FILE_READ_BYTES]).unwrap();
        let part = 5..(3 * FILE_READ_BYTES as u64);
        load(&file, part.clone());
        // Where the file system cannot tell there is nothing to see.
        let mut byte = [0];
        let buffers = &mut [IoSliceMut::new(&mut byte)];
        let told = rustix::io::preadv2(&file, buffers, 0, ReadWriteFlags::NOWAIT);
        assert_eq!(is_in_memory(&file, &part), told.is_ok());
    }
}
