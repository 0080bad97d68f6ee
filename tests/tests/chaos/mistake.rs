//! The checker of histories finds reads that pass no barrier: by itself in a history that is made
//! for it, and in what the ordinary clients have seen.

use std::time::Duration;

use roadstead_tests::wait::{LONG, until};

use super::caller::{Caller, Common};
use super::fault::{Fault, Role, Step, Way};
use super::mover::Series;
use super::register::{Call, History, Verdict};
use super::run::{Crew, attempt, seed};
use super::stage::with_nodes;

const MISTAKE: (&str, &str) = ("ROADSTEAD_MISTAKE", "reads-without-barrier");

/// A tag is moved while a node is cut off, and read from that node. Whether the read was answered,
/// and what the checker says.
fn moved_behind_its_back(variables: &[(&str, &str)]) -> (bool, Verdict) {
    with_nodes(3, variables, |stage| {
        let common = Common::new(stage.clients());
        let series = Series::new(0);
        series
            .begin(&common)
            .expect("a cluster that is whole takes a push");
        let caller = Caller::new(&common, 0);
        let history = History::new("t".to_owned());
        let leader = stage.group.leader();
        let alone = stage.others(leader)[0];
        let call = |client, node, call| {
            let made = series.call(&caller, &history, client, node, call);
            made.expect("no answer is wrong by itself")
        };
        let answered = |what: &str, client, node, of| {
            until(what, LONG, || call(client, node, of).then_some(()));
        };
        answered("a tag is put", 0, leader, Call::Put(series.fresh()));
        answered("it is read", 1, alone, Call::Get);
        for other in stage.others(alone) {
            stage.network.cut(other, alone);
            stage.network.cut(alone, other);
        }
        answered("it is moved", 0, leader, Call::Put(series.fresh()));
        let is_read = call(1, alone, Call::Get);
        stage.network.heal();
        (is_read, history.judge())
    })
}

#[test]
fn checker_finds_a_read_without_a_barrier() {
    let expected = (true, Verdict::NotLinearizable);
    assert_eq!(moved_behind_its_back(&[MISTAKE]), expected);
    let expected = (false, Verdict::Linearizable);
    assert_eq!(moved_behind_its_back(&[]), expected);
}

#[test]
fn ordinary_clients_see_what_the_checker_finds() {
    let steps = [Way::Both, Way::In].map(|way| Step {
        fault: Fault::Cut(Role::Follower, way),
        beside: None,
        lasting: Duration::from_secs(3),
        calm: Duration::ZERO,
    });
    let seed = seed();
    let judged = attempt(&Crew::MOVERS, 3, &[MISTAKE], &seed, |_| steps.to_vec());
    let complaint = judged.expect_err("reads passed no barrier").0;
    assert!(complaint.starts_with("NotLinearizable"), "{complaint}");
}
