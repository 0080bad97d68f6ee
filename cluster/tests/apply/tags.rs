//! Tags: set, moved, deleted, and counted.

use expect_test::expect;

use super::machine::check;

#[test]
fn a_manifest_is_put_with_its_tags() {
    check(
        "",
        "@7 put m in a tags x y",
        expect![[r#"
        done
        + clock = 7
        + contents a/m
        + manifest_bodies m = body of m
        + manifest_in m/a
        + manifests a/m = image size 9 u1007
        + repositories a = manifests 1 tags 2 links 0 created u1007
        + tagged_by a/m/x
        + tagged_by a/m/y
        + tags a/x = m u1007
        + tags a/y = m u1007
    "#]],
    );
}

#[test]
fn a_tag_named_twice_is_one_tag() {
    check(
        "",
        "put m in a tags x x",
        expect![[r#"
        done
        + contents a/m
        + manifest_bodies m = body of m
        + manifest_in m/a
        + manifests a/m = image size 9 u1000
        + repositories a = manifests 1 tags 1 links 0 created u1000
        + tagged_by a/m/x
        + tags a/x = m u1000
    "#]],
    );
}

#[test]
fn a_tag_moves_to_another_manifest_and_the_former_begins_to_be_unheld() {
    check(
        "put m1 in a tags x",
        "@7 put m2 in a tags x",
        expect![[r#"
            done
            + clock = 7
            + contents a/m2
            + manifest_bodies m2 = body of m2
            + manifest_in m2/a
            ~ manifests a/m1 = image size 10 u1000 unheld 7
            + manifests a/m2 = image size 10 u1007
            ~ repositories a = manifests 2 tags 1 links 0 created u1000
            - tagged_by a/m1/x
            + tagged_by a/m2/x
            ~ tags a/x = m2 u1007
            + unheld 7 a/m1
        "#]],
    );
}

#[test]
fn a_former_manifest_with_another_tag_stays_held() {
    check(
        "put m1 in a tags x y",
        "@7 put m2 in a tags x",
        expect![[r#"
            done
            + clock = 7
            + contents a/m2
            + manifest_bodies m2 = body of m2
            + manifest_in m2/a
            + manifests a/m2 = image size 10 u1007
            ~ repositories a = manifests 2 tags 2 links 0 created u1000
            - tagged_by a/m1/x
            + tagged_by a/m2/x
            ~ tags a/x = m2 u1007
        "#]],
    );
}

#[test]
fn a_tag_that_is_set_again_keeps_its_place_and_gets_a_new_time() {
    check(
        "put m in a tags x",
        "@7 put m in a tags x",
        expect![[r#"
        done
        + clock = 7
        ~ tags a/x = m u1007
    "#]],
    );
}

#[test]
fn tags_of_repositories_are_their_own() {
    check(
        "put m in a tags x",
        "put m in b tags x
         untag x in a",
        expect![[r#"
            > put m in b tags x
            done
            + contents b/m
            + manifest_in m/b
            + manifests b/m = image size 9 u1000
            + repositories b = manifests 1 tags 1 links 0 created u1000
            + tagged_by b/m/x
            + tags b/x = m u1000
            > untag x in a
            done
            ~ manifests a/m = image size 9 u1000 unheld 0
            ~ repositories a = manifests 1 tags 0 links 0 created u1000
            - tagged_by a/m/x
            - tags a/x
            + unheld 0 a/m
        "#]],
    );
}

#[test]
fn a_deleted_tag_leaves_its_manifest() {
    check(
        "put m in a tags x y",
        "@7 untag x in a
         @8 untag y in a",
        expect![[r#"
            > @7 untag x in a
            done
            + clock = 7
            ~ repositories a = manifests 1 tags 1 links 0 created u1000
            - tagged_by a/m/x
            - tags a/x
            > @8 untag y in a
            done
            ~ clock = 8
            ~ manifests a/m = image size 9 u1000 unheld 8
            ~ repositories a = manifests 1 tags 0 links 0 created u1000
            - tagged_by a/m/y
            - tags a/y
            + unheld 8 a/m
        "#]],
    );
}

#[test]
fn a_tag_that_is_not_there_cannot_be_deleted() {
    check(
        "put m in a tags x",
        "untag y in a
         untag x in b",
        expect![[r#"
            > untag y in a
            refused TAG_UNKNOWN
            > untag x in b
            refused TAG_UNKNOWN
        "#]],
    );
}

#[test]
fn an_index_holds_a_child_that_lost_its_tag() {
    check(
        "put c in a tags x
         put m in a of c*",
        "@7 untag x in a",
        expect![[r#"
            done
            + clock = 7
            ~ repositories a = manifests 2 tags 0 links 0 created u1000
            - tagged_by a/c/x
            - tags a/x
        "#]],
    );
}
