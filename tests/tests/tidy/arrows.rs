//! Invariant 9: who may depend on whom, by what `cargo metadata` says.

use std::process::Command;

use serde_json::{Value, json};

use super::source::{none, root};

/// Each package with those of the project that it may know.
const ARROWS: [(&str, &[&str]); 6] = [
    ("roadstead-crash", &[]),
    ("roadstead-proto", &[]),
    ("roadstead-storage", &["roadstead-proto", "roadstead-crash"]),
    ("roadstead-cluster", &["roadstead-proto", "roadstead-crash"]),
    (
        "roadstead",
        &[
            "roadstead-crash",
            "roadstead-proto",
            "roadstead-storage",
            "roadstead-cluster",
        ],
    ),
    (
        "roadstead-tests",
        &[
            "roadstead",
            "roadstead-crash",
            "roadstead-proto",
            "roadstead-storage",
            "roadstead-cluster",
        ],
    ),
];

/// Libraries that only these packages may know.
const OWNERS: [(&str, &[&str]); 10] = [
    ("openraft", &["roadstead-cluster"]),
    ("rocksdb", &["roadstead-cluster"]),
    ("actix", &["roadstead"]),
    ("actix-rt", &["roadstead"]),
    ("actix-web", &["roadstead"]),
    ("clap", &["roadstead"]),
    ("prometheus-client", &["roadstead"]),
    ("saphyr-parser", &["roadstead"]),
    ("reqwest", &["roadstead", "roadstead-tests"]),
    (
        "tokio",
        &[
            "roadstead",
            "roadstead-storage",
            "roadstead-cluster",
            "roadstead-tests",
        ],
    ),
];

/// What is wrong with the dependencies.
fn arrows(metadata: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    let none = Vec::new();
    let packages = metadata["packages"].as_array().unwrap_or(&none);
    if packages.len() != ARROWS.len() {
        complaints.push(format!(
            "{} packages, and {} are known",
            packages.len(),
            ARROWS.len()
        ));
    }
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            complaints.push(format!("{name} is a new package: decide what it may know"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap_or(&none) {
            let dependency = dependency["name"].as_str().unwrap_or_default();
            let is_own = dependency.starts_with("roadstead");
            if is_own && !allowed.contains(&dependency) {
                complaints.push(format!("{name} must not know {dependency}"));
            }
            let owners = OWNERS.iter().find(|(library, _)| *library == dependency);
            if owners.is_some_and(|(_, owners)| !owners.contains(&name)) {
                complaints.push(format!("{name} must not know {dependency}"));
            }
        }
    }
    complaints
}

#[test]
fn packages_know_only_what_they_may() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo is there");
    assert!(output.status.success(), "{output:?}");
    none(arrows(
        &serde_json::from_slice(&output.stdout).expect("metadata is JSON"),
    ));
}

#[test]
fn wrong_arrow_is_seen() {
    let package = |name: &str, dependencies: &[&str]| {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|name| json!({ "name": name }))
            .collect();
        json!({ "name": name, "dependencies": dependencies })
    };
    let with = |storage: &[&str], proto: &[&str]| {
        json!({ "packages": [
            package("roadstead-crash", &[]),
            package("roadstead-proto", proto),
            package("roadstead-storage", storage),
            package("roadstead-cluster", &["roadstead-proto", "openraft", "rocksdb"]),
            package("roadstead", &["roadstead-storage", "roadstead-cluster", "actix-web"]),
            package("roadstead-tests", &["roadstead", "reqwest"]),
        ]})
    };
    assert!(arrows(&with(&["roadstead-proto", "tokio"], &["serde"])).is_empty());
    for (storage, proto, expected) in [
        (
            &["roadstead-cluster"][..],
            &[][..],
            "roadstead-storage must not know roadstead-cluster",
        ),
        (
            &["openraft"],
            &[],
            "roadstead-storage must not know openraft",
        ),
        (
            &[],
            &["roadstead-storage"],
            "roadstead-proto must not know roadstead-storage",
        ),
        (&[], &["tokio"], "roadstead-proto must not know tokio"),
    ] {
        assert_eq!(arrows(&with(storage, proto)), [expected]);
    }
    let more = json!({ "packages": [package("roadstead-extra", &[])] });
    assert_eq!(arrows(&more).len(), 2);
}
