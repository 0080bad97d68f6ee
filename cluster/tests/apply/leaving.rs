//! What happens in a repository while it is being deleted: nothing is written any more.

use expect_test::expect;
use roadstead_cluster::metadata::limits::TAGS_PER_DELETION_STEP;

use super::machine::Machine;
use super::render;

/// A repository `a` with one tag more than a step removes, which has begun to be deleted.
fn begun(given: &str) -> Machine {
    let many = TAGS_PER_DELETION_STEP + 1;
    let mut machine = Machine::after(given);
    machine.given(&format!("put tagged in a tags t*{many}"));
    let response = machine.apply("delete-repository a");
    assert_eq!(render::response(&response), "to be continued");
    machine
}

#[test]
fn a_repository_that_is_being_deleted_takes_no_writes() {
    let mut machine = begun(
        "push d in a
         push d in b
         put m in a of d
         put other in b
         begin u in a at k",
    );
    let text = machine.steps(
        "delete-repository a
         put m in a of d tags x
         put n in a
         begin v in a at l
         begin v in b at k
         commit u 1 as e in a
         commit u-d-a 1 as d in a
         mount d from b to a
         mount d from a to c
         unlink d in a
         delete m in a
         untag t256 in a
         renew d m in a",
    );
    expect![[r#"
        > delete-repository a
        refused REPOSITORY_UNKNOWN
        > put m in a of d tags x
        refused DELETING
        > put n in a
        refused DELETING
        > begin v in a at l
        refused DELETING
        > begin v in b at k
        refused KEY_USED
        > commit u 1 as e in a
        refused DELETING
        > commit u-d-a 1 as d in a
        refused BLOB_UNKNOWN d
        > mount d from b to a
        refused DELETING
        > mount d from a to c
        refused BLOB_UNKNOWN d
        > unlink d in a
        refused BLOB_UNKNOWN d
        > delete m in a
        refused MANIFEST_UNKNOWN
        > untag t256 in a
        refused TAG_UNKNOWN
        > renew d m in a
        refused BLOB_UNKNOWN d m
    "#]]
    .assert_eq(&text);
    // The other one is as it was.
    let text = machine.steps("renew d other in b\n unlink d in b\n delete other in b");
    assert_eq!(text.matches("done\n").count(), 2, "{text}");
    assert_eq!(text.matches("finished\n").count(), 1, "{text}");
}

#[test]
fn uploads_into_a_deleted_repository_go_on_and_make_it_anew() {
    let mut machine = begun("push d in a\n begin u in a at k");
    expect![[r#"
        > checkpoint u 1 5 c
        done
        ~ uploads u = in a at k epoch 1 by 1.1 offset 5 c h-c updated 0 u1000
        > commit u 1 as e in a
        refused DELETING
        > continue-repository a
        finished
        - blobs d
        - candidates 200 a/d
        - contents a/tagged
        - deletions a/
        - linked_in d/a
        - links a/d
        - manifest_bodies tagged
        - manifest_in tagged/a
        - manifests a/tagged
        ~ objects k-d-a = reclaimed 0 size 9
        + reclaimable 0 k-d-a
        - repositories a
        - tagged_by a/tagged/t256
        - tags a/t256
        > commit u-d-a 1 as d in a
        refused BLOB_UNKNOWN d
        > @7 commit u 1 as e in a
        done
        + blobs e = k size 9 u1007
        + candidates 207 a/e
        + clock = 7
        + committed u/e = a until 3600007
        + linked_in e/a
        + links a/e = hold 207 u1007
        ~ objects k = live e
        + repositories a = manifests 0 tags 0 links 1 created u1007
        - uploads u
        > commit u 1 as e in a
        done
    "#]]
    .assert_eq(&machine.steps(
        "checkpoint u 1 5 c
         commit u 1 as e in a
         continue-repository a
         commit u-d-a 1 as d in a
         @7 commit u 1 as e in a
         commit u 1 as e in a",
    ));
}

#[test]
fn the_collector_takes_its_part_of_a_repository_that_is_being_deleted() {
    let mut machine = begun("push d in a\n push e in a\n put m in a of e");
    expect![[r#"
        > @200 condemn a/d a/e
        condemned links 1 objects 1
        - blobs d
        - candidates 200 a/d
        + clock = 200
        - linked_in d/a
        - links a/d
        ~ objects k-d-a = reclaimed 200 size 9
        + reclaimable 200 k-d-a
        ~ repositories a = manifests 2 tags 1 links 1 created u1000 deleting
        > continue-repository a
        finished
        - blobs e
        - contents a/m
        - contents a/tagged
        - deletions a/
        - linked_in e/a
        - links a/e
        - manifest_bodies m
        - manifest_bodies tagged
        - manifest_in m/a
        - manifest_in tagged/a
        - manifests a/m
        - manifests a/tagged
        ~ objects k-e-a = reclaimed 200 size 9
        + reclaimable 200 k-e-a
        - references a/e/m
        - repositories a
        - tagged_by a/tagged/t256
        - tags a/t256
        - unheld 0 a/m
    "#]]
    .assert_eq(&machine.steps("@200 condemn a/d a/e\n continue-repository a"));
}
