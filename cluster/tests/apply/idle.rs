//! Ending uploads that stand still. The collector may have slept.

use expect_test::expect;

use super::blobs;
use super::machine::{Machine, check};

#[test]
fn an_upload_ends_when_it_has_the_age_and_not_before() {
    check(
        "settings uploads 300
         @10 begin u in a at k
         @20 checkpoint u 1 5 c5",
        "@319 expire-upload u/1
         @320 expire-upload u/1
         expire-upload u/1
         commit u 1 as d in a",
        expect![[r#"
            > @319 expire-upload u/1
            expired 0
            ~ clock = 319
            > @320 expire-upload u/1
            expired 1
            ~ clock = 320
            ~ objects k = reclaimed 320 size 5 checkpoint c5
            + reclaimable 320 k
            - uploads u
            > expire-upload u/1
            expired 0
            > commit u 1 as d in a
            refused UPLOAD_UNKNOWN
        "#]],
    );
}

#[test]
fn an_upload_that_went_on_meanwhile_stays() {
    check(
        "settings uploads 300
         begin u in a at k
         begin v in a at l
         begin w in a at m
         @299 checkpoint u 1 0 c
         release v 1 0 c
         claim w 1 by 2.1 at n",
        "@300 expire-upload u/1 v/1 w/1 w/2
         @598 expire-upload u/1 v/1 w/2
         @599 expire-upload u/1 v/1 w/2",
        expect![[r#"
            > @300 expire-upload u/1 v/1 w/1 w/2
            expired 0
            ~ clock = 300
            > @598 expire-upload u/1 v/1 w/2
            expired 0
            ~ clock = 598
            > @599 expire-upload u/1 v/1 w/2
            expired 3
            ~ clock = 599
            ~ objects k = reclaimed 599 size 0 checkpoint c
            ~ objects l = reclaimed 599 size 0 checkpoint c
            ~ objects m = reclaimed 599 size 0
            ~ objects n = reclaimed 599 size 0
            + reclaimable 599 k
            + reclaimable 599 l
            + reclaimable 599 m
            + reclaimable 599 n
            - uploads u
            - uploads v
            - uploads w
        "#]],
    );
}

#[test]
fn an_upload_of_another_epoch_stays_whatever_its_age() {
    check(
        "settings uploads 300
         begin u in a at k
         claim u 1 by 2.1 at l",
        "@9000 expire-upload u/1 u/3 u/0
         expire-upload u/2",
        expect![[r#"
            > @9000 expire-upload u/1 u/3 u/0
            expired 0
            + clock = 9000
            > expire-upload u/2
            expired 1
            ~ objects k = reclaimed 9000 size 0
            ~ objects l = reclaimed 9000 size 0
            + reclaimable 9000 k
            + reclaimable 9000 l
            - uploads u
        "#]],
    );
}

#[test]
fn uploads_stand_for_ever_without_an_age() {
    let forever = "
        begin u in a at k
        @9000 expire-upload u/1
        @9001 settings uploads 0
        expire-upload u/1
    ";
    let mut machine = Machine::after("");
    let text = machine.steps(forever);
    assert!(!text.contains("- uploads u"), "{text}");
    assert_eq!(text.matches("expired 0").count(), 2, "{text}");
    assert!(
        machine
            .steps("settings uploads 1\n expire-upload u/1")
            .contains("expired 1")
    );
}

#[test]
fn uploads_that_are_not_there_are_passed_over_and_each_counts_once() {
    check(
        "settings uploads 300
         begin u in a at k
         begin v in b at l",
        "@300 expire-upload x/1 u/1 u/1 v/1",
        expect![[r#"
            expired 2
            + clock = 300
            ~ objects k = reclaimed 300 size 0
            ~ objects l = reclaimed 300 size 0
            + reclaimable 300 k
            + reclaimable 300 l
            - uploads u
            - uploads v
        "#]],
    );
}

#[test]
fn an_upload_that_was_taken_over_ends_with_both_its_objects() {
    check(
        "settings uploads 300
         begin u in a at k
         checkpoint u 1 5 c5
         claim u 1 by 2.1 at l",
        "@300 expire-upload u/2",
        expect![[r#"
            expired 1
            + clock = 300
            ~ objects k = reclaimed 300 size 5 checkpoint c5
            ~ objects l = reclaimed 300 size 0
            + reclaimable 300 k
            + reclaimable 300 l
            - uploads u
        "#]],
    );
}

#[test]
fn an_upload_ends_although_its_repository_is_being_deleted() {
    let mut machine = Machine::after("settings uploads 300\n begin u in a at k");
    blobs::mark_deleting(&mut machine, "a");
    expect![[r#"
        expired 1
        + clock = 300
        ~ objects k = reclaimed 300 size 0
        + reclaimable 300 k
        - uploads u
    "#]]
    .assert_eq(&machine.steps("@300 expire-upload u/1"));
}

#[test]
fn the_age_of_an_upload_stops_at_the_end_of_time() {
    let end = u64::MAX - 1000;
    check(
        &format!("settings uploads {end}\n @2000 begin u in a at k"),
        &format!("@{end} expire-upload u/1"),
        expect![[r#"
            expired 0
            ~ clock = 18446744073709550615
        "#]],
    );
}
