//! Commits: an upload becomes a blob, once, and is remembered for an hour.

use expect_test::expect;

use super::machine::{Machine, check};

const HOUR_MS: u64 = 3_600_000;

#[test]
fn a_commit_makes_the_key_live_and_links_the_blob() {
    check(
        "begin u in a at k",
        "@7 commit u 1 as d in a",
        expect![[r#"
        done
        + blobs d = k size 9 u1007
        + candidates 207 a/d
        + clock = 7
        + committed u/d = a until 3600007
        + linked_in d/a
        + links a/d = hold 207 u1007
        ~ objects k = live d
        + repositories a = manifests 0 tags 0 links 1 created u1007
        - uploads u
    "#]],
    );
}

#[test]
fn a_commit_of_a_stored_digest_reclaims_the_new_object_and_links_the_old() {
    check(
        "push d in a
         begin u in b at k",
        "@7 commit u 1 as d in b",
        expect![[r#"
            done
            + candidates 207 b/d
            + clock = 7
            + committed u/d = b until 3600007
            + linked_in d/b
            + links b/d = hold 207 u1007
            ~ objects k = reclaimed 7 size 9
            + reclaimable 7 k
            + repositories b = manifests 0 tags 0 links 1 created u1007
            - uploads u
        "#]],
    );
}

#[test]
fn a_commit_of_a_blob_that_the_repository_holds_renews_its_hold() {
    check(
        "push d in a
         begin u in a at k",
        "@7 commit u 1 as d in a",
        expect![[r#"
            done
            - candidates 200 a/d
            + candidates 207 a/d
            + clock = 7
            + committed u/d = a until 3600007
            ~ links a/d = hold 207 u1000
            ~ objects k = reclaimed 7 size 9
            + reclaimable 7 k
            - uploads u
        "#]],
    );
}

#[test]
fn a_commit_replaces_a_damaged_object_for_every_repository() {
    check(
        "push d in a
         damage d at k-d-a
         begin u in b at k",
        "@7 commit u 1 as d in b",
        expect![[r#"
            done
            ~ blobs d = k size 9 u1007
            + candidates 207 b/d
            + clock = 7
            + committed u/d = b until 3600007
            + linked_in d/b
            + links b/d = hold 207 u1007
            ~ objects k = live d
            ~ objects k-d-a = reclaimed 7 size 9
            + reclaimable 7 k-d-a
            + repositories b = manifests 0 tags 0 links 1 created u1007
            - uploads u
        "#]],
    );
}

#[test]
fn a_commit_links_the_blob_where_the_upload_began() {
    check(
        "begin u in a at k",
        "commit u 1 as d in b",
        expect![[r#"
        done
        + blobs d = k size 9 u1000
        + candidates 200 a/d
        + committed u/d = a until 3600000
        + linked_in d/a
        + links a/d = hold 200 u1000
        ~ objects k = live d
        + repositories a = manifests 0 tags 0 links 1 created u1000
        - uploads u
    "#]],
    );
}

#[test]
fn a_repeated_commit_is_remembered_and_renews_the_hold() {
    check(
        "begin u in a at k
         commit u 1 as d in a",
        "@50 commit u 1 as d in a
         commit u 9 as d in a",
        expect![[r#"
            > @50 commit u 1 as d in a
            done
            - candidates 200 a/d
            + candidates 250 a/d
            + clock = 50
            ~ links a/d = hold 250 u1000
            > commit u 9 as d in a
            done
        "#]],
    );
}

#[test]
fn a_repeated_commit_is_not_remembered_for_another_digest_or_repository() {
    check(
        "begin u in a at k
         commit u 1 as d in a
         mount d from a to b",
        "commit u 1 as e in a
         commit u 1 as d in b",
        expect![[r#"
            > commit u 1 as e in a
            refused UPLOAD_UNKNOWN
            > commit u 1 as d in b
            refused UPLOAD_UNKNOWN
        "#]],
    );
}

#[test]
fn a_commit_is_remembered_for_an_hour_of_cluster_time() {
    let last = HOUR_MS - 1;
    check(
        "begin u in a at k
         @0 commit u 1 as d in a",
        &format!(
            "@{last} commit u 1 as d in a
             @{HOUR_MS} commit u 1 as d in a"
        ),
        expect![[r#"
            > @3599999 commit u 1 as d in a
            done
            - candidates 200 a/d
            + candidates 3600199 a/d
            + clock = 3599999
            ~ links a/d = hold 3600199 u1000
            > @3600000 commit u 1 as d in a
            refused UPLOAD_UNKNOWN
            ~ clock = 3600000
        "#]],
    );
}

#[test]
fn a_remembered_commit_whose_link_is_gone_says_so() {
    check(
        "begin u in a at k
         commit u 1 as d in a
         @500 condemn a/d",
        "commit u 1 as d in a",
        expect![[r#"
            refused BLOB_UNKNOWN d
        "#]],
    );
}

#[test]
fn a_commit_is_remembered_when_its_blob_came_back_another_way() {
    check(
        "begin u in a at k
         commit u 1 as d in a
         unlink d in a
         push d in b
         mount d from b to a",
        "commit u 1 as d in a",
        expect![[r#"
            done
        "#]],
    );
}

#[test]
fn a_commit_drops_a_few_expired_memories_and_no_others() {
    let mut machine = Machine::after("");
    for number in 0..6 {
        machine.given(&format!("push d in r{number}"));
    }
    machine.given(&format!("@{} push d in r9", HOUR_MS - 1));
    let text = machine.steps(&format!(
        "@{HOUR_MS} begin t in a at k
         commit t 1 as d in a"
    ));
    expect![[r#"
        > @3600000 begin t in a at k
        done
        ~ clock = 3600000
        + objects k = uploading t
        + uploads t = in a at k epoch 1 by 1.1 offset 0 updated 3600000 u3601000
        > commit t 1 as d in a
        done
        + candidates 3600200 a/d
        + committed t/d = a until 7200000
        - committed u-d-r0/d
        - committed u-d-r1/d
        - committed u-d-r2/d
        - committed u-d-r3/d
        + linked_in d/a
        + links a/d = hold 3600200 u3601000
        ~ objects k = reclaimed 3600000 size 9
        + reclaimable 3600000 k
        + repositories a = manifests 0 tags 0 links 1 created u3601000
        - uploads t
    "#]]
    .assert_eq(&text);
    machine.given("begin v in a at l");
    machine.given("begin a in a at m");
    let text = machine.steps("commit v 1 as d in a\n commit a 1 as d in a");
    expect![[r#"
        > commit v 1 as d in a
        done
        + committed v/d = a until 7200000
        ~ objects l = reclaimed 3600000 size 9
        + reclaimable 3600000 l
        - uploads v
        > commit a 1 as d in a
        done
        + committed a/d = a until 7200000
        - committed u-d-r4/d
        - committed u-d-r5/d
        ~ objects m = reclaimed 3600000 size 9
        + reclaimable 3600000 m
        - uploads a
    "#]]
    .assert_eq(&text);
}
