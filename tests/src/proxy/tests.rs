//! The proxy before a store that answers `PUT` with nothing and `GET` with a thousand bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Fault, Kind, Planned, Proxy, Seen};
use crate::raw::{Raw, RawAnswer};
use crate::{Chance, wait};

const BODY: usize = 1000;

/// A store, and how many requests it has read whole.
struct Stub {
    address: String,
    heard: Arc<AtomicUsize>,
}

impl Stub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&heard);
        // It ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counter = Arc::clone(&counter);
                thread::spawn(move || serve(stream, &counter));
            }
        });
        Self { address, heard }
    }

    fn heard(&self) -> usize {
        self.heard.load(Ordering::Acquire)
    }
}

fn serve(stream: TcpStream, heard: &AtomicUsize) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut length, mut is_get) = (0, false);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let line = line.trim_end();
        is_get |= line.starts_with("GET ");
        if let Some(text) = line.strip_prefix("Content-Length: ") {
            length = text.parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    stream.read_exact(&mut vec![0; length]).ok()?;
    heard.fetch_add(1, Ordering::AcqRel);
    let body = if is_get { vec![b'x'; BODY] } else { Vec::new() };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.get_mut().write_all(head.as_bytes()).ok()?;
    stream.get_mut().write_all(&body).ok()
}

fn put(raw: &mut Raw, body: usize) {
    raw.send(format!(
        "PUT /b/key HTTP/1.1\r\nHost: h\r\nContent-Length: {body}\r\n\r\n"
    ));
    raw.send(vec![b'y'; body]);
}

fn get(raw: &mut Raw) {
    raw.send("GET /b/key HTTP/1.1\r\nHost: h\r\n\r\n");
}

/// What a `PUT`, or a `GET`, comes to under a fault.
fn ask(fault: Fault, is_get: bool) -> (Option<RawAnswer>, usize) {
    let stub = Stub::start();
    let proxy = Proxy::before(&stub.address);
    proxy.spoil(move |_| Some(fault));
    let mut raw = Raw::connect(&proxy.address());
    raw.set_limit(Duration::from_millis(500));
    if is_get {
        get(&mut raw)
    } else {
        put(&mut raw, 100_000)
    };
    let answer = raw.try_answer().ok().flatten();
    (answer, stub.heard())
}

#[test]
fn requests_are_passed_on_and_written_down() {
    let stub = Stub::start();
    let proxy = Proxy::before(&stub.address);
    let mut raw = Raw::connect(&proxy.address());
    for _ in 0..3 {
        put(&mut raw, 100_000);
        assert_eq!(raw.answer().status, 200);
        get(&mut raw);
        assert_eq!(raw.answer().body.len(), BODY);
    }
    let seen = proxy.seen();
    assert_eq!(seen.len(), 6);
    assert_eq!(proxy.count(|one| one.kind == Kind::Put), 3);
    let Seen {
        method,
        path,
        length,
        status,
        ..
    } = &seen[0];
    assert_eq!((method.as_str(), path.as_str()), ("PUT", "/b/key"));
    assert_eq!((*length, *status), (Some(100_000), Some(200)));
    proxy.forget();
    assert_eq!(proxy.seen(), []);
    // A body in chunks.
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let head = "PUT /b/key HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    raw.send(format!("{head}{body}"));
    // The stub knows no chunks, and answers at once.
    assert_eq!(raw.answer().status, 200);
}

#[test]
fn each_fault_is_what_it_says() {
    let status = |fault, is_get| {
        let (answer, heard) = ask(fault, is_get);
        (answer.map(|answer| answer.status), heard)
    };
    assert_eq!(status(Fault::Error, false), (Some(500), 0));
    assert_eq!(status(Fault::SlowDown, false), (Some(503), 0));
    assert_eq!(status(Fault::Reset, false), (None, 0));
    assert_eq!(status(Fault::ResetInBody, false), (None, 0));
    assert_eq!(status(Fault::Hang, false), (None, 0));
    assert_eq!(status(Fault::AnswerLost, false), (None, 1));
    assert_eq!(status(Fault::AnswerError, false), (Some(500), 1));
    assert_eq!(status(Fault::AnswerTruncated, true), (None, 1));
    assert_eq!(status(Fault::AnswerHangs, true), (None, 1));
    let (answer, _) = ask(Fault::AnswerShort, true);
    assert_eq!(answer.map(|answer| answer.body.len()), Some(BODY / 2));
}

#[test]
fn stall_ends_by_itself() {
    let stall = Duration::from_millis(100);
    let began = Instant::now();
    let (answer, heard) = ask(Fault::Stall(stall), false);
    assert_eq!((answer.map(|answer| answer.status), heard), (Some(200), 1));
    assert!(began.elapsed() >= stall);
}

#[test]
fn healed_proxy_spoils_nothing() {
    let stub = Stub::start();
    let proxy = Proxy::before(&stub.address);
    proxy.spoil(|_| Some(Fault::Error));
    let mut raw = Raw::connect(&proxy.address());
    get(&mut raw);
    assert_eq!(raw.answer().status, 500);
    proxy.heal();
    get(&mut raw);
    assert_eq!(raw.answer().status, 200);
}

#[test]
fn proxy_that_goes_ends_its_connections() {
    let stub = Stub::start();
    let proxy = Proxy::before(&stub.address);
    proxy.spoil(|_| Some(Fault::Hang));
    let mut raw = Raw::connect(&proxy.address());
    get(&mut raw);
    let seen = wait::poll(wait::LONG, || (proxy.seen().len() == 1).then_some(()));
    assert!(seen.is_some());
    drop(proxy);
    assert!(!matches!(raw.try_answer(), Ok(Some(_))));
}

#[test]
fn plan_follows_its_seed_and_its_share() {
    let one = Seen {
        method: "PUT".to_owned(),
        path: "/b/key".to_owned(),
        query: String::new(),
        kind: Kind::Put,
        length: Some(10),
        fault: None,
        status: None,
    };
    let choices = |seed| -> Vec<_> {
        let mut plan = Planned::anything(Chance::new(seed), 30, Duration::ZERO);
        (0..1000).map(|_| plan.choose(&one)).collect()
    };
    assert_eq!(choices(1), choices(1));
    assert_ne!(choices(1), choices(2));
    let spoiled = choices(1).iter().flatten().count();
    assert!((200..400).contains(&spoiled), "{spoiled}");
    assert!(!choices(1).contains(&Some(Fault::AnswerShort)));
}
