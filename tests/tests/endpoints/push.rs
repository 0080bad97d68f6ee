//! end-4 and end-6: blobs are pushed whole, the ways that clients do it.

use roadstead_tests::raw::Raw;
use roadstead_tests::{Answer, Repository, fixture, shared};

#[track_caller]
fn check_created(repository: &Repository, answer: Answer, digest: &str, content: &[u8]) {
    let answer = answer.expect(201);
    assert_eq!(answer.header("docker-content-digest"), digest, "{answer}");
    let location = answer.header("location");
    assert!(location.ends_with(&format!("blobs/{digest}")), "{answer}");
    let digest = digest.parse().expect("a digest");
    let pulled = repository.get_blob(&digest).expect(200);
    assert!(pulled.body == content, "something else came back: {pulled}");
}

#[test]
fn upload_begins_with_a_place_to_go_on_at() {
    let (repository, _registry) = shared::repository("push/begin");
    let answer = repository
        .request("POST", "blobs/uploads/")
        .send()
        .expect(202);
    let id = answer.header("docker-upload-uuid");
    assert!(answer.header("location").contains(id), "{answer}");
    assert_eq!(answer.header("range"), "0-0");
    assert!(answer.body.is_empty());
    repository.upload(&answer).cancel().expect(204);
}

/// As containerd and BuildKit push.
#[test]
fn blob_is_pushed_by_post_and_put() {
    let (repository, _registry) = shared::repository("push/put");
    let content = fixture::random(1, 70_000);
    let digest = fixture::digest(&content);
    let answer = repository.start_upload().put(digest.as_str(), &content);
    check_created(&repository, answer, digest.as_str(), &content);
}

/// As Docker pushes: the whole layer in one `PATCH` of unknown length, then an empty `PUT`.
#[test]
fn blob_is_pushed_by_a_stream_and_an_empty_put() {
    let (repository, _registry) = shared::repository("push/stream");
    let content = fixture::random(2, 3 << 20);
    let digest = fixture::digest(&content);
    let mut upload = repository.start_upload();
    let answer = upload
        .request("PATCH")
        .stream(content.clone())
        .send()
        .expect(202);
    assert_eq!(answer.header("range"), format!("0-{}", content.len() - 1));
    upload = repository.upload(&answer);
    check_created(
        &repository,
        upload.put(digest.as_str(), b""),
        digest.as_str(),
        &content,
    );
}

#[test]
fn blob_is_pushed_by_a_stream_in_the_closing_put() {
    let (repository, _registry) = shared::repository("push/stream-put");
    let content = fixture::random(3, 100_000);
    let digest = fixture::digest(&content);
    let upload = repository.start_upload();
    let answer = upload
        .closing(digest.as_str())
        .stream(content.clone())
        .send();
    check_created(&repository, answer, digest.as_str(), &content);
}

#[test]
fn blob_is_pushed_by_a_single_post() {
    let (repository, _registry) = shared::repository("push/single");
    for (seed, length) in [(4, 1), (5, 100_000)] {
        let content = fixture::random(seed, length);
        let digest = fixture::digest(&content);
        let request = repository.request("POST", &format!("blobs/uploads/?digest={digest}"));
        let answer = request.body(content.clone()).send();
        check_created(&repository, answer, digest.as_str(), &content);
    }
}

#[test]
fn location_of_the_blob_can_be_followed() {
    let registry = shared::registry();
    let repository = registry.repository("push/location");
    let content = fixture::random(6, 300);
    let digest = fixture::digest(&content);
    let answer = repository
        .start_upload()
        .put(digest.as_str(), &content)
        .expect(201);
    let request = registry
        .client()
        .request_to("GET", answer.header("location"));
    assert_eq!(request.send().expect(200).body, content);
}

#[test]
fn empty_blob_is_pushed() {
    let (repository, _registry) = shared::repository("push/empty");
    let answer = repository.start_upload().put(fixture::EMPTY, b"");
    check_created(&repository, answer, fixture::EMPTY, b"");
    let mut upload = repository.start_upload();
    upload.patch(b"").expect(202);
    check_created(
        &repository,
        upload.put(fixture::EMPTY, b""),
        fixture::EMPTY,
        b"",
    );
}

#[test]
fn algorithm_may_be_announced() {
    let (repository, _registry) = shared::repository("push/announced");
    let content = fixture::random(7, 50_000);
    for (algorithm, digest) in [
        ("sha256", fixture::digest(&content)),
        ("sha512", fixture::sha512(&content)),
    ] {
        let path = format!("blobs/uploads/?digest-algorithm={algorithm}");
        let answer = repository.request("POST", &path).send().expect(202);
        let mut upload = repository.upload(&answer);
        upload.patch(&content[..20_000]).expect(202);
        let answer = upload.put(digest.as_str(), &content[20_000..]);
        check_created(&repository, answer, digest.as_str(), &content);
    }
}

#[test]
fn algorithm_need_not_be_announced() {
    let (repository, _registry) = shared::repository("push/unannounced");
    let content = fixture::random(8, 50_000);
    let digest = fixture::sha512(&content);
    let mut upload = repository.start_upload();
    upload.patch(&content[..30_000]).expect(202);
    let answer = upload.put(digest.as_str(), &content[30_000..]);
    check_created(&repository, answer, digest.as_str(), &content);
    let single = repository.request("POST", &format!("blobs/uploads/?digest={digest}"));
    let answer = single.body(content.clone()).send();
    check_created(&repository, answer, digest.as_str(), &content);
}

#[test]
fn same_content_has_a_blob_for_each_algorithm() {
    let (repository, _registry) = shared::repository("push/both");
    let content = fixture::random(9, 777);
    let (first, second) = (fixture::digest(&content), fixture::sha512(&content));
    for digest in [&first, &second] {
        let answer = repository.start_upload().put(digest.as_str(), &content);
        check_created(&repository, answer, digest.as_str(), &content);
    }
    repository.delete_blob(&first).expect(202);
    repository.get_blob(&first).expect(404);
    repository.get_blob(&second).expect(200);
}

#[test]
fn blob_may_be_pushed_again() {
    let (repository, _registry) = shared::repository("push/again");
    let content = fixture::random(10, 10_000);
    let digest = fixture::digest(&content);
    for _ in 0..3 {
        let answer = repository.start_upload().put(digest.as_str(), &content);
        check_created(&repository, answer, digest.as_str(), &content);
    }
}

/// The answer may have been lost: whoever asks again is told the same.
#[test]
fn closing_put_may_be_repeated() {
    let (repository, _registry) = shared::repository("push/repeated");
    let content = fixture::random(11, 10_000);
    let digest = fixture::digest(&content);
    let mut upload = repository.start_upload();
    upload.patch(&content).expect(202);
    for _ in 0..3 {
        let answer = upload.put(digest.as_str(), b"");
        check_created(&repository, answer, digest.as_str(), &content);
    }
    repository.delete_blob(&digest).expect(202);
    upload.put(digest.as_str(), b"").refused_somehow(404);
}

#[test]
fn uploads_at_once_do_not_mix() {
    let registry = shared::registry();
    std::thread::scope(|scope| {
        for seed in 0..8 {
            let repository = registry.repository("push/at-once");
            scope.spawn(move || {
                let content = fixture::random(100 + seed, 400_000);
                let digest = fixture::digest(&content);
                let mut upload = repository.start_upload();
                for (number, piece) in content.chunks(50_000).enumerate() {
                    upload.chunk(number * 50_000, piece).expect(202);
                }
                let answer = upload.put(digest.as_str(), b"");
                check_created(&repository, answer, digest.as_str(), &content);
            });
        }
    });
}

#[test]
fn same_blob_may_be_pushed_at_once() {
    let registry = shared::registry();
    let content = fixture::random(12, 200_000);
    let digest = fixture::digest(&content);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let repository = registry.repository("push/same-at-once");
                let answer = repository.start_upload().put(digest.as_str(), &content);
                check_created(&repository, answer, digest.as_str(), &content);
            });
        }
    });
}

/// Clients in Go encode the colon of a digest in a query, and may do so in a path.
#[test]
fn colon_of_a_digest_may_be_encoded() {
    let (repository, _registry) = shared::repository("push/encoded");
    let content = fixture::random(13, 500);
    let digest = fixture::digest(&content);
    let encoded = digest.as_str().replace(':', "%3A");
    repository
        .start_upload()
        .put(&encoded, &content)
        .expect(201);
    let path = format!("blobs/{encoded}");
    assert_eq!(
        repository.request("GET", &path).send().expect(200).body,
        content
    );
    let mount = format!("blobs/uploads/?mount={encoded}&from=push%2Fencoded");
    repository.request("POST", &mount).send().expect(201);
}

/// Some clients ask before they send much.
#[test]
fn body_is_asked_for() {
    let registry = shared::registry();
    let upload = registry.repository("push/expect").start_upload();
    let content = fixture::random(14, 1000);
    let digest = fixture::digest(&content);
    let host = registry.address();
    let mut raw = Raw::connect(&host);
    raw.send(format!(
        "PUT {}?digest={digest} HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\n\
         Content-Length: 1000\r\n\r\n",
        upload.path()
    ));
    let head = raw
        .head()
        .expect("an answer comes")
        .expect("and is not empty");
    assert_eq!(head.status, 100);
    raw.send(&content);
    assert_eq!(raw.answer().status, 201);
}
