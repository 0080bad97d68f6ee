//! The first start: what is said, and what holds without a file.

use reqwest::Version;
use roadstead_tests::{Registry, Setup, process};

#[test]
fn start_says_where_it_listens_where_data_lies_and_what_to_try() {
    let registry = Registry::start(Setup::default());
    let address = registry.address();
    registry.says(&["listens", &format!("http://{address}")]);
    registry.says(&[&registry.data().display().to_string()]);
    registry.says(&[&registry.metadata().display().to_string()]);
    registry.says(&["try next", "push", &address]);
}

#[test]
fn without_a_file_data_goes_to_the_working_folder_and_deletes_are_on() {
    let mut registry = Registry::start(Setup::without_file());
    let repository = registry.repository("first/default");
    let image = repository.push_image("latest", 1).manifest;
    let blob = repository.push_blob(b"to be deleted");
    repository.delete_blob(&blob).expect(202);
    repository.delete_manifest("latest").expect(202);
    repository.put_manifest("latest", &image).expect(201);
    assert!(
        registry
            .folder()
            .join("data/roadstead/v1/cluster")
            .is_file()
    );
    assert!(
        registry
            .folder()
            .join("data/roadstead/metadata/identity")
            .is_file()
    );
    registry.restart();
    repository.get_manifest("latest").expect(200);
}

#[test]
fn without_a_file_http2_needs_no_tls() {
    let registry = Registry::start(Setup::without_file());
    let answer = registry.client().by_http2().get("/v2/").expect(200);
    assert_eq!(answer.version, Version::HTTP_2);
    let setup = Setup::without_file().variable("REGISTRY_HTTP_HTTP2_DISABLED", "true");
    let registry = Registry::start(setup);
    let request = registry.client().by_http2().request("GET", "/v2/");
    assert!(request.try_send().is_err(), "HTTP/2 was answered");
    registry.client().get("/v2/").expect(200);
}

/// The environment of Distribution's own compose example.
#[test]
fn environment_of_the_compose_example_works_as_it_is() {
    let setup = Setup::without_file()
        .variable("REGISTRY_STORAGE_DELETE_ENABLED", "true")
        .variable(
            "REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin",
            "[\"*\"]",
        );
    let registry = Registry::start(setup);
    let repository = registry.repository("first/compose");
    repository.push_image("latest", 2);
    let answer = repository.get_manifest("latest").expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    repository.delete_manifest("latest").expect(202);
}

#[test]
fn with_a_file_deletes_are_off_unless_the_environment_says_more() {
    let registry = Registry::start(Setup::plain());
    let repository = registry.repository("first/file");
    let blob = repository.push_blob(b"stays");
    repository.delete_blob(&blob).refused(405, "UNSUPPORTED");
    let setup = Setup::plain().variable("REGISTRY_STORAGE_DELETE_ENABLED", "true");
    let registry = Registry::start(setup);
    let repository = registry.repository("first/file");
    let blob = repository.push_blob(b"goes");
    repository.delete_blob(&blob).expect(202);
}

#[test]
fn file_may_be_named_by_the_environment() {
    let mut registry = Registry::prepare(Setup::plain());
    let text = std::fs::read_to_string(registry.config()).expect("it is there");
    std::fs::remove_file(registry.config()).expect("it can be removed");
    let path = registry.folder().join("elsewhere.yml");
    std::fs::write(&path, text).expect("it can be written");
    let output = process::command()
        .args(["config", "check"])
        .env("REGISTRY_CONFIGURATION_PATH", &path)
        .output()
        .expect("it can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("elsewhere.yml"),
        "{output:?}"
    );
    registry.variable("REGISTRY_CONFIGURATION_PATH", "{folder}/elsewhere.yml");
    registry.run();
    assert!(registry.data().exists());
    registry.repository("first/named").push_blob(b"served");
}

/// Kubernetes puts such names into the environment of every pod beside a service `registry`.
#[test]
fn variables_that_mean_nothing_are_warnings() {
    let setup = Setup::without_file()
        .variable("REGISTRY_PORT", "tcp://10.0.0.1:5000")
        .variable("REGISTRY_SERVICE_HOST", "10.0.0.1")
        .variable("REGISTRY_STORAGE_DELETE_ENABLE", "true");
    let registry = Registry::start(setup);
    for word in [
        "REGISTRY_PORT",
        "REGISTRY_SERVICE_HOST",
        "did you mean REGISTRY_STORAGE_DELETE_ENABLED?",
    ] {
        registry.says(&["WARN", word]);
    }
}

#[test]
fn settings_that_are_not_needed_are_warnings() {
    let setup = Setup::plain()
        .with("http", "secret: sesame")
        .with("storage", "cache:\n  blobdescriptor: inmemory")
        .with("redis", "addrs: [localhost:6379]");
    let registry = Registry::start(setup);
    for word in ["http.secret", "storage.cache", "redis"] {
        registry.says(&["WARN", word]);
    }
    let said = registry.stderr();
    assert!(!said.contains("sesame"), "the log holds the secret: {said}");
}

/// Blobs in memory and no folder given: nothing may stay behind in the working folder.
#[test]
fn registry_in_memory_needs_no_folder() {
    let setup = Setup::without_file().variable("REGISTRY_STORAGE_INMEMORY", "{}");
    let mut registry = Registry::start(setup);
    let repository = registry.repository("first/memory");
    repository.push_image("latest", 3);
    repository.get_manifest("latest").expect(200);
    assert!(!registry.data().exists());
    registry.restart();
    repository.get_manifest("latest").expect(404);
    repository.push_image("latest", 3);
}
