//! Deleting manifests, in bounded steps when they have many tags.

use expect_test::expect;
use roadstead_cluster::metadata::limits::TAGS_PER_DELETION_STEP;
use roadstead_cluster::read;

use super::machine::{Machine, check};
use super::render;

#[test]
fn a_manifest_goes_with_its_tags_and_lets_its_blobs_go() {
    check(
        "push d in a
         put m in a of d tags x y
         put other in a tags z",
        "@7 delete m in a",
        expect![[r#"
            finished
            + candidates 207 a/d
            + clock = 7
            - contents a/m
            ~ links a/d = hold 207 u1000
            - manifest_bodies m
            - manifest_in m/a
            - manifests a/m
            - references a/d/m
            ~ repositories a = manifests 1 tags 1 links 1 created u1000
            - tagged_by a/m/x
            - tagged_by a/m/y
            - tags a/x
            - tags a/y
        "#]],
    );
}

#[test]
fn a_blob_that_another_manifest_references_stays_retained() {
    check(
        "push d in a
         put m1 in a of d
         put m2 in a of d",
        "@7 delete m1 in a",
        expect![[r#"
            finished
            + clock = 7
            - contents a/m1
            - manifest_bodies m1
            - manifest_in m1/a
            - manifests a/m1
            - references a/d/m1
            ~ repositories a = manifests 1 tags 0 links 1 created u1000
            - unheld 0 a/m1
        "#]],
    );
}

#[test]
fn a_manifest_that_is_not_there_cannot_be_deleted() {
    check(
        "put m in a",
        "delete x in a
         delete m in b",
        expect![[r#"
            > delete x in a
            refused MANIFEST_UNKNOWN
            > delete m in b
            refused MANIFEST_UNKNOWN
        "#]],
    );
}

#[test]
fn a_deletion_that_has_ended_or_never_began_is_finished() {
    check(
        "put m in a
         put n in a tags x
         delete m in a",
        "continue m in a
         continue n in a
         continue x in b",
        expect![[r#"
            > continue m in a
            finished
            > continue n in a
            finished
            > continue x in b
            finished
        "#]],
    );
}

/// A manifest with `count` tags, of which its deletion has removed the first.
fn begun(count: usize) -> Machine {
    let mut machine = Machine::after(&format!(
        "push d in a
         put m in a of d tags t*{count}"
    ));
    assert_eq!(tags(&machine), count);
    let response = machine.apply("delete m in a");
    assert_eq!(render::response(&response), "to be continued");
    machine
}

fn tags(machine: &Machine) -> usize {
    let page = read::tags(&machine.state, "a", None, usize::MAX).expect("a page");
    let repository = read::repository(&machine.state, "a").expect("a look");
    let counted = repository.expect("a repository").tags;
    assert_eq!(counted, page.items.len() as u64);
    page.items.len()
}

#[test]
fn as_many_tags_as_one_step_removes_go_at_once() {
    let count = TAGS_PER_DELETION_STEP;
    let mut machine = Machine::after(&format!("put m in a tags t*{count}"));
    let response = machine.apply("delete m in a");
    assert_eq!(render::response(&response), "finished");
    assert_eq!(tags(&machine), 0);
}

#[test]
fn more_tags_go_in_steps_and_the_manifest_with_the_last() {
    let mut machine = begun(2 * TAGS_PER_DELETION_STEP + 1);
    assert_eq!(tags(&machine), TAGS_PER_DELETION_STEP + 1);
    let response = machine.apply("continue m in a");
    assert_eq!(render::response(&response), "to be continued");
    assert_eq!(tags(&machine), 1);
    expect![[r#"
        finished
        + candidates 207 a/d
        + clock = 7
        - contents a/m
        - deletions a/m
        ~ links a/d = hold 207 u1000
        - manifest_bodies m
        - manifest_in m/a
        - manifests a/m
        - references a/d/m
        ~ repositories a = manifests 0 tags 0 links 1 created u1000
        - tagged_by a/m/t512
        - tags a/t512
    "#]]
    .assert_eq(&machine.steps("@7 continue m in a"));
}

#[test]
fn a_manifest_that_is_being_deleted_reads_as_absent_and_refuses_writes() {
    let mut machine = begun(TAGS_PER_DELETION_STEP + 1);
    assert_eq!(read::manifest(&machine.state, "a", "m").unwrap(), None);
    let deletions = read::deletions(&machine.state, 10).unwrap();
    assert_eq!(deletions, [("a".to_owned(), "m".to_owned())]);
    let text = machine.steps(
        "put m in a tags x
         delete m in a
         put index in a of m*
         unlink d in a
         condemn a/d",
    );
    expect![[r#"
        > put m in a tags x
        refused DELETING
        > delete m in a
        refused MANIFEST_UNKNOWN
        > put index in a of m*
        refused BLOB_UNKNOWN m
        > unlink d in a
        refused STILL_REFERENCED m
        > condemn a/d
        condemned links 0 objects 0
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_tag_can_be_moved_away_or_deleted_while_its_manifest_is_being_deleted() {
    let mut machine = begun(TAGS_PER_DELETION_STEP + 2);
    let text = machine.steps(
        "put other in a tags t256
         untag t257 in a
         continue m in a",
    );
    expect![[r#"
        > put other in a tags t256
        done
        + contents a/other
        + manifest_bodies other = body of other
        + manifest_in other/a
        + manifests a/other = image size 13 u1000
        ~ repositories a = manifests 2 tags 2 links 1 created u1000
        - tagged_by a/m/t256
        + tagged_by a/other/t256
        ~ tags a/t256 = other u1000
        > untag t257 in a
        done
        ~ manifests a/m = image size 9 u1000 unheld 0 deleting
        ~ repositories a = manifests 2 tags 1 links 1 created u1000
        - tagged_by a/m/t257
        - tags a/t257
        + unheld 0 a/m
        > continue m in a
        finished
        + candidates 200 a/d
        - contents a/m
        - deletions a/m
        - manifest_bodies m
        - manifest_in m/a
        - manifests a/m
        - references a/d/m
        ~ repositories a = manifests 1 tags 1 links 1 created u1000
        - unheld 0 a/m
    "#]]
    .assert_eq(&text);
    let tagged = read::tag(&machine.state, "a", "t256").unwrap();
    assert_eq!(tagged.as_deref(), Some("other"));
}

#[test]
fn an_optional_child_that_is_being_deleted_still_goes() {
    let mut machine = begun(TAGS_PER_DELETION_STEP + 1);
    let text = machine.steps(
        "put index in a of m*?
         continue m in a",
    );
    expect![[r#"
        > put index in a of m*?
        done
        + contents a/index = m
        + manifest_bodies index = body of index
        + manifest_in index/a
        + manifests a/index = image size 13 u1000 unheld 0
        + references a/m/index
        ~ repositories a = manifests 2 tags 1 links 1 created u1000
        + unheld 0 a/index
        > continue m in a
        finished
        + candidates 200 a/d
        - contents a/m
        - deletions a/m
        - manifest_bodies m
        - manifest_in m/a
        - manifests a/m
        - references a/d/m
        ~ repositories a = manifests 1 tags 0 links 1 created u1000
        - tagged_by a/m/t256
        - tags a/t256
    "#]]
    .assert_eq(&text);
}

#[test]
fn deletions_of_one_digest_in_two_repositories_are_independent() {
    let mut machine = begun(TAGS_PER_DELETION_STEP + 1);
    machine.given("put m in b");
    assert!(read::manifest(&machine.state, "b", "m").unwrap().is_some());
    machine.given("continue m in a");
    let body = read::manifest_body(&machine.state, "m").unwrap();
    assert_eq!(body, &b"body of m"[..]);
}
