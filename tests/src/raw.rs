//! Requests written byte by byte: malformed, slow or broken off, as no client library sends them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::wait::LONG;

/// One connection.
#[derive(Debug)]
pub struct Raw {
    stream: BufReader<TcpStream>,
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The lines of the header.
    pub headers: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Raw {
    /// Connects to `host:port`.
    #[track_caller]
    pub fn connect(address: &str) -> Self {
        match Self::try_connect(address) {
            Ok(raw) => raw,
            Err(error) => panic!("cannot connect to {address}: {error}"),
        }
    }

    /// Connects to `host:port`, if somebody listens there.
    ///
    /// # Errors
    /// When nobody does.
    pub fn try_connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LONG))?;
        stream.set_write_timeout(Some(LONG))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends one request in one piece and reads the answer.
    #[track_caller]
    pub fn ask(address: &str, request: impl AsRef<[u8]>) -> RawAnswer {
        let mut raw = Self::connect(address);
        raw.send(request);
        raw.answer()
    }

    /// Writes bytes. The other side may have closed already; the answer will show it.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let stream = self.stream.get_mut();
        stream
            .write_all(bytes.as_ref())
            .and_then(|()| stream.flush())
            .is_ok()
    }

    /// Says that nothing more will come, and goes on reading.
    pub fn end(&mut self) {
        // It fails only when the other side has closed already.
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }

    /// Breaks the connection off with a reset or an end, as a lost client would.
    pub fn break_off(self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }

    /// Reads an answer whole.
    #[track_caller]
    pub fn answer(&mut self) -> RawAnswer {
        match self.try_answer() {
            Ok(Some(answer)) => answer,
            Ok(None) => panic!("the connection was closed without an answer"),
            Err(error) => panic!("no whole answer: {error}"),
        }
    }

    /// Reads an answer; `None` when the connection is closed instead.
    ///
    /// # Errors
    /// When the answer is broken off, or nothing comes for a long time.
    pub fn try_answer(&mut self) -> io::Result<Option<RawAnswer>> {
        let Some(mut answer) = self.head()? else {
            return Ok(None);
        };
        let length = answer.header("content-length").map(str::to_owned);
        if matches!(answer.status, 204 | 304) {
            return Ok(Some(answer));
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = self.chunked()?;
        } else if let Some(length) = length {
            let length = length.parse().map_err(io::Error::other)?;
            answer.body = vec![0; length];
            self.stream.read_exact(&mut answer.body)?;
        } else {
            self.stream.read_to_end(&mut answer.body)?;
        }
        Ok(Some(answer))
    }

    /// Reads the head of an answer; `None` when the connection is closed instead.
    ///
    /// # Errors
    /// When it is broken off or not HTTP.
    pub fn head(&mut self) -> io::Result<Option<RawAnswer>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let length = match self.stream.read_line(&mut line) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                other => other?,
            };
            if length == 0 {
                return if lines.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            lines.push(line.to_owned());
        }
        let first = lines.remove(0);
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("not HTTP: {first}")))?;
        Ok(Some(RawAnswer {
            status,
            headers: lines,
            body: Vec::new(),
        }))
    }

    /// Reads that many bytes.
    ///
    /// # Errors
    /// When they do not come.
    pub fn read(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads to the end. Returns what came, and whether the end came in time and in order.
    pub fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        let ended = self.stream.read_to_end(&mut bytes);
        (bytes, ended.is_ok())
    }

    /// How long to wait for bytes.
    ///
    /// # Panics
    /// When the limit is zero.
    pub fn set_limit(&self, limit: Duration) {
        let set = self.stream.get_ref().set_read_timeout(Some(limit));
        set.expect("a limit above zero can be set");
    }

    fn chunked(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            body.extend(self.read(length)?);
            self.read(2)?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

impl RawAnswer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Panics unless it is this status with an OCI error body. Returns the code and all of it.
    #[track_caller]
    pub fn refused(&self, status: u16) -> (String, String) {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        let what = format!("{} {:?} {text}", self.status, self.headers);
        assert_eq!(self.status, status, "{what}");
        let body: Value = match serde_json::from_slice(&self.body) {
            Ok(body) => body,
            Err(error) => panic!("not JSON ({error}): {what}"),
        };
        let code = body["errors"][0]["code"].as_str();
        let code = code.unwrap_or_else(|| panic!("no OCI error: {what}"));
        (code.to_owned(), text)
    }
}
