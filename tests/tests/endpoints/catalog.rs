//! `_catalog`: the repositories, in pages always.

use roadstead_tests::{Client, Registry, Setup};
use serde_json::{Value, json};

#[track_caller]
fn catalog(client: &Client, query: &str) -> Vec<String> {
    let answer = client.get(&format!("/v2/_catalog{query}")).expect(200);
    assert!(
        answer
            .header("content-type")
            .starts_with("application/json"),
        "{answer}"
    );
    strings(&answer.json())
}

#[track_caller]
fn strings(body: &Value) -> Vec<String> {
    let list = body["repositories"].as_array();
    let list = list.unwrap_or_else(|| panic!("not a list: {body}"));
    let text = |item: &Value| item.as_str().expect("a string").to_owned();
    list.iter().map(text).collect()
}

fn with_repositories(setup: Setup, names: &[&str]) -> Registry {
    let registry = Registry::start(setup);
    for name in names {
        registry.repository(name).push_image("latest", 1);
    }
    registry
}

#[test]
fn empty_registry_has_an_empty_catalog() {
    let registry = Registry::start(Setup::default());
    let answer = registry.client().get("/v2/_catalog").expect(200);
    assert_eq!(answer.json(), json!({ "repositories": [] }));
    assert!(!answer.has("link"), "{answer}");
}

#[test]
fn repositories_are_listed_in_pages() {
    let names = ["b", "a/b", "a", "a-b", "c/d/e", "a/b/c"];
    let registry = with_repositories(Setup::default(), &names);
    let client = registry.client();
    let mut sorted = names.map(str::to_owned);
    sorted.sort();
    assert_eq!(catalog(&client, ""), sorted);
    for n in 1..=7 {
        let mut answer = client.get(&format!("/v2/_catalog?n={n}")).expect(200);
        let mut found = strings(&answer.json());
        while let Some(next) = answer.next_page() {
            assert!(next.contains(&format!("n={n}")), "{next} does not keep n");
            assert!(found.len() < names.len(), "the pages do not end: {found:?}");
            answer = client.request_to("GET", &next).send().expect(200);
            assert!(strings(&answer.json()).len() <= n);
            found.extend(strings(&answer.json()));
        }
        assert_eq!(found, sorted, "n={n}");
    }
    for (query, expected) in [
        ("?last=a", &sorted[1..]),
        ("?last=a/a", &sorted[2..]),
        ("?last=c/d/e", &[]),
        ("?n=0", &[]),
        ("?n=1&last=b", &sorted[5..]),
    ] {
        assert_eq!(catalog(&client, query), expected, "{query}");
    }
    assert!(!client.get("/v2/_catalog?n=0").has("link"));
}

#[test]
fn page_is_a_hundred_unless_another_is_asked_for() {
    let registry = Registry::start(Setup::default());
    let client = registry.client();
    let content = roadstead_tests::fixture::index(&[]);
    for number in 0..103 {
        let repository = registry.repository(&format!("catalog/{number:03}"));
        repository.put_manifest("latest", &content).expect(201);
    }
    let answer = client.get("/v2/_catalog").expect(200);
    assert_eq!(strings(&answer.json()).len(), 100);
    let next = answer.next_page().expect("there is more");
    let answer = client.request_to("GET", &next).send().expect(200);
    assert_eq!(
        strings(&answer.json()),
        ["catalog/100", "catalog/101", "catalog/102"]
    );
    assert_eq!(answer.next_page(), None);
    assert_eq!(catalog(&client, "?n=1000").len(), 103);
}

#[test]
fn size_of_a_page_must_be_a_number_within_bounds() {
    let setup = Setup::default().with("catalog", "maxentries: 5");
    let registry = with_repositories(setup, &["a", "b", "c", "d", "e", "f", "g"]);
    let client = registry.client();
    assert_eq!(catalog(&client, "?n=5").len(), 5);
    for n in ["6", "1000", "-1", "x", "1.5", ""] {
        let answer = client.get(&format!("/v2/_catalog?n={n}"));
        answer.refused(400, "PAGINATION_NUMBER_INVALID");
    }
    assert!(catalog(&client, "").len() <= 5);
}
