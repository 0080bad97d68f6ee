//! `roadstead verify` as people and programs meet it: a store that has lost one object and changed
//! another.

use std::fs;

use roadstead_tests::asked::{ask, ask_events};
use roadstead_tests::{Registry, Setup, fixture};
use serde_json::Value;

#[test]
fn damage_is_named_and_the_next_push_heals_it() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("dear/image");
    let image = repository.push_image("latest", 1);
    let clean = ask_events(&registry, &["verify", "--hash"]);
    let report = &clean.last().expect("a report")["report"];
    assert_eq!(report["is_clean"], true, "{report}");

    let lost = &image.layers[0];
    let changed = repository.push_content(2).layers.remove(0);
    let place = |content: &[u8]| {
        let digest = fixture::digest(content);
        let mut found = registry.digests().into_iter();
        let found = found.find(|(_, of)| *of == digest);
        found.expect("it lies in the store").0
    };
    let (lost_at, changed_at) = (place(lost), place(&changed));
    fs::remove_file(lost_at).expect("an object can be removed");
    fs::write(changed_at, vec![0; changed.len()]).expect("an object can be written");

    let found = ask(&registry, &["verify"]).ended(8);
    let words = format!("missing: {} in dear/image", fixture::digest(lost));
    assert!(found.out.contains(&words), "{found:?}");
    let found = ask(&registry, &["verify", "--hash", "--output", "json"]).ended(8);
    let events: Vec<Value> = found
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("one document on a line"))
        .collect();
    let wrong = events.iter().find(|event| event["finding"] == "wrong_hash");
    let wrong = wrong.expect("it is found");
    assert_eq!(wrong["digest"], fixture::digest(&changed).as_str());
    assert_eq!(wrong["repositories"][0], "dear/image");
    assert_eq!(
        events.last().expect("a report")["report"]["is_clean"],
        false
    );

    for content in [lost, &changed] {
        let digest = fixture::digest(content);
        repository.head_blob(&digest).expect(404);
        repository.push_blob(content);
        assert!(repository.get_blob(&digest).expect(200).body == *content);
    }
    ask(&registry, &["verify", "--hash"]).ended(0);
}
