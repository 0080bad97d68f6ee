//! What every answer carries, and what an operator adds to it; HTTP/2 without TLS.

use reqwest::Version;
use roadstead_tests::{Registry, Setup, fixture, shared};

/// The client checks the API version and the request id of every answer that it reads (see
/// `Answer::check_promises`); here every kind of answer is asked for once.
#[test]
fn every_kind_of_answer_carries_version_and_request_id() {
    let (repository, registry) = shared::repository("headers/every");
    let image = repository.push_image("latest", 1);
    let layer = fixture::digest(&image.layers[0]);
    let blob = format!("blobs/{layer}");
    let ask = |method: &str, path: &str, header: (&str, &str)| {
        let request = repository.request(method, path);
        request.header(header.0, header.1).send().status
    };
    let etag = format!("\"{layer}\"");
    for (expected, method, path, header) in [
        (200, "GET", blob.as_str(), ("x-none", "")),
        (206, "GET", &blob, ("range", "bytes=0-1")),
        (304, "GET", &blob, ("if-none-match", &etag)),
        (416, "GET", &blob, ("range", "bytes=9999999-")),
        (404, "GET", "blobs/sha256:none/x", ("x-none", "")),
        (400, "GET", "blobs/sha256:none", ("x-none", "")),
        (405, "PATCH", &blob, ("x-none", "")),
        (400, "HEAD", "blobs/sha256:none", ("x-none", "")),
    ] {
        assert_eq!(ask(method, path, header), expected, "{method} {path}");
    }
    registry.client().get("/v2/").expect(200);
}

#[test]
fn headers_of_the_operator_are_on_every_answer() {
    let headers = "headers:\n  Access-Control-Allow-Origin: ['*']\n  X-Content-Type-Options: \
                   [nosniff]\n  X-Two: [a, b]";
    let registry = Registry::start(Setup::default().with("http", headers));
    let repository = registry.repository("headers/own");
    let image = repository.push_image("latest", 2).manifest;
    let request = repository.request("GET", &format!("manifests/{}", image.digest()));
    for answer in [
        repository.get_manifest("latest").expect(200),
        repository.get_manifest("absent").expect(404),
        repository.head_manifest("latest").expect(200),
        repository
            .request("POST", "blobs/uploads/")
            .send()
            .expect(202),
        repository.request("BREW", "tags/list").send().expect(405),
        request
            .header("if-none-match", &format!("\"{}\"", image.digest()))
            .send()
            .expect(304),
    ] {
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "*",
            "{answer}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.list("x-two"), ["a", "b"], "{answer}");
    }
}

#[test]
fn http2_without_tls_is_spoken_where_it_is_enabled() {
    let registry = Registry::start(Setup::default().with("http", "h2c:\n  enabled: true"));
    let client = registry.client().by_http2();
    let repository = client.repository("headers/h2c");
    let image = repository.push_image("latest", 3);
    let answer = repository.get_manifest("latest").expect(200);
    assert_eq!(answer.version, Version::HTTP_2);
    assert_eq!(answer.body, image.manifest.bytes());
    let content = fixture::random(4, 3 << 20);
    let digest = repository.push_blob(&content);
    assert!(repository.get_blob(&digest).expect(200).body == content);
    let mut upload = repository.start_upload();
    upload.chunk(0, &content[..100_000]).expect(202);
    upload.chunk(5, b"x").expect(416);
    assert_eq!(upload.offset(), 100_000);
    upload.cancel().expect(204);
    // The same port still speaks HTTP/1.1.
    let answer = registry.client().get("/v2/").expect(200);
    assert_eq!(answer.version, Version::HTTP_11);
}

#[test]
fn http2_without_tls_is_not_spoken_elsewhere() {
    // Its own: a load balancer before several nodes may speak it.
    let registry = Registry::start(Setup::default());
    let request = registry.client().by_http2().request("GET", "/v2/");
    assert!(request.try_send().is_err(), "HTTP/2 was answered");
    registry.client().get("/v2/").expect(200);
}
