//! Deleting a whole repository, in bounded steps: tags, then manifests, then links.

use expect_test::expect;
use roadstead_cluster::metadata::keys;
use roadstead_cluster::metadata::limits::{
    CONTENTS_PER_DELETION_STEP, LINKS_PER_DELETION_STEP, MANIFESTS_PER_DELETION_STEP,
    TAGS_PER_DELETION_STEP,
};
use roadstead_cluster::metadata::view::ViewExt;
use roadstead_cluster::read;

use super::machine::{Machine, check};
use super::render;

#[test]
fn a_small_repository_goes_at_once_with_all_that_it_has() {
    check(
        "push d in a
         push e in a
         put m in a of d tags x y
         put index in a of m* tags z
         put r in a subject m",
        "@7 delete-repository a",
        expect![[r#"
            finished
            - blobs d
            - blobs e
            - candidates 200 a/e
            + clock = 7
            - contents a/index
            - contents a/m
            - contents a/r
            - linked_in d/a
            - linked_in e/a
            - links a/d
            - links a/e
            - manifest_bodies index
            - manifest_bodies m
            - manifest_bodies r
            - manifest_in index/a
            - manifest_in m/a
            - manifest_in r/a
            - manifests a/index
            - manifests a/m
            - manifests a/r
            ~ objects k-d-a = reclaimed 7 size 9
            ~ objects k-e-a = reclaimed 7 size 9
            + reclaimable 7 k-d-a
            + reclaimable 7 k-e-a
            - references a/d/m
            - references a/m/index
            - referrers a/m/r
            - repositories a
            - tagged_by a/index/z
            - tagged_by a/m/x
            - tagged_by a/m/y
            - tags a/x
            - tags a/y
            - tags a/z
            - unheld 0 a/r
        "#]],
    );
}

#[test]
fn what_other_repositories_hold_stays() {
    check(
        "push d in a
         mount d from a to ab
         put m in a of d tags x
         put m in ab of d tags x",
        "@7 delete-repository a
         delete-repository ab",
        expect![[r#"
            > @7 delete-repository a
            finished
            + clock = 7
            - contents a/m
            - linked_in d/a
            - links a/d
            - manifest_in m/a
            - manifests a/m
            - references a/d/m
            - repositories a
            - tagged_by a/m/x
            - tags a/x
            > delete-repository ab
            finished
            - blobs d
            - contents ab/m
            - linked_in d/ab
            - links ab/d
            - manifest_bodies m
            - manifest_in m/ab
            - manifests ab/m
            ~ objects k-d-a = reclaimed 7 size 9
            + reclaimable 7 k-d-a
            - references ab/d/m
            - repositories ab
            - tagged_by ab/m/x
            - tags ab/x
        "#]],
    );
}

#[test]
fn a_repository_that_is_not_there_cannot_be_deleted() {
    check(
        "begin u in a at k
         put m in ab",
        "delete-repository a
         continue-repository a
         continue-repository ab",
        expect![[r#"
            > delete-repository a
            refused REPOSITORY_UNKNOWN
            > continue-repository a
            finished
            > continue-repository ab
            finished
        "#]],
    );
}

#[test]
fn a_repository_that_nothing_is_left_in_can_be_deleted() {
    check(
        "put m in a
         delete m in a",
        "delete-repository a
         delete-repository a",
        expect![[r#"
            > delete-repository a
            finished
            - repositories a
            > delete-repository a
            refused REPOSITORY_UNKNOWN
        "#]],
    );
}

#[test]
fn what_is_deleted_can_be_made_again() {
    check(
        "push d in a
         put m in a of d tags x
         delete-repository a",
        "@7 begin v in a at l
         commit v 1 as d in a
         put m in a of d tags x",
        expect![[r#"
            > @7 begin v in a at l
            done
            + clock = 7
            + objects l = uploading v
            + uploads v = in a at l epoch 1 by 1.1 offset 0 updated 7 u1007
            > commit v 1 as d in a
            done
            + blobs d = l size 9 u1007
            + candidates 207 a/d
            + committed v/d = a until 3600007
            + linked_in d/a
            + links a/d = hold 207 u1007
            ~ objects l = live d
            + repositories a = manifests 0 tags 0 links 1 created u1007
            - uploads v
            > put m in a of d tags x
            done
            - candidates 207 a/d
            + contents a/m = d
            + manifest_bodies m = body of m
            + manifest_in m/a
            + manifests a/m = image size 9 u1007
            + references a/d/m
            ~ repositories a = manifests 1 tags 1 links 1 created u1007
            + tagged_by a/m/x
            + tags a/x = m u1007
        "#]],
    );
}

#[test]
fn a_manifest_whose_own_deletion_has_begun_goes_with_its_repository() {
    let many = TAGS_PER_DELETION_STEP + 2;
    let mut machine = Machine::after(&format!(
        "put m in a tags m*{many}
         put n in a tags n*{many}
         delete m in a"
    ));
    expect![[r#"
        > delete-repository a
        to be continued
        > continue n in a
        finished
        > continue-repository a
        finished
        > continue m in a
        finished
        > continue-repository a
        finished
    "#]]
    .assert_eq(&answers(&machine.steps(
        "delete-repository a
         continue n in a
         continue-repository a
         continue m in a
         continue-repository a",
    )));
    assert_eq!(rows_of(&machine, "a"), Vec::<String>::new());
}

#[test]
fn a_deletion_of_a_manifest_may_end_before_that_of_its_repository() {
    let many = TAGS_PER_DELETION_STEP + 2;
    let mut machine = Machine::after(&format!(
        "put m in a tags m*{many}
         put n in a tags n*{many}
         put r in a subject m
         delete m in a
         delete-repository a"
    ));
    expect![[r#"
        > continue m in a
        finished
        > continue m in a
        finished
    "#]]
    .assert_eq(&answers(
        &machine.steps("continue m in a\n continue m in a"),
    ));
    let deletions = machine.state.keys(&keys::deletions(), &[], 9).unwrap();
    assert_eq!(deletions, [keys::deletion("a", "").bytes()]);
    assert_eq!(steps_left(&mut machine), 1);
}

/// The lines of a snapshot that say what was asked and answered.
fn answers(text: &str) -> String {
    let is_answer = |line: &&str| !line.starts_with(['+', '-', '~']);
    text.lines()
        .filter(is_answer)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The rows that name a repository, whatever the table, except for remembered commits.
fn rows_of(machine: &Machine, repository: &str) -> Vec<String> {
    let rows = render::rows(&machine.state);
    let names = rows.into_keys().filter(|name| {
        let (table, key) = name.split_once(' ').unwrap_or((name.as_str(), ""));
        let mut parts = key.split(['/', ' ']);
        !["committed", "objects", "reclaimable"].contains(&table)
            && parts.any(|part| part == repository)
    });
    names.collect()
}

/// Goes on to the end, as whoever comes after a crash does. Returns how many steps it took.
fn steps_left(machine: &mut Machine) -> usize {
    for step in 1..100 {
        if render::response(&machine.apply("continue-repository a")) == "finished" {
            assert_eq!(rows_of(machine, "a"), Vec::<String>::new());
            return step;
        }
    }
    panic!("no end")
}

fn count(machine: &Machine) -> [u64; 3] {
    let row = machine.state.row(&keys::repository("a")).expect("a look");
    row.map_or([0; 3], |row| [row.manifests, row.tags, row.links])
}

#[test]
fn as_many_tags_as_one_step_removes_go_at_once() {
    let many = TAGS_PER_DELETION_STEP;
    let mut machine = Machine::after(&format!("put m in a tags t*{many}"));
    let response = machine.apply("delete-repository a");
    assert_eq!(render::response(&response), "finished");
    assert_eq!(rows_of(&machine, "a"), Vec::<String>::new());
}

#[test]
fn tags_of_many_manifests_go_in_steps_before_the_manifests() {
    let many = TAGS_PER_DELETION_STEP;
    let mut machine = Machine::after(&format!(
        "push d in a
         put m in a of d tags s*{many}
         put n in a tags t*{many} u
         put m in ab tags s000"
    ));
    assert_eq!(count(&machine), [2, 2 * many as u64 + 1, 1]);
    machine.given("delete-repository a");
    assert_eq!(count(&machine), [2, many as u64 + 1, 1]);
    // What lost its tags is unheld, but nobody may take it.
    machine.given("settings untagged 1\n @900 expire a/m");
    machine.given("continue-repository a");
    assert_eq!(count(&machine), [2, 1, 1]);
    expect![[r#"
        > continue-repository a
        finished
        - blobs d
        - contents a/m
        - contents a/n
        - deletions a/
        - linked_in d/a
        - links a/d
        - manifest_bodies n
        - manifest_in m/a
        - manifest_in n/a
        - manifests a/m
        - manifests a/n
        ~ objects k-d-a = reclaimed 900 size 9
        + reclaimable 900 k-d-a
        - references a/d/m
        - repositories a
        - tagged_by a/n/u
        - tags a/u
        - unheld 0 a/m
        > continue-repository a
        finished
    "#]]
    .assert_eq(&machine.steps("continue-repository a\n continue-repository a"));
    assert!(machine.state.has(&keys::tag("ab", "s000")).unwrap());
}

#[test]
fn manifests_go_in_steps_whatever_parked_them() {
    let step = MANIFESTS_PER_DELETION_STEP;
    let mut machine = Machine::after("settings untagged 300\n push d in a\n put m in a of d");
    let all = |line: fn(usize) -> String| (0..2 * step).map(line);
    machine.given_many(all(|number| format!("put r{number:03} in a subject m")));
    machine.given_many(all(|number| format!("@300 expire a/r{number:03}")));
    // The subject sorts first and goes first; its referrers are not told, because they go too.
    let response = machine.apply("@400 delete-repository a");
    assert_eq!(render::response(&response), "to be continued");
    assert_eq!(count(&machine), [step as u64 + 1, 0, 1]);
    machine.given("continue-repository a");
    assert_eq!(count(&machine), [1, 0, 1]);
    assert_eq!(steps_left(&mut machine), 1);
}

#[test]
fn as_many_manifests_as_one_step_removes_go_at_once() {
    let mut machine = Machine::after("");
    let all = 0..MANIFESTS_PER_DELETION_STEP;
    machine.given_many(all.map(|number| format!("put m{number} in a tags t{number}")));
    let response = machine.apply("delete-repository a");
    assert_eq!(render::response(&response), "finished");
}

#[test]
fn a_step_ends_when_its_manifests_have_let_enough_go() {
    let contents = |count: usize| -> String {
        let all = (0..count).map(|number| format!("d{number}? "));
        all.collect()
    };
    let mut machine = Machine::after("");
    // Two make a step full, to the last one; the third is one more than fits.
    for name in ["m1", "m2"] {
        let half = contents(CONTENTS_PER_DELETION_STEP / 2);
        machine.given(&format!("put {name} in a of {half}"));
    }
    let most = contents(CONTENTS_PER_DELETION_STEP - 1);
    machine.given(&format!("put m3 in a of {most}"));
    let more = contents(CONTENTS_PER_DELETION_STEP + 1);
    machine.given(&format!("put m4 in a of {more}\n put m5 in a"));
    let mut left = Vec::new();
    machine.given("delete-repository a");
    left.push(count(&machine)[0]);
    machine.given("continue-repository a");
    left.push(count(&machine)[0]);
    assert_eq!(left, [3, 1]);
    assert_eq!(steps_left(&mut machine), 1);
}

#[test]
fn links_go_in_steps_and_the_last_link_of_a_blob_reclaims_its_object() {
    let step = LINKS_PER_DELETION_STEP;
    let mut machine = Machine::after("");
    machine.given_many((0..=2 * step).map(|number| format!("push d{number:03} in a")));
    machine.given("mount d000 from a to b\n mount d512 from a to b");
    let text = machine.steps("@7 delete-repository a");
    assert!(text.starts_with("to be continued\n"), "{text}");
    assert_eq!(count(&machine), [0, 0, step as u64 + 1]);
    // Neither the one that `b` holds nor a key that is new.
    assert_eq!(text.matches("= reclaimed 7 size 9").count(), step - 1);
    machine.given("continue-repository a");
    assert_eq!(count(&machine), [0, 0, 1]);
    expect![[r#"
        finished
        - candidates 200 a/d512
        ~ clock = 9
        - deletions a/
        - linked_in d512/a
        - links a/d512
        - repositories a
    "#]]
    .assert_eq(&machine.steps("@9 continue-repository a"));
    expect![[r#"
        finished
        - blobs d000
        - blobs d512
        - candidates 200 b/d000
        - candidates 200 b/d512
        ~ clock = 10
        - linked_in d000/b
        - linked_in d512/b
        - links b/d000
        - links b/d512
        ~ objects k-d000-a = reclaimed 10 size 9
        ~ objects k-d512-a = reclaimed 10 size 9
        + reclaimable 10 k-d000-a
        + reclaimable 10 k-d512-a
        - repositories b
    "#]]
    .assert_eq(&machine.steps("@10 delete-repository b"));
}

#[test]
fn as_many_links_as_one_step_removes_go_at_once() {
    let mut machine = Machine::after("");
    let all = 0..LINKS_PER_DELETION_STEP;
    machine.given_many(all.map(|number| format!("push d{number:03} in a")));
    let response = machine.apply("delete-repository a");
    assert_eq!(render::response(&response), "finished");
}

/// A crash between two steps loses nothing: the state says how to go on, and a step that is
/// repeated, late or from another node, does no harm.
#[test]
fn a_deletion_that_was_left_is_found_and_ends() {
    let many = 2 * TAGS_PER_DELETION_STEP + 1;
    let mut machine = Machine::after(&format!("put m in a tags t*{many}"));
    machine.given("delete-repository a");
    let listed = read::deletions(&machine.state, 9).unwrap();
    assert_eq!(listed, [("a".to_owned(), String::new())]);
    assert_eq!(steps_left(&mut machine), 2);
    // A late step does not touch what was made since.
    machine.given("put m in a tags x");
    expect![[r#"
        finished
    "#]]
    .assert_eq(&machine.steps("continue-repository a"));
}

#[test]
fn a_repeated_request_to_delete_has_its_first_answer() {
    let many = TAGS_PER_DELETION_STEP + 1;
    let mut machine = Machine::after(&format!("put m in a tags t*{many}"));
    machine.given("1.1#1 delete-repository a");
    expect![[r#"
        > 1.1#1 delete-repository a
        to be continued
        > 1.1#2 delete-repository a
        refused REPOSITORY_UNKNOWN
        > continue-repository a
        finished
        > put m in a
        done
        > 1.1#1 delete-repository a
        to be continued
    "#]]
    .assert_eq(&answers(&machine.steps(
        "1.1#1 delete-repository a
         1.1#2 delete-repository a
         continue-repository a
         put m in a
         1.1#1 delete-repository a",
    )));
    assert_eq!(count(&machine), [1, 0, 0]);
}
