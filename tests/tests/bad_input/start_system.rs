//! Start where the system does not give what is needed: a port, file descriptors.

use std::net::TcpListener;

use roadstead_tests::{Registry, Setup};

#[test]
fn port_taken() {
    let mut registry = Registry::prepare(Setup::default());
    let taken = TcpListener::bind(registry.address()).expect("nobody has it");
    let ended = registry.run_to_end();
    ended.failed_saying(&[&registry.address(), "in use", "http.addr"]);
    assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
    assert!(!registry.data().exists(), "the data folder was made");
    drop(taken);
    registry.run();
    registry.serves();
}

#[test]
fn debug_port_taken() {
    let mut registry = Registry::prepare(Setup::default().with_debug());
    let taken = TcpListener::bind(registry.debug_address()).expect("nobody has it");
    let ended = registry.run_to_end();
    ended.failed_saying(&[&registry.debug_address(), "in use", "http.debug.addr"]);
    assert!(!registry.data().exists(), "the data folder was made");
    drop(taken);
    registry.run();
    registry.serves();
}

#[test]
fn too_few_file_descriptors() {
    let mut registry = Registry::prepare(Setup::default().descriptors(200));
    let ended = registry.run_to_end();
    ended.failed_saying(&["200", "files", "ulimit -n"]);
    assert_eq!(ended.status.code(), Some(4), "{}", ended.stderr);
    assert!(!registry.data().exists(), "the data folder was made");
}
