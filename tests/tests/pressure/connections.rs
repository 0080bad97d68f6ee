//! A thousand idle connections and two hundred slow ones: others are served as before.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use roadstead_tests::fixture::{digest, random};
use roadstead_tests::raw::Raw;
use roadstead_tests::wait::{Over, poll};
use roadstead_tests::{Registry, Repository, Setup};

const IDLE: usize = 1_000;
const SLOW: usize = 200;
const ROUNDS: usize = 200;
/// Between two bytes of a slow connection.
const PAUSE: Duration = Duration::from_millis(20);

/// The median of how long a push and a pull take.
fn median(repository: &Repository, seed: u64) -> Duration {
    let mut taken: Vec<Duration> = (0..ROUNDS)
        .map(|round| {
            let content = random(seed + round as u64, 1_000);
            let began = Instant::now();
            let pushed = repository.push_blob(&content);
            assert!(repository.get_blob(&pushed).expect(200).body == content);
            began.elapsed()
        })
        .collect();
    taken.sort();
    taken[ROUNDS / 2]
}

/// One request on a connection that stays open.
#[track_caller]
fn is_answered(connection: &mut Raw) {
    connection.send("GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n");
    assert_eq!(connection.answer().status, 200);
}

#[test]
fn idle_and_slow_connections_do_not_slow_down_others() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("team/app");
    let large = random(1, 8 << 20);
    let large = repository.push_blob(&large);
    // Once for warmth.
    median(&repository, 1 << 20);
    let alone = median(&repository, 2 << 20);

    let address = registry.address();
    let mut idle: Vec<_> = (0..IDLE).map(|_| Raw::connect(&address)).collect();
    // It has accepted them, and holds them.
    idle.iter_mut().for_each(is_answered);
    let connect = || TcpStream::connect(&address).expect("it accepts");
    // Half of the slow ones send a body byte by byte, half read an answer byte by byte.
    let mut sending = Vec::new();
    let mut reading = Vec::new();
    for number in 0..SLOW {
        let mut stream = connect();
        if number % 2 == 0 {
            let path = repository.start_upload().path();
            write!(
                stream,
                "PATCH {path} HTTP/1.1\r\nHost: r\r\nContent-Length: 1000000\r\n\r\n"
            )
            .unwrap();
            sending.push(stream);
        } else {
            write!(
                stream,
                "GET /v2/team/app/blobs/{large} HTTP/1.1\r\nHost: r\r\n\r\n"
            )
            .unwrap();
            reading.push(stream);
        }
    }
    let is_over = AtomicBool::new(false);
    let busy = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                for stream in &mut sending {
                    stream.write_all(b"x").expect("a slow body is taken");
                }
                for stream in &mut reading {
                    let mut byte = [0];
                    std::io::Read::read_exact(stream, &mut byte).expect("a slow reader is served");
                }
                poll(PAUSE, || is_over.load(Ordering::Acquire).then_some(()));
            }
        });
        let _over = Over(&is_over);
        median(&repository, 3 << 20)
    });
    // It shows that nobody waits for them, which would take a multiple of the pause between their
    // bytes, and not that they cost nothing: twice is noise on a machine that does other things.
    assert!(
        busy < alone * 2 + Duration::from_millis(5),
        "{busy:?} with them, {alone:?} without"
    );
    idle.iter_mut().for_each(is_answered);
    let content = b"still";
    assert_eq!(repository.push_blob(content), digest(content));
}
