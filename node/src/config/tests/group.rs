//! The keys of `cluster` that make a node one of several.

use std::time::Duration;

use super::super::Group;
use super::{SMALLEST, config, show_file};

fn group(keys: &str) -> Group {
    let text = format!("{SMALLEST}cluster: {{{keys}}}\n");
    config(&text).cluster.group.expect("other nodes")
}

#[test]
fn node_alone_has_no_group() {
    assert_eq!(config(SMALLEST).cluster.group, None);
    let text =
        format!("{SMALLEST}cluster: {{name: c, heartbeat: 1s, election: {{min: 4s, max: 5s}}}}\n");
    assert_eq!(config(&text).cluster.group, None);
}

#[test]
fn defaults_are_those_of_the_blueprint() {
    let group = group("listen: '127.0.0.1:7400', members: ['127.0.0.1:7400', 'b:1']");
    assert_eq!(group.name, "roadstead");
    assert_eq!(group.advertise.to_string(), "127.0.0.1:7400");
    let members: Vec<_> = group.members.iter().map(ToString::to_string).collect();
    assert_eq!(members, ["127.0.0.1:7400", "b:1"]);
    assert_eq!(group.join, None);
    let timing = group.timing;
    assert_eq!(
        (timing.heartbeat, timing.election_min, timing.election_max),
        (200, 700, 1_100)
    );
    assert_eq!(group.proposal_timeout, Duration::from_secs(10));
}

#[test]
fn every_key_is_read() {
    let group = group(
        "name: prod, listen: ':7400', advertise: 'n:7400', join: 'm:7400', insecure: true, \
         heartbeat: 100ms, election: {min: 1s, max: 2s}, proposaltimeout: 5s",
    );
    assert_eq!(group.name, "prod");
    assert_eq!(group.listen.to_string(), ":7400");
    assert_eq!(group.advertise.to_string(), "n:7400");
    assert_eq!(
        group.join.map(|join| join.to_string()).as_deref(),
        Some("m:7400")
    );
    let timing = group.timing;
    assert_eq!(
        (timing.heartbeat, timing.election_min, timing.election_max),
        (100, 1_000, 2_000)
    );
    assert_eq!(group.proposal_timeout, Duration::from_secs(5));
}

#[test]
fn what_cannot_be_a_cluster_is_refused_with_the_reason() {
    let one = "listen: '127.0.0.1:1', members: ['127.0.0.1:1']";
    for (keys, words) in [
        ("members: ['a:1']".to_owned(), "cluster.listen is missing"),
        ("join: 'a:1'".to_owned(), "cluster.listen is missing"),
        (
            "listen: ':1', members: ['a:1'], insecure: true".to_owned(),
            "cluster.advertise is missing",
        ),
        (
            "listen: 'a:1', members: ['a:1']".to_owned(),
            "cluster.insecure",
        ),
        ("listen: '127.0.0.1:1'".to_owned(), "either cluster.members"),
        (format!("{one}, join: 'a:1'"), "either cluster.members"),
        (format!("{one}, heartbeat: 500ms"), "three times"),
        (
            format!("{one}, election: {{min: 2s}}"),
            "less than cluster.election.max",
        ),
        (format!("{one}, tls: {{ca: x}}"), "in the clear"),
        (
            "listen: '127.0.0.1:1', members: ['0.0.0.0:1']".to_owned(),
            "cluster.members",
        ),
        (
            "listen: '127.0.0.1:1', join: 'a'".to_owned(),
            "cluster.join",
        ),
    ] {
        let text = format!("{SMALLEST}cluster: {{{keys}}}\n");
        let said = show_file(&text);
        assert!(said.contains(words), "{keys}: {said}");
    }
}
