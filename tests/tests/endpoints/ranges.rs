//! end-2 with `Range`: parts of a blob, and what a part of something that changed must not be.

use roadstead_tests::{Answer, Repository, fixture, shared};

const LENGTH: usize = 1000;

fn ask(repository: &Repository, seed: u64, headers: &[(&str, &str)]) -> (Answer, Vec<u8>) {
    let content = fixture::random(seed, LENGTH);
    let digest = repository.push_blob(&content);
    let request = repository.request("GET", &format!("blobs/{digest}"));
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    });
    (request.send(), content)
}

#[test]
fn part_of_a_blob_is_served() {
    let (repository, _registry) = shared::repository("ranges/part");
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=500-500", 500, 500),
        ("bytes=990-", 990, 999),
        ("bytes=0-", 0, 999),
        ("bytes=-1", 999, 999),
        ("bytes=-100", 900, 999),
        // What lies past the end is cut off, as RFC 9110 says.
        ("bytes=900-5000", 900, 999),
        ("bytes=-5000", 0, 999),
        ("bytes=999-18446744073709551615", 999, 999),
    ] {
        let (answer, content) = ask(&repository, 1, &[("range", range)]);
        let answer = answer.expect(206);
        let expected = format!("bytes {first}-{last}/{LENGTH}");
        assert_eq!(answer.header("content-range"), expected, "{range}");
        assert_eq!(
            answer.header("content-length"),
            (last - first + 1).to_string()
        );
        assert_eq!(answer.body, content[first..=last], "{range}");
        let digest = fixture::digest(&content);
        assert_eq!(answer.header("docker-content-digest"), digest.as_str());
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
    }
}

#[test]
fn unit_that_is_not_known_is_ignored() {
    let (repository, _registry) = shared::repository("ranges/unit");
    let (answer, content) = ask(&repository, 2, &[("range", "lines=1-2")]);
    assert_eq!(answer.expect(200).body, content);
}

#[test]
fn part_is_served_only_of_what_the_client_has() {
    let (repository, _registry) = shared::repository("ranges/if-range");
    let digest = fixture::digest(&fixture::random(3, LENGTH));
    let range = ("range", "bytes=10-19");
    for (known, status) in [
        (format!("\"{digest}\""), 206),
        ("\"sha256:other\"".to_owned(), 200),
        // A weak tag does not say that the bytes are the same.
        (format!("W/\"{digest}\""), 200),
        ("Wed, 21 Oct 2015 07:28:00 GMT".to_owned(), 200),
    ] {
        let (answer, content) = ask(&repository, 3, &[range, ("if-range", &known)]);
        let answer = answer.expect(status);
        if status == 206 {
            assert_eq!(answer.body, content[10..20], "{known}");
        } else {
            assert_eq!(answer.body, content, "{known}");
            assert!(!answer.has("content-range"), "{answer}");
        }
    }
}

#[test]
fn what_the_client_has_already_goes_before_the_range() {
    let (repository, _registry) = shared::repository("ranges/if-none-match");
    let digest = fixture::digest(&fixture::random(4, LENGTH));
    let known = format!("\"{digest}\"");
    let headers = [("range", "bytes=10-19"), ("if-none-match", known.as_str())];
    ask(&repository, 4, &headers).0.expect(304);
}

#[test]
fn nothing_of_an_empty_blob_can_be_satisfied() {
    let (repository, _registry) = shared::repository("ranges/empty");
    let digest = repository.push_blob(b"");
    let request = repository.request("GET", &format!("blobs/{digest}"));
    let answer = request.header("range", "bytes=0-0").send();
    assert_eq!(
        answer.clone().expect(416).header("content-range"),
        "bytes */0"
    );
    answer.refused_somehow(416);
}

#[test]
fn part_of_a_large_blob_is_served_from_the_middle() {
    let (repository, _registry) = shared::repository("ranges/large");
    let content = fixture::random(5, 5 << 20);
    let digest = repository.push_blob(&content);
    let request = repository.request("GET", &format!("blobs/{digest}"));
    let (first, last) = (1_000_003, 4_000_007);
    let range = format!("bytes={first}-{last}");
    let answer = request.header("range", &range).send().expect(206);
    assert!(answer.body == content[first..=last]);
}
