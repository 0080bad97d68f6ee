//! `storage.maintenance.uploadpurging`: uploads that nobody finishes do not lie there for ever.

use roadstead_tests::wait::{self, LONG};
use roadstead_tests::{Registry, Setup};

fn with_purging(more: &str) -> Registry {
    let lines = format!(
        "maintenance:\n  uploadpurging:\n    enabled: true\n    age: 1s\n    interval: 1s{more}"
    );
    Registry::start(Setup::default().with("storage", &lines))
}

#[test]
fn abandoned_upload_is_removed_with_its_bytes() {
    let registry = with_purging("");
    let repository = registry.repository("purging/abandoned");
    let kept = repository.push_blob(b"finished in time");
    let mut upload = repository.start_upload();
    upload.patch(b"and never finished").expect(202);
    wait::until("the upload is forgotten", LONG, || {
        (upload.status().status == 404).then_some(())
    });
    upload
        .patch(b"too late")
        .refused(404, "BLOB_UPLOAD_UNKNOWN");
    registry.holds_objects(1);
    repository.get_blob(&kept).expect(200);
}

#[test]
fn dry_run_only_says_what_would_be_removed() {
    let registry = with_purging("\n    dryrun: true");
    let repository = registry.repository("purging/dry");
    let mut upload = repository.start_upload();
    upload.patch(b"and never finished").expect(202);
    let path = upload.path();
    let id = path.rsplit('/').next().expect("a path has parts");
    wait::until("the log names the upload", LONG, || {
        registry.stderr().contains(id).then_some(())
    });
    assert_eq!(upload.offset(), 18);
}
