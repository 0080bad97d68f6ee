//! A schedule that the seed decides.

use std::time::Duration;

use roadstead_tests::seed::number;

use super::fault::schedule;
use super::run::{endure, seed};

const SECONDS: &str = "ROADSTEAD_CHAOS_SECONDS";
const SECONDS_SHORT: u64 = 30;

const NODES: &str = "ROADSTEAD_CHAOS_NODES";
const NODES_FEW: u64 = 3;

#[test]
fn random_faults_lose_nothing() {
    let seconds = number(SECONDS).unwrap_or(SECONDS_SHORT);
    let nodes = number(NODES).unwrap_or(NODES_FEW);
    let seed = seed().beside(SECONDS, seconds).beside(NODES, nodes);
    let nodes = usize::try_from(nodes).expect("a handful of nodes");
    let length = Duration::from_secs(seconds);
    endure("random", nodes, &seed, |chance| schedule(chance, length));
}
