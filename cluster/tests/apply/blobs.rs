//! Mounting, deleting, renewing and damaging stored blobs.

use expect_test::expect;
use roadstead_cluster::metadata::keys;
use roadstead_proto::rpc::state::{Deletion, Repository};

use super::machine::{Machine, check};

/// Marks a repository without a step of its deletion.
pub(crate) fn mark_deleting(machine: &mut Machine, name: &str) {
    let row = Repository {
        deleting: true,
        ..Repository::default()
    };
    machine.put(&keys::repository(name), &row);
    machine.put(&keys::deletion(name, ""), &Deletion::default());
}

#[test]
fn a_mount_links_the_blob_and_leaves_its_bytes() {
    check(
        "push d in a",
        "@7 mount d from a to b",
        expect![[r#"
        done
        + candidates 207 b/d
        + clock = 7
        + linked_in d/b
        + links b/d = hold 207 u1007
        + repositories b = manifests 0 tags 0 links 1 created u1007
    "#]],
    );
}

#[test]
fn mounting_again_renews_the_hold() {
    check(
        "push d in a
         mount d from a to b",
        "@7 mount d from a to b",
        expect![[r#"
            done
            - candidates 200 b/d
            + candidates 207 b/d
            + clock = 7
            ~ links b/d = hold 207 u1000
        "#]],
    );
}

#[test]
fn a_mount_from_where_the_blob_is_not_is_refused() {
    check(
        "push d in a
         push e in b",
        "mount d from b to c
         mount d from nowhere to c
         mount x from a to c",
        expect![[r#"
            > mount d from b to c
            refused BLOB_UNKNOWN d
            > mount d from nowhere to c
            refused BLOB_UNKNOWN d
            > mount x from a to c
            refused BLOB_UNKNOWN x
        "#]],
    );
}

#[test]
fn a_damaged_blob_is_not_mounted() {
    check(
        "push d in a
         damage d at k-d-a",
        "mount d from a to b
         mount d from a to a",
        expect![[r#"
            > mount d from a to b
            refused BLOB_UNKNOWN d
            > mount d from a to a
            refused BLOB_UNKNOWN d
        "#]],
    );
}

#[test]
fn a_repository_that_is_being_deleted_takes_and_gives_no_mounts() {
    let mut machine = Machine::after("push d in a");
    mark_deleting(&mut machine, "b");
    expect![[r#"
        > mount d from a to b
        refused DELETING
        > mount d from b to a
        refused BLOB_UNKNOWN d
    "#]]
    .assert_eq(&machine.steps("mount d from a to b\n mount d from b to a"));
}

#[test]
fn a_mount_of_a_blob_that_a_manifest_waits_for_is_no_candidate() {
    check(
        "push d in a
         put m in b of d?",
        "mount d from a to b",
        expect![[r#"
            done
            + linked_in d/b
            + links b/d = hold 200 u1000
            ~ repositories b = manifests 1 tags 0 links 1 created u1000
        "#]],
    );
}

#[test]
fn deleting_the_last_link_reclaims_the_object() {
    check(
        "push d in a
         mount d from a to b",
        "@7 unlink d in a
         @8 unlink d in b
         unlink d in b",
        expect![[r#"
            > @7 unlink d in a
            done
            - candidates 200 a/d
            + clock = 7
            - linked_in d/a
            - links a/d
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
            > @8 unlink d in b
            done
            - blobs d
            - candidates 200 b/d
            ~ clock = 8
            - linked_in d/b
            - links b/d
            ~ objects k-d-a = reclaimed 8 size 9
            + reclaimable 8 k-d-a
            ~ repositories b = manifests 0 tags 0 links 0 created u1000
            > unlink d in b
            refused BLOB_UNKNOWN d
        "#]],
    );
}

#[test]
fn a_blob_that_a_manifest_references_cannot_be_deleted() {
    check(
        "push d in a
         mount d from a to b
         put m1 in a of d
         put m2 in a of d",
        "unlink d in a
         unlink d in b",
        expect![[r#"
            > unlink d in a
            refused STILL_REFERENCED m1 m2
            > unlink d in b
            done
            - candidates 200 b/d
            - linked_in d/b
            - links b/d
            ~ repositories b = manifests 0 tags 0 links 0 created u1000
        "#]],
    );
}

#[test]
fn at_most_ten_of_the_manifests_that_reference_a_blob_are_named() {
    let mut machine = Machine::after("push d in a");
    for number in 0..12 {
        machine.given(&format!("put m{number:02} in a of d"));
    }
    expect![[r#"
        refused STILL_REFERENCED m00 m01 m02 m03 m04 m05 m06 m07 m08 m09
    "#]]
    .assert_eq(&machine.steps("unlink d in a"));
}

#[test]
fn a_blob_can_be_deleted_when_its_manifest_is() {
    check(
        "push d in a
         put m in a of d
         delete m in a",
        "unlink d in a",
        expect![[r#"
            done
            - blobs d
            - candidates 200 a/d
            - linked_in d/a
            - links a/d
            ~ objects k-d-a = reclaimed 0 size 9
            + reclaimable 0 k-d-a
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
        "#]],
    );
}

#[test]
fn a_renewed_hold_lasts_twice_the_grace_from_now() {
    check(
        "push d in a
         push e in a
         mount d from a to b",
        "@150 renew d in a",
        expect![[r#"
            done
            - candidates 200 a/d
            + candidates 350 a/d
            + clock = 150
            ~ links a/d = hold 350 u1000
        "#]],
    );
}

#[test]
fn renewing_passes_over_what_is_referenced_and_names_what_is_gone() {
    check(
        "push d in a
         put m in a of d tags x",
        "@150 renew d x m in a
         renew d in b",
        expect![[r#"
            > @150 renew d x m in a
            refused BLOB_UNKNOWN x
            + clock = 150
            > renew d in b
            refused BLOB_UNKNOWN d
        "#]],
    );
}

#[test]
fn renewing_an_unheld_manifest_makes_it_unheld_from_now() {
    check(
        "put m in a",
        "@150 renew m in a
         renew m in a",
        expect![[r#"
            > @150 renew m in a
            done
            + clock = 150
            ~ manifests a/m = image size 9 u1000 unheld 150
            - unheld 0 a/m
            + unheld 150 a/m
            > renew m in a
            done
        "#]],
    );
}

#[test]
fn a_changed_grace_counts_for_holds_from_then_on() {
    check(
        "push d in a
         push e in a
         settings 500",
        "@10 renew d in a
         @200 condemn a/d a/e",
        expect![[r#"
            > @10 renew d in a
            done
            + candidates 1010 a/d
            - candidates 200 a/d
            + clock = 10
            ~ links a/d = hold 1010 u1000
            > @200 condemn a/d a/e
            condemned links 1 objects 1
            - blobs e
            - candidates 200 a/e
            ~ clock = 200
            - linked_in e/a
            - links a/e
            ~ objects k-e-a = reclaimed 200 size 9
            + reclaimable 200 k-e-a
            ~ repositories a = manifests 0 tags 0 links 1 created u1000
        "#]],
    );
}

#[test]
fn a_lowered_grace_takes_back_no_hold_that_was_given() {
    check(
        "push d in a
         settings 10",
        "@10 renew d in a
         @150 condemn a/d",
        expect![[r#"
            > @10 renew d in a
            done
            + clock = 10
            > @150 condemn a/d
            condemned links 0 objects 0
            ~ clock = 150
        "#]],
    );
}

#[test]
fn a_blob_is_marked_damaged_only_under_the_key_that_was_found_so() {
    check(
        "push d in a",
        "damage d at other
         damage e at k-d-a
         damage d at k-d-a
         damage d at k-d-a",
        expect![[r#"
            > damage d at other
            refused BLOB_UNKNOWN d
            > damage e at k-d-a
            refused BLOB_UNKNOWN e
            > damage d at k-d-a
            done
            ~ blobs d = k-d-a size 9 u1000 damaged
            > damage d at k-d-a
            done
        "#]],
    );
}

#[test]
fn a_mark_is_taken_back_only_under_the_key_that_was_found_right() {
    check(
        "push d in a
         damage d at k-d-a",
        "sound d at other
         sound d at k-d-a
         sound d at k-d-a",
        expect![[r#"
            > sound d at other
            refused BLOB_UNKNOWN d
            > sound d at k-d-a
            done
            ~ blobs d = k-d-a size 9 u1000
            > sound d at k-d-a
            done
        "#]],
    );
}

#[test]
fn a_late_report_of_damage_does_not_hit_the_replacement() {
    check(
        "push d in a
         damage d at k-d-a
         push d in b",
        "damage d at k-d-a",
        expect![[r#"
            refused BLOB_UNKNOWN d
        "#]],
    );
}

#[test]
fn a_damaged_blob_goes_like_any_other() {
    check(
        "push d in a
         damage d at k-d-a",
        "@200 condemn a/d",
        expect![[r#"
            condemned links 1 objects 1
            - blobs d
            - candidates 200 a/d
            + clock = 200
            - linked_in d/a
            - links a/d
            ~ objects k-d-a = reclaimed 200 size 9
            + reclaimable 200 k-d-a
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
        "#]],
    );
}
