//! What people read of collection, from what a node answers.

use expect_test::{Expect, expect};
use roadstead_proto::rpc::admin::BlobRecord;

use super::*;

#[allow(clippy::needless_pass_by_value, reason = "as `expect!` makes it")]
fn check(text: &str, expected: Expect) {
    expected.assert_eq(text);
}

fn working() -> CollectionStatus {
    CollectionStatus {
        is_leader: true,
        phase: "deleting objects".to_owned(),
        rate: 500,
        pace: 250.0,
        backlog: Some(Backlog {
            links: 3,
            objects: 100_000,
            manifests: 0,
            oldest_object_age_ms: Some(3_700_000),
            oldest_link_overdue_ms: Some(0),
            counted_up_to: 100_000,
        }),
        collected: Some(Collected {
            uploads: 1,
            manifests: 2,
            links: 40,
            objects: 39,
            bytes: 123_456_789,
            orphans: 1,
            leftovers: 4,
            failures: 2,
        }),
        last_sweep: Some(Sweep {
            started_at_unix_ms: 1_795_365_011_000,
            duration_ms: 61_000,
            objects: 1_000,
            orphans: 1,
            leftovers: 4,
            foreign: 2,
            error: String::new(),
        }),
        grace_ms: 86_400_000,
        reading_delay_ms: 3_600_000,
        ..CollectionStatus::default()
    }
}

#[test]
fn status_says_what_waits_and_what_was_done() {
    check(
        &status_table(&working()),
        expect![[r#"
        collection          deleting objects
        pace                250 of 500 objects a second
        grace               1 d
        reading delay       1 h
        links unreferenced  3, all still held
        objects to delete   100000 or more, the oldest for 1 h 1 min
        manifests unheld    0
        counted since       the start of this node
        freed               39 objects (117 MiB)
        removed             40 links, 2 manifests, 1 upload
        orphans             1
        leftovers           4
        refused             2 deletes by the store; tried again
        sweep               2026-11-22 16:30:11 UTC, for 1 min 1 s
        swept               1000 objects, 1 orphan, 4 leftovers, 2 of a foreign name
    "#]],
    );
    check(
        &status_table(&CollectionStatus::default()),
        expect![[r#"
        collection          another node leads, and collects
        pace                0 of 0 objects a second
        grace               0 ms
        reading delay       0 ms
        links unreferenced  0
        objects to delete   0
        manifests unheld    0
        counted since       the start of this node
        freed               0 objects (0 B)
        removed             0 links, 0 manifests, 0 uploads
        sweep               none yet
    "#]],
    );
}

#[test]
fn each_reason_to_stand_still_is_said() {
    let mut status = working();
    assert_eq!(state_of(&status), "deleting objects");
    status.is_leader = false;
    assert!(state_of(&status).contains("another node leads"));
    status.is_read_only = true;
    assert!(state_of(&status).contains("read-only"));
    status.is_paused = true;
    assert!(state_of(&status).contains("gc resume"));
    status.alarm = "the store was swapped".to_owned();
    assert_eq!(state_of(&status), "stopped: the store was swapped");
}

#[test]
fn a_run_says_what_it_did() {
    let last = CollectionProgress {
        phase: "idle".to_owned(),
        collected: working().collected,
        is_finished: true,
        sweep: working().last_sweep,
    };
    check(
        &run_table(&last, false),
        expect![[r#"
        freed      39 objects (117 MiB)
        removed    40 links, 2 manifests, 1 upload
        orphans    1
        leftovers  4
        refused    2 deletes by the store; tried again
        sweep      2026-11-22 16:30:11 UTC, for 1 min 1 s
        swept      1000 objects, 1 orphan, 4 leftovers, 2 of a foreign name
    "#]],
    );
    check(
        &run_table(&CollectionProgress::default(), true),
        expect![[r#"
            dry run  nothing was changed; a run would have done this
            freed    0 objects (0 B)
            removed  0 links, 0 manifests, 0 uploads
        "#]],
    );
}

#[test]
fn numbers_for_programs_are_plain() {
    let status = status_json(&working());
    assert_eq!(status["backlog"]["oldest_object_age_ms"], 3_700_000);
    assert_eq!(status["collected"]["bytes"], 123_456_789);
    assert!(status["alarm"].is_null());
    assert!(status["last_sweep"]["error"].is_null());
    assert!(status_json(&CollectionStatus::default())["last_sweep"].is_null());
}

#[test]
fn an_explanation_names_every_reason() {
    let kept = |repository: &str| Kept {
        repository: repository.to_owned(),
        ..Kept::default()
    };
    let explanation = Explanation {
        digest: "sha256:abc".to_owned(),
        is_manifest: true,
        blob: Some(BlobRecord {
            size: 1_536,
            object_key: "key".to_owned(),
            is_damaged: true,
            committed_at_unix_ms: 1_795_365_011_000,
        }),
        kept: vec![
            Kept {
                tags: vec!["latest".to_owned()],
                referenced_by: vec!["sha256:def".to_owned()],
                subject: "sha256:123".to_owned(),
                ..kept("a")
            },
            Kept {
                hold_remaining_ms: Some(90_000),
                unheld_for_ms: Some(1_000),
                ..kept("b")
            },
            Kept {
                hold_remaining_ms: Some(0),
                ..kept("c")
            },
            kept("d"),
            Kept {
                unheld_for_ms: Some(1_000),
                expires_in_ms: Some(60_000),
                ..kept("e")
            },
            Kept {
                unheld_for_ms: Some(61_000),
                expires_in_ms: Some(0),
                ..kept("f")
            },
        ],
        has_more: true,
    };
    check(
        &explanation_words(&explanation),
        expect![[r#"
        manifest and blob  sha256:abc
        size               1.5 KiB
        stored             2026-11-22 16:30:11 UTC
        object             key
        damaged            its bytes are missing or wrong; the next push heals it

        a
          tagged latest
          referenced by the manifest sha256:def
          held by its subject sha256:123

        b
          unreferenced, held for another 1 min 30 s
          held by nothing for 1 s: it stays, for `gc.untagged` does not expire it

        c
          unreferenced, its hold is over: it is collected next

        d
          a manifest of this repository

        e
          held by nothing for 1 s: it expires in 1 min

        f
          held by nothing for 1 min 1 s: it expires next

        and more repositories that are not shown
    "#]],
    );
}
