//! What files mean.

use std::time::Duration;

use expect_test::expect_file;

use super::super::{DataFolder, Driver, Level, Platform, Platforms};
use super::{SMALLEST, config, show_file, with_file};

/// Everything that is built, in the manner of Distribution's documentation.
const EVERYTHING: &str = include_str!("samples/everything.yml");

#[test]
fn everything_that_is_built_is_read() {
    let (_folder, outcome) = with_file(EVERYTHING, &[]);
    let loaded = outcome.unwrap();
    assert_eq!(loaded.warnings, [""; 0]);
    expect_file!["snapshots/everything_that_is_built_is_read.txt"].assert_debug_eq(&loaded.config);
}

#[test]
fn file_shaped_like_that_of_the_image_of_distribution_loads() {
    let text = include_str!("samples/development.yml");
    expect_file!["snapshots/file_shaped_like_that_of_the_image_of_distribution_loads.txt"]
        .assert_eq(&show_file(text));
}

#[test]
fn smallest_file_has_the_defaults_of_distribution() {
    expect_file!["snapshots/smallest_file_has_the_defaults_of_distribution.txt"]
        .assert_debug_eq(&config(SMALLEST));
}

#[test]
fn driver_may_be_named_in_short_form_or_left_empty() {
    let filesystem = Driver::Filesystem {
        root: "/var/lib/registry".into(),
    };
    for (storage, expected) in [
        ("storage: filesystem", &filesystem),
        ("storage: {filesystem: }", &filesystem),
        ("storage: {filesystem: {}}", &filesystem),
        ("storage: inmemory", &Driver::InMemory),
        ("storage: {inmemory: }", &Driver::InMemory),
        (
            "storage: {inmemory: {}, delete: {enabled: true}}",
            &Driver::InMemory,
        ),
    ] {
        let text = format!("version: 0.1\n{storage}\ncluster: {{datadir: /m}}\n");
        assert_eq!(&config(&text).storage.driver, expected, "{storage}");
    }
}

#[test]
fn metadata_lies_below_the_root_unless_said_otherwise() {
    for (text, expected) in [
        ("", "/var/lib/registry/roadstead/metadata"),
        ("    rootdirectory: /x\n", "/x/roadstead/metadata"),
        ("    rootdirectory: x\ncluster:\n  datadir: /m\n", "/m"),
    ] {
        let data = config(&format!("{SMALLEST}{text}")).cluster.data;
        assert_eq!(data, DataFolder::At(expected.into()), "{text:?}");
    }
}

#[test]
fn prefix_begins_and_ends_with_a_slash() {
    for (prefix, expected) in [
        ("/", "/"),
        ("''", "/"),
        ("a", "/a/"),
        ("/a", "/a/"),
        ("a/", "/a/"),
        ("/a/b.c/", "/a/b.c/"),
    ] {
        let text = format!("{SMALLEST}http: {{prefix: {prefix}}}\n");
        if prefix == "''" {
            assert!(
                show_file(&text).contains("http.prefix is"),
                "an empty string is a mistake"
            );
        } else {
            assert_eq!(config(&text).http.prefix, expected, "{prefix}");
        }
    }
}

#[test]
fn durations_are_read_as_in_go() {
    for (value, expected) in [
        ("0", Duration::ZERO),
        ("0s", Duration::ZERO),
        ("60s", Duration::from_secs(60)),
        ("'1m30s'", Duration::from_secs(90)),
        ("1000000000", Duration::from_secs(1)),
        ("", Duration::from_secs(60)),
    ] {
        let text = format!("{SMALLEST}http: {{draintimeout: {value}}}\n");
        assert_eq!(config(&text).http.drain_timeout, expected, "{value}");
    }
}

#[test]
fn validation_enabled_is_the_deprecated_opposite_of_disabled() {
    for (keys, is_disabled, warnings) in [
        ("", false, 0),
        ("disabled: true", true, 0),
        ("disabled: false", false, 0),
        ("enabled: true", false, 1),
        ("enabled: false", false, 1),
        ("enabled: true, disabled: true", false, 1),
        ("enabled: false, disabled: true", true, 1),
    ] {
        let text = format!("{SMALLEST}validation: {{{keys}}}\n");
        let (_folder, outcome) = with_file(&text, &[]);
        let loaded = outcome.unwrap();
        assert_eq!(loaded.config.validation.is_disabled, is_disabled, "{keys}");
        assert_eq!(loaded.warnings.len(), warnings, "{keys}");
    }
}

#[test]
fn platforms_are_all_none_or_a_list() {
    let linux = Platform {
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
    };
    for (keys, expected) in [
        ("", Platforms::All),
        ("platforms: all", Platforms::All),
        ("platforms: none", Platforms::None),
        ("platforms: list", Platforms::List(Vec::new())),
        (
            "platforms: list, platformlist: [{os: linux, architecture: amd64}]",
            Platforms::List(vec![linux]),
        ),
    ] {
        let text = format!("{SMALLEST}validation: {{manifests: {{indexes: {{{keys}}}}}}}\n");
        assert_eq!(config(&text).validation.platforms, expected, "{keys}");
    }
}

#[test]
fn loglevel_is_honoured_where_log_level_is_silent() {
    for (keys, expected) in [
        ("loglevel: debug", Level::Debug),
        ("loglevel: debug\nlog: {formatter: json}", Level::Debug),
        ("loglevel: debug\nlog: {level: error}", Level::Error),
        ("log: {level: Warn}", Level::Warn),
    ] {
        assert_eq!(
            config(&format!("{SMALLEST}{keys}\n")).log.level,
            expected,
            "{keys}"
        );
    }
}

#[test]
fn anchors_and_merge_keys_are_resolved() {
    let text = "\
version: 0.1
storage: filesystem
health:
  tcp:
    - &check {addr: 'a:1', timeout: 1s, threshold: 2}
    - <<: *check
      addr: b:2
    - <<: [{addr: 'c:3'}, *check]
";
    let tcp = config(text).health.tcp;
    let found: Vec<String> = tcp
        .iter()
        .map(|check| {
            format!(
                "{} {:?} {}",
                check.addr, check.timeout, check.pace.threshold
            )
        })
        .collect();
    assert_eq!(found, ["a:1 1s 2", "b:2 1s 2", "c:3 1s 2"]);
}

#[test]
fn needless_settings_are_one_warning_each() {
    let text = include_str!("samples/needless.yml");
    expect_file!["snapshots/needless_settings_are_one_warning_each.txt"]
        .assert_eq(&show_file(text));
}
