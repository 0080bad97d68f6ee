//! Clients that send a byte a minute: they end, and meanwhile everybody else is served.

use std::time::{Duration, Instant};

use roadstead_tests::raw::Raw;
use roadstead_tests::{Registry, Setup, fixture};

use super::refusal::check_stored;

/// A body may stand still for half a minute; somewhat later its request must have ended.
const ENDED_WITHIN: Duration = Duration::from_secs(45);

/// How many slow clients there are of each kind.
const CLIENTS: usize = 50;

#[test]
fn client_that_sends_a_byte_a_minute() {
    let registry = Registry::start(Setup::default());
    let host = registry.address();
    let repository = registry.repository("slow/client");
    let began = Instant::now();
    let connect = |bytes: String| {
        let mut raw = Raw::connect(&host);
        raw.set_limit(ENDED_WITHIN);
        raw.send(bytes);
        raw
    };

    // Some stop in the head of the request, others in the body.
    let heads: Vec<Raw> = (0..CLIENTS)
        .map(|_| connect(format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\nX-Slow: y")))
        .collect();
    let manifest = format!(
        "PUT /v2/slow/client/manifests/latest HTTP/1.1\r\nHost: {host}\r\n\
         Content-Length: 1000\r\n\r\n{{"
    );
    let manifests: Vec<Raw> = (0..CLIENTS).map(|_| connect(manifest.clone())).collect();
    let mut uploads = Vec::new();
    for _ in 0..CLIENTS {
        let upload = repository.start_upload();
        let path = upload.path();
        let head = format!("PATCH {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\n");
        uploads.push((upload, connect(head + "xy")));
    }

    // Everybody else is served, and at once.
    for seed in 0..20 {
        let content = fixture::random(seed, 50_000);
        let digest = repository.push_blob(&content);
        assert_eq!(repository.get_blob(&digest).expect(200).body, content);
    }
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );

    for mut raw in heads {
        if let Some(answer) = raw.try_answer().expect("the request ends in time") {
            assert_eq!(answer.status, 408, "{answer:?}");
        }
    }
    for (mut upload, mut raw) in uploads {
        if let Some(answer) = raw.try_answer().expect("the request ends in time") {
            answer.refused(408);
        }
        // What came is kept, and the upload goes on.
        assert_eq!(upload.offset(), 2);
        upload.cancel().expect(204);
    }
    assert!(began.elapsed() < ENDED_WITHIN, "{:?}", began.elapsed());
    // A manifest is bounded as a whole, so that its body may take longer.
    drop(manifests);
    repository.get_manifest("latest").expect(404);
    check_stored(&registry, 20);
}

/// A client that does not read what it asked for holds up nobody but itself.
#[test]
fn client_that_does_not_read() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("slow/reader");
    let content = fixture::random(100, 8 << 20);
    let digest = repository.push_blob(&content);
    let host = registry.address();
    let readers: Vec<Raw> = (0..CLIENTS)
        .map(|_| {
            let mut raw = Raw::connect(&host);
            let path = format!("/v2/slow/reader/blobs/{digest}");
            raw.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            let head = raw
                .head()
                .expect("an answer begins")
                .expect("and is not empty");
            assert_eq!(head.status, 200);
            raw
        })
        .collect();
    assert!(repository.get_blob(&digest).expect(200).body == content);
    // Whoever reads on later gets the right bytes.
    for mut raw in readers.into_iter().take(3) {
        let body = raw.read(content.len()).expect("the rest comes");
        assert!(body == content);
    }
    check_stored(&registry, 1);
}
