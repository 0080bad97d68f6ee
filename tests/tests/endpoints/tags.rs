//! end-8: the tags of a repository, whole and in pages.

use roadstead_tests::{Client, Registry, Repository, Setup, fixture, shared};
use serde_json::{Value, json};

#[track_caller]
fn push_tags(repository: &Repository, tags: &[&str]) {
    let image = repository.push_content(1).manifest;
    for tag in tags {
        repository.put_manifest(tag, &image).expect(201);
    }
}

#[track_caller]
fn list(repository: &Repository, query: &str) -> Vec<String> {
    let answer = repository.tags(query).expect(200);
    assert!(
        answer
            .header("content-type")
            .starts_with("application/json"),
        "{answer}"
    );
    let body = answer.json();
    assert_eq!(body["name"], repository.name(), "{answer}");
    strings(&body["tags"])
}

#[track_caller]
fn strings(list: &Value) -> Vec<String> {
    let list = list
        .as_array()
        .unwrap_or_else(|| panic!("not a list: {list}"));
    let text = |item: &Value| item.as_str().expect("a string").to_owned();
    list.iter().map(text).collect()
}

/// Follows the links from a page to the last.
#[track_caller]
fn pages(client: &Client, repository: &Repository, query: &str, n: &str) -> Vec<Vec<String>> {
    let mut answer = repository.tags(query).expect(200);
    let mut pages = Vec::new();
    loop {
        pages.push(strings(&answer.json()["tags"]));
        let Some(next) = answer.next_page() else {
            return pages;
        };
        assert!(
            next.contains(&format!("n={n}")),
            "{next} does not keep n in {answer}"
        );
        answer = client.request_to("GET", &next).send().expect(200);
        assert!(pages.len() < 100, "the pages do not end: {answer}");
    }
}

#[test]
fn tags_are_listed_in_the_order_of_their_bytes() {
    let (repository, _registry) = shared::repository("tags/order");
    push_tags(
        &repository,
        &[
            "b", "a", "B", "A", "_", "1", "10", "2", "a.b", "a-b", "a_b", "aa",
        ],
    );
    let expected = [
        "1", "10", "2", "A", "B", "_", "a", "a-b", "a.b", "a_b", "aa", "b",
    ];
    assert_eq!(list(&repository, ""), expected);
}

#[test]
fn pages_are_linked() {
    let (repository, registry) = shared::repository("tags/pages");
    push_tags(&repository, &["a", "b", "c", "d", "e"]);
    for (n, expected) in [
        ("1", vec![1, 1, 1, 1, 1]),
        ("2", vec![2, 2, 1]),
        ("4", vec![4, 1]),
        ("5", vec![5]),
        ("6", vec![5]),
        ("1000", vec![5]),
    ] {
        let pages = pages(&registry.client(), &repository, &format!("?n={n}"), n);
        let lengths: Vec<_> = pages.iter().map(Vec::len).collect();
        assert_eq!(lengths, expected, "n={n}");
        assert_eq!(pages.concat(), ["a", "b", "c", "d", "e"], "n={n}");
    }
}

#[test]
fn list_goes_on_after_any_name() {
    let (repository, _registry) = shared::repository("tags/last");
    push_tags(&repository, &["a", "c", "e"]);
    for (query, expected) in [
        ("?last=a", vec!["c", "e"]),
        ("?last=b", vec!["c", "e"]),
        ("?last=e", vec![]),
        ("?last=zzz", vec![]),
        ("?n=1&last=a", vec!["c"]),
        ("?last=c&n=5", vec!["e"]),
        ("?last=", vec!["a", "c", "e"]),
    ] {
        assert_eq!(list(&repository, query), expected, "{query}");
    }
}

#[test]
fn page_of_nothing_is_empty_and_the_last() {
    let (repository, _registry) = shared::repository("tags/zero");
    push_tags(&repository, &["a"]);
    let answer = repository.tags("?n=0").expect(200);
    assert_eq!(answer.json(), json!({ "name": "tags/zero", "tags": [] }));
    assert!(!answer.has("link"), "{answer}");
}

#[test]
fn size_that_is_no_number_is_refused() {
    let (repository, _registry) = shared::repository("tags/size");
    push_tags(&repository, &["a"]);
    for n in ["-1", "x", "1.5", "", "0x10", "1%202"] {
        let answer = repository.tags(&format!("?n={n}"));
        answer.refused(400, "PAGINATION_NUMBER_INVALID");
    }
}

#[test]
fn repository_without_tags_has_an_empty_list() {
    let (repository, _registry) = shared::repository("tags/none");
    let image = repository.push_content(2).manifest;
    repository.put_manifest(image.digest(), &image).expect(201);
    let expected = json!({ "name": "tags/none", "tags": [] });
    assert_eq!(repository.tags("").expect(200).json(), expected);
    repository.put_manifest("only", &image).expect(201);
    repository.delete_manifest("only").expect(202);
    assert_eq!(repository.tags("").expect(200).json(), expected);
}

#[test]
fn repository_that_does_not_exist_has_no_list() {
    let (repository, _registry) = shared::repository("tags/never-pushed-to");
    let refusal = repository.tags("").refused(404, "NAME_UNKNOWN");
    refusal.names("tags/never-pushed-to");
}

#[test]
fn size_of_a_page_is_bounded_and_the_whole_list_is_not() {
    let setup = Setup::default().with("tags", "maxtags: 3");
    let registry = Registry::start(setup);
    let repository = registry.repository("tags/bounded");
    push_tags(&repository, &["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(list(&repository, "").len(), 7);
    for n in ["3", "4", "1000000"] {
        let answer = repository.tags(&format!("?n={n}")).expect(200);
        assert_eq!(strings(&answer.json()["tags"]), ["a", "b", "c"], "n={n}");
        let next = answer.next_page().expect("there is more");
        let answer = registry
            .client()
            .request_to("GET", &next)
            .send()
            .expect(200);
        assert_eq!(strings(&answer.json()["tags"]), ["d", "e", "f"], "n={n}");
    }
}

/// More tags than any page, so that the list cannot come from one.
#[test]
fn long_list_is_whole() {
    let (repository, _registry) = shared::repository("tags/many");
    let image = repository.push_content(3).manifest;
    let digest = image.digest();
    let tags: Vec<_> = (0..1200).map(|n| format!("tag-{n:05}")).collect();
    for tags in tags.chunks(20) {
        let path = format!("manifests/{digest}?tag={}", tags.join("&tag="));
        let request = repository.request("PUT", &path);
        let request = request.header("content-type", &image.media_type);
        request.body(image.bytes()).send().expect(201);
    }
    assert_eq!(list(&repository, ""), tags);
    assert_eq!(list(&repository, "?n=1000").len(), 1000);
}

#[test]
fn deleted_tag_is_not_listed() {
    let (repository, _registry) = shared::repository("tags/deleted");
    push_tags(&repository, &["a", "b", "c"]);
    repository.delete_manifest("b").expect(202);
    assert_eq!(list(&repository, ""), ["a", "c"]);
    let digest = repository.push_content(1).manifest.digest();
    repository.delete_manifest(&digest).expect(202);
    assert_eq!(list(&repository, ""), [""; 0]);
    repository.get_blob(&fixture::unknown(9)).expect(404);
}
