//! Questions of the collector, page by page: how many, from where, up to when, and where to go on.

use prost::Message;
use roadstead_cluster::metadata::garbage::{self, Backlog, Page, Waiting};
use roadstead_cluster::metadata::{Fault, Table};
use roadstead_proto::rpc::metadata::{LinkName, ManifestName, UploadName};
use roadstead_proto::rpc::state::{Presence, object};

use super::machine::Machine;

/// The pages from the first to the last, each gone on from where the one before said.
fn pages<T>(mut page: impl FnMut(&[u8]) -> Result<Page<T>, Fault>) -> Vec<Vec<T>> {
    let (mut pages, mut from) = (Vec::new(), Vec::new());
    loop {
        let pass = page(&from).expect("a page");
        pages.push(pass.items);
        match pass.next {
            Some(next) => {
                assert!(next > from, "a page that goes back");
                from = next;
            }
            None => return pages,
        }
    }
}

fn link_text(link: LinkName) -> String {
    format!("{}/{}", link.repository, link.digest)
}

fn manifest_text(manifest: ManifestName) -> String {
    format!("{}/{}", manifest.repository, manifest.digest)
}

fn upload_text(upload: UploadName) -> String {
    format!("{}/{}", upload.upload, upload.epoch)
}

fn texts<T>(pages: Vec<Vec<T>>, text: fn(T) -> String) -> Vec<Vec<String>> {
    let page = |page: Vec<T>| page.into_iter().map(text).collect();
    pages.into_iter().map(page).collect()
}

/// Five rows that wait since 10, 10, 20, 256 and 300: the last two sort by number, not by text.
fn with_links() -> Machine {
    Machine::after(
        "settings 0
         @10 push d1 in b
         push d2 in a
         @20 push d3 in a
         @256 push d4 in a
         @300 push d5 in a/b
         @400 push held in a
         put m in a of held",
    )
}

#[test]
fn due_links_come_in_pages_the_oldest_first() {
    let state = with_links().state;
    let all = ["a/d2", "b/d1", "a/d3", "a/d4", "a/b/d5"];
    // How many a page, and up to when: the pages.
    let cases: [(usize, u64, &[&[&str]]); 11] = [
        (9, u64::MAX, &[&all]),
        (6, u64::MAX, &[&all]),
        // A full page does not know that it is the last.
        (5, u64::MAX, &[&all, &[]]),
        (4, u64::MAX, &[&all[..4], &all[4..]]),
        (2, u64::MAX, &[&all[..2], &all[2..4], &all[4..]]),
        (1, 20, &[&all[..1], &all[1..2], &all[2..3], &[]]),
        // A page on which something is not due yet is the last.
        (2, 20, &[&all[..2], &all[2..3]]),
        (3, 19, &[&all[..2]]),
        (2, 19, &[&all[..2], &[]]),
        (9, 9, &[&[]]),
        (0, u64::MAX, &[&[]]),
    ];
    for (limit, now_ms, expected) in cases {
        let found = pages(|from| garbage::due_links(&state, from, now_ms, limit));
        assert_eq!(texts(found, link_text), expected, "{limit} until {now_ms}");
    }
}

#[test]
fn a_page_goes_on_from_a_key_whatever_became_of_it() {
    let mut machine = with_links();
    let first = garbage::due_links(&machine.state, &[], u64::MAX, 2).unwrap();
    let from = first.next.expect("a second page");
    machine.given("@400 condemn b/d1 a/d3");
    let second = garbage::due_links(&machine.state, &from, u64::MAX, 9).unwrap();
    let names: Vec<_> = second.items.into_iter().map(link_text).collect();
    assert_eq!(names, ["a/d4", "a/b/d5"]);
    assert_eq!(second.next, None);
}

#[test]
fn reclaimed_objects_come_in_pages_up_to_a_time() {
    let machine = Machine::after(
        "begin u in a at k1
         begin v in a at k2
         begin w in a at k3
         @10 cancel w 1
         @20 cancel v 1
         @30 cancel u 1",
    );
    let page = |from: &[u8], until_ms, limit| {
        garbage::reclaimed(&machine.state, from, until_ms, limit).expect("a page")
    };
    let found = pages(|from| Ok(page(from, 30, 2)));
    let found: Vec<Vec<_>> = found
        .into_iter()
        .map(|page| {
            page.into_iter()
                .map(|it| (it.object_key, it.since_ms))
                .collect()
        })
        .collect();
    let at = |key: &str, since_ms| (key.to_owned(), since_ms);
    assert_eq!(
        found,
        [vec![at("k3", 10), at("k2", 20)], vec![at("k1", 30)]]
    );
    assert_eq!(page(&[], 29, 9).items.len(), 2);
    assert_eq!(page(&[], 9, 9).items.len(), 0);
}

#[test]
fn unheld_manifests_come_in_pages_up_to_a_time() {
    let machine = Machine::after(
        "settings untagged 300
         put tagged in a tags x
         put parked in a subject tagged
         @10 put m1 in b
         put m2 in a
         @20 put m3 in a
         @300 expire a/parked",
    );
    let all = |until_ms, limit| {
        let page = |from: &[u8]| garbage::unheld(&machine.state, from, until_ms, limit);
        texts(pages(page), manifest_text)
    };
    assert_eq!(all(20, 9), [["a/m2", "b/m1", "a/m3"]]);
    assert_eq!(all(20, 2), [vec!["a/m2", "b/m1"], vec!["a/m3"]]);
    assert_eq!(all(19, 9), [["a/m2", "b/m1"]]);
    assert_eq!(all(9, 9), [[""; 0]]);
}

#[test]
fn idle_uploads_come_with_their_epochs_and_pages_may_be_empty() {
    let machine = Machine::after(
        "begin u1 in a at k1
         begin u2 in a at k2
         begin u3 in a at k3
         @10 claim u3 1 by 2.1 at k4
         @11 checkpoint u1 1 5 c",
    );
    let all = |until_ms, limit| {
        let page = |from: &[u8]| garbage::idle_uploads(&machine.state, from, until_ms, limit);
        texts(pages(page), upload_text)
    };
    assert_eq!(all(10, 9), [["u2/1", "u3/2"]]);
    assert_eq!(all(10, 1), [vec![], vec!["u2/1"], vec!["u3/2"], vec![]]);
    assert_eq!(all(9, 2), [vec!["u2/1"], vec![]]);
    assert_eq!(all(11, 3), [vec!["u1/1", "u2/1", "u3/2"], vec![]]);

    let uploads = pages(|from| garbage::uploads(&machine.state, from, 2));
    let uploads: Vec<Vec<_>> = uploads
        .into_iter()
        .map(|page| page.into_iter().map(|(id, row)| (id, row.offset)).collect())
        .collect();
    let at = |id: &str, offset| (id.to_owned(), offset);
    assert_eq!(uploads, [vec![at("u1", 5), at("u2", 0)], vec![at("u3", 0)]]);
}

#[test]
fn blobs_come_in_pages() {
    let machine = Machine::after("push d2 in a\n push d1 in a\n mount d1 from a to b");
    let found = pages(|from| garbage::blobs(&machine.state, from, 1));
    let found: Vec<Vec<_>> = found
        .into_iter()
        .map(|page| {
            page.into_iter()
                .map(|(digest, blob)| (digest, blob.object_key))
                .collect()
        })
        .collect();
    let at = |digest: &str| (digest.to_owned(), format!("k-{digest}-a"));
    assert_eq!(found, [vec![at("d1")], vec![at("d2")], vec![]]);
}

#[test]
fn an_object_is_what_its_row_says_or_unknown() {
    let machine = Machine::after("push d in a\n begin u in a at k");
    let state = |key| {
        garbage::object(&machine.state, key)
            .unwrap()
            .map(|row| row.state)
    };
    assert_eq!(
        state("k-d-a"),
        Some(Some(object::State::Live("d".to_owned())))
    );
    assert_eq!(
        state("k"),
        Some(Some(object::State::Uploading("u".to_owned())))
    );
    assert_eq!(state("x"), None);
}

#[test]
fn what_waits_is_counted_up_to_a_limit() {
    let mut machine = Machine::after("");
    assert_eq!(
        garbage::backlog(&machine.state, 9).unwrap(),
        Backlog::default()
    );
    machine.given(
        "@10 push d in a
         push e in a
         begin u in a at k
         @20 cancel u 1
         @30 put m in a
         put n in a
         put o in a",
    );
    let waiting = |count, oldest_ms| Waiting {
        count,
        oldest_ms: Some(oldest_ms),
    };
    let counted = garbage::backlog(&machine.state, 2).unwrap();
    let expected = Backlog {
        links: waiting(2, 210),
        objects: waiting(1, 20),
        manifests: waiting(2, 30),
    };
    assert_eq!(counted, expected);
    let counted = garbage::backlog(&machine.state, 9).unwrap();
    assert_eq!(counted.manifests, waiting(3, 30));
}

#[test]
fn a_key_without_a_time_is_a_fault() {
    let mut machine = Machine::after("");
    let row = Presence {}.encode_to_vec();
    let changes = [((Table::Unheld, b"short".to_vec()), Some(row))].into();
    machine.state.write(changes);
    assert!(garbage::unheld(&machine.state, &[], u64::MAX, 9).is_err());
}

#[test]
fn why_a_digest_is_kept_is_explained() {
    let machine = Machine::after(
        "@10 push d in a
         mount d from a to b
         mount d from a to c
         put m in a of d tags x y
         put index in a of m*
         put r in a subject m
         put r in b subject m",
    );
    let explain = |digest, limit| garbage::explain(&machine.state, digest, limit).unwrap();

    let blob = explain("d", 9);
    assert_eq!(blob.blob.unwrap().object_key, "k-d-a");
    assert!(!blob.is_manifest && !blob.has_more);
    let kept: Vec<_> = blob
        .kept
        .into_iter()
        .map(|it| (it.repository, it.referenced_by, it.hold_until_ms))
        .collect();
    let at = |name: &str, by: &[&str], hold| {
        let by: Vec<_> = by.iter().map(|it| (*it).to_owned()).collect();
        (name.to_owned(), by, hold)
    };
    let expected = [
        at("a", &["m"], None),
        at("b", &[], Some(210)),
        at("c", &[], Some(210)),
    ];
    assert_eq!(kept, expected);
    assert!(!explain("d", 3).has_more);
    assert!(explain("d", 2).has_more);
    assert_eq!(explain("d", 2).kept.len(), 2);

    let manifest = explain("m", 1);
    assert!(manifest.is_manifest && !manifest.has_more);
    assert_eq!(manifest.blob, None);
    let kept = &manifest.kept[0];
    assert_eq!(
        (kept.tags.as_slice(), kept.unheld_since_ms),
        (&["x".to_owned()][..], None)
    );
    assert_eq!(kept.referenced_by, ["index"]);

    let referrer = explain("r", 9).kept;
    assert_eq!(referrer[0].subject.as_deref(), Some("m"));
    assert_eq!(referrer[0].unheld_since_ms, None, "the subject holds it");
    // The other repository does not hold the subject.
    assert_eq!(referrer[1].subject, None);
    assert_eq!(referrer[1].unheld_since_ms, Some(10));

    assert_eq!(explain("x", 9), garbage::Explanation::default());
}
