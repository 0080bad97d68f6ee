//! The metadata as one file, and a cluster that is begun anew from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use roadstead_tests::asked::{Asked, ask, ask_json};
use roadstead_tests::wait::{LONG, Over, until};
use roadstead_tests::{Group, fixture, process};

fn back_up(group: &Group, node: usize) -> PathBuf {
    let file = group.folder().join("backup");
    let path = file.display().to_string();
    let taken = ask(&group.nodes[node], &["cluster", "backup", &path]).ended(0);
    assert!(taken.out.contains("objects kept for"), "{}", taken.out);
    file
}

/// Restores for one of the nodes, as an operator does who has its configuration.
fn restore(group: &Group, node: usize, file: &Path) -> Asked {
    let mut command = process::command();
    command.args(["cluster", "restore"]).arg(file);
    command.arg("--config").arg(group.nodes[node].config());
    let output = command.output().expect("the binary can be started");
    output.into()
}

/// All nodes are lost, with what they kept.
fn lose_all(group: &mut Group) {
    for node in &mut group.nodes {
        node.kill();
        fs::remove_dir_all(node.folder().join("metadata")).expect("it is there");
    }
}

#[test]
fn cluster_is_begun_anew_from_a_backup_that_was_taken_under_load() {
    let mut group = Group::start(3);
    let image = group.client(0).repository("a/b").push_image("before", 1);
    let is_over = AtomicBool::new(false);
    let file = std::thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            let mut count = 0;
            while !is_over.load(Ordering::Acquire) {
                let there = group.client(count % 3).repository("a/b");
                there.push_image(&format!("t{count}"), count as u64 + 10);
                count += 1;
            }
        });
        let over = Over(&is_over);
        until("some are pushed", LONG, || {
            let tags = group.client(1).repository("a/b").get_manifest("t5");
            (tags.status == 200).then_some(())
        });
        let file = back_up(&group, 1);
        drop(over);
        pushing.join().expect("every push succeeds");
        file
    });
    let refused = restore(&group, 0, &file);
    refused.failed(1, &["holds metadata already"]);
    let device = ask(&group.nodes[0], &["cluster", "backup", "/dev/null"]);
    device.failed(2, &["no file that could be replaced"]);
    lose_all(&mut group);
    let restored = restore(&group, 0, &file).ended(0);
    assert!(restored.out.contains("0 are missing"), "{}", restored.out);
    group.nodes[0].run();
    // The others join: one as it was configured, for it is fresh, and one that is told to.
    group.nodes[1].run();
    group.renew(2).run();
    for node in 0..3 {
        let there = group.client(node).repository("a/b");
        let manifest = there.get_manifest("before").expect(200);
        assert_eq!(manifest.body, image.manifest.bytes());
        there.get_manifest("t5").expect(200);
        for layer in &image.layers {
            let digest = fixture::digest(layer);
            assert!(there.get_blob(&digest).expect(200).body == *layer);
        }
    }
    let status = ask_json(&group.nodes[1], &["cluster", "status"]);
    assert_eq!(status["incarnation"], 2);
    let ids = status["members"].as_array().expect("members");
    let ids: Vec<_> = ids
        .iter()
        .map(|member| member["node"].to_string())
        .collect();
    assert_eq!(ids, ["4", "5", "6"], "ids are never used again");
    // Pushes go on; nothing is deleted until somebody has looked.
    group.client(2).repository("a/b").push_image("after", 2);
    let leader = group.leader();
    let waits = ask_json(&group.nodes[leader], &["gc", "status"]);
    let alarm = waits["alarm"].to_string();
    assert!(alarm.contains("restored from a backup"), "{alarm}");
    let verified = ask(&group.nodes[0], &["verify"]);
    // What was pushed after the backup lies in the store, and nothing names it.
    assert!(matches!(verified.code, Some(0 | 8)), "{verified:?}");
    let goes_on = ask_json(&group.nodes[leader], &["gc", "status"]);
    assert!(goes_on["alarm"].is_null(), "{goes_on}");
}

/// What fails before the end of a restore leaves the running cluster as it was; what does not has
/// it take no more pushes.
#[test]
fn former_life_of_a_restored_cluster_takes_no_pushes() {
    let mut group = Group::start(1);
    let other = group.add_untold();
    group.client(0).repository("a/b").push_image("t", 1);
    let file = back_up(&group, 0);
    let folder = group.nodes[other].folder().join("metadata");
    let in_the_way = folder.join("lost+found");
    fs::create_dir_all(&in_the_way).expect("it can be made");
    let refused = restore(&group, other, &file);
    refused.failed(1, &["is a mount point, or not empty"]);
    group.nodes[0].restart();
    group.client(0).repository("a/b").push_image("u", 2);
    fs::remove_dir(&in_the_way).expect("it is there");
    restore(&group, other, &file).ended(0);
    group.nodes[0].says(&["pushes are refused"]);
    let there = group.client(0).repository("a/b");
    let refused = there.request("POST", "blobs/uploads/").send();
    assert_eq!(refused.status, 503, "{refused}");
    there.get_manifest("t").expect(200);
    group.nodes[0].stop();
    let ended = group.nodes[0].run_to_end();
    let words = "was restored since";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    group.nodes[other].run();
    let there = group.client(other).repository("a/b");
    there.get_manifest("t").expect(200);
}

#[test]
fn restore_says_what_the_store_lacks() {
    let mut group = Group::start(1);
    let image = group.client(0).repository("a/b").push_image("t", 1);
    let file = back_up(&group, 0);
    let lost = fixture::digest(&image.layers[0]);
    let explained = ask_json(&group.nodes[0], &["gc", "explain", lost.as_str()]);
    let key = explained["blob"]["object_key"].as_str().expect("a key");
    lose_all(&mut group);
    fs::remove_file(group.folder().join("blobs").join(key)).expect("the object is there");
    let restored = restore(&group, 0, &file).ended(8);
    for words in [lost.as_str(), "1 are missing"] {
        assert!(restored.out.contains(words), "{words}: {}", restored.out);
    }
    group.nodes[0].run();
    let there = group.client(0).repository("a/b");
    there.get_manifest("t").expect(200);
    // The next push heals it.
    there.head_blob(&lost).expect(404);
    there.push_image("t", 1);
    there.head_blob(&lost).expect(200);
}

#[test]
fn what_is_no_backup_or_not_of_this_store_changes_nothing() {
    let mut group = Group::start(1);
    group.client(0).repository("a/b").push_image("t", 1);
    let file = back_up(&group, 0);
    let bytes = fs::read(&file).expect("it was written");
    let folder = group.nodes[0].folder().join("metadata");
    let aside = group.nodes[0].folder().join("aside");
    group.nodes[0].kill();
    fs::rename(&folder, &aside).expect("it can be moved");
    let damaged = group.folder().join("damaged");
    let mut changed = bytes.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    for (bytes, words) in [
        (&b"something else"[..], "no backup"),
        (&bytes[..bytes.len() - 1], "cut off"),
        (&bytes[..bytes.len() / 2], "cut off"),
        (&changed[..], "damaged"),
        (&[&bytes[..], b"\x01x"].concat()[..], "damaged"),
    ] {
        fs::write(&damaged, bytes).expect("it can be written");
        let refused = restore(&group, 0, &damaged);
        assert_eq!(refused.code, Some(1), "{words}: {refused:?}");
        assert!(!folder.exists(), "{words}");
    }
    let mut other = Group::start(1);
    lose_all(&mut other);
    let refused = restore(&other, 0, &file);
    refused.failed(1, &["belongs to cluster"]);
    fs::rename(&aside, &folder).expect("it can be moved back");
    group.nodes[0].run();
    let there = group.client(0).repository("a/b");
    there.get_manifest("t").expect(200);
}
