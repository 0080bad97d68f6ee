//! Questions that are asked of the state: what is being deleted reads as absent; lists come in
//! pages.

use roadstead_cluster::metadata::limits::TAGS_PER_DELETION_STEP;
use roadstead_cluster::read::{self, Page};

use super::blobs::mark_deleting;
use super::machine::Machine;

fn page(items: &[&str], has_more: bool) -> Page<String> {
    Page {
        items: items.iter().map(|item| (*item).to_owned()).collect(),
        has_more,
    }
}

#[test]
fn repositories_come_in_pages_without_those_that_are_being_deleted() {
    let mut machine = Machine::after("");
    for name in ["a", "a/b", "a-b", "b", "c", "d"] {
        machine.given(&format!("put m in {name}"));
    }
    mark_deleting(&mut machine, "a/b");
    mark_deleting(&mut machine, "c");
    let pages = [
        (None, 2, page(&["a", "a-b"], true)),
        (None, 4, page(&["a", "a-b", "b", "d"], false)),
        (None, 3, page(&["a", "a-b", "b"], true)),
        (None, usize::MAX, page(&["a", "a-b", "b", "d"], false)),
        (Some("a"), 1, page(&["a-b"], true)),
        (Some("b"), 1, page(&["d"], false)),
        (Some("bb"), 2, page(&["d"], false)),
        (Some("d"), 1, page(&[], false)),
        (None, 0, page(&[], true)),
    ];
    for (last, limit, expected) in pages {
        let found = read::repositories(&machine.state, last, limit).unwrap();
        assert_eq!(found, expected, "{limit} after {last:?}");
    }
    assert_eq!(read::repository(&machine.state, "c").unwrap(), None);
    assert!(read::repository(&machine.state, "d").unwrap().is_some());
}

#[test]
fn tags_come_in_pages() {
    let machine = Machine::after("put m in a tags x y.z y z\n put m in ab tags w");
    let pages = [
        (None, 2, page(&["x", "y"], true)),
        (Some("y"), 2, page(&["y.z", "z"], false)),
        (Some("x1"), 1, page(&["y"], true)),
        (Some("z"), 1, page(&[], false)),
    ];
    for (last, limit, expected) in pages {
        let found = read::tags(&machine.state, "a", last, limit).unwrap();
        assert_eq!(found, expected, "{limit} after {last:?}");
    }
    let absent = read::tags(&machine.state, "b", None, 9).unwrap();
    assert_eq!(absent, page(&[], false));
}

fn referrers(machine: &Machine, last: Option<&str>, limit: usize) -> Page<String> {
    let found = read::referrers(&machine.state, "a", "m", last, limit).expect("a page");
    Page {
        items: found.items.into_iter().map(|item| item.digest).collect(),
        has_more: found.has_more,
    }
}

#[test]
fn referrers_come_in_pages_without_those_that_are_being_deleted() {
    let mut machine = Machine::after("");
    let many = TAGS_PER_DELETION_STEP + 1;
    for name in ["r1", "r2", "r3", "r4"] {
        machine.given(&format!("put {name} in a subject m tags {name}*{many}"));
    }
    machine.given("put r5 in b subject m");
    assert_eq!(
        referrers(&machine, None, 3),
        page(&["r1", "r2", "r3"], true)
    );
    assert_eq!(referrers(&machine, Some("r3"), 3), page(&["r4"], false));
    machine.given("delete r1 in a\n delete r2 in a");
    assert_eq!(referrers(&machine, None, 9), page(&["r3", "r4"], false));
    // A page without items could not be gone on from.
    assert_eq!(referrers(&machine, None, 1), page(&["r3"], true));
    machine.given("delete r4 in a");
    assert_eq!(referrers(&machine, None, 1), page(&["r3"], false));
}

#[test]
fn a_blob_is_read_with_its_hold_while_nothing_references_it() {
    let mut machine = Machine::after("@5 push d in a\n push e in b");
    let hold = |machine: &Machine, repository| {
        let found = read::blob(&machine.state, repository, "d").unwrap();
        found.map(|found| (found.blob.object_key, found.hold_until_ms))
    };
    assert_eq!(hold(&machine, "a"), Some(("k-d-a".to_owned(), Some(205))));
    assert_eq!(hold(&machine, "b"), None);
    machine.given("put m in a of d");
    assert_eq!(hold(&machine, "a"), Some(("k-d-a".to_owned(), None)));
    machine.given("mount d from a to b");
    let holders = read::holders_of_blob(&machine.state, "d", 9).unwrap();
    assert_eq!(holders, ["a", "b"]);
    assert_eq!(
        read::holders_of_blob(&machine.state, "d", 1).unwrap(),
        ["a"]
    );
}

#[test]
fn uploads_settings_and_time_are_read() {
    let machine = Machine::after("@5 begin u in a at k");
    let upload = read::upload(&machine.state, "u").unwrap();
    assert_eq!(upload.unwrap().object_key, "k");
    assert_eq!(read::upload(&machine.state, "v").unwrap(), None);
    assert_eq!(read::now_ms(&machine.state).unwrap(), 5);
    let settings = read::settings(&machine.state).unwrap();
    assert_eq!(settings.unwrap().grace_ms, 100);
    assert_eq!(read::settings(&Machine::default().state).unwrap(), None);
}

#[test]
fn nothing_of_a_repository_that_is_being_deleted_is_read() {
    let many = TAGS_PER_DELETION_STEP + 1;
    let mut machine = Machine::after(&format!(
        "push d in a
         put m in a of d tags t*{many}
         put r in a subject m
         delete-repository a"
    ));
    let state = &machine.state;
    assert_eq!(read::tag(state, "a", "t256").unwrap(), None);
    assert_eq!(read::tags(state, "a", None, 9).unwrap(), page(&[], false));
    assert_eq!(read::manifest(state, "a", "m").unwrap(), None);
    assert_eq!(referrers(&machine, None, 9), page(&[], false));
    assert_eq!(read::blob(state, "a", "d").unwrap(), None);
    assert_eq!(read::repository(state, "a").unwrap(), None);
    let repositories = read::repositories(state, None, 9).unwrap();
    assert_eq!(repositories, page(&[], false));
    let deletions = read::deletions(state, 9).unwrap();
    assert_eq!(deletions, [("a".to_owned(), String::new())]);
    machine.given("continue-repository a");
    assert_eq!(read::deletions(&machine.state, 9).unwrap(), []);
}

#[test]
fn a_manifest_without_a_body_is_a_fault() {
    let machine = Machine::after("");
    assert!(read::manifest_body(&machine.state, "m").is_err());
}
