//! What an operator can turn off: deletes, and every change at all.

use roadstead_tests::{Registry, Setup, fixture};

#[test]
fn without_deletes_content_stays() {
    let registry = Registry::start(Setup::plain());
    let repository = registry.repository("modes/no-deletes");
    let image = repository.push_image("latest", 1);
    let manifest = image.manifest.digest();
    let blob = repository.push_blob(b"not referenced");
    repository
        .delete_manifest("latest")
        .refused(405, "UNSUPPORTED");
    repository
        .delete_manifest(&manifest)
        .refused(405, "UNSUPPORTED");
    repository.delete_blob(&blob).refused(405, "UNSUPPORTED");
    repository.get_manifest("latest").expect(200);
    repository.get_manifest(&manifest).expect(200);
    repository.get_blob(&blob).expect(200);
    // An upload is not content yet.
    let upload = repository.start_upload();
    upload.cancel().expect(204);
}

#[test]
fn read_only_registry_serves_and_takes_nothing() {
    let mut registry = Registry::start(Setup::default());
    let repository = registry.repository("modes/read-only");
    let image = repository.push_image("latest", 2);
    let mut upload = repository.start_upload();
    upload.patch(b"begun before").expect(202);
    registry.stop();

    let text = std::fs::read_to_string(registry.config()).expect("the file is there");
    let maintenance = "storage:\n  maintenance:\n    readonly:\n      enabled: true\n";
    registry.write_config(&text.replace("storage:\n", maintenance));
    registry.run();

    let layer = fixture::digest(&image.layers[0]);
    assert_eq!(
        repository.get_blob(&layer).expect(200).body,
        image.layers[0]
    );
    repository.get_manifest("latest").expect(200);
    repository.tags("").expect(200);
    repository.referrers(&layer, "").expect(200);

    let begin = repository.request("POST", "blobs/uploads/").send();
    begin.refused(405, "UNSUPPORTED");
    let mount = format!("blobs/uploads/?mount={layer}&from=modes/read-only");
    repository
        .request("POST", &mount)
        .send()
        .refused(405, "UNSUPPORTED");
    upload.patch(b"more").refused(405, "UNSUPPORTED");
    upload.put(fixture::EMPTY, b"").refused(405, "UNSUPPORTED");
    upload.cancel().refused(405, "UNSUPPORTED");
    repository
        .put_manifest("other", &image.manifest)
        .refused(405, "UNSUPPORTED");
    repository
        .delete_manifest("latest")
        .refused(405, "UNSUPPORTED");
    repository.delete_blob(&layer).refused(405, "UNSUPPORTED");
    repository.get_manifest("latest").expect(200);
    repository.get_manifest("other").expect(404);
}

#[test]
fn registry_in_memory_serves_and_forgets() {
    let setup = Setup::empty()
        .with("storage", "inmemory:")
        .with("http", "addr: 127.0.0.1:{port}")
        .with("cluster", "datadir: {folder}/metadata");
    let registry = Registry::start(setup);
    let repository = registry.repository("modes/memory");
    let image = repository.push_image("latest", 3);
    let layer = fixture::digest(&image.layers[0]);
    assert_eq!(
        repository.get_blob(&layer).expect(200).body,
        image.layers[0]
    );
    assert!(!registry.data().exists());
}
