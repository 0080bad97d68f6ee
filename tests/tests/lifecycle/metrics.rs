//! Metrics: the names that Distribution's dashboards know, and values that follow what happens.

use std::collections::BTreeMap;

use roadstead_tests::{Client, Registry, Setup, fixture};

/// Every sample by its name and labels.
#[track_caller]
fn scrape(registry: &Registry) -> BTreeMap<String, f64> {
    let answer = Client::new(&registry.debug_address())
        .get("/metrics")
        .expect(200);
    let text = String::from_utf8(answer.body.to_vec()).expect("metrics are text");
    let mut samples = BTreeMap::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        let value = value
            .parse()
            .unwrap_or_else(|_| panic!("no number in {line:?}"));
        let is_first = samples.insert(name.to_owned(), value).is_none();
        assert!(is_first, "{name} comes twice");
    }
    samples
}

/// The sum of the samples of this name with all of these labels.
fn sum(samples: &BTreeMap<String, f64>, name: &str, labels: &[&str]) -> f64 {
    let is_meant = |key: &&String| {
        let own = key.split('{').next() == Some(name);
        own && labels.iter().all(|label| key.contains(label))
    };
    samples
        .keys()
        .filter(is_meant)
        .map(|key| samples[key])
        .sum()
}

#[test]
fn requests_are_counted_under_distributions_names() {
    let registry = Registry::start(Setup::default().with_debug());
    let repository = registry.repository("metrics/image");
    let count = |labels: &[&str]| sum(&scrape(&registry), "registry_http_requests_total", labels);
    let gets = ["handler=\"manifest\"", "method=\"get\"", "code=\"200\""];
    let before = count(&gets);
    repository.push_image("latest", 1);
    for _ in 0..5 {
        repository.get_manifest("latest").expect(200);
    }
    assert_eq!(count(&gets) - before, 5.0);
    repository.get_manifest("absent").expect(404);
    assert_eq!(count(&["handler=\"manifest\"", "code=\"404\""]), 1.0);
    repository.tags("").expect(200);
    registry.client().get("/v2/").expect(200);
    registry.client().get("/v2/_catalog").expect(200);
    let layer = fixture::digest(&fixture::random(1, 2000));
    repository.get_blob(&layer).expect(200);
    for handler in [
        "base",
        "manifest",
        "catalog",
        "tags",
        "blob",
        "blob_upload",
        "blob_upload_chunk",
    ] {
        let label = format!("handler=\"{handler}\"");
        assert!(count(&[&label]) >= 1.0, "{handler} was not counted");
    }
}

#[test]
fn durations_and_sizes_are_measured() {
    let registry = Registry::start(Setup::default().with_debug());
    let repository = registry.repository("metrics/sizes");
    let content = fixture::random(2, 123_456);
    let digest = repository.push_blob(&content);
    repository.get_blob(&digest).expect(200);
    let samples = scrape(&registry);
    let blob = ["handler=\"blob\""];
    for name in [
        "registry_http_request_duration_seconds",
        "registry_http_request_size_bytes",
        "registry_http_response_size_bytes",
    ] {
        let count = sum(&samples, &format!("{name}_count"), &blob);
        assert!(count >= 1.0, "{name} has no sample");
    }
    let sent = sum(&samples, "registry_http_response_size_bytes_sum", &blob);
    assert!(sent >= 123_456.0, "{sent} bytes were counted");
    assert!(
        samples
            .keys()
            .any(|key| key.starts_with("registry_http_in_flight_requests"))
    );
    let actions = sum(&samples, "registry_storage_action_seconds_count", &[]);
    assert!(actions >= 1.0, "no action of the store was measured");
    let driver = ["driver=\"filesystem\""];
    assert!(sum(&samples, "registry_storage_action_seconds_count", &driver) >= 1.0);
}

#[test]
fn metrics_are_where_the_operator_wants_them_or_nowhere() {
    let debug = "debug:\n  addr: 127.0.0.1:{debug}";
    let registry = Registry::start(Setup::default().with("http", debug));
    Client::new(&registry.debug_address())
        .get("/metrics")
        .expect(404);
    let path = "\n  prometheus:\n    enabled: true\n    path: /own/path";
    let setup = Setup::default().with("http", &format!("{debug}{path}"));
    let registry = Registry::start(setup);
    let client = Client::new(&registry.debug_address());
    client.get("/metrics").expect(404);
    client.get("/own/path").expect(200);
}
