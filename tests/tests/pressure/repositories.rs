//! More repositories in a moment than may be active at once.

use std::thread;

use roadstead_tests::fixture::{CONFIG, describe, digest, image};
use roadstead_tests::{Registry, Setup};

/// `REPOSITORIES_ACTIVE_MAX` of the node's limits, and a few.
const REPOSITORIES: usize = 10_200;
const CLIENTS: usize = 8;

#[test]
fn more_repositories_than_may_be_active_are_all_served() {
    let registry = Registry::start(Setup::default());
    let config = b"{}";
    registry.repository("first").push_blob(config);
    let config = digest(config);
    let manifest = image(&describe(CONFIG, &config, 2), &[]);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (registry, config, manifest) = (&registry, &config, &manifest);
            scope.spawn(move || {
                for number in (client..REPOSITORIES).step_by(CLIENTS) {
                    let repository = registry.repository(&format!("many/r{number}"));
                    let mount = format!("blobs/uploads/?mount={config}&from=first");
                    repository.request("POST", &mount).send().expect(201);
                    repository.put_manifest("1", manifest).expect(201);
                }
            });
        }
    });
    for number in (0..REPOSITORIES).step_by(1_000) {
        let repository = registry.repository(&format!("many/r{number}"));
        repository.get_manifest("1").expect(200);
    }
}
