//! Uploads under one owner: begin, checkpoint, release, cancel.

use expect_test::expect;

use super::machine::{Machine, check};

#[test]
fn an_upload_begins_with_a_key_of_its_own_and_no_repository() {
    check(
        "",
        "@5 begin u in a at k",
        expect![[r#"
            done
            + clock = 5
            + objects k = uploading u
            + uploads u = in a at k epoch 1 by 1.1 offset 0 updated 5 u1005
        "#]],
    );
}

#[test]
fn beginning_again_is_a_retry_even_after_a_checkpoint() {
    check(
        "begin u in a at k
         checkpoint u 1 5 c",
        "begin u in a at k",
        expect![[r#"
            done
        "#]],
    );
}

#[test]
fn an_upload_id_or_key_that_is_in_use_is_refused() {
    check(
        "begin u in a at k
         begin v in a at l
         push d in a",
        "begin u in a at other
         begin u in a at l
         begin w in a at k
         begin w in a at k-d-a",
        expect![[r#"
            > begin u in a at other
            refused KEY_USED
            > begin u in a at l
            refused KEY_USED
            > begin w in a at k
            refused KEY_USED
            > begin w in a at k-d-a
            refused KEY_USED
        "#]],
    );
}

#[test]
fn beginning_again_after_a_claim_is_refused_whatever_key_it_names() {
    check(
        "begin u in a at k
         claim u 1 by 2.1 at l",
        "begin u in a at k
         begin u in a at l",
        expect![[r#"
            > begin u in a at k
            refused KEY_USED
            > begin u in a at l
            refused KEY_USED
        "#]],
    );
}

#[test]
fn a_key_stays_used_after_its_upload_was_cancelled() {
    check(
        "begin u in a at k
         cancel u 1",
        "begin u in a at k",
        expect![[r#"
            refused KEY_USED
        "#]],
    );
}

#[test]
fn a_repository_that_is_being_deleted_takes_no_uploads() {
    let mut machine = Machine::after("begin u in a at k");
    super::blobs::mark_deleting(&mut machine, "a");
    let text = machine.steps(
        "begin v in a at l
         checkpoint u 1 5 c
         commit u 1 as d in a",
    );
    expect![[r#"
        > begin v in a at l
        refused DELETING
        > checkpoint u 1 5 c
        done
        ~ uploads u = in a at k epoch 1 by 1.1 offset 5 c h-c updated 0 u1000
        > commit u 1 as d in a
        refused DELETING
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_checkpoint_moves_the_offset_forward() {
    check(
        "begin u in a at k",
        "@7 checkpoint u 1 5 c5
         @8 checkpoint u 1 9 c9",
        expect![[r#"
            > @7 checkpoint u 1 5 c5
            done
            + clock = 7
            ~ uploads u = in a at k epoch 1 by 1.1 offset 5 c5 h-c5 updated 7 u1000
            > @8 checkpoint u 1 9 c9
            done
            ~ clock = 8
            ~ uploads u = in a at k epoch 1 by 1.1 offset 9 c9 h-c9 updated 8 u1000
        "#]],
    );
}

#[test]
fn a_checkpoint_at_the_same_offset_is_a_retry() {
    check(
        "begin u in a at k
         checkpoint u 1 5 c5",
        "checkpoint u 1 5 c5",
        expect![[r#"
            done
        "#]],
    );
}

#[test]
fn an_acknowledged_offset_never_goes_back() {
    check(
        "begin u in a at k
         checkpoint u 1 5 c5",
        "checkpoint u 1 4 c4
         release u 1 4 c4",
        expect![[r#"
            > checkpoint u 1 4 c4
            refused OFFSET_BEHIND
            > release u 1 4 c4
            refused OFFSET_BEHIND
        "#]],
    );
}

#[test]
fn upload_commands_of_another_epoch_are_refused() {
    check(
        "begin u in a at k
         claim u 1 by 2.1 at l",
        "checkpoint u 1 5 c
         checkpoint u 3 5 c
         release u 1 5 c
         commit u 1 as d in a
         cancel u 1
         claim u 1 by 1.1 at m
         claim u 3 by 1.1 at m",
        expect![[r#"
            > checkpoint u 1 5 c
            refused EPOCH_STALE
            > checkpoint u 3 5 c
            refused EPOCH_STALE
            > release u 1 5 c
            refused EPOCH_STALE
            > commit u 1 as d in a
            refused EPOCH_STALE
            > cancel u 1
            refused EPOCH_STALE
            > claim u 1 by 1.1 at m
            refused EPOCH_STALE
            > claim u 3 by 1.1 at m
            refused EPOCH_STALE
        "#]],
    );
}

#[test]
fn commands_about_an_unknown_upload_are_refused() {
    check(
        "",
        "checkpoint u 1 5 c
         release u 1 5 c
         commit u 1 as d in a
         cancel u 1
         claim u 1 by 1.1 at m",
        expect![[r#"
            > checkpoint u 1 5 c
            refused UPLOAD_UNKNOWN
            > release u 1 5 c
            refused UPLOAD_UNKNOWN
            > commit u 1 as d in a
            refused UPLOAD_UNKNOWN
            > cancel u 1
            refused UPLOAD_UNKNOWN
            > claim u 1 by 1.1 at m
            refused UPLOAD_UNKNOWN
        "#]],
    );
}

#[test]
fn a_release_is_a_checkpoint_and_can_be_repeated() {
    check(
        "begin u in a at k",
        "@7 release u 1 5 c5
         @8 release u 1 5 c5",
        expect![[r#"
            > @7 release u 1 5 c5
            done
            + clock = 7
            ~ uploads u = in a at k epoch 1 by 1.1 released offset 5 c5 h-c5 updated 7 u1000
            > @8 release u 1 5 c5
            done
            ~ clock = 8
            ~ uploads u = in a at k epoch 1 by 1.1 released offset 5 c5 h-c5 updated 8 u1000
        "#]],
    );
}

#[test]
fn a_late_repeat_of_a_checkpoint_does_not_take_a_release_back() {
    check(
        "begin u in a at k
         checkpoint u 1 5 c5
         release u 1 5 c5",
        "checkpoint u 1 5 c5
         claim u 1 by 2.1 at l",
        expect![[r#"
            > checkpoint u 1 5 c5
            done
            > claim u 1 by 2.1 at l
            claimed in a at k epoch 2 by 2.1 offset 5 c5 h-c5 updated 0 u1000
            ~ uploads u = in a at k epoch 2 by 2.1 offset 5 c5 h-c5 updated 0 u1000
        "#]],
    );
}

#[test]
fn a_cancelled_upload_leaves_its_key_with_what_its_removal_needs() {
    check(
        "begin u in a at k
         checkpoint u 1 5 c5",
        "@7 cancel u 1
         cancel u 1",
        expect![[r#"
            > @7 cancel u 1
            done
            + clock = 7
            ~ objects k = reclaimed 7 size 5 checkpoint c5
            + reclaimable 7 k
            - uploads u
            > cancel u 1
            refused UPLOAD_UNKNOWN
        "#]],
    );
}

#[test]
fn a_cancelled_take_over_reclaims_both_keys_each_with_its_own_checkpoint() {
    check(
        "begin u in a at k
         checkpoint u 1 5 c5
         claim u 1 by 2.1 at l",
        "@7 cancel u 2",
        expect![[r#"
            done
            + clock = 7
            ~ objects k = reclaimed 7 size 5 checkpoint c5
            ~ objects l = reclaimed 7 size 0
            + reclaimable 7 k
            + reclaimable 7 l
            - uploads u
        "#]],
    );
}
