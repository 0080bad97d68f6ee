//! The heads of requests and answers: read whole, parsed for their framing, passed on untouched.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use super::Seen;

/// A head that is longer is none.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What a request asks of an S3 store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `PutObject`.
    Put,
    /// `CopyObject`.
    Copy,
    /// `GetObject`.
    Get,
    /// `HeadObject` or `HeadBucket`.
    Head,
    /// `DeleteObject`.
    Delete,
    /// `DeleteObjects`.
    DeleteMany,
    /// `ListObjectsV2` or an older one.
    List,
    /// `CreateMultipartUpload`.
    Create,
    /// `UploadPart`.
    UploadPart,
    /// `UploadPartCopy`.
    CopyPart,
    /// `CompleteMultipartUpload`.
    Complete,
    /// `AbortMultipartUpload`.
    Abort,
    /// `ListParts`.
    ListParts,
    /// `ListMultipartUploads`.
    ListUploads,
    /// Anything else.
    Other,
}

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// A head: of a request or of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    pub(super) bytes: Vec<u8>,
    first: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads one; `None` when the connection ends before it.
    pub(super) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let length = stream.read_until(b'\n', &mut bytes).await?;
            if length == 0 && bytes.is_empty() {
                return Ok(None);
            }
            if length == 0 || bytes.len() > HEAD_BYTES_MAX {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Ok(Some(Self {
            bytes,
            first,
            headers,
        }))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn word(&self, place: usize) -> &str {
        self.first.split(' ').nth(place).unwrap_or_default()
    }

    pub(super) fn method(&self) -> &str {
        self.word(0)
    }

    pub(super) fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or_default()
    }

    fn given(&self) -> Option<Framing> {
        if let Some(coding) = self.header("transfer-encoding")
            && coding.eq_ignore_ascii_case("chunked")
        {
            return Some(Framing::Chunked);
        }
        let length = self.header("content-length")?.parse().ok()?;
        Some(Framing::Length(length))
    }

    /// How the body of a request is framed.
    pub(super) fn of_request(&self) -> Framing {
        self.given().unwrap_or(Framing::Length(0))
    }

    /// How the body of the answer to a request by this method is framed.
    pub(super) fn of_answer(&self, method: &str) -> Framing {
        if method == "HEAD" || matches!(self.status(), 100..200 | 204 | 304) {
            return Framing::Length(0);
        }
        self.given().unwrap_or(Framing::UntilClose)
    }

    pub(super) fn wants_continue(&self) -> bool {
        let expect = self.header("expect");
        expect.is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    pub(super) fn wants_close(&self) -> bool {
        let connection = self.header("connection");
        connection.is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The same with another length.
    pub(super) fn with_length(&self, length: u64) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first);
        for (name, value) in &self.headers {
            let value = if name == "content-length" {
                &length.to_string()
            } else {
                value
            };
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// The request, to be written down.
    pub(super) fn seen(&self) -> Seen {
        let target = self.word(1);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let length = match self.of_request() {
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        Seen {
            method: self.method().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            kind: self.kind(path, query),
            length,
            fault: None,
            status: None,
        }
    }

    fn kind(&self, path: &str, query: &str) -> Kind {
        let names: Vec<_> = query
            .split('&')
            .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
            .collect();
        let has = |name: &str| names.contains(&name);
        let is_copy = self.header("x-amz-copy-source").is_some();
        // `/bucket` and `/bucket/` are the bucket; what is longer is an object.
        let is_object = path.trim_matches('/').contains('/');
        match self.method() {
            "PUT" if has("partNumber") && is_copy => Kind::CopyPart,
            "PUT" if has("partNumber") => Kind::UploadPart,
            "PUT" if is_object && is_copy => Kind::Copy,
            "PUT" if is_object => Kind::Put,
            "POST" if has("uploads") => Kind::Create,
            "POST" if has("uploadId") => Kind::Complete,
            "POST" if has("delete") => Kind::DeleteMany,
            "DELETE" if has("uploadId") => Kind::Abort,
            "DELETE" => Kind::Delete,
            "GET" if has("uploads") => Kind::ListUploads,
            "GET" if has("uploadId") => Kind::ListParts,
            "GET" if is_object => Kind::Get,
            "GET" if has("list-type") || has("prefix") => Kind::List,
            "HEAD" => Kind::Head,
            _ => Kind::Other,
        }
    }
}
