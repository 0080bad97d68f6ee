//! end-1 and what lies around the API: `GET /v2/`, `GET /`, health, and paths that mean nothing.

use roadstead_tests::shared;

#[test]
fn api_base_says_that_the_api_is_there() {
    let registry = shared::registry();
    registry.client().get("/v2/").expect(200);
}

#[test]
fn root_says_that_somebody_is_alive() {
    let registry = shared::registry();
    let answer = registry.client().get("/").expect(200);
    assert_eq!(answer.header("cache-control"), "no-cache");
}

#[test]
fn node_says_that_it_lives_and_is_ready() {
    let registry = shared::registry();
    for path in ["/livez", "/readyz"] {
        registry.client().get(path).expect(200);
    }
}

#[test]
fn paths_outside_the_api_are_404() {
    let registry = shared::registry();
    for path in ["/v1/", "/nothing", "/metrics", "/debug/health", "/v2x/"] {
        registry.client().get(path).expect(404);
    }
}

#[test]
fn paths_that_are_no_endpoint_are_404_with_an_error() {
    let registry = shared::registry();
    for path in [
        "/v2/a",
        "/v2/a/b",
        "/v2/a/tags",
        "/v2/a/tags/lists",
        "/v2/_other",
    ] {
        registry.client().get(path).refused_somehow(404);
    }
}

#[test]
fn every_answer_has_a_request_id_of_its_own() {
    let registry = shared::registry();
    let id = || {
        registry
            .client()
            .get("/v2/")
            .header("x-request-id")
            .to_owned()
    };
    let (first, second) = (id(), id());
    assert_ne!(first, second);
}

/// Routes are matched from the end, so that a name may contain what elsewhere is a route.
#[test]
fn repositories_may_be_named_like_routes() {
    let registry = shared::registry();
    for (seed, name) in [
        "manifests",
        "tags/list",
        "blobs/uploads",
        "base/manifests/latest",
        "base/blobs/uploads/x",
        "base/referrers/a",
        "v2/base",
        "base/tags/list/tags/list",
    ]
    .into_iter()
    .enumerate()
    {
        let repository = registry.repository(name);
        let image = repository.push_image("list", seed as u64);
        let answer = repository.get_manifest("list").expect(200);
        assert_eq!(answer.body, image.manifest.bytes(), "{name}");
        let tags = repository.tags("").expect(200).json();
        assert_eq!(tags["name"], name);
        assert_eq!(tags["tags"][0], "list", "{name}");
        repository
            .referrers(&image.manifest.digest(), "")
            .expect(200);
        let layer = roadstead_tests::fixture::digest(&image.layers[0]);
        repository.get_blob(&layer).expect(200);
    }
}
