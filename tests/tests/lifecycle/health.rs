//! Health: what says that a node lives, that it is ready, and why it is not.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use roadstead_tests::process::free_port;
use roadstead_tests::wait::{self, LONG};
use roadstead_tests::{Answer, Client, Registry, Setup};

fn report(registry: &Registry) -> Answer {
    Client::new(&registry.debug_address()).get("/debug/health")
}

/// Waits until the node calls itself unhealthy because of this, and checks what that means.
#[track_caller]
fn check_unhealthy(registry: &Registry, because: &str) {
    wait::until("the check fails", LONG, || {
        (report(registry).status == 503).then_some(())
    });
    let report = report(registry).expect(503);
    let reasons = report.json();
    assert!(
        reasons.to_string().contains(because),
        "{because} is not in {report}"
    );
    let client = registry.client();
    client.get("/livez").expect(200);
    client.get("/readyz").expect(503);
    // As Distribution: every request is refused.
    client.get("/v2/").refused(503, "UNAVAILABLE");
    let push = client
        .repository("health/push")
        .request("POST", "blobs/uploads/");
    push.send().refused(503, "UNAVAILABLE");
}

#[track_caller]
fn check_healthy(registry: &Registry) {
    wait::until("the node is healthy", LONG, || {
        (report(registry).status == 200).then_some(())
    });
    registry.client().get("/readyz").expect(200);
    registry.serves();
}

#[test]
fn healthy_node_has_nothing_to_report() {
    let registry = Registry::start(Setup::default().with_debug());
    let answer = report(&registry).expect(200);
    assert_eq!(answer.json(), serde_json::json!({}));
    let debug = Client::new(&registry.debug_address());
    debug.get("/livez").expect(200);
    debug.get("/readyz").expect(200);
    debug.get("/nothing").expect(404);
    // Operators' pages are not for everybody.
    for path in ["/debug/health", "/metrics", "/debug/pprof/", "/debug/vars"] {
        registry.client().get(path).expect(404);
    }
}

#[test]
fn file_takes_a_node_out_of_service() {
    let checks = "file:\n  - file: {folder}/offline\n    interval: 50ms";
    let registry = Registry::prepare(Setup::default().with_debug().with("health", checks));
    let mut registry = registry;
    registry.run();
    check_healthy(&registry);
    let file = registry.folder().join("offline");
    fs::write(&file, "").expect("it can be written");
    check_unhealthy(&registry, "offline");
    fs::remove_file(&file).expect("it can be removed");
    check_healthy(&registry);
}

#[test]
fn port_of_another_service_is_watched() {
    let port = free_port();
    let checks = format!("tcp:\n  - addr: 127.0.0.1:{port}\n    interval: 50ms\n    timeout: 1s");
    let other = TcpListener::bind(("127.0.0.1", port)).expect("nobody has it");
    let registry = Registry::start(Setup::default().with_debug().with("health", &checks));
    check_healthy(&registry);
    drop(other);
    check_unhealthy(&registry, &port.to_string());
    let _other = TcpListener::bind(("127.0.0.1", port)).expect("nobody has it");
    check_healthy(&registry);
}

#[test]
fn address_of_another_service_is_watched() {
    let other = Registry::start(Setup::default());
    let checks = format!(
        "http:\n  - uri: http://{}/livez\n    interval: 50ms",
        other.address()
    );
    let registry = Registry::start(Setup::default().with_debug().with("health", &checks));
    check_healthy(&registry);
    let address = other.address();
    drop(other);
    check_unhealthy(&registry, &address);
}

#[test]
fn store_that_is_not_there_is_noticed() {
    let setup = Setup::default()
        .with_debug()
        .with("cluster", "datadir: {folder}/metadata")
        .with(
            "health",
            "storagedriver:\n  enabled: true\n  interval: 50ms",
        );
    let registry = Registry::start(setup);
    check_healthy(&registry);
    let away = registry.folder().join("away");
    let rename = |from: &Path, to: &Path| fs::rename(from, to).expect("it can be renamed");
    rename(&registry.data(), &away);
    check_unhealthy(&registry, "storagedriver");
    rename(&away, &registry.data());
    check_healthy(&registry);
}
