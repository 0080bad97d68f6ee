//! Start with a configuration that is wrong: an error that says what, where and what to do.

use roadstead_tests::{Registry, Setup};

/// The configuration is refused by `serve`, with these words, and nothing is made on disk.
#[track_caller]
fn check_refused(setup: Setup, words: &[&str]) {
    let mut registry = Registry::prepare(setup);
    let ended = registry.run_to_end();
    ended.failed_saying(words);
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert!(!registry.data().exists(), "the data folder was made");
}

#[test]
fn configuration_with_an_unknown_key() {
    let setup = Setup::plain().with("http", "adr: 127.0.0.1:1");
    check_refused(
        setup,
        &["config.yml:4", "http.adr", "did you mean http.addr?"],
    );
    let setup = Setup::plain().with("storge", "filesystem:");
    check_refused(setup, &["config.yml:", "storge", "did you mean storage?"]);
}

#[test]
fn configuration_with_a_wrong_type() {
    let setup = Setup::plain().with("storage", "delete:\n  enabled: \"yes please\"");
    let expected = "expected true or false, for example true";
    check_refused(setup, &["config.yml:", "storage.delete.enabled", expected]);
    let setup = Setup::plain().variable("REGISTRY_HTTP_RELATIVEURLS", "[1, 2]");
    check_refused(
        setup,
        &["REGISTRY_HTTP_RELATIVEURLS", "http.relativeurls", expected],
    );
}

#[test]
fn configuration_with_two_storage_drivers() {
    let setup = Setup::plain().with("storage", "inmemory:");
    let words = [
        "storage.inmemory",
        "storage.filesystem",
        "expected exactly one",
    ];
    check_refused(setup, &words);
    let setup = Setup::plain().variable("REGISTRY_STORAGE_INMEMORY", "{}");
    check_refused(
        setup,
        &["REGISTRY_STORAGE_INMEMORY", "expected exactly one"],
    );
}

#[test]
fn configuration_with_everything_wrong_is_told_at_once() {
    let setup = Setup::plain()
        .with("http", "adr: x\ndraintimeout: soon")
        .with("tags", "maxtags: -1");
    let words = ["http.adr", "http.draintimeout", "tags.maxtags"];
    check_refused(setup, &words);
}

#[test]
fn configuration_that_cannot_be_read() {
    let registry = Registry::prepare(Setup::without_file());
    let path = registry.folder().join("absent.yml");
    let serve = |path: &std::path::Path| {
        let output = roadstead_tests::process::command()
            .args(["serve".as_ref(), path.as_os_str()])
            .current_dir(registry.folder())
            .output()
            .expect("it can be started");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(stderr.contains(&path.display().to_string()), "{stderr}");
        stderr
    };
    let stderr = serve(&path);
    assert!(stderr.contains("cannot be read"), "{stderr}");
    for (text, words) in [
        (&b"version: 0.1\n\tstorage: x\n"[..], "config.yml:1"),
        (b"version: 0.1\nstorage: {filesystem: [\n", "config.yml:"),
        (b"version: 0.1\n\xff\xfe\n", "config.yml:2"),
        (b"", "version is missing"),
    ] {
        std::fs::write(registry.config(), text).expect("it can be written");
        let stderr = serve(&registry.config());
        assert!(stderr.contains(words), "{stderr}");
    }
    assert!(!registry.data().exists());
}

/// What would change behaviour or protection and is not built yet must not be passed over.
#[test]
fn configuration_with_a_protection_that_is_not_there() {
    let auth = "htpasswd:\n  realm: r\n  path: /etc/htpasswd";
    let setup = Setup::plain().with("auth", auth);
    check_refused(
        setup,
        &["config.yml:", "auth", "anybody could pull and push"],
    );
}
