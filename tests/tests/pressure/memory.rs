//! 64 uploads of 100 MB at once, in at most 256 MB: half by one request, half in two.

use std::thread;

use roadstead_proto::Digest;
use roadstead_tests::fixture::{digest, random};
use roadstead_tests::raw::{Raw, RawAnswer};
use roadstead_tests::wait::LONG;
use roadstead_tests::{Registry, Setup, Upload};

const UPLOADS: usize = 64;
const BYTES: usize = 100_000_000;
/// 256 MB.
const RESIDENT_KIB_MAX: u64 = 250_000;

/// A blob of which only the first bytes differ from one upload to the next.
fn head(number: usize) -> [u8; 8] {
    (number as u64).to_be_bytes()
}

/// Sends a request whose body nobody copies.
fn send(address: &str, request: &str, body: &[&[u8]]) -> RawAnswer {
    let mut connection = Raw::connect(address);
    // All of them end at the same moment, on the same disk.
    connection.set_limit(LONG * 5);
    let length: usize = body.iter().map(|part| part.len()).sum();
    connection.send(format!(
        "{request} HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n"
    ));
    for part in body {
        connection.send(part);
    }
    connection.answer()
}

/// Closes an upload with this as its last bytes.
fn put(address: &str, upload: &Upload, digest: &Digest, body: &[&[u8]]) {
    let path = upload.path();
    let joint = if path.contains('?') { '&' } else { '?' };
    let answer = send(address, &format!("PUT {path}{joint}digest={digest}"), body);
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// Sends all of it, which the registry has to have on disk before it answers.
fn patch(address: &str, upload: &mut Upload, body: &[&[u8]]) {
    let answer = send(address, &format!("PATCH {}", upload.path()), body);
    assert_eq!(answer.status, 202, "{answer:?}");
    let range = format!("0-{}", BYTES - 1);
    assert_eq!(answer.header("range"), Some(range.as_str()));
    let location = answer.header("location").expect("where it goes on");
    location.clone_into(&mut upload.location);
}

#[test]
fn sixty_four_uploads_at_once_fit_into_256_mb() {
    let registry = Registry::start(Setup::default());
    let (address, repository) = (registry.address(), registry.repository("team/app"));
    let rest = random(1, BYTES - 8);
    let uploads: Vec<_> = (0..UPLOADS)
        .map(|number| {
            let content: Vec<u8> = [&head(number), rest.as_slice()].concat();
            (digest(&content), repository.start_upload())
        })
        .collect();
    let digests: Vec<_> = uploads.iter().map(|(digest, _)| digest.clone()).collect();

    thread::scope(|scope| {
        let sent: Vec<_> = uploads
            .into_iter()
            .enumerate()
            .map(|(number, (digest, mut upload))| {
                let (address, rest) = (&address, &rest);
                scope.spawn(move || {
                    let head = head(number);
                    let body = [head.as_slice(), rest];
                    if number % 2 == 0 {
                        put(address, &upload, &digest, &body);
                    } else {
                        patch(address, &mut upload, &body);
                        put(address, &upload, &digest, &[]);
                    }
                })
            })
            .collect();
        for one in sent {
            one.join().unwrap();
        }
    });
    let peak = registry.peak_resident_kib();
    assert!(peak <= RESIDENT_KIB_MAX, "{peak} KiB were resident");
    for digest in digests.iter().step_by(15) {
        let answer = repository.head_blob(digest).expect(200);
        assert_eq!(answer.header("content-length"), BYTES.to_string());
    }
}
