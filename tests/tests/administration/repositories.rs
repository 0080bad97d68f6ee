//! `roadstead repository`: lists, and a deletion while others push.

use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use roadstead_proto::rpc::admin::DeleteRepositoryRequest;
use roadstead_tests::wait::{self, LONG, Over};
use roadstead_tests::{Registry, Repository, Setup};
use serde_json::json;

use super::asked::{client, wait as on_runtime};
use roadstead_tests::asked::{ask, ask_events, ask_json};

/// An image with many tags, and many manifests more.
fn fill(repository: &Repository, tags: usize) {
    let image = repository.push_image("tag-0", 1);
    for number in 1..tags {
        let manifest = image.manifest.clone();
        // Every fourth tag is that of a manifest of its own.
        let manifest = if number % 4 == 0 {
            manifest.with("annotations", json!({ "number": number.to_string() }))
        } else {
            manifest
        };
        let tag = format!("tag-{number}");
        repository.put_manifest(&tag, &manifest).expect(201);
    }
}

#[test]
fn repositories_are_listed_page_by_page() {
    let registry = Registry::start(Setup::default());
    let empty = ask_json(&registry, &["repository", "list"]);
    assert_eq!(empty, json!({ "repositories": [], "has_more": false }));
    for name in ["c", "a/b", "a"] {
        registry.repository(name).push_image("latest", 1);
    }
    let page = ask_json(&registry, &["repository", "list", "--limit", "2"]);
    assert_eq!(page["has_more"], true);
    assert_eq!(page["repositories"][0]["name"], "a");
    assert_eq!(page["repositories"][0]["tags"], 1);
    assert_eq!(page["repositories"][0]["manifests"], 1);
    let rest = ask_json(&registry, &["repository", "list", "--last", "a/b"]);
    assert_eq!(rest["has_more"], false);
    assert_eq!(rest["repositories"][0]["name"], "c");
    let asked = ask(&registry, &["repository", "list", "--limit", "1"]).ended(0);
    assert!(asked.out.starts_with("NAME"), "{asked:?}");
    assert!(asked.error.contains("--last a"), "{asked:?}");
}

#[test]
fn a_deletion_is_not_begun_without_a_word() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("dear/one");
    repository.push_image("latest", 1);
    ask(&registry, &["repository", "delete", "dear/one"]).failed(2, &["--yes"]);
    repository.get_manifest("latest").expect(200);
    let words = &["there is no repository", "none", "repository list"];
    ask(&registry, &["repository", "delete", "none", "--yes"]).failed(5, words);
    ask(&registry, &["repository", "delete", "NONE", "--yes"]).ended(2);
}

#[test]
fn a_deletion_that_a_crash_interrupts_is_finished_by_the_next_life() {
    let mut registry = Registry::start(Setup::default());
    fill(&registry.repository("going/away"), 1_600);
    registry.stop();
    // A start proposes a few times, and the deletion more often than that.
    registry.variable("ROADSTEAD_CRASH", "proposed:6");
    registry.run();
    let asked = ask(&registry, &["repository", "delete", "going/away", "--yes"]);
    assert_ne!(asked.code, Some(0), "{asked:?}");
    assert_eq!(registry.ended().signal(), Some(9), "by the crash point");
    registry.variable("ROADSTEAD_CRASH", "");
    registry.run();
    let repository = registry.repository("going/away");
    repository.get_manifest("tag-1599").expect(404);
    registry.says(&["a deletion that was begun is gone on with", "going/away"]);
    // Pushes to it are refused until its end.
    wait::until("the name is free", LONG, || {
        let begun = repository.request("POST", "blobs/uploads/").send();
        (begun.status == 202).then_some(())
    });
    repository.push_image("new", 7);
    assert_eq!(
        repository.tags("").expect(200).json()["tags"],
        json!(["new"])
    );
    registry.stop();
}

#[test]
fn a_repository_of_many_tags_is_deleted_while_others_push() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("going/away");
    fill(&repository, 600);
    let other = registry.repository("staying/here");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = Over(&is_over);
        let pushing = scope.spawn(|| {
            let mut pushed = 0;
            while !is_over.load(Ordering::Acquire) {
                let tag = format!("tag-{pushed}");
                let image = other.push_image(&tag, 1_000 + pushed);
                let answer = other.get_manifest(&tag).expect(200);
                assert_eq!(answer.body, image.manifest.bytes());
                pushed += 1;
            }
            pushed
        });
        let events = ask_events(&registry, &["repository", "delete", "going/away", "--yes"]);
        assert_eq!(events[0]["tags"], 600, "{events:?}");
        let last = events.last().expect("an event");
        assert_eq!(last["is_finished"], true);
        let left = |event: &serde_json::Value| {
            ["tags", "manifests", "blobs"].map(|what| event[what].as_u64().unwrap())
        };
        let sums = events.iter().map(|event| left(event).iter().sum::<u64>());
        assert!(sums.is_sorted_by(|one, next| one >= next), "{events:?}");
        repository.get_manifest("tag-0").expect(404);
        repository.tags("").expect(404);
        is_over.store(true, Ordering::Release);
        assert!(pushing.join().expect("no push failed") > 0);
    });
    let listed = ask_json(&registry, &["repository", "list"]);
    assert_eq!(
        listed["repositories"].as_array().unwrap().len(),
        1,
        "{listed}"
    );
    // The name is free again.
    let image = repository.push_image("new", 5);
    let answer = repository.get_manifest("new").expect(200);
    assert_eq!(answer.body, image.manifest.bytes());
    let tags = repository.tags("").expect(200).json();
    assert_eq!(tags["tags"], json!(["new"]));
    let asked = ask(&registry, &["repository", "delete", "going/away", "--yes"]).ended(0);
    assert_eq!(asked.out, "going/away is deleted\n");
}

#[test]
fn what_is_being_deleted_is_gone_for_pulls_and_closed_for_pushes() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("closing/down");
    fill(&repository, 400);
    on_runtime(async {
        let mut client = client(&registry).await;
        let request = DeleteRepositoryRequest {
            repository: repository.name().to_owned(),
        };
        let deleting = client.delete_repository(request).await;
        let mut events = deleting.expect("it begins").into_inner();
        let first = events.message().await.expect("an event").expect("one");
        assert_eq!(first.tags, 400);
        // HTTP is asked by threads of its own, which the runtime must not wait in.
        let (pulled, pushed) = thread::scope(|scope| {
            let pull = scope.spawn(|| repository.get_manifest("tag-0").status);
            let push = scope.spawn(|| repository.request("POST", "blobs/uploads/").send().status);
            (
                pull.join().expect("an answer"),
                push.join().expect("an answer"),
            )
        });
        assert_eq!(pulled, 404);
        // It may be over already.
        assert!([202, 503].contains(&pushed), "{pushed}");
        let mut is_finished = false;
        while let Some(event) = events.message().await.expect("an event") {
            is_finished = event.is_finished;
        }
        assert!(is_finished);
    });
    repository.push_image("again", 9);
    repository.get_manifest("again").expect(200);
    repository.get_manifest("tag-0").expect(404);
}
