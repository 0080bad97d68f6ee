//! A registry that is read-only collects nothing.

use std::time::Duration;

use roadstead_tests::fixture;
use roadstead_tests::wait::{LONG, poll, until};
use roadstead_tests::{Registry, Setup, folder};

use super::measured::{collected, metric};

/// Longer than twice the grace and a sweep.
const WAIT: Duration = Duration::from_secs(12);

fn text(read_only: bool) -> String {
    format!(
        "\
version: 0.1
storage:
  filesystem: {{rootdirectory: {{folder}}/data}}
  delete: {{enabled: true}}
  maintenance:
    readonly: {{enabled: {read_only}}}
    uploadpurging: {{enabled: true, age: 8s, interval: 1s}}
http:
  addr: 127.0.0.1:{{port}}
  debug: {{addr: '127.0.0.1:{{debug}}', prometheus: {{enabled: true}}}}
gc:
  grace: 4s
  readingdelay: 0s
  sweep: 1s
  untagged: {{policy: expire, age: 1s}}
"
    )
}

#[test]
fn read_only_collects_nothing() {
    let mut registry = Registry::prepare(Setup::plain());
    registry.write_config(&registry.fill_in(&text(false)));
    registry.run();
    let repository = registry.repository("read/only");
    let tagged = repository.push_image("kept", 1);
    let untagged = repository.push_content(2);
    repository
        .put_manifest(untagged.manifest.digest(), &untagged.manifest)
        .expect(201);
    let alone = repository.push_blob(&fixture::random(3, 3000));
    let mut upload = repository.start_upload();
    upload.patch(b"half of it").expect(202);
    assert!(registry.stop().success());
    // What a crash may have left.
    let orphan = registry.data().join("roadstead/v1/objects/00");
    std::fs::create_dir_all(&orphan).expect("a folder can be made");
    let orphan = orphan.join("00000000-0000-4000-8000-000000000000");
    std::fs::write(&orphan, "nothing names it").expect("a file can be written");

    registry.write_config(&registry.fill_in(&text(true)));
    registry.run();
    let before = folder::digests(&registry.data());
    let changed = poll(WAIT, || {
        let found = folder::digests(&registry.data());
        (found != before).then_some(found)
    });
    assert!(changed.is_none(), "{before:?} became {changed:?}");
    for kind in ["links", "objects", "manifests", "uploads", "orphans"] {
        assert_eq!(collected(&registry, kind), 0.0, "{kind}");
    }
    assert_eq!(metric(&registry, "roadstead_gc_store_alarm"), Some(0.0));
    let repository = registry.repository("read/only");
    repository.get_blob(&alone).expect(200);
    repository
        .get_manifest(untagged.manifest.digest())
        .expect(200);
    assert_eq!(upload.status().status, 204);

    // All of it would have gone. Cluster time stood still, as nothing was written meanwhile.
    registry.write_config(&registry.fill_in(&text(false)));
    registry.restart();
    until("what nothing holds is collected", LONG, || {
        (registry.objects().finished <= 2 && registry.objects().partial == 0).then_some(())
    });
    registry.holds_objects(tagged.layers.len() + 1);
    let repository = registry.repository("read/only");
    repository.get_blob(&alone).expect(404);
    repository.get_manifest("kept").expect(200);
    upload
        .request("PATCH")
        .body(b"more".to_vec())
        .send()
        .expect(404);
}
