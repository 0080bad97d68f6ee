//! What the environment means, with a file and without one.

use expect_test::expect_file;

use super::super::{Address, DataFolder, Driver, Header};
use super::{SMALLEST, show, show_with, with_file, without_file};

#[test]
fn without_file_and_environment_a_laptop_is_served() {
    let loaded = without_file(&[("PATH", "/bin"), ("registry_http_addr", ":1")]).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_eq!(loaded.source.variables, Vec::<String>::new());
    let config = loaded.config;
    assert_eq!(
        config.storage.driver,
        Driver::Filesystem {
            root: "./data".into()
        }
    );
    assert_eq!(
        config.cluster.data,
        DataFolder::At("./data/roadstead/metadata".into())
    );
    assert_eq!(config.http.addr, Address::every(5000));
    assert!(config.storage.is_delete_enabled);
    assert!(config.http.is_h2c_enabled);
    assert!(config.health.storage_driver.is_enabled);
}

#[test]
fn environment_of_the_compose_example_works_as_it_is() {
    let loaded = without_file(&[
        ("REGISTRY_STORAGE_DELETE_ENABLED", "true"),
        (
            "REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin",
            "[\"*\"]",
        ),
    ])
    .unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert!(loaded.config.storage.is_delete_enabled);
    let name = "Access-Control-Allow-Origin".to_owned();
    assert_eq!(
        loaded.config.http.headers,
        [Header {
            name,
            values: vec!["*".to_owned()]
        }]
    );
}

#[test]
fn driver_chosen_by_environment_replaces_the_default_one() {
    let files = |root: &str| Driver::Filesystem { root: root.into() };
    for (environment, expected) in [
        (vec![("REGISTRY_STORAGE", "inmemory")], Driver::InMemory),
        (vec![("REGISTRY_STORAGE_INMEMORY", "{}")], Driver::InMemory),
        (vec![("REGISTRY_STORAGE_INMEMORY", "")], Driver::InMemory),
        (
            vec![("REGISTRY_STORAGE", "{inmemory: {}}")],
            Driver::InMemory,
        ),
        (
            vec![
                ("REGISTRY_STORAGE", "inmemory"),
                ("REGISTRY_STORAGE_DELETE_ENABLED", "false"),
            ],
            Driver::InMemory,
        ),
        (vec![("REGISTRY_STORAGE", "filesystem")], files("./data")),
        (
            vec![("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/x")],
            files("/x"),
        ),
        (
            vec![
                ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/x"),
                ("REGISTRY_STORAGE", "filesystem"),
            ],
            files("/x"),
        ),
    ] {
        let loaded = without_file(&environment).unwrap();
        assert_eq!(loaded.config.storage.driver, expected, "{environment:?}");
    }
}

#[test]
fn environment_wins_over_the_file() {
    let text = "\
version: 0.1
log:
  fields: {Environment: staging}
storage:
  filesystem:
    rootdirectory: /from/file
http:
  addr: :1
  headers:
    X-One: [file]
    X-Two: [file]
health:
  http: [{uri: 'http://a/'}]
validation:
  manifests: {urls: {allow: [a, b]}}
";
    let environment = [
        ("REGISTRY_LOG_FIELDS_ENVIRONMENT", "production"),
        ("REGISTRY_LOG_FIELDS_ZONE", "7"),
        (
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
            "/from/environment",
        ),
        ("REGISTRY_HTTP_ADDR", ":2"),
        ("REGISTRY_HTTP_RelativeURLs", "true"),
        ("REGISTRY_HTTP_HEADERS_x-one", "[environment]"),
        ("REGISTRY_HTTP_HEADERS_X-Two_1", "second"),
        ("REGISTRY_HTTP_HEADERS_X-Three_0", "12"),
        ("REGISTRY_HEALTH_HTTPCHECKERS_0_STATUSCODE", "204"),
        ("REGISTRY_HEALTH_HTTP_1_URI", "http://b/"),
        ("REGISTRY_HEALTH_FILECHECKERS", "[{file: /f}]"),
        ("REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW_0", "A"),
        ("REGISTRY_CATALOG_MAXENTRIES", "5"),
        ("REGISTRY_CLUSTER_DATADIR", "/metadata"),
        (
            "REGISTRY_CONFIGURATION_PATH",
            "/etc/distribution/config.yml",
        ),
    ];
    let (_folder, outcome) = with_file(text, &environment);
    let loaded = outcome.unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let config = loaded.config;
    let headers: Vec<String> = config
        .http
        .headers
        .iter()
        .map(|one| format!("{} {:?}", one.name, one.values))
        .collect();
    expect_file!["snapshots/environment_wins_over_the_file.txt"].assert_debug_eq(&(
        config.log.fields,
        config.storage.driver,
        config.http.addr.to_string(),
        config.http.uses_relative_urls,
        headers,
        config
            .health
            .http
            .iter()
            .map(|one| (one.uri.as_str(), one.status_code))
            .collect::<Vec<_>>(),
        config.health.files.len(),
        config.validation.urls.allow,
        config.catalog.entries_per_page_max,
        config.cluster.data,
    ));
    assert_eq!(loaded.source.variables.len(), environment.len() - 1);
}

#[test]
fn whole_section_replaces_that_of_the_file() {
    let (_folder, outcome) = with_file(
        SMALLEST,
        &[
            ("REGISTRY_STORAGE", "inmemory"),
            ("REGISTRY_CLUSTER", "{datadir: /m}"),
        ],
    );
    assert_eq!(outcome.unwrap().config.storage.driver, Driver::InMemory);
}

#[test]
fn empty_variable_means_the_default() {
    let (_folder, outcome) = with_file(
        format!("{SMALLEST}catalog: {{maxentries: 5}}\n"),
        &[
            ("REGISTRY_CATALOG_MAXENTRIES", ""),
            ("REGISTRY_LOG_LEVEL", "~"),
        ],
    );
    assert_eq!(outcome.unwrap().config.catalog.entries_per_page_max, 1000);
}

#[test]
fn blobs_in_memory_need_no_folder_without_a_file() {
    let loaded = without_file(&[("REGISTRY_STORAGE", "inmemory")]).unwrap();
    assert_eq!(loaded.config.cluster.data, DataFolder::Temporary);
    let variables = [
        ("REGISTRY_STORAGE", "inmemory"),
        ("REGISTRY_CLUSTER_DATADIR", "/m"),
    ];
    let loaded = without_file(&variables).unwrap();
    assert_eq!(loaded.config.cluster.data, DataFolder::At("/m".into()));
}

#[test]
fn disabling_http2_disables_it_without_tls_too() {
    for (name, value, expected) in [
        ("REGISTRY_HTTP_HTTP2_DISABLED", "true", false),
        ("REGISTRY_HTTP_HTTP2_DISABLED", "false", true),
        ("REGISTRY_HTTP_H2C_ENABLED", "false", false),
    ] {
        let loaded = without_file(&[(name, value)]).unwrap();
        assert_eq!(
            loaded.config.http.is_h2c_enabled, expected,
            "{name}={value}"
        );
    }
}

#[test]
fn unknown_variables_are_warnings() {
    expect_file!["snapshots/unknown_variables_are_warnings.txt"].assert_eq(&show(&without_file(
        &[
            ("REGISTRY_PORT", "tcp://10.0.0.1:5000"),
            ("REGISTRY_PORT_5000_TCP", "tcp://10.0.0.1:5000"),
            ("REGISTRY_PORT_5000_TCP_ADDR", "10.0.0.1"),
            ("REGISTRY_SERVICE_HOST", "10.0.0.1"),
            ("REGISTRY_SERVICE_PORT_HTTP", "80"),
            ("REGISTRY_HTTP_ADR", ":5001"),
            ("REGISTRY_HTTP_PORT", "tcp://10.0.0.1:5000"),
            ("REGISTRY_HTTP_PORT_5000_TCP_PROTO", "tcp"),
            ("REGISTRY_HTTP_ADDR_0", "x"),
            ("REGISTRY_STORAGE_PORT", "tcp://10.0.0.1:5000"),
            ("REGISTRY_STORAGE_FILESYTEM_ROOTDIRECTORY", "/x"),
            ("REGISTRY_AUTH_SERVICE_HOST", "10.0.0.1"),
            ("REGISTRY_AUTH_PORT_5001_TCP", "tcp://10.0.0.1:5001"),
            ("REGISTRY_HEALTH_TCP_X_ADDR", "a:1"),
            ("REGISTRY_VERSION", "0.2"),
            ("REGISTRY_", ""),
            ("REGISTRY__", ""),
            ("REGISTRY_REGISTRY_HTTP_ADDR", ":1"),
        ],
    )));
}

#[test]
fn bad_values_are_errors_that_name_the_variable() {
    expect_file!["snapshots/bad_values_are_errors_that_name_the_variable.txt"].assert_eq(&show(
        &without_file(&[
            ("REGISTRY_HTTP_ADDR", "5000"),
            ("REGISTRY_HTTP_RELATIVEURLS", "1"),
            ("REGISTRY_HTTP_DRAINTIMEOUT", "-1s"),
            ("REGISTRY_HTTP_HEADERS_X-One", "*"),
            ("REGISTRY_HTTP_HEADERS_X-Two", "two"),
            ("REGISTRY_HTTP_HEADERS_X Three", "[three]"),
            ("REGISTRY_HTTP_HEADERS_X-Four_2", "four"),
            ("REGISTRY_HTTP_DEBUG", "{adr: ':5001'}"),
            ("REGISTRY_CATALOG_MAXENTRIES", "0"),
            ("REGISTRY_TAGS", "{maxtags: ["),
            ("REGISTRY_HEALTH_TCP_0_TIMEOUT", "1s"),
            ("REGISTRY_LOG_LEVEL", "a\u{0}b"),
            ("REGISTRY_LOG_FORMATTER", "xml"),
        ]),
    ));
}

#[test]
fn variable_below_a_value_of_the_wrong_type_changes_nothing() {
    let text = "version: 0.1\nstorage: filesystem\nhttp: 5\nhealth: {tcp: x}\n";
    let environment = [
        ("REGISTRY_HTTP_ADDR", ":1"),
        ("REGISTRY_HEALTH_TCP_0_ADDR", "a:1"),
    ];
    let found = show_with(text, &environment);
    expect_file!["snapshots/variable_below_a_value_of_the_wrong_type_changes_nothing.txt"]
        .assert_eq(&found);
}
