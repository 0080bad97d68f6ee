//! The access log: one line for each request, in Apache's combined format, on standard output.
//!
//! It is not the log of what the node does, and it does not know HTTP: whoever answers a request
//! says what to write. Invariant: a request is one line, whatever its client put into it.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::spool::{Dropped, Spool};
use super::timestamp::Apache;
use crate::config::Log;
use crate::limits::ACCESS_LOG_FIELD_BYTES_MAX;

/// What is written about a request. Clients choose most of it, so it is untrusted.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The address of the client.
    pub remote: Option<IpAddr>,
    /// Who the client proved to be.
    pub user: Option<&'a str>,
    /// When the request arrived.
    pub received_at: SystemTime,
    /// The method, such as `GET`.
    pub method: &'a str,
    /// The path and query, as the client sent it.
    pub target: &'a str,
    /// The version of the protocol, such as `HTTP/1.1`.
    pub protocol: &'a str,
    /// The status that was answered.
    pub status: u16,
    /// How many bytes of the body were sent.
    pub bytes: u64,
    /// The header `Referer`.
    pub referer: Option<&'a [u8]>,
    /// The header `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
}

/// Writes the access log. Clones write to the same.
#[derive(Clone, Debug)]
pub struct AccessLog {
    /// `None` when requests go unlogged.
    spool: Option<Arc<Spool>>,
}

impl AccessLog {
    /// Starts to write to standard output, unless the configuration disables that.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(config: &Log) -> io::Result<Self> {
        if config.is_access_log_disabled {
            return Ok(Self { spool: None });
        }
        Self::to(Box::new(io::stdout()))
    }

    fn to(stream: Box<dyn Write + Send>) -> io::Result<Self> {
        // No notice of dropped lines: it would not be a line of this format. A metric counts them.
        let spool = Arc::new(Spool::start("access-log", stream, None)?);
        Ok(Self { spool: Some(spool) })
    }

    /// Whether anything is written, so that a caller can spare itself the work.
    pub fn is_enabled(&self) -> bool {
        self.spool.is_some()
    }

    /// Writes a line. Never waits; when too much is waiting to be written, the line is dropped.
    pub fn record(&self, entry: &Entry<'_>) {
        if let Some(spool) = &self.spool {
            spool.push(line(entry).as_bytes());
        }
    }

    /// Waits until everything was written. False when that took longer.
    pub fn flush(&self, within: Duration) -> bool {
        self.spool.as_ref().is_none_or(|spool| spool.flush(within))
    }

    /// How many lines were dropped.
    pub fn dropped(&self) -> Dropped {
        let spool = self.spool.as_ref();
        spool.map(|spool| spool.dropped()).unwrap_or_default()
    }
}

fn line(entry: &Entry<'_>) -> String {
    const LINE_BYTES_USUAL: usize = 256;
    let mut line = String::with_capacity(LINE_BYTES_USUAL);
    match entry.remote {
        // An IPv4 client of a socket that serves both families.
        Some(address) => push_display(&mut line, &address.to_canonical()),
        None => line.push('-'),
    }
    line.push_str(" - ");
    match entry.user {
        Some(user) if !user.is_empty() => push_escaped(&mut line, user.as_bytes(), b' '),
        Some(_) | None => line.push('-'),
    }
    line.push_str(" [");
    push_display(&mut line, &Apache(entry.received_at));
    line.push_str("] \"");
    push_escaped(&mut line, entry.method.as_bytes(), b' ');
    line.push(' ');
    push_escaped(&mut line, entry.target.as_bytes(), b' ');
    line.push(' ');
    push_escaped(&mut line, entry.protocol.as_bytes(), b' ');
    line.push_str("\" ");
    push_display(&mut line, &entry.status);
    line.push(' ');
    push_display(&mut line, &entry.bytes);
    for header in [entry.referer, entry.user_agent] {
        line.push_str(" \"");
        push_escaped(&mut line, header.unwrap_or(b"-"), b'"');
        line.push('"');
    }
    line.push('\n');
    line
}

fn push_display(line: &mut String, value: &dyn std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = write!(line, "{value}");
}

/// Writes a field as Apache does, but never the byte that would end it.
///
/// Quotes and backslashes get a backslash, and whatever is not printable ASCII becomes `\n`, `\t`
/// or `\xhh`, so that the line stays a line and a terminal that shows it is not driven by it.
fn push_escaped(line: &mut String, field: &[u8], end: u8) {
    let is_plain =
        |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\' && byte != end;
    let (mut rest, is_cut) = match field.get(..ACCESS_LOG_FIELD_BYTES_MAX) {
        Some(shown) => (shown, field.len() > ACCESS_LOG_FIELD_BYTES_MAX),
        None => (field, false),
    };
    while !rest.is_empty() {
        let plain = rest.iter().take_while(|byte| is_plain(**byte)).count();
        let (run, after) = rest.split_at(plain);
        line.push_str(str::from_utf8(run).unwrap_or_default());
        if let Some(byte) = after.first() {
            push_escape(line, *byte);
        }
        rest = after.get(1..).unwrap_or_default();
    }
    if is_cut {
        line.push_str("...");
    }
}

fn push_escape(line: &mut String, byte: u8) {
    match byte {
        b'"' => line.push_str("\\\""),
        b'\\' => line.push_str("\\\\"),
        b'\n' => line.push_str("\\n"),
        b'\r' => line.push_str("\\r"),
        b'\t' => line.push_str("\\t"),
        _ => push_display(line, &format_args!("\\x{byte:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::telemetry::spool::tests::{DEADLINE, Memory};

    fn entry() -> Entry<'static> {
        Entry {
            remote: Some(IpAddr::from([192, 0, 2, 7])),
            user: None,
            received_at: SystemTime::UNIX_EPOCH + Duration::from_secs(971_186_136),
            method: "GET",
            target: "/v2/",
            protocol: "HTTP/1.1",
            status: 200,
            bytes: 2326,
            referer: None,
            user_agent: Some(b"curl/8.5"),
        }
    }

    #[test]
    fn a_request_is_a_line_of_the_combined_format() {
        let memory = Memory::default();
        let log = AccessLog::to(Box::new(memory.clone())).unwrap();
        log.record(&entry());
        log.record(&Entry {
            remote: Some("::ffff:192.0.2.7".parse().unwrap()),
            user: Some("al"),
            protocol: "HTTP/2.0",
            referer: Some(b"http://b/"),
            user_agent: None,
            ..entry()
        });
        log.record(&Entry {
            remote: None,
            user: Some(""),
            status: 404,
            bytes: 0,
            ..entry()
        });
        assert!(log.flush(DEADLINE));
        let expected = expect![[r#"
            192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET /v2/ HTTP/1.1" 200 2326 "-" "curl/8.5"
            192.0.2.7 - al [10/Oct/2000:13:55:36 +0000] "GET /v2/ HTTP/2.0" 200 2326 "http://b/" "-"
            - - - [10/Oct/2000:13:55:36 +0000] "GET /v2/ HTTP/1.1" 404 0 "-" "curl/8.5"
        "#]];
        expected.assert_eq(&memory.text());
        assert_eq!(log.dropped().count(), 0);
    }

    #[test]
    fn fields_cannot_leave_their_place() {
        let table: [(&[u8], u8, &str); 10] = [
            (b"plain/1.0 (x; y)", b'"', "plain/1.0 (x; y)"),
            (b"a\" 200 0 \"b", b'"', "a\\\" 200 0 \\\"b"),
            (b"a\\\"b", b'"', "a\\\\\\\"b"),
            (b"a\nb\r\nc\td", b'"', "a\\nb\\r\\nc\\td"),
            (b"\x00\x1b[31m\x7f", b'"', "\\x00\\x1b[31m\\x7f"),
            (
                "é\u{2028}\u{202e}".as_bytes(),
                b'"',
                "\\xc3\\xa9\\xe2\\x80\\xa8\\xe2\\x80\\xae",
            ),
            (b"\xff\xfe", b'"', "\\xff\\xfe"),
            (b"two words", b' ', "two\\x20words"),
            (b"\xc2\xa0", b' ', "\\xc2\\xa0"),
            (b"", b' ', ""),
        ];
        for (field, end, expected) in table {
            let mut line = String::new();
            push_escaped(&mut line, field, end);
            assert_eq!(line, expected, "{field:?}");
        }
    }

    #[test]
    fn long_fields_are_cut() {
        let target = "/".repeat(100_000);
        let written = line(&Entry {
            target: &target,
            ..entry()
        });
        assert!(written.contains("/... HTTP/1.1"), "{written}");
        assert!(
            written.len() < ACCESS_LOG_FIELD_BYTES_MAX + 200,
            "{}",
            written.len()
        );
    }

    #[test]
    fn a_disabled_log_takes_everything_and_writes_nothing() {
        let log = AccessLog { spool: None };
        log.record(&entry());
        assert!(!log.is_enabled());
        assert!(log.flush(Duration::ZERO));
        assert_eq!(log.dropped().count(), 0);
    }
}
