//! `roadstead gc`, on a registry whose garbage is due at once.

use roadstead_tests::wait::{LONG, until};
use roadstead_tests::{Registry, Setup, fixture};

use roadstead_tests::asked::{ask, ask_events, ask_json};

/// What is not referenced is garbage after two seconds, and gone at once then.
fn hasty() -> Setup {
    Setup::default().with("gc", "grace: 1s\nreadingdelay: 0s")
}

#[test]
fn status_is_a_table_and_a_document() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("seen/here");
    repository.push_blob(b"nobody needs this");
    let status = ask_json(&registry, &["gc", "status"]);
    assert_eq!(status["is_leader"], true);
    assert_eq!(status["is_paused"], false);
    assert_eq!(status["rate"], 500);
    assert_eq!(status["backlog"]["links"], 1);
    assert_eq!(status["backlog"]["objects"], 0);
    assert_eq!(status["grace_ms"], 86_400_000);
    assert!(status["last_sweep"].is_null() && status["alarm"].is_null());
    let table = ask(&registry, &["gc", "status"]).ended(0).out;
    for words in [
        "collection",
        "1, all still held",
        "of 500 objects a second",
        "1 d",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
}

#[test]
fn a_run_collects_what_is_due_and_a_dry_one_only_counts() {
    let registry = Registry::start(hasty());
    ask(&registry, &["gc", "pause"]).ended(0);
    let repository = registry.repository("run/here");
    let loose = repository.push_blob(&fixture::random(1, 5_000));
    let image = repository.push_image("latest", 2);
    until("the hold is over", LONG, || {
        let status = ask_json(&registry, &["gc", "status"]);
        let overdue = status["backlog"]["oldest_link_overdue_ms"].as_u64();
        overdue.filter(|overdue_ms| *overdue_ms > 0)
    });
    let events = ask_events(&registry, &["gc", "run", "--dry-run"]);
    let last = events.last().expect("an event");
    assert_eq!(last["is_finished"], true, "{events:?}");
    assert_eq!(last["collected"]["links"], 1, "{events:?}");
    let asked = ask(&registry, &["gc", "run", "--dry-run"]).ended(0);
    assert!(asked.out.contains("nothing was changed"), "{asked:?}");
    repository.get_blob(&loose).expect(200);
    ask(&registry, &["gc", "run"]).ended(7);
    ask(&registry, &["gc", "resume"]).ended(0);
    let events = ask_events(&registry, &["gc", "run", "--sweep"]);
    let last = events.last().expect("an event");
    assert_eq!(last["is_finished"], true, "{events:?}");
    assert_eq!(last["sweep"]["orphans"], 0, "{events:?}");
    until("it is collected", LONG, || {
        let status = ask_json(&registry, &["gc", "status"]);
        let collected = &status["collected"];
        (collected["objects"] == 1 && collected["bytes"] == 5_000).then_some(())
    });
    repository.get_blob(&loose).expect(404);
    let status = ask_json(&registry, &["gc", "status"]);
    assert_eq!(status["collected"]["links"], 1);
    assert!(
        status["last_sweep"]["objects"].as_u64() >= Some(2),
        "{status}"
    );
    let gone = loose.as_str();
    ask(&registry, &["gc", "explain", gone]).failed(5, &["nothing is known", gone]);
    repository
        .get_blob(&fixture::digest(&image.layers[0]))
        .expect(200);
}

#[test]
fn a_pause_lasts_over_a_restart() {
    let mut registry = Registry::start(Setup::default());
    let paused = ask_json(&registry, &["gc", "pause"]);
    assert_eq!(paused["is_paused"], true);
    let words = &["paused", "gc resume"];
    ask(&registry, &["gc", "run"]).failed(7, words);
    registry.restart();
    assert_eq!(ask_json(&registry, &["gc", "status"])["is_paused"], true);
    ask(&registry, &["gc", "run"]).failed(7, words);
    let table = ask(&registry, &["gc", "status"]).ended(0).out;
    assert!(table.contains("paused"), "{table}");
    ask(&registry, &["gc", "resume"]).ended(0);
    assert_eq!(ask_json(&registry, &["gc", "status"])["is_paused"], false);
    ask(&registry, &["gc", "run"]).ended(0);
}

#[test]
fn each_digest_is_explained() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("told/here");
    let image = repository.push_image("latest", 1);
    let loose = repository.push_blob(b"loose");
    let layer = fixture::digest(&image.layers[0]);
    let manifest = image.manifest.digest();

    let of_layer = ask_json(&registry, &["gc", "explain", layer.as_str()]);
    assert_eq!(of_layer["is_manifest"], false);
    assert_eq!(of_layer["blob"]["size"], image.layers[0].len());
    assert_eq!(of_layer["kept"][0]["repository"], "told/here");
    assert_eq!(of_layer["kept"][0]["referenced_by"][0], manifest.as_str());
    assert!(of_layer["kept"][0]["hold_remaining_ms"].is_null());

    let of_manifest = ask_json(&registry, &["gc", "explain", manifest.as_str()]);
    assert_eq!(of_manifest["is_manifest"], true);
    assert_eq!(of_manifest["kept"][0]["tags"][0], "latest");
    assert!(of_manifest["blob"].is_null());

    let of_loose = ask_json(&registry, &["gc", "explain", loose.as_str()]);
    let held_ms = of_loose["kept"][0]["hold_remaining_ms"].as_u64();
    let held_ms = held_ms.expect("a hold");
    assert!((1..=2 * 86_400_000).contains(&held_ms), "{held_ms}");
    let asked = ask(&registry, &["gc", "explain", loose.as_str()]).ended(0);
    assert!(asked.out.contains("held for another"), "{asked:?}");

    let unknown = fixture::unknown(7);
    ask(&registry, &["gc", "explain", unknown.as_str()]).failed(5, &["nothing is known"]);
    ask(&registry, &["gc", "explain", "latest"]).failed(2, &["digest"]);
}
