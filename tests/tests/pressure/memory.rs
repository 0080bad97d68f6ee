//! 64 uploads of 100 MB at once, in at most 256 MB.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use roadstead_tests::fixture::{digest, random};
use roadstead_tests::{Registry, Setup};

const UPLOADS: usize = 64;
const BYTES: usize = 100_000_000;
const RESIDENT_KB_MAX: u64 = 256_000;

/// A blob of which only the first bytes differ from one upload to the next.
fn head(number: usize) -> [u8; 8] {
    (number as u64).to_be_bytes()
}

#[test]
fn sixty_four_uploads_at_once_fit_into_256_mb() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("team/app");
    let rest = random(1, BYTES - 8);
    let uploads: Vec<_> = (0..UPLOADS)
        .map(|number| {
            let content: Vec<u8> = [&head(number), rest.as_slice()].concat();
            (digest(&content), repository.start_upload().path())
        })
        .collect();

    thread::scope(|scope| {
        let sent: Vec<_> = uploads
            .iter()
            .enumerate()
            .map(|(number, (digest, path))| {
                let address = registry.address();
                let rest = &rest;
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    let separator = if path.contains('?') { '&' } else { '?' };
                    write!(
                        stream,
                        "PUT {path}{separator}digest={digest} HTTP/1.1\r\nHost: registry\r\n\
                         Connection: close\r\nContent-Length: {BYTES}\r\n\r\n"
                    )
                    .unwrap();
                    stream.write_all(&head(number)).unwrap();
                    stream.write_all(rest).unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).unwrap();
                    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
                })
            })
            .collect();
        for one in sent {
            one.join().unwrap();
        }
    });
    let peak = registry.peak_resident_kb();
    assert!(peak <= RESIDENT_KB_MAX, "{peak} kB were resident");
    for (digest, _) in uploads.iter().step_by(16) {
        let length = repository
            .head_blob(digest)
            .expect(200)
            .header("content-length")
            .to_owned();
        assert_eq!(length, BYTES.to_string());
    }
}
