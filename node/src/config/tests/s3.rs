//! `storage.s3`: what its keys mean, and what is refused.

use roadstead_storage::s3::Options;

use super::super::{Config, Driver};
use super::{show, show_file, with_file, without_file};

/// A file with these keys in `storage.s3`, beside a bucket.
fn file(keys: &str) -> String {
    format!("version: 0.1\nstorage: {{s3: {{bucket: b, {keys}}}}}\ncluster: {{datadir: /m}}\n")
}

fn options(config: Config) -> Options {
    match config.storage.driver {
        Driver::S3(options) => *options,
        other => panic!("another driver: {other:?}"),
    }
}

#[track_caller]
fn read(keys: &str) -> Options {
    let (_folder, outcome) = with_file(file(keys), &[]);
    match outcome {
        Ok(loaded) => options(loaded.config),
        Err(error) => panic!("{keys}: {error}"),
    }
}

#[test]
fn defaults_are_those_of_distribution() {
    let expected = Options {
        bucket: "b".to_owned(),
        region: None,
        endpoint: None,
        public_endpoint: None,
        force_path_style: false,
        credentials: None,
        root: String::new(),
        is_secure: true,
        skip_verify: false,
        encrypt: false,
        key_id: None,
        storage_class: None,
        object_acl: None,
        use_dual_stack: false,
        accelerate: false,
        user_agent: None,
        log_requests: false,
        chunk_bytes: 10 << 20,
        buffer_bytes: 256 << 20,
    };
    assert_eq!(read(""), expected);
    // What templates write for keys that are not set.
    let empty = "accesskey: '', secretkey: '', sessiontoken: '', region: '', regionendpoint: '', \
                 rootdirectory: '', keyid: '', storageclass: '', objectacl: '', useragent: '', \
                 chunksize: '', secure: '', loglevel: ''";
    assert_eq!(read(empty), expected);
}

#[test]
fn both_names_of_the_driver_are_one() {
    for name in ["s3", "s3aws"] {
        let text = format!(
            "version: 0.1\nstorage:\n  {name}:\n    bucket: registry\n    region: eu-central-1\n\
             cluster:\n  datadir: /m\n"
        );
        let (_folder, outcome) = with_file(text, &[]);
        let loaded = outcome.expect("it is right");
        assert_eq!(loaded.warnings, [""; 0]);
        let options = options(loaded.config);
        assert_eq!(options.bucket, "registry");
        assert_eq!(options.region.as_deref(), Some("eu-central-1"));
    }
    let environment = [
        ("REGISTRY_STORAGE", "s3"),
        ("REGISTRY_STORAGE_S3_BUCKET", "registry"),
        ("REGISTRY_STORAGE_S3_ACCESSKEY", "0123"),
        ("REGISTRY_STORAGE_S3_SECRETKEY", "no"),
        ("REGISTRY_STORAGE_S3_FORCEPATHSTYLE", "true"),
        ("REGISTRY_CLUSTER_DATADIR", "/m"),
    ];
    let options = options(without_file(&environment).expect("it is right").config);
    assert!(options.force_path_style);
    let credentials = options.credentials.expect("they are written");
    assert_eq!(credentials.access_key, "0123");
    assert_eq!(credentials.secret_key, "no");
}

#[test]
fn endpoints_are_spoken_to_as_they_say_or_as_secure_says() {
    for (keys, expected) in [
        ("regionendpoint: http://minio:9000", "http://minio:9000/"),
        ("regionendpoint: https://minio", "https://minio/"),
        ("regionendpoint: minio:9000", "https://minio:9000/"),
        ("regionendpoint: minio, secure: false", "http://minio/"),
        ("regionendpoint: minio, secure: 'False'", "http://minio/"),
        ("regionendpoint: '[::1]:9000'", "https://[::1]:9000/"),
        (
            "regionendpoint: https://minio, secure: false",
            "https://minio/",
        ),
        ("regionendpoint: http://h/s3/", "http://h/s3/"),
    ] {
        let options = read(keys);
        let endpoint = options.endpoint.expect(keys);
        assert_eq!(endpoint.as_str(), expected, "{keys}");
        assert_eq!(options.region.as_deref(), Some("us-east-1"), "{keys}");
    }
    let options = read("regionendpoint: http://a, redirectendpoint: s3.example.com, region: r");
    let public = options.public_endpoint.expect("it is written");
    assert_eq!(public.as_str(), "https://s3.example.com/");
    assert_eq!(options.region.as_deref(), Some("r"));
}

#[test]
fn sizes_have_units_or_are_bytes() {
    for (keys, chunk, buffer) in [
        ("chunksize: 5242880", 5 << 20, 256 << 20),
        ("chunksize: '5242880'", 5 << 20, 256 << 20),
        ("chunksize: 16MiB", 16 << 20, 256 << 20),
        // Two parts have to fit, whatever the default is.
        ("chunksize: 5GiB", 5 << 30, 10 << 30),
        ("chunksize: 5MiB, buffermemory: 10MiB", 5 << 20, 10 << 20),
        ("buffermemory: 2GiB", 10 << 20, 2 << 30),
    ] {
        let options = read(keys);
        assert_eq!((options.chunk_bytes, options.buffer_bytes), (chunk, buffer));
    }
}

#[test]
fn words_mean_what_they_mean_to_distribution() {
    for (written, expected) in [
        ("/", ""),
        ("/a/b/", "a/b"),
        ("a", "a"),
        ("//a//", "a"),
        ("7", "7"),
    ] {
        assert_eq!(read(&format!("rootdirectory: {written}")).root, expected);
    }
    for (written, expected) in [
        ("NONE", None),
        ("none", None),
        ("standard_ia", Some("STANDARD_IA")),
        ("STANDARD", Some("STANDARD")),
        ("FAST-SSD", Some("FAST-SSD")),
    ] {
        let class = read(&format!("storageclass: {written}")).storage_class;
        assert_eq!(class.as_deref(), expected, "{written}");
    }
    for (written, expected) in [
        ("private", None),
        (
            "bucket-owner-full-control",
            Some("bucket-owner-full-control"),
        ),
    ] {
        let acl = read(&format!("objectacl: {written}")).object_acl;
        assert_eq!(acl.as_deref(), expected, "{written}");
    }
    for (written, expected) in [
        ("off", false),
        ("'off'", false),
        ("false", false),
        ("debug", true),
        ("DebugWithRequestRetries", true),
    ] {
        let is_logged = read(&format!("loglevel: {written}")).log_requests;
        assert_eq!(is_logged, expected, "{written}");
    }
    let options = read(
        "encrypt: 'true', keyid: arn:aws:kms:x:1:key/2, skipverify: true, accelerate: true, \
         usedualstack: true, useragent: roadstead of ours/2",
    );
    assert!(options.encrypt && options.skip_verify);
    assert!(options.accelerate && options.use_dual_stack);
    assert_eq!(options.key_id.as_deref(), Some("arn:aws:kms:x:1:key/2"));
    assert_eq!(options.user_agent.as_deref(), Some("roadstead of ours/2"));
}

#[test]
fn what_does_not_fit_is_refused_and_named() {
    for (keys, words) in [
        ("chunksize: 5242879", "storage.s3.chunksize"),
        ("chunksize: 6GiB", "5MiB to 5GiB"),
        ("chunksize: ten", "10MiB"),
        ("buffermemory: 19MiB", "at least twice the chunksize"),
        (
            "chunksize: 200MiB, buffermemory: 256MiB",
            "storage.s3.buffermemory",
        ),
        ("regionendpoint: ftp://a", "an http or https address"),
        ("regionendpoint: 'http://'", "storage.s3.regionendpoint"),
        (
            "redirectendpoint: 'http://a/?b'",
            "storage.s3.redirectendpoint",
        ),
        ("region: a b", "storage.s3.region"),
        ("rootdirectory: a/../b", "no segment of it empty"),
        ("rootdirectory: a//b", "no segment of it empty"),
        ("storageclass: GLACIER", "can be read at once"),
        ("storageclass: deep_archive", "can be read at once"),
        ("objectacl: everybody", "canned ACLs"),
        ("loglevel: info", "off or debug"),
        ("secure: maybe", "true or false"),
        ("forcepathstyle: 1", "true or false"),
        ("v4auth: false", "version 4"),
        ("usefipsendpoint: true", "is not built yet"),
        (
            "accesskey: a",
            "accesskey is written without storage.s3.secretkey",
        ),
        (
            "secretkey: a",
            "secretkey is written without storage.s3.accesskey",
        ),
        (
            "sessiontoken: a",
            "sessiontoken is written without storage.s3.accesskey",
        ),
        (
            "accesskey: a, sessiontoken: b",
            "accesskey is written without storage.s3.secretkey",
        ),
        ("accelerate: true, regionendpoint: a", "does not go with"),
        ("usedualstack: true, regionendpoint: a", "does not go with"),
        ("accelerate: true, forcepathstyle: true", "does not go with"),
        ("acceskey: a", "did you mean storage.s3.accesskey?"),
        ("useragent: [a]", "storage.s3.useragent"),
    ] {
        let shown = show_file(&file(keys));
        assert!(shown.contains(words), "{keys}: {shown}");
        assert!(!shown.starts_with("ok"), "{keys}: {shown}");
        assert_eq!(shown.lines().count(), 1, "{keys}: {shown}");
    }
    let root = format!("rootdirectory: {}", "r".repeat(513));
    assert!(show_file(&file(&root)).contains("at most 512 bytes"));
    let without = "version: 0.1\nstorage: s3\n";
    let shown = show_file(without);
    for words in ["storage.s3.bucket is missing", "cluster.datadir is missing"] {
        assert!(shown.contains(words), "{shown}");
    }
    for bucket in ["a/b", "'a b'", "''", "[a]", "s3://b"] {
        let text = file("").replace("bucket: b", &format!("bucket: {bucket}"));
        let shown = show_file(&text);
        assert!(shown.contains("storage.s3.bucket is"), "{bucket}: {shown}");
    }
}

#[test]
fn both_sections_at_once_are_two_drivers() {
    let text = "version: 0.1\nstorage: {s3: {bucket: a}, s3aws: {bucket: b}}\n";
    let shown = show_file(text);
    assert!(shown.contains("a second storage driver"), "{shown}");
}

#[test]
fn what_has_no_effect_is_a_warning() {
    for (keys, words) in [
        ("multipartcopychunksize: 1", "nothing is copied"),
        ("multipartcopymaxconcurrency: 1", "nothing is copied"),
        ("multipartcopythresholdsize: 1", "nothing is copied"),
        ("keyid: a", "without storage.s3.encrypt: true"),
        ("secure: true, regionendpoint: http://a", "says http"),
    ] {
        let shown = show_file(&file(keys));
        assert!(shown.starts_with("ok\nwarning: "), "{keys}: {shown}");
        assert!(shown.contains(words), "{keys}: {shown}");
        assert_eq!(shown.lines().count(), 2, "{keys}: {shown}");
    }
    for keys in [
        "v4auth: true",
        "usefipsendpoint: false",
        "keyid: a, encrypt: on",
    ] {
        assert_eq!(show_file(&file(keys)), "ok", "{keys}");
    }
}

#[test]
fn secrets_are_never_shown() {
    const SECRET: &str = "open-sesame";
    for keys in [
        "accesskey: a, secretkey: open-sesame, sessiontoken: open-sesame",
        "secretkey: open-sesame",
        "accesskey: a, secretkey: 'open-sesame '",
        "accesskey: a, secretkey: [open-sesame]",
        "accesskey: a, secretkey: {open-sesame: 1}",
        "accesskey: a, secretkey: b, sessiontoken: \"open-sesame\\n\"",
        "regionendpoint: 'https://user:open-sesame@a'",
        "redirectendpoint: 'user:open-sesame@a'",
    ] {
        let (_folder, outcome) = with_file(file(keys), &[]);
        let shown = format!("{}\n{outcome:?}", show(&outcome));
        assert!(!shown.contains(SECRET), "{keys}: {shown}");
        let is_right = keys.starts_with("accesskey: a, secretkey: open");
        assert_eq!(outcome.is_ok(), is_right, "{keys}: {shown}");
    }
}

#[test]
fn reading_delay_outlasts_redirects() {
    for (keys, gc, is_accepted) in [
        ("", "", true),
        ("", "gc: {readingdelay: 20m}", true),
        ("", "gc: {readingdelay: 19m}", false),
        ("", "gc: {readingdelay: 0s}", false),
        ("", "gc: {readingdelay: 0s, backupretention: 20m}", true),
        ("", "gc: {backupretention: 0s}", true),
        (
            ", redirect: {disable: true}",
            "gc: {readingdelay: 0s}",
            true,
        ),
    ] {
        let text = format!(
            "version: 0.1\nstorage: {{s3: {{bucket: b}}{keys}}}\ncluster: {{datadir: /m}}\n{gc}\n"
        );
        let shown = show_file(&text);
        assert_eq!(shown == "ok", is_accepted, "{keys} {gc}: {shown}");
        let names = ["gc.readingdelay", "20m", "storage.redirect.disable"];
        assert!(
            is_accepted || names.iter().all(|name| shown.contains(name)),
            "{shown}"
        );
    }
    // The filesystem serves nobody itself.
    let text = "version: 0.1\nstorage: filesystem\ngc: {readingdelay: 0s}\n";
    assert_eq!(show_file(text), "ok");
}

#[test]
fn store_is_watched_unless_told_otherwise() {
    for (health, expected) in [
        ("", (true, 3)),
        ("health: {storagedriver: {threshold: 5}}", (true, 5)),
        ("health: {storagedriver: {enabled: false}}", (false, 3)),
    ] {
        let (_folder, outcome) = with_file(format!("{}{health}\n", file("")), &[]);
        let watched = outcome.expect(health).config.health.storage_driver;
        assert_eq!(
            (watched.is_enabled, watched.pace.threshold),
            expected,
            "{health}"
        );
    }
}

/// The configurations that operators copy.
#[test]
fn configurations_of_the_storage_page_are_right() {
    let page = include_str!("../../../../docs/storage.md");
    let texts: Vec<_> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(text, _)| text)
        .collect();
    assert_eq!(texts.len(), 5);
    for text in texts {
        assert_eq!(show_file(text), "ok", "{text}");
    }
}
