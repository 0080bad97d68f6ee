//! Founding, nodes, the marker, settings and feature levels.

use expect_test::{Expect, expect};

use super::machine::{Machine, check};

fn check_from_nothing(commands: &str, expected: Expect) {
    expected.assert_eq(&Machine::default().steps(commands));
}

#[test]
fn founding_writes_the_settings() {
    check_from_nothing(
        "found x 100 1",
        expect![[r#"
        done
        + settings = x incarnation 1 level 1 grace 100
    "#]],
    );
}

#[test]
fn founding_again_is_a_retry_and_changes_nothing() {
    check(
        "settings 7",
        "found cluster 100 2",
        expect![[r#"
        done
    "#]],
    );
}

#[test]
fn another_cluster_cannot_be_founded_over_this_one() {
    check(
        "",
        "found other 100 1",
        expect![[r#"
        refused IDENTITY_MISMATCH
    "#]],
    );
}

#[test]
fn every_start_of_a_node_is_a_new_boot() {
    check_from_nothing(
        "found x 100 1
         start 7 i
         start 7 i 3
         start 8 j",
        expect![[r#"
            > found x 100 1
            done
            + settings = x incarnation 1 level 1 grace 100
            > start 7 i
            started boot 1
            + members 7 = i host7 boot 1 lowest 0 level-max 1 version 0.1.0
            > start 7 i 3
            started boot 2
            ~ members 7 = i host7 boot 2 lowest 0 level-max 3 version 0.1.0
            > start 8 j
            started boot 1
            + members 8 = j host8 boot 1 lowest 0 level-max 1 version 0.1.0
        "#]],
    );
}

#[test]
fn a_node_is_admitted_once_under_an_id_that_none_has_had() {
    check_from_nothing(
        "found x 100 2
         start 1 i 2
         admit j host2 2
         admit k host3 2
         admit j host2 2
         admit l host3 2
         admit m host4 1
         start 2 another 2
         start 2 j 2",
        expect![[r#"
            > found x 100 2
            done
            + settings = x incarnation 1 level 2 grace 100
            > start 1 i 2
            started boot 1
            + members 1 = i host1 boot 1 lowest 0 level-max 2 version 0.1.0
            > admit j host2 2
            admitted 2
            + members 2 = j host2 boot 0 lowest 0 level-max 2 version 0.1.0
            > admit k host3 2
            admitted 3
            + members 3 = k host3 boot 0 lowest 0 level-max 2 version 0.1.0
            > admit j host2 2
            admitted 2
            > admit l host3 2
            refused IDENTITY_MISMATCH
            > admit m host4 1
            refused FEATURE_LEVEL
            > start 2 another 2
            refused IDENTITY_MISMATCH
            > start 2 j 2
            started boot 1
            ~ members 2 = j host2 boot 1 lowest 0 level-max 2 version 0.1.0
        "#]],
    );
}

#[test]
fn a_node_whose_data_were_replaced_cannot_start() {
    check(
        "",
        "start 1 another",
        expect![[r#"
        refused IDENTITY_MISMATCH
    "#]],
    );
}

#[test]
fn a_binary_below_the_feature_level_cannot_start() {
    check(
        "start 1 instance1 3
         start 2 instance2 3
         level 3",
        "start 1 instance1 2
         start 3 instance3 2
         start 1 instance1 4",
        expect![[r#"
            > start 1 instance1 2
            refused FEATURE_LEVEL
            > start 3 instance3 2
            refused FEATURE_LEVEL
            > start 1 instance1 4
            started boot 3
            ~ members 1 = instance1 host1 boot 3 lowest 0 level-max 4 version 0.1.0
        "#]],
    );
}

#[test]
fn a_removed_node_cannot_start_or_ask_and_its_address_is_free() {
    check_from_nothing(
        "found x 100 1
         start 1 i
         admit j host2
         start 2 j
         remove 3
         remove 2
         remove 2
         start 2 j
         2.1#1 settings 5
         admit j host2
         admit k host2
         level 2",
        expect![[r#"
            > found x 100 1
            done
            + settings = x incarnation 1 level 1 grace 100
            > start 1 i
            started boot 1
            + members 1 = i host1 boot 1 lowest 0 level-max 1 version 0.1.0
            > admit j host2
            admitted 2
            + members 2 = j host2 boot 0 lowest 0 level-max 1 version 0.1.0
            > start 2 j
            started boot 1
            ~ members 2 = j host2 boot 1 lowest 0 level-max 1 version 0.1.0
            > remove 3
            refused IDENTITY_MISMATCH
            > remove 2
            done
            ~ members 2 = j host2 boot 1 lowest 0 level-max 1 version 0.1.0 removed
            > remove 2
            done
            > start 2 j
            refused IDENTITY_MISMATCH
            > 2.1#1 settings 5
            refused BOOT_STALE
            > admit j host2
            refused IDENTITY_MISMATCH
            > admit k host2
            admitted 3
            + members 3 = k host2 boot 0 lowest 0 level-max 1 version 0.1.0
            > level 2
            refused FEATURE_LEVEL
        "#]],
    );
}

#[test]
fn a_restore_begins_a_new_life_without_the_former_members() {
    check(
        "start 2 instance2",
        "restore other 2 9 r
         restore cluster 0 9 r
         restore cluster 3 2 r
         marker cluster 1
         restore cluster 3 9 r
         start 1 instance1
         start 9 r
         admit new host1
         restore cluster 3 9 r
         restore cluster 2 9 r
         marker cluster 1
         marker cluster 3
         verified
         verified",
        expect![[r#"
            > restore other 2 9 r
            refused IDENTITY_MISMATCH
            > restore cluster 0 9 r
            refused IDENTITY_MISMATCH
            > restore cluster 3 2 r
            refused IDENTITY_MISMATCH
            > marker cluster 1
            done
            ~ settings = cluster incarnation 1 level 1 grace 100 marker
            > restore cluster 3 9 r
            done
            ~ members 1 = instance1 host1 boot 1 lowest 0 level-max 1 version 0.1.0 removed
            ~ members 2 = instance2 host2 boot 2 lowest 0 level-max 1 version 0.1.0 removed
            + members 9 = r restored boot 0 lowest 0 level-max 0
            ~ settings = cluster incarnation 3 level 1 grace 100 unverified
            > start 1 instance1
            refused IDENTITY_MISMATCH
            > start 9 r
            started boot 1
            ~ members 9 = r host9 boot 1 lowest 0 level-max 1 version 0.1.0
            > admit new host1
            admitted 10
            + members 10 = new host1 boot 0 lowest 0 level-max 1 version 0.1.0
            > restore cluster 3 9 r
            done
            > restore cluster 2 9 r
            refused IDENTITY_MISMATCH
            > marker cluster 1
            refused IDENTITY_MISMATCH
            > marker cluster 3
            done
            ~ settings = cluster incarnation 3 level 1 grace 100 marker unverified
            > verified
            done
            ~ settings = cluster incarnation 3 level 1 grace 100 marker
            > verified
            done
        "#]],
    );
}

#[test]
fn the_marker_is_confirmed_for_this_cluster_and_incarnation_only() {
    check(
        "",
        "marker other 1
         marker cluster 2
         marker cluster 1
         marker cluster 1",
        expect![[r#"
            > marker other 1
            refused IDENTITY_MISMATCH
            > marker cluster 2
            refused IDENTITY_MISMATCH
            > marker cluster 1
            done
            ~ settings = cluster incarnation 1 level 1 grace 100 marker
            > marker cluster 1
            done
        "#]],
    );
}

#[test]
fn settings_change_what_is_named_and_nothing_else() {
    check(
        "",
        "settings
         settings 50
         settings uploads 8 untagged 9 only x paused
         settings uploads 0
         settings untagged 0 resumed
         settings reading 7
         settings reading 0",
        expect![[r#"
            > settings
            done
            > settings 50
            done
            ~ settings = cluster incarnation 1 level 1 grace 50
            > settings uploads 8 untagged 9 only x paused
            done
            ~ settings = cluster incarnation 1 level 1 grace 50 uploads 8 untagged 9 only x paused
            > settings uploads 0
            done
            ~ settings = cluster incarnation 1 level 1 grace 50 uploads 0 untagged 9 only x paused
            > settings untagged 0 resumed
            done
            ~ settings = cluster incarnation 1 level 1 grace 50 uploads 0 untagged 0
            > settings reading 7
            done
            ~ settings = cluster incarnation 1 level 1 grace 50 reading 7 uploads 0 untagged 0
            > settings reading 0
            done
            ~ settings = cluster incarnation 1 level 1 grace 50 reading 0 uploads 0 untagged 0
        "#]],
    );
}

#[test]
fn the_feature_level_rises_only_as_far_as_every_member_can_follow() {
    check(
        "start 1 instance1 3
         start 2 instance2 2",
        "level 3
         level 2
         level 2
         level 1",
        expect![[r#"
            > level 3
            refused FEATURE_LEVEL
            > level 2
            done
            ~ settings = cluster incarnation 1 level 2 grace 100
            > level 2
            done
            > level 1
            refused FEATURE_LEVEL
        "#]],
    );
}

#[test]
fn a_removed_member_does_not_hold_the_feature_level_back() {
    let mut machine = Machine::after("start 2 instance2 3");
    machine.steps("remove 1");
    expect![[r#"
        done
        ~ settings = cluster incarnation 1 level 3 grace 100
    "#]]
    .assert_eq(&machine.steps("level 3"));
}
