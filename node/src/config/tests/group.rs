//! The keys of `cluster` that make a node one of several.

use std::path::PathBuf;
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
    assert_eq!((group.tls, group.feature_level), (None, None));
    assert_eq!(group.drain.notice, Duration::from_secs(5));
    assert_eq!(group.reads.local_after, Duration::from_secs(5));
    assert!(!group.reads.are_stale_tags_served);
}

#[test]
fn every_key_is_read() {
    let group = group(
        "name: prod, listen: ':7400', advertise: 'n:7400', join: 'm:7400', insecure: true, \
         heartbeat: 100ms, election: {min: 1s, max: 2s}, proposaltimeout: 5s, \
         tls: {ca: a, certificate: b, key: c}, featurelevel: 3, drain: {notice: 1s, timeout: 0s}, \
         reads: {local_after: 7s, stale_tags: during-outage}",
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
    let tls = group.tls.expect("TLS");
    let files = [tls.ca, tls.certificate, tls.key];
    assert_eq!(files, ["a", "b", "c"].map(PathBuf::from));
    assert_eq!(group.feature_level, Some(3));
    assert_eq!(group.drain.notice, Duration::from_secs(1));
    assert_eq!(group.drain.timeout, Some(Duration::ZERO));
    assert_eq!(group.reads.local_after, Duration::from_secs(7));
    assert!(group.reads.are_stale_tags_served);
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
        (format!("{one}, join: 'a:1'"), "either cluster.members"),
        (format!("{one}, heartbeat: 500ms"), "three times"),
        (
            format!("{one}, election: {{min: 2s}}"),
            "less than cluster.election.max",
        ),
        (
            format!("{one}, tls: {{ca: x}}"),
            "cluster.tls.key is missing",
        ),
        (format!("{one}, featurelevel: 0"), "cluster.featurelevel"),
        (
            format!("{one}, reads: {{stale_tags: always}}"),
            "during-outage",
        ),
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
