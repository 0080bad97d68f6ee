//! `Stage`: a cluster of which each node has a host and a disk of its own.

use std::fs;
use std::time::Duration;

use roadstead_tests::wait::{self, LONG};
use roadstead_tests::{Client, Group, Mount, Network, Setup};

/// Longer than a node takes to say that it cannot answer, as a rule.
const PATIENCE: Duration = Duration::from_secs(6);
/// Of each node's disk. Its metadata takes a part of that, and a full one is quickly made.
const DISK_BYTES: u64 = 192 << 20;

/// `gc.grace`: how long a blob can be used that a client was told of, at least.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// Longer than an upload is left alone, by which it is purged.
pub(super) const UPLOAD_AGE: Duration = Duration::from_secs(10);

/// A repository of manifests that only take room.
pub(super) const PADDING: &str = "padding";

/// What a node says that could not go on for reasons that may pass.
const GIVING_UP: [&str; 2] = [
    "roadstead: the cluster did not answer within",
    "roadstead: the cluster has no leader that a quorum follows",
];
const FULL: &str = "No space left";

const CLUSTER: &str = "\
proposaltimeout: 3s";

const COLLECTION: &str = "\
grace: 1s
readingdelay: 0s
rate: 100000
sweep: 2s";

const STORAGE: &str = "\
maintenance:
  uploadpurging:
    enabled: true
    age: 10s
    interval: 1s";

/// A running cluster.
#[derive(Debug)]
pub(super) struct Stage<'n> {
    pub(super) network: &'n Network,
    pub(super) group: Group,
    // After the nodes, which write there until they end.
    pub(super) disks: Vec<Mount>,
    /// How many starts came to no end, and were made again.
    pub(super) given_up: usize,
    /// How many nodes have ended on a full disk.
    pub(super) ended_full: usize,
    /// How many manifests were pushed that are to take room.
    pub(super) padding: usize,
}

/// Starts so many nodes and has the test run beside them; `variables` are for their environment.
pub(super) fn with_nodes<T: Send>(
    nodes: usize,
    variables: &[(&str, &str)],
    test: impl FnOnce(Stage<'_>) -> T + Send,
) -> T {
    Network::with(nodes, PATIENCE, |network| {
        let disks: Vec<_> = (0..nodes).map(|_| Mount::ext4(DISK_BYTES)).collect();
        let mut group = Group::on(network, nodes, |node| {
            let data = disks[node].path().join("metadata");
            let setup = Setup::empty()
                .with("cluster", CLUSTER)
                .with("cluster", &format!("datadir: {}", data.display()))
                .with("storage", STORAGE)
                .with("gc", COLLECTION);
            let with = |setup: Setup, (name, value): &(&str, &str)| setup.variable(name, value);
            variables.iter().fold(setup, with)
        });
        for node in &mut group.nodes {
            node.spawn();
        }
        group.are_ready();
        test(Stage {
            network,
            group,
            disks,
            given_up: 0,
            ended_full: 0,
            padding: 0,
        })
    })
}

impl Stage<'_> {
    pub(super) fn nodes(&self) -> usize {
        self.group.nodes.len()
    }

    /// All but one.
    pub(super) fn others(&self, than: usize) -> Vec<usize> {
        (0..self.nodes()).filter(|node| *node != than).collect()
    }

    pub(super) fn clients(&self) -> Vec<Client> {
        (0..self.nodes())
            .map(|node| self.group.client(node))
            .collect()
    }

    /// Starts a node that was killed, or has ended because it could not go on.
    pub(super) fn revive(&mut self, node: usize) {
        self.group.nodes[node].kill();
        self.group.nodes[node].spawn();
    }

    /// Starts nodes again that have given up, as a service manager does: for want of a quorum while
    /// they started, or of room. Whatever else ends a node fails the test.
    #[track_caller]
    pub(super) fn tend(&mut self) {
        for node in 0..self.nodes() {
            let registry = &mut self.group.nodes[node];
            if !registry.is_started() {
                continue;
            }
            if let Some(status) = registry.try_wait() {
                let said = registry.stderr();
                if said.contains(FULL) {
                    self.ended_full += 1;
                } else {
                    let has_given_up = GIVING_UP.iter().any(|words| said.contains(words));
                    let logs = registry.logs();
                    assert!(has_given_up, "node {node} has ended with {status}\n{logs}");
                    self.given_up += 1;
                }
                self.revive(node);
            }
        }
    }

    /// Removes what a fault has left, and waits until all nodes are ready.
    #[track_caller]
    pub(super) fn heal(&mut self) {
        self.network.heal();
        let clients = self.clients();
        let are_ready = wait::poll(LONG, || {
            self.tend();
            clients.iter().all(Client::is_ready).then_some(())
        });
        assert!(
            are_ready.is_some(),
            "not ready after {LONG:?}\n{}",
            self.logs()
        );
        self.group.leader();
    }

    /// The end of what each node has written.
    pub(super) fn logs(&self) -> String {
        let logs = self.group.nodes.iter().enumerate();
        let logs = logs.map(|(node, registry)| format!("node {node}:\n{}", registry.logs()));
        logs.collect()
    }

    /// Removes what fills a disk.
    pub(super) fn empty(&self, node: usize) {
        let filler = self.disks[node].path().join("filler");
        fs::remove_file(filler).expect("the filler can be removed");
    }
}
