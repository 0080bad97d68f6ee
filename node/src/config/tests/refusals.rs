//! What is refused, and in which words.

use expect_test::expect_file;

use super::{SMALLEST, show, show_file, show_with, without_file};

#[test]
fn unknown_keys_name_the_line_and_the_nearest_key() {
    let text = include_str!("samples/unknown.yml");
    expect_file!["snapshots/unknown_keys_name_the_line_and_the_nearest_key.txt"]
        .assert_eq(&show_file(text));
}

#[test]
fn values_of_the_wrong_type_or_range_are_refused() {
    let text = include_str!("samples/wrong.yml");
    expect_file!["snapshots/values_of_the_wrong_type_or_range_are_refused.txt"]
        .assert_eq(&show_file(text));
}

#[test]
fn numbers_and_times_are_bounded() {
    for (setting, beyond, last) in [
        ("catalog: {maxentries: ", "1000001", "1000000"),
        ("tags: {maxtags: ", "1000001", "1000000"),
        (
            "health: {storagedriver: {enabled: true, threshold: ",
            "1000001",
            "1000000",
        ),
        ("http: {draintimeout: ", "2562048h", "2562047h"),
    ] {
        let braces = "}".repeat(setting.matches('{').count());
        let of = |value| show_file(&format!("{SMALLEST}{setting}{value}{braces}\n"));
        assert!(of(beyond).contains("; expected"), "{}", of(beyond));
        assert!(!of(last).contains("expected"), "{}", of(last));
    }
    let purging = |age| {
        let text = format!("{{uploadpurging: {{age: {age}, interval: {age}}}}}");
        show_file(&format!("{SMALLEST}  maintenance: {text}\n"))
    };
    let refused = purging("999ms");
    assert_eq!(refused.matches("; expected").count(), 2, "{refused}");
    assert!(!purging("1s").contains("expected"), "{}", purging("1s"));
}

#[test]
fn two_drivers_are_refused_and_both_named() {
    let both = "version: 0.1\nstorage:\n  inmemory:\n  filesystem:\n    rootdirectory: /x\n";
    let outcomes = [
        show_file(both),
        show_with(SMALLEST, &[("REGISTRY_STORAGE_INMEMORY", "{}")]),
        show(&without_file(&[
            ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/x"),
            ("REGISTRY_STORAGE_INMEMORY", "{}"),
        ])),
        show_with(SMALLEST, &[("REGISTRY_STORAGE_S3_BUCKET", "b")]),
    ];
    expect_file!["snapshots/two_drivers_are_refused_and_both_named.txt"]
        .assert_eq(&outcomes.join("\n"));
}

#[test]
fn what_is_not_built_is_refused_with_the_danger_of_ignoring_it() {
    let text = include_str!("samples/unbuilt.yml");
    expect_file!["snapshots/what_is_not_built_is_refused_with_the_danger_of_ignoring_it.txt"]
        .assert_eq(&show_file(text));
}

#[test]
fn each_driver_that_is_not_built_is_refused() {
    for name in ["gcs", "azure", "swift", "oss"] {
        for storage in [
            format!("storage: {name}"),
            format!("storage: {{{name}: {{bucket: b}}}}"),
        ] {
            let found = show_file(&format!("version: 0.1\n{storage}\n"));
            let expected = format!("storage.{name} is not built yet");
            assert!(found.contains(&expected), "{storage}: {found}");
            assert_eq!(found.lines().count(), 1, "{storage}: {found}");
        }
    }
}

#[test]
fn auth_is_refused_in_every_form_but_none() {
    for (text, is_refused) in [
        ("auth: htpasswd", true),
        ("auth: {silly: }", true),
        ("auth: {token: {realm: r}}", true),
        ("auth: [token]", true),
        ("auth: none", false),
        ("auth: {none: }", false),
        ("auth: {}", false),
        ("auth:", false),
    ] {
        let found = show_file(&format!("{SMALLEST}{text}\n"));
        assert_eq!(
            found.contains("auth is not built yet"),
            is_refused,
            "{text}: {found}"
        );
    }
    for (name, value) in [
        ("REGISTRY_AUTH", "htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_REALM", "r"),
        ("REGISTRY_AUTH_TOKEN", "{}"),
    ] {
        let found = show(&without_file(&[(name, value)]));
        assert!(found.contains("auth is not built yet"), "{name}: {found}");
    }
}

#[test]
fn collection_is_refused_what_it_cannot_go_by() {
    for (keys, words) in [
        ("gc: {grace: 0s}", "gc.grace"),
        ("gc: {grace: 999ms}", "gc.grace"),
        ("gc: {grace: -1h}", "gc.grace"),
        ("gc: {grace: [1h]}", "gc.grace"),
        ("gc: {rate: 0}", "gc.rate"),
        ("gc: {rate: 100001}", "gc.rate"),
        ("gc: {rate: fast}", "gc.rate"),
        ("gc: {readingdelay: soon}", "gc.readingdelay"),
        ("gc: {backupretention: 7 days}", "gc.backupretention"),
        ("gc: {sweep: 0s}", "gc.sweep"),
        ("gc: {untagged: keep}", "gc.untagged"),
        ("gc: {untagged: {policy: delete}}", "gc.untagged.policy"),
        ("gc: {untagged: {age: 0s}}", "gc.untagged.age"),
        (
            "gc: {untagged: {repositories: ci/}}",
            "gc.untagged.repositories",
        ),
        ("gc: {grase: 1h}", "gc.grace"),
    ] {
        let shown = show_file(&format!("{SMALLEST}{keys}\n"));
        assert!(
            shown.contains(words) && !shown.starts_with("ok"),
            "{keys}: {shown}"
        );
    }
}

#[test]
fn administration_is_not_let_out_of_the_machine() {
    for address in [
        ":5055",
        "0.0.0.0:5055",
        "'[::]:5055'",
        "10.0.0.1:5055",
        "registry.example.com:5055",
        "localhost.example.com:5055",
        "127.0.0.1",
        "127.0.0.1:99999",
    ] {
        let keys = format!("{SMALLEST}cluster: {{admin: {{addr: {address}}}}}\n");
        let shown = show_file(&keys);
        for words in ["cluster.admin.addr", "whoever can connect may administer"] {
            assert!(shown.contains(words), "{address}: {shown}");
        }
    }
    for address in [
        "127.0.0.1:0",
        "'[::1]:5055'",
        "localhost:1",
        "127.9.9.9:5055",
    ] {
        let keys = format!("{SMALLEST}cluster: {{admin: {{addr: {address}}}}}\n");
        assert_eq!(show_file(&keys), "ok", "{address}");
    }
    let outcome = without_file(&[("REGISTRY_CLUSTER_ADMIN_ADDR", ":5055")]);
    assert!(show(&outcome).contains("REGISTRY_CLUSTER_ADMIN_ADDR"));
}

#[test]
fn version_must_be_the_one_there_is() {
    for (version, is_accepted) in [
        ("version: 0.1\n", true),
        ("version: '0.1'\n", true),
        ("", false),
        ("version:\n", false),
        ("version: 0.2\n", false),
        ("version: 0.10\n", false),
        ("version: 1\n", false),
        ("version: [0.1]\n", false),
    ] {
        let found = show_file(&format!("{version}storage: filesystem\n"));
        assert_eq!(found == "ok", is_accepted, "{version:?}: {found}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let texts = [
        "",
        "version: 0.1\nstorage: inmemory\n",
        "version: 0.1\nstorage: {delete: }\n",
    ];
    expect_file!["snapshots/what_is_missing_is_named.txt"]
        .assert_eq(&texts.map(show_file).join("\n"));
}

#[test]
fn file_and_environment_are_complained_about_together() {
    let text = format!("{SMALLEST}http:\n  adr: x\n");
    let environment = [("REGISTRY_HTTP_ADDR", "x"), ("REGISTRY_HTTP_ADR", "x")];
    expect_file!["snapshots/file_and_environment_are_complained_about_together.txt"]
        .assert_eq(&show_with(&text, &environment));
}
