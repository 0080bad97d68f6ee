//! Deleting manifests that nothing holds. The collector may have slept.

use expect_test::expect;
use roadstead_cluster::metadata::limits::TAGS_PER_DELETION_STEP;

use super::machine::{Machine, check};

#[test]
fn a_manifest_goes_when_nothing_held_it_for_the_age_and_not_before() {
    check(
        "settings untagged 300
         push d in a
         @10 put m in a of d tags x
         @20 untag x in a",
        "@319 expire a/m
         @320 expire a/m
         expire a/m",
        expect![[r#"
            > @319 expire a/m
            expired 0
            ~ clock = 319
            > @320 expire a/m
            expired 1
            + candidates 520 a/d
            ~ clock = 320
            - contents a/m
            ~ links a/d = hold 520 u1000
            - manifest_bodies m
            - manifest_in m/a
            - manifests a/m
            - references a/d/m
            ~ repositories a = manifests 0 tags 0 links 1 created u1000
            - unheld 20 a/m
            > expire a/m
            expired 0
        "#]],
    );
}

#[test]
fn a_manifest_stays_for_a_hold_however_short_the_age() {
    check(
        "settings untagged 1
         @10 put m in a",
        "@209 expire a/m
         @210 expire a/m",
        expect![[r#"
            > @209 expire a/m
            expired 0
            ~ clock = 209
            > @210 expire a/m
            expired 1
            ~ clock = 210
            - contents a/m
            - manifest_bodies m
            - manifest_in m/a
            - manifests a/m
            ~ repositories a = manifests 0 tags 0 links 0 created u1010
            - unheld 10 a/m
        "#]],
    );
}

#[test]
fn manifests_stay_without_a_policy_or_an_age() {
    let mut machine = Machine::after("put m in a");
    expect![[r#"
        > @9000 expire a/m
        expired 0
        + clock = 9000
        > settings untagged 0
        done
        ~ settings = cluster incarnation 1 level 1 grace 100 untagged 0
        > expire a/m
        expired 0
        > settings untagged 300 only b
        done
        ~ settings = cluster incarnation 1 level 1 grace 100 untagged 300 only b
        > settings 5000
        done
        ~ settings = cluster incarnation 1 level 1 grace 5000 untagged 300 only b
        > expire a/m
        expired 0
        > @10000 expire a/m
        expired 1
        ~ clock = 10000
        - contents a/m
        - manifest_bodies m
        - manifest_in m/a
        - manifests a/m
        ~ repositories a = manifests 0 tags 0 links 0 created u1000
        - unheld 0 a/m
    "#]]
    .assert_eq(&machine.steps(
        "@9000 expire a/m
         settings untagged 0
         expire a/m
         settings untagged 300 only b
         settings 5000
         expire a/m
         @10000 expire a/m",
    ));
}

#[test]
fn what_a_tag_or_an_index_holds_stays_whatever_its_age() {
    check(
        "settings untagged 300
         put m in a tags x
         put child in a
         put index in a of child* tags y",
        "@9000 expire a/m a/child a/index",
        expect![[r#"
            expired 0
            + clock = 9000
        "#]],
    );
}

#[test]
fn what_was_renewed_meanwhile_stays() {
    check(
        "settings untagged 300
         put pushed in a
         put seen in a
         put tagged in a
         put gone in a
         @299 put pushed in a
         renew seen in a
         put tagged in a tags x
         untag x in a",
        "@300 expire a/pushed a/seen a/tagged a/gone
         @598 expire a/pushed a/seen a/tagged
         @599 expire a/pushed a/seen a/tagged",
        expect![[r#"
            > @300 expire a/pushed a/seen a/tagged a/gone
            expired 1
            ~ clock = 300
            - contents a/gone
            - manifest_bodies gone
            - manifest_in gone/a
            - manifests a/gone
            ~ repositories a = manifests 3 tags 0 links 0 created u1000
            - unheld 0 a/gone
            > @598 expire a/pushed a/seen a/tagged
            expired 0
            ~ clock = 598
            > @599 expire a/pushed a/seen a/tagged
            expired 3
            ~ clock = 599
            - contents a/pushed
            - contents a/seen
            - contents a/tagged
            - manifest_bodies pushed
            - manifest_bodies seen
            - manifest_bodies tagged
            - manifest_in pushed/a
            - manifest_in seen/a
            - manifest_in tagged/a
            - manifests a/pushed
            - manifests a/seen
            - manifests a/tagged
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
            - unheld 299 a/pushed
            - unheld 299 a/seen
            - unheld 299 a/tagged
        "#]],
    );
}

#[test]
fn manifests_that_are_not_there_are_passed_over_and_each_counts_once() {
    check(
        "settings untagged 300
         put m in a
         put m in b",
        "@300 expire a/x c/m a/m a/m",
        expect![[r#"
            expired 1
            + clock = 300
            - contents a/m
            - manifest_in m/a
            - manifests a/m
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
            - unheld 0 a/m
        "#]],
    );
}

#[test]
fn a_child_follows_its_index_after_an_age_of_its_own() {
    check(
        "settings untagged 300
         put child in a
         put index in a of child*",
        "@300 expire a/index a/child
         @599 expire a/child
         @600 expire a/child",
        expect![[r#"
            > @300 expire a/index a/child
            expired 1
            + clock = 300
            - contents a/index
            - manifest_bodies index
            - manifest_in index/a
            ~ manifests a/child = image size 13 u1000 unheld 300
            - manifests a/index
            - references a/child/index
            ~ repositories a = manifests 1 tags 0 links 0 created u1000
            - unheld 0 a/index
            + unheld 300 a/child
            > @599 expire a/child
            expired 0
            ~ clock = 599
            > @600 expire a/child
            expired 1
            ~ clock = 600
            - contents a/child
            - manifest_bodies child
            - manifest_in child/a
            - manifests a/child
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
            - unheld 300 a/child
        "#]],
    );
}

#[test]
fn a_child_of_two_indexes_follows_the_last() {
    check(
        "settings untagged 300
         put child in a
         put one in a of child*
         put two in a of child* tags x",
        "@300 expire a/one a/child
         @301 untag x in a
         @601 expire a/two
         @901 expire a/child",
        expect![[r#"
            > @300 expire a/one a/child
            expired 1
            + clock = 300
            - contents a/one
            - manifest_bodies one
            - manifest_in one/a
            - manifests a/one
            - references a/child/one
            ~ repositories a = manifests 2 tags 1 links 0 created u1000
            - unheld 0 a/one
            > @301 untag x in a
            done
            ~ clock = 301
            ~ manifests a/two = image size 11 u1000 unheld 301
            ~ repositories a = manifests 2 tags 0 links 0 created u1000
            - tagged_by a/two/x
            - tags a/x
            + unheld 301 a/two
            > @601 expire a/two
            expired 1
            ~ clock = 601
            - contents a/two
            - manifest_bodies two
            - manifest_in two/a
            ~ manifests a/child = image size 13 u1000 unheld 601
            - manifests a/two
            - references a/child/two
            ~ repositories a = manifests 1 tags 0 links 0 created u1000
            - unheld 301 a/two
            + unheld 601 a/child
            > @901 expire a/child
            expired 1
            ~ clock = 901
            - contents a/child
            - manifest_bodies child
            - manifest_in child/a
            - manifests a/child
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
            - unheld 601 a/child
        "#]],
    );
}

#[test]
fn manifests_of_a_repository_that_is_being_deleted_do_not_expire() {
    let mut machine = Machine::after("settings untagged 300\n put m in a\n push d in a");
    let many = TAGS_PER_DELETION_STEP + 1;
    machine.given(&format!("put n in a tags t*{many}\n delete-repository a"));
    expect![[r#"
        > @300 expire a/m
        expired 0
        + clock = 300
        > continue-repository a
        finished
        - blobs d
        - candidates 200 a/d
        - contents a/m
        - contents a/n
        - deletions a/
        - linked_in d/a
        - links a/d
        - manifest_bodies m
        - manifest_bodies n
        - manifest_in m/a
        - manifest_in n/a
        - manifests a/m
        - manifests a/n
        ~ objects k-d-a = reclaimed 300 size 9
        + reclaimable 300 k-d-a
        - repositories a
        - tagged_by a/n/t256
        - tags a/t256
        - unheld 0 a/m
        > expire a/m
        expired 0
    "#]]
    .assert_eq(&machine.steps("@300 expire a/m\n continue-repository a\n expire a/m"));
}

#[test]
fn the_age_of_a_manifest_stops_at_the_end_of_time() {
    let end = u64::MAX - 1000;
    check(
        &format!("settings untagged {end}\n @2000 put m in a"),
        &format!("@{end} expire a/m\n settings {end} untagged 1\n expire a/m"),
        expect![[r#"
            > @18446744073709550615 expire a/m
            expired 0
            ~ clock = 18446744073709550615
            > settings 18446744073709550615 untagged 1
            done
            ~ settings = cluster incarnation 1 level 1 grace 18446744073709550615 untagged 1
            > expire a/m
            expired 0
        "#]],
    );
}
