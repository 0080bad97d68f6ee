//! Cluster time never goes back, and unknown commands stop the node.

use expect_test::expect;
use roadstead_cluster::metadata::{Fault, Transaction, apply};
use roadstead_proto::rpc::metadata::Command;

use super::machine::{Machine, check};

#[test]
fn time_advances_with_any_command_even_a_refused_one() {
    check(
        "@50 settings",
        "@60 untag x in a",
        expect![[r#"
        refused TAG_UNKNOWN
        ~ clock = 60
    "#]],
    );
}

#[test]
fn a_stamp_that_lies_behind_counts_as_the_last_one() {
    check(
        "@50 settings",
        "@40 begin u in a at k",
        expect![[r#"
            done
            + objects k = uploading u
            + uploads u = in a at k epoch 1 by 1.1 offset 0 updated 50 u1040
        "#]],
    );
}

#[test]
fn a_hold_counts_from_cluster_time_not_from_a_stamp_behind_it() {
    check(
        "@500 begin u in a at k",
        "@10 commit u 1 as d in a
         @20 condemn a/d
         @700 condemn a/d",
        expect![[r#"
            > @10 commit u 1 as d in a
            done
            + blobs d = k size 9 u1010
            + candidates 700 a/d
            + committed u/d = a until 3600500
            + linked_in d/a
            + links a/d = hold 700 u1010
            ~ objects k = live d
            + repositories a = manifests 0 tags 0 links 1 created u1010
            - uploads u
            > @20 condemn a/d
            condemned links 0 objects 0
            > @700 condemn a/d
            condemned links 1 objects 1
            - blobs d
            - candidates 700 a/d
            ~ clock = 700
            - linked_in d/a
            - links a/d
            ~ objects k = reclaimed 700 size 9
            + reclaimable 700 k
            ~ repositories a = manifests 0 tags 0 links 0 created u1010
        "#]],
    );
}

#[test]
fn time_stops_at_its_end_instead_of_wrapping() {
    let end = u64::MAX - 1000;
    check(
        &format!(
            "@{end} settings {}
             begin u in a at k",
            u64::MAX
        ),
        "commit u 1 as d in a",
        expect![[r#"
            done
            + blobs d = k size 9 u18446744073709551615
            + candidates 18446744073709551615 a/d
            + committed u/d = a until 18446744073709551615
            + linked_in d/a
            + links a/d = hold 18446744073709551615 u18446744073709551615
            ~ objects k = live d
            + repositories a = manifests 0 tags 0 links 1 created u18446744073709551615
            - uploads u
        "#]],
    );
}

#[test]
fn an_unknown_command_is_a_fault_and_changes_nothing() {
    let machine = Machine::after("");
    let mut transaction = Transaction::new(&machine.state);
    let command = Command {
        now_ms: 1_000_000,
        ..Command::default()
    };
    let fault = apply(&mut transaction, &command);
    assert!(matches!(fault, Err(Fault::UnknownCommand)), "{fault:?}");
    assert_eq!(transaction.into_changes().len(), 0);
}
