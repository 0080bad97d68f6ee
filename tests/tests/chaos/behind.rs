//! A node that has missed far more than the others keep of their log gets a snapshot, while writes
//! go on, although its transfer is cut off: once because the node is killed, once because the other
//! side is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use roadstead_tests::fixture::{self, Document};
use roadstead_tests::wait::{LONG, Over, poll, until};
use roadstead_tests::{Client, Group, folder};
use serde_json::json;

/// What it misses: ten times what there is between two snapshots.
const ENTRIES: usize = 100_000;
const WRITERS: usize = 16;

/// Manifests that make a snapshot take its time: of so many bytes each, which do not compress well.
const PADDING: u64 = 40;
const PADDING_BYTES: usize = 1 << 20;
/// What has arrived of a snapshot that is cut off.
const ARRIVED_BYTES: u64 = 4 << 20;

/// What a node may take of memory: its databases and what is on its way, and not the snapshot or
/// the log as a whole.
const RESIDENT_KIB_MAX: u64 = 256 << 10;

/// Far longer than so many entries take.
const FAR_BEHIND: Duration = Duration::from_secs(900);

/// What all writers write: a manifest, under ever new tags.
fn manifest() -> Document {
    fixture::index(&[])
}

fn pad(client: &Client) {
    for number in 0..PADDING {
        let bytes = fixture::random(number, PADDING_BYTES);
        let text: String = bytes
            .iter()
            .map(|byte| char::from(b'0' + byte % 64))
            .collect();
        let text = text.replace('\\', "/");
        let padding = fixture::index(&[]).with("annotations", json!({ "padding": text }));
        let put = client.repository("padding").put_manifest(number, &padding);
        put.expect(201);
    }
}

/// Tags that were acknowledged to one writer.
struct Written {
    repository: String,
    tags: BTreeSet<String>,
}

/// Writes through nodes that run, until it is over.
fn write(group: &[Client], writer: usize, count: &AtomicUsize, is_over: &AtomicBool) -> Written {
    let repository = format!("written/{writer}");
    let mut tags = BTreeSet::new();
    let manifest = manifest();
    let body = manifest.bytes();
    for number in 0_usize.. {
        if is_over.load(Ordering::Acquire) {
            break;
        }
        let client = &group[(writer + number) % group.len()];
        let tag = format!("t{number}");
        let request = client
            .repository(&repository)
            .request("PUT", &format!("manifests/{tag}"));
        let request = request.header("content-type", &manifest.media_type);
        // One that is killed does not answer, and who lost the quorum says so.
        if let Ok(answer) = request.body(body.clone()).try_send() {
            if answer.status == 201 {
                tags.insert(tag);
                count.fetch_add(1, Ordering::Relaxed);
            } else {
                assert!(matches!(answer.status, 502..=504), "{answer}");
            }
        }
    }
    Written { repository, tags }
}

/// The snapshots that are on their way to a node, each in a folder of its own.
fn arriving(group: &Group, node: usize) -> Vec<PathBuf> {
    let receiving = group.nodes[node].folder().join("metadata/receiving");
    let entries = fs::read_dir(receiving).into_iter().flatten();
    let folders = entries.filter_map(Result::ok).map(|entry| entry.path());
    folders.collect()
}

/// How many bytes of one have arrived.
fn arrived(folder: &Path) -> u64 {
    let files = folder::files(folder);
    let sizes = files.iter().filter_map(|file| file.metadata().ok());
    sizes.map(|data| data.len()).sum()
}

/// Waits until a part of another snapshot than those has arrived.
#[track_caller]
fn begins_to_arrive(group: &Group, node: usize, than: &[PathBuf]) {
    let client = group.client(node);
    let seen = poll(LONG, || {
        let arriving = arriving(group, node);
        let mut others = arriving.iter().filter(|folder| !than.contains(folder));
        let is_part = others.any(|folder| arrived(folder) > ARRIVED_BYTES);
        (is_part || client.is_ready()).then_some(is_part)
    });
    assert_eq!(seen, Some(true), "no transfer was seen to be cut off");
}

#[test]
fn node_far_behind_catches_up_by_snapshot_while_writes_go_on() {
    let mut group = Group::start(3);
    pad(&group.client(0));
    let leader = group.leader();
    let [behind, other] = [(leader + 1) % 3, (leader + 2) % 3];
    group.nodes[behind].kill();
    let count = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let clients = [leader, other].map(|node| group.client(node).keeping_connections());
    let written = thread::scope(|scope| {
        let _over = Over(&is_over);
        let writers = (0..WRITERS).map(|writer| {
            let (clients, count, is_over) = (&clients, &count, &is_over);
            scope.spawn(move || write(clients, writer, count, is_over))
        });
        let writers: Vec<_> = writers.collect();
        let have_written = |more: usize| {
            let so_far = count.load(Ordering::Relaxed);
            until("more is written", FAR_BEHIND, || {
                (count.load(Ordering::Relaxed) >= so_far + more).then_some(())
            });
        };
        have_written(ENTRIES);

        group.nodes[behind].spawn();
        begins_to_arrive(&group, behind, &[]);
        group.nodes[behind].kill();
        let cut_off = arriving(&group, behind);
        group.nodes[behind].spawn();
        begins_to_arrive(&group, behind, &cut_off);
        let sender = group.leader();
        group.nodes[sender].kill();
        group.nodes[sender].spawn();
        group.are_ready();
        have_written(500);

        is_over.store(true, Ordering::Release);
        let joined = writers.into_iter().map(|writer| writer.join());
        joined
            .map(|written| written.expect("no answer is wrong"))
            .collect::<Vec<_>>()
    });

    // Everything acknowledged is there through the node that lagged.
    let late = group.client(behind);
    for Written { repository, tags } in &written {
        let mut found = BTreeSet::new();
        let mut next = Some(format!("/v2/{repository}/tags/list?n=1000"));
        while let Some(page) = next {
            let answer = late.request_to("GET", &page).send().expect(200);
            let listed = answer.json()["tags"].clone();
            let listed = listed.as_array().into_iter().flatten();
            found.extend(listed.filter_map(|tag| tag.as_str()).map(str::to_owned));
            next = answer.next_page();
        }
        let lost: Vec<_> = tags.difference(&found).take(5).collect();
        assert!(lost.is_empty(), "{repository} is without {lost:?}");
    }
    group.have_one_state(LONG).expect("one state");
    let left = arriving(&group, behind);
    assert!(left.is_empty(), "transfers have left {left:?}");
    for node in &group.nodes {
        let taken = node.peak_resident_kib();
        assert!(taken < RESIDENT_KIB_MAX, "{taken} KiB");
    }
}
