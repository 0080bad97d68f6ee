//! Start with a data folder that cannot be used: an error, and not a byte of it is changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use roadstead_tests::folder::{files, snapshot};
use roadstead_tests::{Registry, Setup};

/// A registry that has run, holds an image, and is stopped.
fn stopped(setup: Setup) -> Registry {
    let mut registry = Registry::start(setup);
    registry.repository("start/image").push_image("latest", 1);
    registry.stop();
    registry
}

/// It does not start, says these words, and changes nothing below the data folder.
#[track_caller]
fn check_refused(registry: &mut Registry, words: &[&str]) {
    let data = registry.data();
    check_refused_at(registry, words, &[&data]);
}

/// It does not start, says these words, and changes nothing below these folders.
#[track_caller]
fn check_refused_at(registry: &mut Registry, words: &[&str], folders: &[&Path]) {
    let look = || {
        folders
            .iter()
            .map(|folder| snapshot(folder))
            .collect::<Vec<_>>()
    };
    let before = look();
    let ended = registry.run_to_end();
    ended.failed_saying(words);
    assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
    for (before, after) in before.iter().zip(look()) {
        for (path, content) in before {
            let found = after.get(path);
            assert_eq!(found, Some(content), "{} was changed", path.display());
        }
        let is_new = |path: &&std::path::PathBuf| !before.contains_key(*path);
        let added: Vec<_> = after.keys().filter(is_new).collect();
        assert!(added.is_empty(), "{added:?} were made");
    }
}

/// It starts again, and nothing is lost.
#[track_caller]
fn check_recovered(registry: &mut Registry) {
    registry.run();
    let repository = registry.repository("start/image");
    repository.get_manifest("latest").expect(200);
    registry.serves();
}

/// Gives or takes the right to write everything below a folder.
fn set_writable(folder: &Path, is_writable: bool) {
    let bits = |is_folder: bool| match (is_folder, is_writable) {
        (true, true) => 0o755,
        (true, false) => 0o555,
        (false, true) => 0o644,
        (false, false) => 0o444,
    };
    let set = |path: &Path, bits| {
        let set = fs::set_permissions(path, fs::Permissions::from_mode(bits));
        set.expect("the owner can change rights");
    };
    for file in files(folder) {
        set(&file, bits(false));
        let mut parent = file.parent();
        while let Some(path) = parent.filter(|path| path.starts_with(folder)) {
            set(path, bits(true));
            parent = path.parent();
        }
    }
    set(folder, bits(true));
}

#[test]
fn data_folder_read_only() {
    // Run by somebody who owns nothing there, because root may write everywhere.
    let mut registry = Registry::prepare(Setup::default().unprivileged());
    fs::create_dir(registry.data()).expect("it can be made");
    set_writable(&registry.data(), false);
    let folder = registry.data().display().to_string();
    check_refused(&mut registry, &[&folder, "denied"]);
}

#[test]
fn data_folder_with_content_read_only() {
    let mut registry = Registry::prepare(Setup::default().unprivileged());
    fs::create_dir(registry.data()).expect("it can be made");
    fs::set_permissions(registry.data(), fs::Permissions::from_mode(0o777)).expect("own it");
    registry.run();
    registry.repository("start/image").push_image("latest", 1);
    registry.stop();
    // As a file system is after an error: everything can be read and nothing written.
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        for path in files(&registry.data()) {
            std::os::unix::fs::chown(&path, Some(0), Some(0)).expect("root can");
        }
        let mut folders: Vec<_> = files(&registry.data());
        folders.retain_mut(std::path::PathBuf::pop);
        for path in folders.iter().flat_map(|path| path.ancestors()) {
            if path.starts_with(registry.data()) {
                std::os::unix::fs::chown(path, Some(0), Some(0)).expect("root can");
            }
        }
    }
    set_writable(&registry.data(), false);
    let folder = registry.data().display().to_string();
    check_refused(&mut registry, &[&folder, "denied"]);
    set_writable(&registry.data(), true);
}

#[test]
fn data_folder_that_is_a_file() {
    let mut registry = Registry::prepare(Setup::default());
    fs::write(registry.data(), "a file").expect("it can be written");
    let ended = registry.run_to_end();
    ended.failed_saying(&[&registry.data().display().to_string(), "file"]);
    assert_eq!(fs::read(registry.data()).expect("it is there"), b"a file");
}

#[test]
fn data_folder_locked_by_another_process() {
    let registry = Registry::start(Setup::default());
    let text = fs::read_to_string(registry.config()).expect("it is there");
    let mut second = Registry::prepare(Setup::default());
    // The first one's folder, and the second one's own port.
    let own = second.address();
    second.write_config(&text.replace(&registry.address(), &own));
    let ended = second.run_to_end();
    let folder = registry.metadata().display().to_string();
    ended.failed_saying(&[&folder, "in use by another process", "cluster.datadir"]);
    assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
    registry.serves();
}

#[test]
fn data_folder_of_a_newer_format() {
    let mut registry = stopped(Setup::default());
    let identity = registry.metadata().join("identity");
    let text = fs::read_to_string(&identity).expect("it is there");
    let newer = text.replace("format 1", "format 2");
    assert_ne!(newer, text, "the file has changed its form");
    fs::write(&identity, newer).expect("it can be written");
    let folder = registry.metadata().display().to_string();
    check_refused(&mut registry, &[&folder, "format 2", "newer version"]);
    fs::write(&identity, text).expect("it can be written");
    check_recovered(&mut registry);
}

/// Overwrites the files of a database whose names match, and gives back what was there.
fn damage(folder: &Path, is_meant: impl Fn(&str) -> bool) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut saved = Vec::new();
    for path in files(folder) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if is_meant(&name) {
            let content = fs::read(&path).expect("it can be read");
            fs::write(&path, vec![0x5a; content.len().max(64)]).expect("it can be written");
            saved.push((path, content));
        }
    }
    assert!(
        !saved.is_empty(),
        "nothing to damage in {}",
        folder.display()
    );
    saved
}

fn restore(saved: Vec<(std::path::PathBuf, Vec<u8>)>) {
    for (path, content) in saved {
        fs::write(path, content).expect("it can be written");
    }
}

/// What is damaged is left as it was, and so are the blobs. The other database may have finished
/// what it had begun before: that both are whole once the damage is undone shows that it is right.
#[test]
fn data_folder_with_a_corrupt_database() {
    let mut registry = stopped(Setup::default());
    let folder = registry.metadata();
    let store = registry.data().join("roadstead").join("v1");
    for part in ["log", "state"] {
        let part = folder.join(part);
        for pattern in ["MANIFEST-", "CURRENT"] {
            let saved = damage(&part, |file| file.starts_with(pattern));
            let name = folder.display().to_string();
            let words = [name.as_str(), "damaged", "backup"];
            check_refused_at(&mut registry, &words, &[&part, &store]);
            restore(saved);
        }
    }
    check_recovered(&mut registry);
}

#[test]
fn data_folder_whose_identity_is_damaged_or_gone() {
    let mut registry = stopped(Setup::default());
    let identity = registry.metadata().join("identity");
    let text = fs::read(&identity).expect("it is there");
    let folder = registry.metadata().display().to_string();
    for damaged in [&b""[..], b"\xff\xff", b"format 1\ninstance x\nnode 1\n"] {
        fs::write(&identity, damaged).expect("it can be written");
        check_refused(&mut registry, &[&folder, "identity"]);
    }
    fs::remove_file(&identity).expect("it can be removed");
    check_refused(&mut registry, &[&folder, "identity"]);
    fs::write(&identity, text).expect("it can be written");
    check_recovered(&mut registry);
}
