//! A request happens once, however often it is proposed.

use expect_test::expect;
use roadstead_cluster::metadata::keys;
use roadstead_cluster::metadata::view::ViewExt;

use super::machine::{Machine, check};

#[test]
fn a_request_keeps_its_answer() {
    check(
        "",
        "1.1#1 put m in a tags x",
        expect![[r#"
        done
        + contents a/m
        + manifest_bodies m = body of m
        + manifest_in m/a
        + manifests a/m = image size 9 u1000
        + repositories a = manifests 1 tags 1 links 0 created u1000
        + requests 1.1#1 = done
        + tagged_by a/m/x
        + tags a/x = m u1000
    "#]],
    );
}

#[test]
fn a_repeated_request_gets_its_answer_again_and_does_nothing() {
    check(
        "push d in a
         1.1#1 unlink d in a",
        "1.1#1 unlink d in a
         1.1#2 unlink d in a",
        expect![[r#"
            > 1.1#1 unlink d in a
            done
            > 1.1#2 unlink d in a
            refused BLOB_UNKNOWN d
            + requests 1.1#2 = refused BLOB_UNKNOWN d
        "#]],
    );
}

#[test]
fn a_refusal_is_an_answer_that_is_kept_too() {
    let mut machine = Machine::after("");
    machine.apply("1.1#1 untag x in a");
    machine.given("put m in a tags x");
    expect![[r#"
        refused TAG_UNKNOWN
    "#]]
    .assert_eq(&machine.steps("1.1#1 untag x in a"));
}

#[test]
fn a_repeated_serial_gets_the_first_answer_whatever_it_asks() {
    check(
        "1.1#1 put m in a tags x",
        "1.1#1 untag x in a",
        expect![[r#"
        done
    "#]],
    );
}

#[test]
fn nodes_number_their_requests_independently() {
    check(
        "1.1#1 put m in a tags x",
        "2.1#1 untag x in a",
        expect![[r#"
            done
            ~ manifests a/m = image size 9 u1000 unheld 0
            ~ repositories a = manifests 1 tags 0 links 0 created u1000
            + requests 2.1#1 = done
            - tagged_by a/m/x
            - tags a/x
            + unheld 0 a/m
        "#]],
    );
}

#[test]
fn requests_of_an_earlier_or_later_boot_or_an_unknown_node_are_refused() {
    check(
        "1.1#1 put m in a tags x
         start 1 instance1",
        "1.1#1 put m in a tags x
         1.1#2 untag x in a
         1.3#1 untag x in a
         9.1#1 untag x in a",
        expect![[r#"
            > 1.1#1 put m in a tags x
            refused BOOT_STALE
            > 1.1#2 untag x in a
            refused BOOT_STALE
            > 1.3#1 untag x in a
            refused BOOT_STALE
            > 9.1#1 untag x in a
            refused BOOT_STALE
        "#]],
    );
}

#[test]
fn a_new_boot_numbers_from_the_beginning() {
    check(
        "1.1#7/7 put m in a tags x
         start 1 instance1",
        "1.2#1 untag x in a",
        expect![[r#"
            done
            ~ manifests a/m = image size 9 u1000 unheld 0
            ~ repositories a = manifests 1 tags 0 links 0 created u1000
            - requests 1.1#7
            + requests 1.2#1 = done
            - tagged_by a/m/x
            - tags a/x
            + unheld 0 a/m
        "#]],
    );
}

#[test]
fn a_serial_below_the_lowest_outstanding_is_refused_not_executed() {
    check(
        "1.1#1 put m in a tags x
         1.1#3/3 settings",
        "1.1#1 untag x in a
         1.1#2 untag x in a
         1.1#4/5 untag x in a",
        expect![[r#"
            > 1.1#1 untag x in a
            refused SERIAL_FORGOTTEN
            > 1.1#2 untag x in a
            refused SERIAL_FORGOTTEN
            > 1.1#4/5 untag x in a
            refused SERIAL_FORGOTTEN
            ~ members 1 = instance1 host1 boot 1 lowest 5 level-max 1 version 0.1.0
            - requests 1.1#3
        "#]],
    );
}

#[test]
fn the_lowest_outstanding_serial_only_rises() {
    check(
        "1.1#5/5 settings",
        "1.1#6/2 settings
         1.1#4/2 settings
         1.1#7/7 settings",
        expect![[r#"
            > 1.1#6/2 settings
            done
            + requests 1.1#6 = done
            > 1.1#4/2 settings
            refused SERIAL_FORGOTTEN
            > 1.1#7/7 settings
            done
            ~ members 1 = instance1 host1 boot 1 lowest 7 level-max 1 version 0.1.0
            - requests 1.1#5
            - requests 1.1#6
            + requests 1.1#7 = done
        "#]],
    );
}

#[test]
fn a_request_that_is_refused_for_its_serial_still_moves_the_lowest() {
    check(
        "1.1#1 settings",
        "1.1#2/3 settings",
        expect![[r#"
        refused SERIAL_FORGOTTEN
        ~ members 1 = instance1 host1 boot 1 lowest 3 level-max 1 version 0.1.0
        - requests 1.1#1
    "#]],
    );
}

#[test]
fn an_outstanding_request_keeps_its_answer_while_others_go() {
    check(
        "1.1#1 settings
         1.1#2 put m in a tags x
         1.1#3/2 settings",
        "1.1#2/2 put m in a tags x",
        expect![[r#"
            done
        "#]],
    );
}

/// How many answers to node 1 are kept.
fn kept(machine: &Machine) -> usize {
    let rows = machine.state.keys(&keys::requests(1), &[], usize::MAX);
    rows.expect("the state can be read").len()
}

#[test]
fn one_command_drops_sixteen_answers_at_most() {
    let mut machine = Machine::after("");
    for serial in 1..=40 {
        machine.given(&format!("1.1#{serial} settings"));
    }
    assert_eq!(kept(&machine), 40);
    machine.given("1.1#41/41 settings");
    assert_eq!(kept(&machine), 40 - 16 + 1);
    machine.given("1.1#42/41 settings");
    assert_eq!(kept(&machine), 40 - 32 + 2);
    machine.given("1.1#43/41 settings");
    assert_eq!(kept(&machine), 3, "those from 41 on are outstanding");
}

#[test]
fn numbers_that_never_came_are_passed_over() {
    let mut machine = Machine::after("1.1#1 settings");
    // Those between found no leader, and were given up.
    for serial in 1_000..1_100 {
        machine.given(&format!("1.1#{serial}/{serial} settings"));
    }
    assert_eq!(kept(&machine), 1);
}

#[test]
fn many_answers_of_an_earlier_boot_go_before_those_of_this_one() {
    let mut machine = Machine::after("");
    for serial in 1..=40 {
        machine.given(&format!("1.1#{serial} settings"));
    }
    machine.given("start 1 instance1");
    let left = [1, 2, 3, 4].map(|serial| {
        machine.given(&format!("1.2#{serial}/{serial} settings"));
        kept(&machine)
    });
    assert_eq!(left, [40 - 16 + 1, 40 - 32 + 2, 1, 1]);
}

#[test]
fn answers_of_earlier_boots_are_dropped_first() {
    check(
        "1.1#1 settings
         1.1#2 settings
         2.1#1 settings
         start 1 instance1",
        "1.2#1/1 settings",
        expect![[r#"
            done
            ~ members 1 = instance1 host1 boot 2 lowest 1 level-max 1 version 0.1.0
            - requests 1.1#1
            - requests 1.1#2
            + requests 1.2#1 = done
        "#]],
    );
}

#[test]
fn a_command_without_origin_is_executed_each_time() {
    check(
        "put m in a tags x",
        "untag x in a
         untag x in a",
        expect![[r#"
            > untag x in a
            done
            ~ manifests a/m = image size 9 u1000 unheld 0
            ~ repositories a = manifests 1 tags 0 links 0 created u1000
            - tagged_by a/m/x
            - tags a/x
            + unheld 0 a/m
            > untag x in a
            refused TAG_UNKNOWN
        "#]],
    );
}
