//! Putting manifests: what they need, what they hold, what refers to them.

use expect_test::expect;

use super::blobs::mark_deleting;
use super::machine::{Machine, check};

#[test]
fn a_manifest_is_stored_with_its_contents_and_retains_its_blobs() {
    check(
        "push d in a
         push e in a",
        "@7 put m in a of d e",
        expect![[r#"
            done
            - candidates 200 a/d
            - candidates 200 a/e
            + clock = 7
            + contents a/m = d e
            + manifest_bodies m = body of m
            + manifest_in m/a
            + manifests a/m = image size 9 u1007 unheld 7
            + references a/d/m
            + references a/e/m
            ~ repositories a = manifests 1 tags 0 links 2 created u1000
            + unheld 7 a/m
        "#]],
    );
}

#[test]
fn a_manifest_without_its_required_contents_is_refused_naming_them() {
    check(
        "push d in a
         push e in b
         put m1 in b",
        "put m in a of x d e y? m1* m2*? tags t",
        expect![[r#"
            refused BLOB_UNKNOWN x e m1
        "#]],
    );
}

#[test]
fn a_manifest_with_a_damaged_blob_is_refused_even_if_it_is_stored() {
    check(
        "push d in a
         put m in a of d
         damage d at k-d-a",
        "put m2 in a of d
         put m in a of d
         put m3 in a of d?",
        expect![[r#"
            > put m2 in a of d
            refused BLOB_UNKNOWN d
            > put m in a of d
            refused BLOB_UNKNOWN d
            > put m3 in a of d?
            done
            + contents a/m3 = d
            + manifest_bodies m3 = body of m3
            + manifest_in m3/a
            + manifests a/m3 = image size 10 u1000 unheld 0
            + references a/d/m3
            ~ repositories a = manifests 2 tags 0 links 1 created u1000
            + unheld 0 a/m3
        "#]],
    );
}

#[test]
fn a_manifest_may_come_before_its_optional_contents() {
    check(
        "",
        "put m in a of d? c*?
         begin u in a at k
         commit u 1 as d in a",
        expect![[r#"
            > put m in a of d? c*?
            done
            + contents a/m = d c
            + manifest_bodies m = body of m
            + manifest_in m/a
            + manifests a/m = image size 9 u1000 unheld 0
            + references a/c/m
            + references a/d/m
            + repositories a = manifests 1 tags 0 links 0 created u1000
            + unheld 0 a/m
            > begin u in a at k
            done
            + objects k = uploading u
            + uploads u = in a at k epoch 1 by 1.1 offset 0 updated 0 u1000
            > commit u 1 as d in a
            done
            + blobs d = k size 9 u1000
            + committed u/d = a until 3600000
            + linked_in d/a
            + links a/d = hold 200 u1000
            ~ objects k = live d
            ~ repositories a = manifests 1 tags 0 links 1 created u1000
            - uploads u
        "#]],
    );
}

#[test]
fn a_manifest_takes_its_blob_out_of_the_candidates_of_its_repository_only() {
    check(
        "push d in a
         mount d from a to b",
        "put m in b of d",
        expect![[r#"
            done
            - candidates 200 b/d
            + contents b/m = d
            + manifest_bodies m = body of m
            + manifest_in m/b
            + manifests b/m = image size 9 u1000 unheld 0
            + references b/d/m
            ~ repositories b = manifests 1 tags 0 links 1 created u1000
            + unheld 0 b/m
        "#]],
    );
}

#[test]
fn one_body_serves_every_repository() {
    check(
        "put m in a",
        "put m in b
         delete m in a
         delete m in b",
        expect![[r#"
            > put m in b
            done
            + contents b/m
            + manifest_in m/b
            + manifests b/m = image size 9 u1000 unheld 0
            + repositories b = manifests 1 tags 0 links 0 created u1000
            + unheld 0 b/m
            > delete m in a
            finished
            - contents a/m
            - manifest_in m/a
            - manifests a/m
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
            - unheld 0 a/m
            > delete m in b
            finished
            - contents b/m
            - manifest_bodies m
            - manifest_in m/b
            - manifests b/m
            ~ repositories b = manifests 0 tags 0 links 0 created u1000
            - unheld 0 b/m
        "#]],
    );
}

#[test]
fn putting_an_unheld_manifest_again_renews_it() {
    check(
        "put m in a",
        "@7 put m in a",
        expect![[r#"
            done
            + clock = 7
            ~ manifests a/m = image size 9 u1000 unheld 7
            - unheld 0 a/m
            + unheld 7 a/m
        "#]],
    );
}

#[test]
fn putting_a_tagged_manifest_again_changes_nothing() {
    check(
        "put m in a tags x",
        "@7 put m in a",
        expect![[r#"
        done
        + clock = 7
    "#]],
    );
}

#[test]
fn an_index_holds_its_children() {
    check(
        "put c in a",
        "@7 put m in a of c*",
        expect![[r#"
            done
            + clock = 7
            + contents a/m = c
            + manifest_bodies m = body of m
            + manifest_in m/a
            ~ manifests a/c = image size 9 u1000
            + manifests a/m = image size 9 u1007 unheld 7
            + references a/c/m
            ~ repositories a = manifests 2 tags 0 links 0 created u1000
            - unheld 0 a/c
            + unheld 7 a/m
        "#]],
    );
}

#[test]
fn a_child_that_comes_after_its_index_is_held_from_the_start() {
    check(
        "put m in a of c*? tags x",
        "@7 put c in a",
        expect![[r#"
        done
        + clock = 7
        + contents a/c
        + manifest_bodies c = body of c
        + manifest_in c/a
        + manifests a/c = image size 9 u1007
        ~ repositories a = manifests 2 tags 1 links 0 created u1000
    "#]],
    );
}

#[test]
fn a_child_that_was_deleted_and_comes_back_is_held() {
    check(
        "put c in a
         put m in a of c* tags x
         delete c in a",
        "@7 put c in a",
        expect![[r#"
            done
            + clock = 7
            + contents a/c
            + manifest_bodies c = body of c
            + manifest_in c/a
            + manifests a/c = image size 9 u1007
            ~ repositories a = manifests 2 tags 1 links 0 created u1000
        "#]],
    );
}

#[test]
fn a_child_begins_to_be_unheld_when_its_last_index_goes() {
    check(
        "put c in a
         put m1 in a of c*
         put m2 in a of c*",
        "@7 delete m1 in a
         @8 delete m2 in a",
        expect![[r#"
            > @7 delete m1 in a
            finished
            + clock = 7
            - contents a/m1
            - manifest_bodies m1
            - manifest_in m1/a
            - manifests a/m1
            - references a/c/m1
            ~ repositories a = manifests 2 tags 0 links 0 created u1000
            - unheld 0 a/m1
            > @8 delete m2 in a
            finished
            ~ clock = 8
            - contents a/m2
            - manifest_bodies m2
            - manifest_in m2/a
            ~ manifests a/c = image size 9 u1000 unheld 8
            - manifests a/m2
            - references a/c/m2
            ~ repositories a = manifests 1 tags 0 links 0 created u1000
            - unheld 0 a/m2
            + unheld 8 a/c
        "#]],
    );
}

#[test]
fn a_child_that_is_deleted_leaves_its_index() {
    check(
        "put c in a
         put m in a of c*",
        "delete c in a
         put m2 in a of c*",
        expect![[r#"
            > delete c in a
            finished
            - contents a/c
            - manifest_bodies c
            - manifest_in c/a
            - manifests a/c
            ~ repositories a = manifests 1 tags 0 links 0 created u1000
            > put m2 in a of c*
            refused BLOB_UNKNOWN c
        "#]],
    );
}

#[test]
fn a_referrer_may_come_before_its_subject_and_does_not_hold_it() {
    check(
        "put r in a subject m",
        "put m in a
         delete m in a
         delete r in a",
        expect![[r#"
            > put m in a
            done
            + contents a/m
            + manifest_bodies m = body of m
            + manifest_in m/a
            + manifests a/m = image size 9 u1000 unheld 0
            ~ repositories a = manifests 2 tags 0 links 0 created u1000
            + unheld 0 a/m
            > delete m in a
            finished
            - contents a/m
            - manifest_bodies m
            - manifest_in m/a
            - manifests a/m
            ~ repositories a = manifests 1 tags 0 links 0 created u1000
            - unheld 0 a/m
            > delete r in a
            finished
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
fn a_repository_that_is_being_deleted_takes_no_manifests() {
    let mut machine = Machine::after("");
    mark_deleting(&mut machine, "a");
    expect![[r#"
        refused DELETING
    "#]]
    .assert_eq(&machine.steps("put m in a tags x"));
}

#[test]
fn a_refused_manifest_leaves_no_repository() {
    check(
        "",
        "put m in a of d",
        expect![[r#"
        refused BLOB_UNKNOWN d
    "#]],
    );
}
