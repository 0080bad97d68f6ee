//! Connections of the administration service: so many at once, and none that says nothing.
//!
//! Each holds a file of the process, which the registry needs for its own clients. One too many is
//! closed at once; one from which nothing comes is closed after a while. A client that only listens
//! is not silent: it answers the pings of HTTP/2.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tonic::transport::server::{Connected, TcpConnectInfo, TcpIncoming};

use crate::limits::{ADMINISTRATION_CONNECTIONS, ADMINISTRATION_SILENCE};

/// A connection that has its place.
pub(super) struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

/// The connections that come in and find a place.
pub(super) fn bounded(incoming: TcpIncoming) -> impl Stream<Item = io::Result<Connection>> {
    let places = Arc::new(Semaphore::new(ADMINISTRATION_CONNECTIONS));
    incoming.filter_map(move |accepted| {
        let place = Arc::clone(&places).try_acquire_owned();
        let connection = match (accepted, place) {
            (Ok(stream), Ok(place)) => Some(Ok(Connection {
                stream,
                silence: Box::pin(sleep(ADMINISTRATION_SILENCE)),
                _place: place,
            })),
            (Ok(_), Err(_full)) => None,
            (Err(error), _) => Some(Err(error)),
        };
        std::future::ready(connection)
    })
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            let deadline = Instant::now() + ADMINISTRATION_SILENCE;
            self.silence.as_mut().reset(deadline);
            return read;
        }
        ready!(self.silence.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
