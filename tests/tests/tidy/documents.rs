//! What the documents must say: every crate and every invariant by its name.

use super::source::{File, files, none};

const PAGE: &str = "ARCHITECTURE.md";

const CRATES: [&str; 6] = ["crash", "proto", "storage", "cluster", "node", "tests"];

/// The names of the invariants, in the order of the design.
const INVARIANTS: [&str; 10] = [
    "Written before linked, unlinked before deleted",
    "An object key has one writer, once",
    "An acknowledged write is never lost",
    "Reads are linearizable",
    "Digests are checked",
    "apply is a pure function",
    "An actor is a concurrency device, never a correctness device",
    "Every queue, body, page, buffer and list has a named bound",
    "Only node knows HTTP, actors and configuration; only cluster knows Raft and RocksDB; only \
     storage knows object stores; proto does no I/O",
    "One file decides each thing",
];

/// Every document that a newcomer is sent to.
const DOCUMENTS: [&str; 5] = [
    "README.md",
    PAGE,
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
];

/// The words alone: without marks for code or weight, and with one space between them.
fn words(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !matches!(c, '`' | '*')).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn architecture(page: &str) -> Vec<String> {
    let plain = words(page);
    let mut complaints = Vec::new();
    for name in CRATES {
        if !page.contains(&format!("`{name}`")) && !page.contains(&format!("`{name}/")) {
            complaints.push(format!("{PAGE} does not name the crate `{name}`"));
        }
    }
    for name in INVARIANTS {
        if !plain.contains(name) {
            complaints.push(format!("{PAGE} does not name the invariant: {name}"));
        }
    }
    complaints
}

fn missing(files: &[File]) -> Vec<String> {
    let is_missing = |name: &&&str| !files.iter().any(|file| file.path == **name);
    let missing = DOCUMENTS.iter().filter(is_missing);
    missing.map(|name| format!("{name} is missing")).collect()
}

#[test]
fn every_document_is_there() {
    none(missing(&files()));
}

#[test]
fn every_crate_and_invariant_is_in_the_architecture() {
    let files = files();
    let page = files.iter().find(|file| file.path == PAGE);
    none(architecture(page.map_or("", |file| &file.text)));
}

#[test]
fn what_the_architecture_lacks_is_seen() {
    let crates = CRATES.map(|name| format!("`{name}`")).join(" ");
    let whole = format!(
        "{crates}\n{}",
        INVARIANTS.map(|name| format!("**{name}.**\n")).join("")
    );
    assert_eq!(architecture(&whole), [""; 0]);
    let marked = whole.replace("apply is", "`apply`\nis");
    assert_eq!(architecture(&marked), [""; 0]);
    let lacking = whole
        .replace("Reads are", "Reads may be")
        .replace("`node`", "node");
    assert_eq!(architecture(&lacking).len(), 2);
    assert_eq!(architecture("").len(), CRATES.len() + INVARIANTS.len());
    let readme = [File::seeded("README.md", "x\n")];
    assert_eq!(missing(&readme).len(), DOCUMENTS.len() - 1);
}
