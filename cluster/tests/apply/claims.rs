//! Chains of claims: who may write which key.

use expect_test::expect;

use super::machine::check;

#[test]
fn a_released_upload_is_resumed_under_its_key() {
    check(
        "begin u in a at k
         release u 1 5 c5",
        "@7 claim u 1 by 2.1 at l",
        expect![[r#"
            claimed in a at k epoch 2 by 2.1 offset 5 c5 h-c5 updated 7 u1000
            + clock = 7
            ~ uploads u = in a at k epoch 2 by 2.1 offset 5 c5 h-c5 updated 7 u1000
        "#]],
    );
}

#[test]
fn an_upload_that_was_not_released_goes_on_under_the_fresh_key() {
    check(
        "begin u in a at k
         checkpoint u 1 5 c5",
        "@7 claim u 1 by 2.1 at l",
        expect![[r#"
            claimed in a at l former k epoch 2 by 2.1 offset 5 c5 h-c5 updated 7 u1000
            + clock = 7
            + objects l = uploading u
            ~ uploads u = in a at l former k epoch 2 by 2.1 offset 5 c5 h-c5 updated 7 u1000
        "#]],
    );
}

#[test]
fn a_checkpoint_on_the_new_key_lets_the_former_go() {
    check(
        "begin u in a at k
         checkpoint u 1 5 c5
         claim u 1 by 2.1 at l",
        "@7 checkpoint u 2 5 d5",
        expect![[r#"
            done
            + clock = 7
            ~ objects k = reclaimed 7 size 5 checkpoint c5
            + reclaimable 7 k
            ~ uploads u = in a at l epoch 2 by 2.1 offset 5 d5 h-d5 updated 7 u1000
        "#]],
    );
}

#[test]
fn a_commit_on_the_new_key_lets_the_former_go() {
    check(
        "begin u in a at k
         checkpoint u 1 5 c5
         claim u 1 by 2.1 at l",
        "@7 commit u 2 as d in a",
        expect![[r#"
            done
            + blobs d = l size 9 u1007
            + candidates 207 a/d
            + clock = 7
            + committed u/d = a until 3600007
            + linked_in d/a
            + links a/d = hold 207 u1007
            ~ objects k = reclaimed 7 size 5 checkpoint c5
            ~ objects l = live d
            + reclaimable 7 k
            + repositories a = manifests 0 tags 0 links 1 created u1007
            - uploads u
        "#]],
    );
}

#[test]
fn a_release_of_the_new_key_lets_the_former_go() {
    check(
        "begin u in a at k
         checkpoint u 1 5 c5
         claim u 1 by 2.1 at l
         @7 release u 2 6 d6",
        "claim u 2 by 1.2 at m",
        expect![[r#"
            claimed in a at l epoch 3 by 1.2 offset 6 d6 h-d6 updated 7 u1000
            ~ uploads u = in a at l epoch 3 by 1.2 offset 6 d6 h-d6 updated 7 u1000
        "#]],
    );
}

#[test]
fn a_second_claim_before_a_checkpoint_keeps_the_bytes_of_the_first_owner() {
    check(
        "begin u in a at k
         checkpoint u 1 5 c5
         claim u 1 by 2.1 at l",
        "@7 claim u 2 by 1.2 at m
         @8 checkpoint u 3 6 m6",
        expect![[r#"
            > @7 claim u 2 by 1.2 at m
            claimed in a at m former k epoch 3 by 1.2 offset 5 c5 h-c5 updated 7 u1000
            + clock = 7
            ~ objects l = reclaimed 7 size 0
            + objects m = uploading u
            + reclaimable 7 l
            ~ uploads u = in a at m former k epoch 3 by 1.2 offset 5 c5 h-c5 updated 7 u1000
            > @8 checkpoint u 3 6 m6
            done
            ~ clock = 8
            ~ objects k = reclaimed 8 size 5 checkpoint c5
            + reclaimable 8 k
            ~ uploads u = in a at m epoch 3 by 1.2 offset 6 m6 h-m6 updated 8 u1000
        "#]],
    );
}

#[test]
fn a_second_claim_after_a_checkpoint_keeps_the_bytes_of_the_second_owner() {
    check(
        "begin u in a at k
         checkpoint u 1 5 c5
         claim u 1 by 2.1 at l
         checkpoint u 2 6 l6",
        "@7 claim u 2 by 1.2 at m",
        expect![[r#"
            claimed in a at m former l epoch 3 by 1.2 offset 6 l6 h-l6 updated 7 u1000
            + clock = 7
            + objects m = uploading u
            ~ uploads u = in a at m former l epoch 3 by 1.2 offset 6 l6 h-l6 updated 7 u1000
        "#]],
    );
}

#[test]
fn an_upload_that_was_resumed_must_be_released_again() {
    check(
        "begin u in a at k
         release u 1 5 c5
         claim u 1 by 2.1 at l",
        "claim u 2 by 1.2 at m",
        expect![[r#"
            claimed in a at m former k epoch 3 by 1.2 offset 5 c5 h-c5 updated 0 u1000
            + objects m = uploading u
            ~ uploads u = in a at m former k epoch 3 by 1.2 offset 5 c5 h-c5 updated 0 u1000
        "#]],
    );
}

#[test]
fn a_repeated_claim_gets_the_row_as_it_is_now() {
    check(
        "begin u in a at k
         claim u 1 by 2.1 at l",
        "claim u 1 by 2.1 at l
         checkpoint u 2 5 l5
         claim u 1 by 2.1 at l",
        expect![[r#"
            > claim u 1 by 2.1 at l
            claimed in a at l former k epoch 2 by 2.1 offset 0 updated 0 u1000
            > checkpoint u 2 5 l5
            done
            ~ objects k = reclaimed 0 size 0
            + reclaimable 0 k
            ~ uploads u = in a at l epoch 2 by 2.1 offset 5 l5 h-l5 updated 0 u1000
            > claim u 1 by 2.1 at l
            claimed in a at l epoch 2 by 2.1 offset 5 l5 h-l5 updated 0 u1000
        "#]],
    );
}

#[test]
fn of_two_claims_the_first_wins() {
    check(
        "begin u in a at k
         claim u 1 by 2.1 at l",
        "claim u 1 by 1.2 at m
         claim u 1 by 2.1 at m
         claim u 1 by 1.2 at l",
        expect![[r#"
            > claim u 1 by 1.2 at m
            refused EPOCH_STALE
            > claim u 1 by 2.1 at m
            refused EPOCH_STALE
            > claim u 1 by 1.2 at l
            refused EPOCH_STALE
        "#]],
    );
}

/// A resumed key does not tell a repeat from another claim of the same owner, so both are refused:
/// the owner claims again, with the epoch that it finds, under a fresh key.
#[test]
fn a_repeated_claim_that_resumed_is_refused() {
    check(
        "begin u in a at k
         release u 1 5 c5
         claim u 1 by 2.1 at l",
        "claim u 1 by 2.1 at l
         claim u 2 by 2.1 at m",
        expect![[r#"
            > claim u 1 by 2.1 at l
            refused EPOCH_STALE
            > claim u 2 by 2.1 at m
            claimed in a at m former k epoch 3 by 2.1 offset 5 c5 h-c5 updated 0 u1000
            + objects m = uploading u
            ~ uploads u = in a at m former k epoch 3 by 2.1 offset 5 c5 h-c5 updated 0 u1000
        "#]],
    );
}

#[test]
fn a_claim_needs_a_key_that_was_never_used() {
    check(
        "begin u in a at k
         begin v in a at l
         push d in a
         cancel v 1",
        "claim u 1 by 2.1 at k
         claim u 1 by 2.1 at l
         claim u 1 by 2.1 at k-d-a",
        expect![[r#"
            > claim u 1 by 2.1 at k
            refused KEY_USED
            > claim u 1 by 2.1 at l
            refused KEY_USED
            > claim u 1 by 2.1 at k-d-a
            refused KEY_USED
        "#]],
    );
}

#[test]
fn a_former_owner_can_do_nothing_more() {
    check(
        "begin u in a at k
         claim u 1 by 2.1 at l
         claim u 2 by 1.2 at m",
        "checkpoint u 2 5 l5
         release u 2 5 l5
         commit u 2 as d in a
         cancel u 2",
        expect![[r#"
            > checkpoint u 2 5 l5
            refused EPOCH_STALE
            > release u 2 5 l5
            refused EPOCH_STALE
            > commit u 2 as d in a
            refused EPOCH_STALE
            > cancel u 2
            refused EPOCH_STALE
        "#]],
    );
}

#[test]
fn an_epoch_at_the_end_of_numbers_is_refused_like_any_other() {
    check(
        "begin u in a at k",
        &format!("claim u {} by 2.1 at l", u64::MAX),
        expect![[r#"
            refused EPOCH_STALE
        "#]],
    );
}
