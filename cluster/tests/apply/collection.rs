//! Condemning links and forgetting reclaimed objects. The collector may have slept.

use expect_test::expect;

use super::machine::check;

#[test]
fn a_link_is_condemned_when_its_hold_is_over_and_not_before() {
    check(
        "@0 push d in a",
        "@199 condemn a/d
         @200 condemn a/d
         condemn a/d",
        expect![[r#"
            > @199 condemn a/d
            condemned links 0 objects 0
            + clock = 199
            > @200 condemn a/d
            condemned links 1 objects 1
            - blobs d
            - candidates 200 a/d
            ~ clock = 200
            - linked_in d/a
            - links a/d
            ~ objects k-d-a = reclaimed 200 size 9
            + reclaimable 200 k-d-a
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
            > condemn a/d
            condemned links 0 objects 0
        "#]],
    );
}

#[test]
fn a_blob_with_another_link_stays() {
    check(
        "@0 push d in a
         @100 mount d from a to b",
        "@200 condemn a/d b/d",
        expect![[r#"
            condemned links 1 objects 0
            - candidates 200 a/d
            ~ clock = 200
            - linked_in d/a
            - links a/d
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
        "#]],
    );
}

#[test]
fn a_link_whose_hold_was_renewed_meanwhile_stays() {
    check(
        "@0 push d in a
         @199 renew d in a",
        "@398 condemn a/d
         @399 condemn a/d",
        expect![[r#"
            > @398 condemn a/d
            condemned links 0 objects 0
            ~ clock = 398
            > @399 condemn a/d
            condemned links 1 objects 1
            - blobs d
            - candidates 399 a/d
            ~ clock = 399
            - linked_in d/a
            - links a/d
            ~ objects k-d-a = reclaimed 399 size 9
            + reclaimable 399 k-d-a
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
        "#]],
    );
}

#[test]
fn a_link_that_a_manifest_references_stays_whatever_its_hold() {
    check(
        "@0 push d in a
         put m in a of d",
        "@9000 condemn a/d",
        expect![[r#"
            condemned links 0 objects 0
            + clock = 9000
        "#]],
    );
}

#[test]
fn a_new_hold_begins_when_the_last_manifest_goes() {
    check(
        "@0 push d in a
         put m1 in a of d
         put m2 in a of d",
        "@1000 delete m1 in a
         @2000 delete m2 in a
         @2199 condemn a/d
         @2200 condemn a/d",
        expect![[r#"
            > @1000 delete m1 in a
            finished
            + clock = 1000
            - contents a/m1
            - manifest_bodies m1
            - manifest_in m1/a
            - manifests a/m1
            - references a/d/m1
            ~ repositories a = manifests 1 tags 0 links 1 created u1000
            - unheld 0 a/m1
            > @2000 delete m2 in a
            finished
            + candidates 2200 a/d
            ~ clock = 2000
            - contents a/m2
            ~ links a/d = hold 2200 u1000
            - manifest_bodies m2
            - manifest_in m2/a
            - manifests a/m2
            - references a/d/m2
            ~ repositories a = manifests 0 tags 0 links 1 created u1000
            - unheld 0 a/m2
            > @2199 condemn a/d
            condemned links 0 objects 0
            ~ clock = 2199
            > @2200 condemn a/d
            condemned links 1 objects 1
            - blobs d
            - candidates 2200 a/d
            ~ clock = 2200
            - linked_in d/a
            - links a/d
            ~ objects k-d-a = reclaimed 2200 size 9
            + reclaimable 2200 k-d-a
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
        "#]],
    );
}

#[test]
fn condemning_passes_over_what_is_not_there_and_counts_each_link_once() {
    check(
        "@0 push d in a
         push e in a",
        "@200 condemn a/x y/d a/d a/d a/e",
        expect![[r#"
            condemned links 2 objects 2
            - blobs d
            - blobs e
            - candidates 200 a/d
            - candidates 200 a/e
            + clock = 200
            - linked_in d/a
            - linked_in e/a
            - links a/d
            - links a/e
            ~ objects k-d-a = reclaimed 200 size 9
            ~ objects k-e-a = reclaimed 200 size 9
            + reclaimable 200 k-d-a
            + reclaimable 200 k-e-a
            ~ repositories a = manifests 0 tags 0 links 0 created u1000
        "#]],
    );
}

#[test]
fn a_condemned_blob_that_is_pushed_again_has_a_new_key() {
    check(
        "@0 push d in a
         @200 condemn a/d",
        "begin u in a at k
         commit u 1 as d in a",
        expect![[r#"
            > begin u in a at k
            done
            + objects k = uploading u
            + uploads u = in a at k epoch 1 by 1.1 offset 0 updated 200 u1200
            > commit u 1 as d in a
            done
            + blobs d = k size 9 u1200
            + candidates 400 a/d
            + committed u/d = a until 3600200
            + linked_in d/a
            + links a/d = hold 400 u1200
            ~ objects k = live d
            ~ repositories a = manifests 0 tags 0 links 1 created u1000
            - uploads u
        "#]],
    );
}

#[test]
fn only_reclaimed_objects_are_forgotten() {
    check(
        "push d in a
         begin u in a at uploading
         begin v in a at reclaimed
         @7 cancel v 1
         begin w in a at former
         claim w 1 by 2.1 at taken",
        "@9 forget k-d-a uploading former taken absent reclaimed reclaimed",
        expect![[r#"
            done
            ~ clock = 9
            - objects reclaimed
            - reclaimable 7 reclaimed
        "#]],
    );
}
