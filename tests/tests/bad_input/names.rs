//! Names, tags and digests outside the grammar or too long; digest algorithms that are unknown.

use roadstead_tests::fixture::{self, EMPTY};
use roadstead_tests::{Registry, Setup};

use super::refusal::{ask, check_nothing_stored, check_refused};

/// Names of repositories as they stand in a request, and what the error must name.
fn bad_names() -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = [
        "A",
        "library/Debian",
        "-a",
        "a-",
        ".a",
        "a.",
        "_a",
        "a_",
        "a..b",
        "a.-b",
        "a___b",
        "a//b",
        "a/../b",
        "a/./b",
        "a:5000/b",
        "a@b",
        "a~b",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), name.to_owned()))
    .collect();
    names.push(("a%20b".to_owned(), "a b".to_owned()));
    names.push(("%C3%BC".to_owned(), "\u{fc}".to_owned()));
    names.push(("a".repeat(256), "255".to_owned()));
    names.push((["ab"; 100].join("/"), "255".to_owned()));
    names
}

#[test]
fn repository_names_outside_the_grammar_or_too_long() {
    let registry = Registry::start(Setup::default());
    for (name, named) in bad_names() {
        for (method, path) in [
            ("GET", "tags/list".to_owned()),
            ("GET", "manifests/latest".to_owned()),
            ("PUT", "manifests/latest".to_owned()),
            ("DELETE", "manifests/latest".to_owned()),
            ("GET", format!("blobs/{EMPTY}")),
            ("DELETE", format!("blobs/{EMPTY}")),
            ("POST", "blobs/uploads/".to_owned()),
            ("POST", format!("blobs/uploads/?digest={EMPTY}")),
            ("GET", format!("referrers/{EMPTY}")),
        ] {
            let answer = ask(&registry, method, &format!("/v2/{name}/{path}"));
            check_refused(&answer, 400, "NAME_INVALID", &named);
        }
    }
    let catalog = registry.client().get("/v2/_catalog").expect(200).json();
    assert_eq!(catalog["repositories"].as_array().map(Vec::len), Some(0));
    check_nothing_stored(&registry);
}

#[test]
fn longest_name_is_none_too_many() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository(&"a".repeat(255));
    let image = repository.push_image("latest", 1).manifest;
    assert_eq!(
        repository.get_manifest("latest").expect(200).body,
        image.bytes()
    );
}

#[test]
fn tags_outside_the_grammar_or_too_long() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("names/tags");
    let index = fixture::index(&[]);
    let too_long = "t".repeat(129);
    for (tag, named) in [
        ("-a", "-a"),
        (".a", ".a"),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("a@b", "a@b"),
        ("%C3%BC", "\u{fc}"),
        (too_long.as_str(), "128"),
    ] {
        let answer = repository.put_manifest(tag, &index);
        answer.refused(400, "TAG_INVALID").names(named);
        repository
            .get_manifest(tag)
            .refused(400, "TAG_INVALID")
            .names(named);
        repository.head_manifest(tag).expect(400);
        repository
            .delete_manifest(tag)
            .refused(400, "TAG_INVALID")
            .names(named);
    }
    repository.tags("").refused(404, "NAME_UNKNOWN");
    repository.put_manifest("t".repeat(128), &index).expect(201);
    check_nothing_stored(&registry);
}

/// Digests that are none, and what the error must name.
fn bad_digests() -> Vec<(String, String)> {
    let hex = &EMPTY["sha256:".len()..];
    [
        ("sha256:".to_owned(), "sha256:"),
        (format!("sha256:{}", &hex[1..]), "63"),
        (format!("sha256:{hex}0"), "65"),
        (format!("sha256:{}", hex.to_uppercase()), "lower-case"),
        (format!("sha256:{}", "g".repeat(64)), "hexadecimal"),
        (format!("sha512:{hex}"), "128"),
        (format!("sha256:{}", "a".repeat(5000)), "5000"),
        (format!(":{hex}"), "digest"),
    ]
    .map(|(digest, named)| (digest, named.to_owned()))
    .to_vec()
}

fn check_digests(registry: &Registry, digests: &[(String, String)]) {
    let repository = registry.repository("names/digests");
    let index = fixture::index(&[]);
    for (digest, named) in digests {
        for (method, path) in [
            ("GET", format!("blobs/{digest}")),
            ("DELETE", format!("blobs/{digest}")),
            ("GET", format!("manifests/{digest}")),
            ("DELETE", format!("manifests/{digest}")),
            ("GET", format!("referrers/{digest}")),
            ("POST", format!("blobs/uploads/?digest={digest}")),
            ("POST", format!("blobs/uploads/?mount={digest}&from=a")),
        ] {
            let answer = repository.request(method, &path).send();
            answer.refused(400, "DIGEST_INVALID").names(named);
        }
        repository
            .request("HEAD", &format!("blobs/{digest}"))
            .send()
            .expect(400);
        let answer = repository.put_manifest(digest, &index);
        answer.refused(400, "DIGEST_INVALID").names(named);
        // A client that spells the digest wrongly has not lost its upload.
        let mut upload = repository.start_upload();
        upload.patch(b"bytes").expect(202);
        upload
            .put(digest, b"more")
            .refused(400, "DIGEST_INVALID")
            .names(named);
        assert_eq!(upload.offset(), 5, "{digest}");
        upload.cancel().expect(204);
    }
    check_nothing_stored(registry);
}

#[test]
fn digests_outside_the_grammar_or_too_long() {
    check_digests(&Registry::start(Setup::default()), &bad_digests());
}

#[test]
fn digest_algorithms_that_are_unknown() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("names/algorithms");
    let digests = [
        (
            "md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            "md5".to_owned(),
        ),
        (format!("sha384:{}", "a".repeat(96)), "sha384".to_owned()),
        (format!("SHA256:{}", "a".repeat(64)), "SHA256".to_owned()),
        (format!("blake3:{}", "a".repeat(64)), "blake3".to_owned()),
    ];
    for algorithm in ["md5", "SHA256", "blake3", "", "sha256,sha512"] {
        let path = format!("blobs/uploads/?digest-algorithm={algorithm}");
        let answer = repository.request("POST", &path).send();
        answer
            .refused(400, "DIGEST_INVALID")
            .names(algorithm)
            .names("sha512");
    }
    check_digests(&registry, &digests);
}

#[test]
fn closing_put_without_a_digest() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("names/no-digest");
    let mut upload = repository.start_upload();
    upload.patch(b"bytes").expect(202);
    let answer = upload.request("PUT").body(*b"more").send();
    answer.refused(400, "DIGEST_INVALID").names("digest");
    assert_eq!(upload.offset(), 5);
    upload.cancel().expect(204);
    check_nothing_stored(&registry);
}
