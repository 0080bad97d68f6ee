//! Nodes are stopped and started again one by one, while clients notice nothing, and with versions
//! that differ.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use roadstead_tests::asked::{ask, ask_json};
use roadstead_tests::balancer::Balancer;
use roadstead_tests::wait::{LONG, Over, until};
use roadstead_tests::{Client, Group, fixture};

const LEVEL: &str = "ROADSTEAD_FEATURE_LEVEL";

/// Pushes and pulls without a second try, until it is over: every request has to succeed.
fn work(client: &Client, worker: usize, is_over: &AtomicBool, done: &AtomicUsize) {
    let repository = client.repository(&format!("team/app{worker}"));
    let mut number = 0;
    while !is_over.load(Ordering::Acquire) {
        let (tag, seed) = (format!("t{number}"), (worker * 10_000 + number) as u64);
        let image = repository.push_image(&tag, seed);
        let manifest = repository.get_manifest(&tag).expect(200);
        assert_eq!(manifest.body, image.manifest.bytes());
        for layer in &image.layers {
            let digest = fixture::digest(layer);
            assert!(repository.get_blob(&digest).expect(200).body == *layer);
        }
        number += 1;
        done.fetch_add(1, Ordering::AcqRel);
    }
}

#[test]
fn rolling_restart_behind_a_load_balancer_fails_no_request() {
    let mut group = Group::prepare_with(3, |_| "drain:\n  notice: 1s".to_owned());
    for node in &mut group.nodes {
        node.spawn();
    }
    group.are_ready();
    let addresses: Vec<_> = group.nodes.iter().map(|node| node.address()).collect();
    let balancer = Balancer::start(&addresses);
    let (is_over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = balancer.client();
    thread::scope(|scope| {
        let over = Over(&is_over);
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                scope.spawn({
                    let (client, is_over, done) = (&client, &is_over, &done);
                    move || work(client, worker, is_over, done)
                })
            })
            .collect();
        for node in 0..3 {
            let before = done.load(Ordering::Acquire);
            // As an operator would: who goes on before the balancer has heard has two nodes down.
            balancer.sees_all();
            group.nodes[node].restart();
            until("clients go on", LONG, || {
                let is_stopped = workers.iter().any(thread::ScopedJoinHandle::is_finished);
                let is_on = done.load(Ordering::Acquire) > before + 5;
                (is_stopped || is_on).then_some(())
            });
        }
        drop(over);
        for worker in workers {
            worker.join().expect("no request has failed");
        }
    });
}

#[test]
fn versions_differ_up_and_down_until_the_level_is_raised() {
    let mut group = Group::start(3);
    let push = |group: &Group, tag: &str| {
        for node in 0..3 {
            group.client(node).repository("a/b").push_image(tag, 1);
        }
    };
    // Up, one by one, with a level that nothing is proposed at yet.
    for node in 0..3 {
        group.nodes[node].variable(LEVEL, "2");
        group.nodes[node].restart();
        push(&group, &format!("up{node}"));
        if node < 2 {
            let early = ask(&group.nodes[node], &["cluster", "raise-feature-level", "2"]);
            early.failed(7, &["not every member", "update"]);
        }
    }
    // Down again, and up.
    for level in ["1", "2"] {
        group.nodes[1].variable(LEVEL, level);
        group.nodes[1].restart();
        push(&group, &format!("down{level}"));
    }
    ask(&group.nodes[0], &["cluster", "raise-feature-level", "2"]).ended(0);
    let status = ask_json(&group.nodes[2], &["cluster", "status"]);
    assert_eq!(status["feature_level"], 2);
    // From now on there is no way back.
    group.nodes[1].variable(LEVEL, "1");
    group.nodes[1].stop();
    let refused = group.nodes[1].run_to_end();
    assert_eq!(refused.status.code(), Some(4));
    let words = "older than the cluster's level";
    assert!(refused.stderr.contains(words), "{}", refused.stderr);
    group.nodes[1].variable(LEVEL, "2");
    group.nodes[1].run();
    push(&group, "after");
}
