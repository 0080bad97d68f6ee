//! Who is of the cluster, and how an operator changes that by the built program.

use roadstead_tests::asked::{ask, ask_json};
use roadstead_tests::wait::{LONG, until};
use roadstead_tests::{Group, fixture};
use serde_json::Value;

/// The members as a node knows them.
fn members(group: &Group, asked: usize) -> Vec<Value> {
    let status = ask_json(&group.nodes[asked], &["cluster", "status"]);
    status["members"].as_array().expect("members").clone()
}

/// The id of a node, which says who it is.
fn id(group: &Group, node: usize) -> String {
    let status = ask_json(&group.nodes[node], &["cluster", "status"]);
    status["answered_by"].to_string()
}

fn has(group: &Group, node: usize, tag: &str) {
    let there = group.client(node).repository("a/b");
    there.get_manifest(tag).expect(200);
}

#[test]
fn status_shows_every_member_and_works_without_a_quorum() {
    let mut group = Group::start(3);
    let status = ask_json(&group.nodes[1], &["cluster", "status"]);
    assert_eq!(status["name"], "test");
    assert_eq!(status["has_quorum"], true);
    let roles: Vec<_> = members(&group, 1)
        .iter()
        .map(|member| member["status"]["role"].to_string())
        .collect();
    let leaders = roles.iter().filter(|role| *role == "\"leader\"").count();
    assert_eq!((roles.len(), leaders), (3, 1), "{roles:?}");
    group.nodes[0].kill();
    group.nodes[2].kill();
    let shown = ask(&group.nodes[1], &["cluster", "status"]).ended(0);
    for words in ["no: 1 of 3 voters answer", "does not answer"] {
        assert!(shown.out.contains(words), "{words}: {}", shown.out);
    }
    let ready = group.client(1).request("GET", "/readyz").send();
    assert_eq!(ready.status, 503, "{ready}");
}

#[test]
fn lost_node_is_replaced_under_its_address() {
    let mut group = Group::start(3);
    group.client(0).repository("a/b").push_image("t", 1);
    let lost = id(&group, 2);
    group.nodes[2].kill();
    let removed = ask(&group.nodes[0], &["cluster", "remove", &lost]).ended(0);
    assert!(removed.out.contains("no member any more"), "{removed:?}");
    // Again: it was done.
    ask(&group.nodes[1], &["cluster", "remove", &lost]).ended(0);
    assert_eq!(members(&group, 0).len(), 2);
    group.renew(2).run();
    has(&group, 2, "t");
    assert_ne!(id(&group, 2), lost, "ids are never used again");
    group.client(2).repository("a/b").push_image("u", 2);
    has(&group, 0, "u");
}

#[test]
fn removed_node_stops_and_does_not_come_back() {
    let mut group = Group::start(3);
    let removed = id(&group, 1);
    ask(&group.nodes[0], &["cluster", "remove", &removed]).ended(0);
    let node = &mut group.nodes[1];
    assert!(!node.ended().success(), "it was told to go");
    assert!(node.logs().contains("was removed from its cluster"));
    let again = node.run_to_end();
    assert!(!again.status.success());
    assert!(again.stderr.contains("was removed"), "{}", again.stderr);
    group.client(0).repository("a/b").push_image("t", 1);
    has(&group, 2, "t");
}

#[test]
fn leader_is_removed_while_clients_push() {
    let group = Group::start(3);
    let leader = group.leader();
    let others: Vec<_> = (0..3).filter(|node| *node != leader).collect();
    let gone = id(&group, leader);
    std::thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            for number in 0..20 {
                let there = group.client(others[number % 2]).repository("a/b");
                there.push_image(&format!("t{number}"), number as u64);
            }
        });
        ask(&group.nodes[others[0]], &["cluster", "remove", &gone]).ended(0);
        pushing.join().expect("every push succeeds");
    });
    for number in 0..20 {
        has(&group, others[0], &format!("t{number}"));
    }
}

#[test]
fn removal_that_would_lose_the_quorum_is_refused() {
    let mut group = Group::start(3);
    let (alive, dead) = (id(&group, 1), id(&group, 2));
    group.nodes[2].kill();
    let refused = ask(&group.nodes[0], &["cluster", "remove", &alive]);
    refused.failed(7, &[&format!("these do not: {dead}")]);
    group.client(1).repository("a/b").push_image("t", 1);
    let unknown = ask(&group.nodes[0], &["cluster", "remove", "99"]);
    unknown.failed(5, &["no member has the id 99"]);
    let words = ask(&group.nodes[0], &["cluster", "remove", "nonsense"]);
    words.failed(2, &["neither the id nor the address"]);
}

#[test]
fn last_voter_cannot_be_removed() {
    let group = Group::start(1);
    let refused = ask(&group.nodes[0], &["cluster", "remove", "1"]);
    refused.failed(7, &["the only one that votes"]);
}

#[test]
fn leadership_is_handed_over_when_asked() {
    let group = Group::start(3);
    let before = group.leader();
    let next = (before + 1) % 3;
    let to = id(&group, next);
    let told = ask_json(&group.nodes[before], &["cluster", "transfer", &to]);
    assert_eq!(told["leader"].to_string(), to);
    until("its own metrics say so", LONG, || {
        (group.leader() == next).then_some(())
    });
    // To whoever lags least, asked of one that does not lead.
    let told = ask_json(&group.nodes[before], &["cluster", "transfer"]);
    assert_ne!(told["leader"].to_string(), to);
    group.client(0).repository("a/b").push_image("t", 1);
}

#[test]
fn drained_node_hands_over_finishes_and_stops() {
    let mut group = Group::start(3);
    let leader = group.leader();
    let other = (leader + 1) % 3;
    let content = fixture::random(5, 400_000);
    let mut upload = group.client(leader).repository("a/b").start_upload();
    upload.patch(&content[..300_000]).expect(202);
    let drained = id(&group, leader);
    ask(&group.nodes[other], &["cluster", "drain", &drained]).ended(0);
    let ended = group.nodes[leader].ended();
    assert!(ended.success(), "{}", group.nodes[leader].logs());
    let logs = group.nodes[leader].logs();
    assert!(logs.contains("the leadership was handed over"), "{logs}");
    // Nobody waits for an election, and the upload goes on.
    let mut upload = upload.through(&group.client(other));
    upload.patch(&content[300_000..]).expect(202);
    let digest = fixture::digest(&content);
    upload.put(digest.as_str(), b"").expect(201);
    group.nodes[leader].run();
    let blob = group.client(leader).repository("a/b").get_blob(&digest);
    assert!(blob.expect(200).body == content);
}

#[test]
fn states_of_all_nodes_have_one_hash() {
    let group = Group::start(3);
    for node in 0..3 {
        let there = group.client(node).repository("a/b");
        there.push_image(&format!("t{node}"), node as u64);
    }
    let snapshot = ask_json(&group.nodes[1], &["cluster", "snapshot"]);
    assert!(snapshot["index"].as_u64() > Some(0));
    group.have_one_state(LONG).expect("one state");
}

#[test]
fn log_level_and_feature_level_are_set_or_refused_with_the_reason() {
    let group = Group::start(2);
    let node = &group.nodes[0];
    ask(node, &["cluster", "log-level", "debug"]).ended(0);
    ask(node, &["cluster", "log-level", "=="]).failed(2, &["neither a level"]);
    ask(node, &["cluster", "raise-feature-level", "1"]).ended(0);
    let refused = ask(node, &["cluster", "raise-feature-level", "9"]);
    refused.failed(7, &["not every member", "node 1, node 2"]);
    let lower = ask(node, &["cluster", "raise-feature-level", "0"]);
    lower.failed(7, &["never lowered"]);
}

#[test]
fn node_that_was_told_nothing_waits_until_it_is_added() {
    let mut group = Group::start(1);
    group.client(0).repository("a/b").push_image("t", 1);
    for way in ["add", "join"] {
        let node = group.add_untold();
        group.nodes[node].spawn();
        group.nodes[node].says(&["waiting for the cluster", "roadstead cluster add"]);
        let (first, fresh) = (group.address(0).to_owned(), group.address(node).to_owned());
        if way == "add" {
            ask(&group.nodes[0], &["cluster", "add", &fresh]).ended(0);
        } else {
            let mut command = roadstead_tests::process::command();
            command.args(["cluster", "join", &first, "--address", &fresh]);
            let told = command.output().expect("the binary can be started");
            roadstead_tests::asked::Asked::from(told).ended(0);
        }
        group.are_ready();
        has(&group, node, "t");
    }
    let member = group.address(1).to_owned();
    let again = ask(&group.nodes[0], &["cluster", "add", &member]);
    again.failed(7, &["of a cluster already"]);
    let nobody = ask(&group.nodes[0], &["cluster", "add", "127.0.0.1:1"]);
    nobody.failed(1, &["does not answer"]);
}
