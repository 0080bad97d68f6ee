//! One connection of a client: its requests, each passed on over a connection of its own.
//!
//! Not a cache and not a pool: a store's connection that went stale would look like a fault.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy_buf, sink,
};
use tokio::net::TcpStream;

use super::Shared;
use super::fault::Fault;
use super::head::{Framing, Head};

/// A line with the size of a chunk that is longer is none.
const CHUNK_LINE_BYTES_MAX: usize = 1 << 10;

type Link = BufReader<TcpStream>;

pub(super) struct Client {
    link: Link,
}

/// What becomes of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Request,
    End,
    Reset,
}

/// How much of a body is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    All,
    Half,
}

impl Client {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            link: BufReader::new(stream),
        }
    }

    pub(super) async fn serve(mut self, shared: &Shared) -> io::Result<()> {
        while let Some(head) = Head::read(&mut self.link).await? {
            let (fault, place) = shared.see(&head);
            match self.exchange(shared, &head, fault, place).await? {
                Next::Request if !head.wants_close() => {}
                Next::Request | Next::End => break,
                Next::Reset => return self.reset(),
            }
        }
        self.link.shutdown().await
    }

    fn reset(self) -> io::Result<()> {
        self.link.into_inner().set_zero_linger()
    }

    async fn exchange(
        &mut self,
        shared: &Shared,
        head: &Head,
        fault: Option<Fault>,
        place: usize,
    ) -> io::Result<Next> {
        match fault {
            Some(Fault::Error) => return self.refuse(head, INTERNAL).await,
            Some(Fault::SlowDown) => return self.refuse(head, SLOW_DOWN).await,
            Some(Fault::ErrorIn200) => return self.refuse(head, IN_200).await,
            Some(Fault::Reset) => return Ok(Next::Reset),
            Some(Fault::Hang) => return self.hang().await,
            Some(Fault::Stall(limit)) => pause(limit).await,
            _ => {}
        }
        let mut store = connect(shared.store).await?;
        store.write_all(&head.bytes).await?;
        if head.wants_continue() {
            let early = Head::read(&mut store).await?;
            let early = early.ok_or(io::ErrorKind::UnexpectedEof)?;
            if early.status() != 100 {
                shared.answered(place, early.status());
                self.answer(&mut store, head, &early, None).await?;
                return Ok(Next::End);
            }
            self.link.write_all(&early.bytes).await?;
        }
        let share = if fault == Some(Fault::ResetInBody) {
            Share::Half
        } else {
            Share::All
        };
        let sent = pass(&mut self.link, &mut store, head.of_request(), share).await;
        if share == Share::Half {
            store.into_inner().set_zero_linger()?;
            return Ok(Next::Reset);
        }
        // A store that refuses a request need not read all of it: its answer says why.
        let Some(answer) = Head::read(&mut store).await? else {
            return Ok(Next::Reset);
        };
        shared.answered(place, answer.status());
        let next = self.answer(&mut store, head, &answer, fault).await?;
        Ok(if sent.is_ok() { next } else { Next::End })
    }

    /// Passes an answer on, or what a fault leaves of it.
    async fn answer(
        &mut self,
        store: &mut Link,
        request: &Head,
        answer: &Head,
        fault: Option<Fault>,
    ) -> io::Result<Next> {
        let framing = answer.of_answer(request.method());
        match (fault, framing) {
            (Some(Fault::AnswerLost), _) => {
                pass(store, &mut sink(), framing, Share::All).await?;
                return Ok(Next::Reset);
            }
            (Some(Fault::AnswerError), _) => {
                pass(store, &mut sink(), framing, Share::All).await?;
                let is_head = request.method() == "HEAD";
                self.link
                    .write_all(INTERNAL.text(is_head).as_bytes())
                    .await?;
                return Ok(Next::Request);
            }
            (Some(Fault::AnswerShort), Framing::Length(length)) if length > 1 => {
                let half = length / 2;
                self.link.write_all(&answer.with_length(half)).await?;
                copy(store, &mut self.link, half).await?;
                return Ok(Next::Request);
            }
            (Some(Fault::AnswerHangs), _) => {
                self.link.write_all(&answer.bytes).await?;
                pass(store, &mut self.link, framing, Share::Half).await?;
                return self.hang().await;
            }
            (Some(Fault::AnswerTruncated | Fault::AnswerShort), _) => {
                self.link.write_all(&answer.bytes).await?;
                pass(store, &mut self.link, framing, Share::Half).await?;
                return Ok(Next::End);
            }
            _ => {}
        }
        self.link.write_all(&answer.bytes).await?;
        pass(store, &mut self.link, framing, Share::All).await?;
        let is_last = framing == Framing::UntilClose || answer.wants_close();
        Ok(if is_last { Next::End } else { Next::Request })
    }

    /// Answers in the store's place. The body is taken first: whoever sends it reads the answer.
    async fn refuse(&mut self, head: &Head, refusal: Refusal) -> io::Result<Next> {
        if head.wants_continue() {
            self.link
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await?;
        }
        pass(&mut self.link, &mut sink(), head.of_request(), Share::All).await?;
        let text = refusal.text(head.method() == "HEAD");
        self.link.write_all(text.as_bytes()).await?;
        Ok(Next::Request)
    }

    /// Answers nothing until the client goes.
    async fn hang(&mut self) -> io::Result<Next> {
        copy_buf(&mut self.link, &mut sink()).await?;
        Ok(Next::Reset)
    }
}

async fn connect(store: SocketAddr) -> io::Result<Link> {
    let stream = TcpStream::connect(store).await?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

/// Lets the time pass.
async fn pause(limit: Duration) {
    let _ = tokio::time::timeout(limit, pending::<()>()).await;
}

/// Passes a body on with its framing.
async fn pass<W: AsyncWrite + Unpin>(
    from: &mut Link,
    to: &mut W,
    framing: Framing,
    share: Share,
) -> io::Result<()> {
    match (framing, share) {
        (Framing::Length(length), Share::All) => copy(from, to, length).await,
        (Framing::Length(length), Share::Half) => copy(from, to, length / 2).await,
        (Framing::UntilClose, Share::All) => {
            copy_buf(from, to).await?;
            to.flush().await
        }
        // How much there is, nobody knows.
        (Framing::UntilClose, Share::Half) => Ok(()),
        (Framing::Chunked, _) => chunks(from, to, share).await,
    }
}

async fn copy<W: AsyncWrite + Unpin>(from: &mut Link, to: &mut W, length: u64) -> io::Result<()> {
    let copied = copy_buf(&mut from.take(length), to).await?;
    if copied < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    to.flush().await
}

async fn chunks<W: AsyncWrite + Unpin>(
    from: &mut Link,
    to: &mut W,
    share: Share,
) -> io::Result<()> {
    loop {
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line).await?;
        if line.len() > CHUNK_LINE_BYTES_MAX || !line.ends_with(b"\r\n") {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let text = String::from_utf8_lossy(&line);
        let size = text.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        to.write_all(&line).await?;
        if share == Share::Half {
            return copy(from, to, size / 2).await;
        }
        if size > 0 {
            // The line end behind a chunk belongs to it.
            copy(from, to, size + 2).await?;
            continue;
        }
        return trailers(from, to).await;
    }
}

/// What stands behind the last chunk, up to an empty line.
async fn trailers<W: AsyncWrite + Unpin>(from: &mut Link, to: &mut W) -> io::Result<()> {
    loop {
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line).await?;
        to.write_all(&line).await?;
        if line.len() <= 2 {
            return to.flush().await;
        }
    }
}

/// An answer of the proxy's own.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    status: &'static str,
    code: &'static str,
}

const INTERNAL: Refusal = Refusal {
    status: "500 Internal Server Error",
    code: "InternalError",
};
const SLOW_DOWN: Refusal = Refusal {
    status: "503 Service Unavailable",
    code: "SlowDown",
};
const IN_200: Refusal = Refusal {
    status: "200 OK",
    code: "InternalError",
};

impl Refusal {
    fn text(self, is_head: bool) -> String {
        let Self { status, code } = self;
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
             <Message>spoiled by the test</Message><RequestId>0</RequestId></Error>"
        );
        let length = body.len();
        let shown = if is_head { "" } else { &body };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\n\
             Content-Length: {length}\r\n\r\n{shown}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_of_a_head_has_no_body() {
        assert!(SLOW_DOWN.text(true).ends_with("\r\n\r\n"));
        assert!(SLOW_DOWN.text(false).contains("<Code>SlowDown</Code>"));
    }
}
