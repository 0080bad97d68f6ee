//! Where a node is administered, and what it does where it cannot be.

use std::net::TcpListener;

use roadstead_tests::{Registry, Setup, process};

use roadstead_tests::asked::{Asked, ask, ask_json};

const DEFAULT: (&str, u16) = ("127.0.0.1", 5055);

#[test]
fn node_serves_where_the_default_port_is_taken() {
    // Where somebody else has it, it is taken too.
    let _taken = TcpListener::bind(DEFAULT);
    let mut registry = Registry::start(Setup::default().default_administration());
    registry.says(&["127.0.0.1:5055", "another `cluster.admin.addr`", "gc"]);
    registry.serves();
    assert!(registry.stop().success());
}

#[test]
fn node_does_not_start_where_the_written_port_is_taken() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = Setup::default().variable("REGISTRY_CLUSTER_ADMIN_ADDR", &address);
    let ended = Registry::prepare(setup).run_to_end();
    assert_eq!(ended.status.code(), Some(4));
    ended.failed_saying(&[
        &address,
        "another process has that port",
        "cluster.admin.addr",
    ]);
}

#[test]
fn node_is_not_administered_from_elsewhere() {
    let setup = Setup::default().variable("REGISTRY_CLUSTER_ADMIN_ADDR", "0.0.0.0:0");
    let ended = Registry::prepare(setup).run_to_end();
    assert_eq!(ended.status.code(), Some(3));
    ended.failed_saying(&["CLUSTER_ADMIN_ADDR", "whoever can connect may administer"]);
}

#[test]
fn address_is_taken_from_the_environment_and_from_the_command_line_first() {
    let registry = Registry::start(Setup::default());
    let run = |variable: &str, arguments: &[&str]| -> Asked {
        let mut command = process::command();
        command.args(["gc", "status"]).args(arguments);
        let output = command.env("ROADSTEAD_ADMIN_ADDR", variable).output();
        output.expect("the binary can be started").into()
    };
    let address = registry.administration();
    run(&address, &[]).ended(0);
    run("127.0.0.1:1", &["--address", &address]).ended(0);
    run("nonsense", &[]).failed(2, &["a host and a port"]);
    ask_json(&registry, &["gc", "status"]);
}

#[test]
fn what_is_no_node_is_told_from_one() {
    let registry = Registry::start(Setup::default());
    let run = |address: &str| -> Asked {
        let mut command = process::command();
        command.args(["gc", "status", "--address", address]);
        command.output().expect("the binary can be started").into()
    };
    let nobody = format!("127.0.0.1:{}", process::free_port());
    run(&nobody).failed(6, &["no node answers", &nobody, "--address"]);
    run("nowhere.invalid:5055").failed(6, &["no node answers"]);
    run(&registry.address()).failed(6, &["cluster.admin.addr"]);
    run("http://localhost:5055").failed(2, &["a host and a port"]);
    ask(&registry, &["gc", "status"]).ended(0);
}
