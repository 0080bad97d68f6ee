//! A living subject holds its referrers: the collector parks them until it is deleted.

use expect_test::expect;
use roadstead_cluster::metadata::garbage;
use roadstead_cluster::metadata::limits::{REFERRERS_PER_DELETION_STEP, TAGS_PER_DELETION_STEP};

use super::machine::{Machine, check};
use super::render;

#[test]
fn a_living_subject_parks_its_referrer_until_it_is_deleted() {
    check(
        "settings untagged 300
         put m in a tags x
         put r in a subject m",
        "@300 expire a/r
         @900 expire a/r
         @1000 delete m in a
         @1299 expire a/r
         @1300 expire a/r",
        expect![[r#"
            > @300 expire a/r
            expired 0
            + clock = 300
            - unheld 0 a/r
            > @900 expire a/r
            expired 0
            ~ clock = 900
            > @1000 delete m in a
            finished
            ~ clock = 1000
            - contents a/m
            - manifest_bodies m
            - manifest_in m/a
            - manifests a/m
            ~ manifests a/r = image size 9 u1000 subject m unheld 1000
            ~ repositories a = manifests 1 tags 0 links 0 created u1000
            - tagged_by a/m/x
            - tags a/x
            + unheld 1000 a/r
            > @1299 expire a/r
            expired 0
            ~ clock = 1299
            > @1300 expire a/r
            expired 1
            ~ clock = 1300
            - contents a/r
            - manifest_bodies r
            - manifest_in r/a
            - manifests a/r
            - referrers a/m/r
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
            - unheld 1000 a/r
        "#]],
    );
}

#[test]
fn what_is_parked_comes_back_when_it_is_pushed_seen_or_tagged_and_untagged() {
    check(
        "settings untagged 300
         put m in a tags x
         put pushed in a subject m
         put seen in a subject m
         put tagged in a subject m
         @300 expire a/pushed a/seen a/tagged",
        "@400 put pushed in a subject m
         renew seen in a
         put tagged in a subject m tags y
         @500 untag y in a
         @9000 expire a/pushed a/seen a/tagged",
        expect![[r#"
            > @400 put pushed in a subject m
            done
            ~ clock = 400
            ~ manifests a/pushed = image size 14 u1000 subject m unheld 400
            + unheld 400 a/pushed
            > renew seen in a
            done
            ~ manifests a/seen = image size 12 u1000 subject m unheld 400
            + unheld 400 a/seen
            > put tagged in a subject m tags y
            done
            ~ manifests a/tagged = image size 14 u1000 subject m
            ~ repositories a = manifests 4 tags 2 links 0 created u1000
            + tagged_by a/tagged/y
            + tags a/y = tagged u1400
            > @500 untag y in a
            done
            ~ clock = 500
            ~ manifests a/tagged = image size 14 u1000 subject m unheld 500
            ~ repositories a = manifests 4 tags 1 links 0 created u1000
            - tagged_by a/tagged/y
            - tags a/y
            + unheld 500 a/tagged
            > @9000 expire a/pushed a/seen a/tagged
            expired 0
            ~ clock = 9000
            - unheld 400 a/pushed
            - unheld 400 a/seen
            - unheld 500 a/tagged
        "#]],
    );
}

#[test]
fn what_is_parked_goes_with_its_own_deletion() {
    check(
        "settings untagged 300
         put m in a tags x
         put r in a subject m
         @300 expire a/r",
        "delete r in a
         delete m in a",
        expect![[r#"
            > delete r in a
            finished
            - contents a/r
            - manifest_bodies r
            - manifest_in r/a
            - manifests a/r
            - referrers a/m/r
            ~ repositories a = manifests 1 tags 1 links 0 created u1000
            > delete m in a
            finished
            - contents a/m
            - manifest_bodies m
            - manifest_in m/a
            - manifests a/m
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
            - tagged_by a/m/x
            - tags a/x
        "#]],
    );
}

#[test]
fn a_subject_and_its_referrer_do_not_go_at_once_in_either_order() {
    let given = "
        settings untagged 300
        put m in a
        put r in a subject m
    ";
    check(
        given,
        "@300 expire a/m a/r\n @600 expire a/r",
        expect![[r#"
            > @300 expire a/m a/r
            expired 1
            + clock = 300
            - contents a/m
            - manifest_bodies m
            - manifest_in m/a
            - manifests a/m
            ~ manifests a/r = image size 9 u1000 subject m unheld 300
            ~ repositories a = manifests 1 tags 0 links 0 created u1000
            - unheld 0 a/m
            - unheld 0 a/r
            + unheld 300 a/r
            > @600 expire a/r
            expired 1
            ~ clock = 600
            - contents a/r
            - manifest_bodies r
            - manifest_in r/a
            - manifests a/r
            - referrers a/m/r
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
            - unheld 300 a/r
        "#]],
    );
    check(
        given,
        "@300 expire a/r a/m\n @600 expire a/r",
        expect![[r#"
            > @300 expire a/r a/m
            expired 1
            + clock = 300
            - contents a/m
            - manifest_bodies m
            - manifest_in m/a
            - manifests a/m
            ~ manifests a/r = image size 9 u1000 subject m unheld 300
            ~ repositories a = manifests 1 tags 0 links 0 created u1000
            - unheld 0 a/m
            - unheld 0 a/r
            + unheld 300 a/r
            > @600 expire a/r
            expired 1
            ~ clock = 600
            - contents a/r
            - manifest_bodies r
            - manifest_in r/a
            - manifests a/r
            - referrers a/m/r
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
            - unheld 300 a/r
        "#]],
    );
}

#[test]
fn a_subject_that_is_absent_or_in_another_repository_holds_nothing() {
    check(
        "settings untagged 300
         put m in b tags x
         put r in a subject m",
        "@300 expire a/r",
        expect![[r#"
            expired 1
            + clock = 300
            - contents a/r
            - manifest_bodies r
            - manifest_in r/a
            - manifests a/r
            - referrers a/m/r
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
            - unheld 0 a/r
        "#]],
    );
}

#[test]
fn a_subject_that_is_being_deleted_holds_nothing() {
    let many = TAGS_PER_DELETION_STEP + 1;
    let mut machine = Machine::after(&format!(
        "settings untagged 300
         put m in a tags t*{many}
         put r in a subject m
         put s in a subject m
         @300 delete m in a"
    ));
    expect![[r#"
        > expire a/r
        expired 1
        - contents a/r
        - manifest_bodies r
        - manifest_in r/a
        - manifests a/r
        - referrers a/m/r
        ~ repositories a = manifests 2 tags 1 links 0 created u1000
        - unheld 0 a/r
        > continue m in a
        finished
        - contents a/m
        - deletions a/m
        - manifest_bodies m
        - manifest_in m/a
        - manifests a/m
        ~ manifests a/s = image size 9 u1000 subject m unheld 300
        ~ repositories a = manifests 1 tags 0 links 0 created u1000
        - tagged_by a/m/t256
        - tags a/t256
        - unheld 0 a/s
        + unheld 300 a/s
        > expire a/s
        expired 0
    "#]]
    .assert_eq(&machine.steps("expire a/r\n continue m in a\n expire a/s"));
}

#[test]
fn a_referrer_that_a_tag_holds_is_not_unheld_by_the_loss_of_its_subject() {
    check(
        "settings untagged 300
         put m in a tags x
         put r in a subject m tags y",
        "@300 delete m in a",
        expect![[r#"
            finished
            + clock = 300
            - contents a/m
            - manifest_bodies m
            - manifest_in m/a
            - manifests a/m
            ~ repositories a = manifests 1 tags 1 links 0 created u1000
            - tagged_by a/m/x
            - tags a/x
        "#]],
    );
}

#[test]
fn a_referrer_that_is_being_deleted_is_told_nothing() {
    let many = TAGS_PER_DELETION_STEP + 1;
    let mut machine = Machine::after(&format!(
        "put m in a
         put r in a subject m tags t*{many}
         @5 delete r in a
         untag t256 in a"
    ));
    expect![[r#"
        finished
        ~ clock = 7
        - contents a/m
        - manifest_bodies m
        - manifest_in m/a
        - manifests a/m
        ~ repositories a = manifests 1 tags 0 links 0 created u1000
        - unheld 0 a/m
    "#]]
    .assert_eq(&machine.steps("@7 delete m in a"));
}

/// A subject with `count` referrers that were all parked at 300.
fn with_referrers(count: usize) -> Machine {
    let mut machine = Machine::after("settings untagged 300\n put m in a tags x");
    let all = |line: fn(usize) -> String| (0..count).map(line);
    machine.given_many(all(|number| format!("put r{number:03} in a subject m")));
    machine.given_many(all(|number| format!("@300 expire a/r{number:03}")));
    assert_eq!(waiting(&machine), 0);
    machine
}

/// How many manifests the collector would find.
fn waiting(machine: &Machine) -> u64 {
    let backlog = garbage::backlog(&machine.state, usize::MAX).expect("a backlog");
    backlog.manifests.count
}

#[test]
fn as_many_referrers_as_one_step_tells_come_back_at_once() {
    let mut machine = with_referrers(REFERRERS_PER_DELETION_STEP);
    let response = machine.apply("@1000 delete m in a");
    assert_eq!(render::response(&response), "finished");
    assert_eq!(waiting(&machine), REFERRERS_PER_DELETION_STEP as u64);
}

#[test]
fn more_referrers_come_back_in_steps_and_the_subject_goes_with_the_last() {
    let step = REFERRERS_PER_DELETION_STEP;
    let mut machine = with_referrers(2 * step + 1);
    let response = machine.apply("@1000 delete m in a");
    assert_eq!(render::response(&response), "to be continued");
    // And the subject itself, which has lost its tag.
    assert_eq!(waiting(&machine), step as u64 + 1);
    let rows = render::rows(&machine.state);
    assert_eq!(rows["deletions a/m"], "told r255");

    // The subject is as good as gone, and one that comes now is not overlooked.
    let text = machine.steps(
        "@1010 put m in a
         put r100x in a subject m
         @1020 continue m in a",
    );
    assert!(
        text.contains("> @1010 put m in a\nrefused DELETING\n"),
        "{text}"
    );
    assert!(text.contains("~ deletions a/m = told r511\n"), "{text}");
    assert_eq!(text.matches("+ unheld 1020 a/").count(), step, "{text}");
    expect![[r#"
        > @1030 continue m in a
        finished
        ~ clock = 1030
        - contents a/m
        - deletions a/m
        - manifest_bodies m
        - manifest_in m/a
        - manifests a/m
        ~ manifests a/r512 = image size 12 u1000 subject m unheld 1030
        ~ repositories a = manifests 514 tags 0 links 0 created u1000
        - unheld 1000 a/m
        + unheld 1030 a/r512
        > continue m in a
        finished
    "#]]
    .assert_eq(&machine.steps("@1030 continue m in a\n continue m in a"));

    assert_eq!(waiting(&machine), 2 * step as u64 + 2);
    let told = "@1300 expire a/r000 a/r255 a/r256 a/r100x";
    assert_eq!(render::response(&machine.apply(told)), "expired 2");
}

#[test]
fn an_expired_manifest_with_many_referrers_goes_in_steps_too() {
    let mut machine = with_referrers(REFERRERS_PER_DELETION_STEP + 1);
    machine.given("untag x in a");
    let text = machine.steps("@1000 expire a/m a/m a/r000\n continue m in a");
    let answers: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with(['+', '-', '~']))
        .collect();
    let expected = [
        "> @1000 expire a/m a/m a/r000",
        "expired 1",
        "> continue m in a",
        "finished",
    ];
    assert_eq!(answers, expected);
    assert_eq!(waiting(&machine), REFERRERS_PER_DELETION_STEP as u64 + 1);
}
