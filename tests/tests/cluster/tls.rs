//! Nodes and operators prove who they are by certificates of the cluster's CA.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, Issuer, KeyPair};
use roadstead_tests::asked::Asked;
use roadstead_tests::wait::{LONG, until};
use roadstead_tests::{Client, Group, process};

/// Makes certificates by the built program, as an operator does.
fn certs(folder: &Path, hosts: &[&str]) -> String {
    let made = process::command()
        .args(["cluster", "certs", "--folder"])
        .arg(folder)
        .args(hosts)
        .output();
    let made: Asked = made.expect("the binary can be started").into();
    made.ended(0).out
}

/// Three nodes that speak by TLS. What they prove themselves by lies in `certs` of their folder.
fn group(count: usize) -> Group {
    Group::prepare_with(count, |folder| {
        let folder = folder.join("certs");
        let said = certs(&folder, &["127.0.0.1", "operator"]);
        assert_eq!(said.lines().count(), 3, "a CA and two certificates: {said}");
        let file = |name: &str| folder.join(name).display().to_string();
        format!(
            "tls:\n  ca: {}\n  certificate: {}\n  key: {}",
            file("ca.pem"),
            file("127.0.0.1.pem"),
            file("127.0.0.1.key")
        )
    })
}

/// Runs the program against a node's port for other nodes, with these files or none.
fn ask(group: &Group, files: Option<(&Path, &str)>, arguments: &[&str]) -> Asked {
    let mut command = process::command();
    command
        .args(arguments)
        .args(["--address", group.address(0)]);
    if let Some((folder, name)) = files {
        command.arg("--ca").arg(folder.join("ca.pem"));
        let own = |ending| folder.join(format!("{name}.{ending}"));
        command.arg("--certificate").arg(own("pem"));
        command.arg("--key").arg(own("key"));
    }
    command.output().expect("the binary can be started").into()
}

/// What the metrics of a node say of when its certificate ends.
fn expiry(group: &Group) -> String {
    let client = Client::new(&group.nodes[0].debug_address());
    let metrics = client.request("GET", "/metrics").send().expect(200);
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let mut lines = text.lines();
    let line = lines.find(|line| line.starts_with("roadstead_cluster_certificate_expiry"));
    line.expect("the metric is there").to_owned()
}

#[test]
fn nodes_with_certificates_form_a_cluster_and_are_administered() {
    let mut group = group(3);
    for node in &mut group.nodes {
        node.spawn();
    }
    group.are_ready();
    group.client(0).repository("a/b").push_image("t", 1);
    let there = group.client(2).repository("a/b");
    there.get_manifest("t").expect(200);
    let folder = group.folder().join("certs");
    let operator = Some((folder.as_path(), "operator"));
    let shown = ask(&group, operator, &["cluster", "status"]).ended(0);
    assert!(shown.out.contains("3 of 3 voters answer"), "{}", shown.out);
}

#[test]
fn who_has_no_certificate_of_the_ca_is_refused_and_said_in_the_log() {
    let mut group = group(1);
    group.nodes[0].run();
    let folder = group.folder().join("certs");
    // None at all: what is spoken in the clear is no handshake.
    ask(&group, None, &["cluster", "status"]).ended(6);
    group.nodes[0].says(&["a connection to `cluster.listen` is refused"]);
    // Of another CA, though the node's own is believed.
    let foreign = group.folder().join("foreign");
    certs(&foreign, &["operator"]);
    fs::copy(folder.join("ca.pem"), foreign.join("ca.pem")).expect("a copy");
    let refused = ask(&group, Some((&foreign, "operator")), &["cluster", "status"]);
    refused.ended(6);
    group.nodes[0].says(&["is refused", "UnknownIssuer"]);
    // Expired.
    expired(&folder, "late");
    let refused = ask(&group, Some((&folder, "late")), &["cluster", "status"]);
    refused.ended(6);
    group.nodes[0].says(&["is refused", "certificate expired"]);
    // A node that is not believed is not spoken to either.
    let unbelieved = group.folder().join("unbelieved");
    certs(&unbelieved, &["operator"]);
    let refused = ask(
        &group,
        Some((&unbelieved, "operator")),
        &["cluster", "status"],
    );
    refused.ended(6);
    group.nodes[0].serves();
}

/// A certificate of the CA in the folder that ended an hour ago.
fn expired(folder: &Path, name: &str) {
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("it is there");
    let key = KeyPair::from_pem(&read("ca.key")).expect("a key");
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), key).expect("a CA");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let hour = Duration::from_secs(3_600);
    params.not_before = (SystemTime::now() - 10 * hour).into();
    params.not_after = (SystemTime::now() - hour).into();
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let write = |ending: &str, text: String| {
        fs::write(folder.join(format!("{name}.{ending}")), text).expect("it can be written");
    };
    write("pem", certificate.pem());
    write("key", key.serialize_pem());
}

#[test]
fn renewed_certificate_is_used_without_a_restart() {
    let mut group = group(1);
    group.nodes[0].run();
    let before = expiry(&group);
    let folder = group.folder().join("certs");
    let renewed = process::command()
        .args(["cluster", "certs", "--days", "100", "--folder"])
        .arg(&folder)
        .arg("127.0.0.1")
        .output();
    let renewed: Asked = renewed.expect("the binary can be started").into();
    renewed.ended(0);
    until("the metric is another", LONG, || {
        (expiry(&group) != before).then_some(())
    });
    let operator = Some((folder.as_path(), "operator"));
    ask(&group, operator, &["cluster", "status"]).ended(0);
    // Half a file, as while it is written: what was read before stays.
    fs::write(folder.join("127.0.0.1.pem"), "half").expect("it can be written");
    ask(&group, operator, &["cluster", "status"]).ended(0);
    group.nodes[0].says(&["the former certificates stay in use"]);
}

#[test]
fn files_that_cannot_be_used_are_said_with_what_is_wrong() {
    let mut group = group(1);
    let file = group.folder().join("certs/127.0.0.1.pem");
    fs::write(&file, "nothing").expect("it can be written");
    let ended = group.nodes[0].run_to_end();
    assert_eq!(ended.status.code(), Some(4));
    for words in ["127.0.0.1.pem", "no certificate in PEM", "cluster certs"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
}

#[test]
fn certificate_for_another_host_is_refused_at_the_start() {
    let mut group = group(1);
    let folder = group.folder().join("certs");
    certs(&folder, &["elsewhere.example"]);
    for ending in ["pem", "key"] {
        let file = |name: &str| folder.join(format!("{name}.{ending}"));
        fs::copy(file("elsewhere.example"), file("127.0.0.1")).expect("a copy");
    }
    let ended = group.nodes[0].run_to_end();
    assert_eq!(ended.status.code(), Some(4));
    let words = "it is not for 127.0.0.1";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
}
