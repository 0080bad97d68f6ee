//! `roadstead upload`: which uploads there are, and the end of one, whatever it is at.

use std::time::{Duration, Instant};

use roadstead_tests::raw::Raw;
use roadstead_tests::{Registry, Setup, Upload, fixture};
use serde_json::json;

use roadstead_tests::asked::{ask, ask_json};

fn id_of(upload: &Upload) -> String {
    let path = upload.path();
    let id = path.rsplit('/').next().unwrap_or_default();
    id.split('?').next().unwrap_or_default().to_owned()
}

#[test]
fn uploads_are_listed_and_cancelled_while_they_are_open() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("up/here");
    let mut upload = repository.start_upload();
    upload.patch(&fixture::random(1, 70_000)).expect(202);
    let kept = repository.start_upload();
    let listed = ask_json(&registry, &["upload", "list"]);
    let uploads = listed["uploads"].as_array().expect("a list");
    assert_eq!(uploads.len(), 2, "{listed}");
    let row = uploads
        .iter()
        .find(|row| row["id"] == id_of(&upload).as_str());
    let row = row.expect("the upload");
    assert_eq!(row["repository"], "up/here");
    assert_eq!(row["offset"], 70_000);
    let table = ask(&registry, &["upload", "list"]).ended(0).out;
    assert!(table.contains("68 KiB"), "{table}");

    let cancelled = ask_json(&registry, &["upload", "cancel", &id_of(&upload)]);
    assert_eq!(cancelled["is_cancelled"], true);
    upload.patch(b"more").refused(404, "BLOB_UPLOAD_UNKNOWN");
    registry.holds_objects(0);
    let words = &["no upload has the id", "upload list"];
    ask(&registry, &["upload", "cancel", &id_of(&upload)]).failed(5, words);
    ask(&registry, &["upload", "cancel", "nonsense"]).failed(5, words);
    let listed = ask_json(&registry, &["upload", "list"]);
    assert_eq!(listed["uploads"][0]["id"], id_of(&kept).as_str());
    assert_eq!(listed["has_more"], false);
}

#[test]
fn an_upload_without_a_session_is_cancelled_too() {
    let mut registry = Registry::start(Setup::default());
    let repository = registry.repository("up/before");
    let mut upload = repository.start_upload();
    upload.patch(b"some bytes").expect(202);
    registry.kill();
    registry.run();
    ask(&registry, &["upload", "cancel", &id_of(&upload)]).ended(0);
    upload.patch(b"more").refused(404, "BLOB_UPLOAD_UNKNOWN");
    let listed = ask_json(&registry, &["upload", "list"]);
    assert_eq!(listed, json!({ "uploads": [], "has_more": false }));
}

#[test]
fn an_upload_whose_client_stands_still_is_cancelled_too() {
    let registry = Registry::start(Setup::default());
    let repository = registry.repository("up/slow");
    let upload = repository.start_upload();
    let mut connection = Raw::connect(&registry.address());
    let head = format!(
        "PATCH {} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000\r\n\
         Content-Type: application/octet-stream\r\n\r\nhalf of it",
        upload.path(),
        registry.address()
    );
    assert!(connection.send(head));
    let begun = Instant::now();
    ask(&registry, &["upload", "cancel", &id_of(&upload)]).ended(0);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    let listed = ask_json(&registry, &["upload", "list"]);
    assert_eq!(listed, json!({ "uploads": [], "has_more": false }));
    // The rest comes too late.
    connection.send(vec![b'x'; 990]);
    let answer = connection.answer();
    assert_eq!(answer.status, 404);
}
