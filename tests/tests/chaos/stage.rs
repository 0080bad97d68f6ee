//! `Stage`: a cluster of which each node has a host and a disk of its own.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use roadstead_tests::asked::{ask, ask_json};
use roadstead_tests::wait::{self, LONG};
use roadstead_tests::{Client, Group, Mount, Network, Setup};
use serde_json::Value;

/// Longer than a node takes to say that it cannot answer, as a rule.
const PATIENCE: Duration = Duration::from_secs(6);
/// Of each node's disk. Its metadata takes a part of that, and a full one is quickly made.
const DISK_BYTES: u64 = 192 << 20;

/// `gc.grace`: how long a blob can be used that a client was told of, at least.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// Longer than an upload is left alone, by which it is purged.
pub(super) const UPLOAD_AGE: Duration = Duration::from_secs(10);

/// As `Stage::quiet`, far longer than it takes.
const QUIET: Duration = Duration::from_secs(60);

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

const RIGHT: &str = "+0";

const STORAGE: &str = "\
maintenance:
  uploadpurging:
    enabled: true
    age: 10s
    interval: 1s";

/// How a cluster begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Staging<'v> {
    pub(super) nodes: usize,
    /// How many of them found it at once. The others are to join it later.
    pub(super) founders: usize,
    /// For the environment of each node.
    pub(super) variables: &'v [(&'v str, &'v str)],
    /// Whether the clock of each can be set.
    pub(super) has_clocks: bool,
}

impl Staging<'_> {
    pub(super) const fn of(nodes: usize) -> Self {
        Self {
            nodes,
            founders: nodes,
            variables: &[],
            has_clocks: false,
        }
    }
}

/// A running cluster.
#[derive(Debug)]
pub(super) struct Stage<'n> {
    pub(super) network: &'n Network,
    pub(super) group: Group,
    // After the nodes, which write there until they end.
    pub(super) disks: Vec<Mount>,
    /// Longer than abandoned uploads live, and than collection takes to look at everything.
    pub(super) quiet: Duration,
    /// How often something went wrong, or was changed.
    pub(super) faults: usize,
    /// How many starts came to no end, and were made again.
    pub(super) given_up: usize,
    /// How many nodes have ended on a full disk.
    pub(super) ended_full: usize,
    /// How many manifests were pushed that are to take room.
    pub(super) padding: usize,
}

/// Starts the founders and has the test run beside them.
pub(super) fn with_nodes<T: Send>(
    staging: &Staging<'_>,
    test: impl FnOnce(Stage<'_>) -> T + Send,
) -> T {
    let Staging {
        nodes,
        founders,
        variables,
        has_clocks,
    } = *staging;
    Network::with(nodes, PATIENCE, |network| {
        let disks: Vec<_> = (0..nodes).map(|_| Mount::ext4(DISK_BYTES)).collect();
        let mut group = Group::on(network, nodes, founders, |node| {
            let data = data(&disks[node]);
            let setup = Setup::empty()
                .with("cluster", CLUSTER)
                .with("cluster", &format!("datadir: {}", data.display()))
                .with("storage", STORAGE)
                .with("gc", COLLECTION);
            let with = |setup: Setup, (name, value): &(&str, &str)| setup.variable(name, value);
            let setup = variables.iter().fold(setup, with);
            if has_clocks {
                set_clock(&disks[node], RIGHT);
                setup.with_clock(&clock(&disks[node]))
            } else {
                setup
            }
        });
        for node in &mut group.nodes[..founders] {
            node.spawn();
        }
        group.are_ready();
        test(Stage {
            network,
            group,
            disks,
            quiet: QUIET,
            faults: 0,
            given_up: 0,
            ended_full: 0,
            padding: 0,
        })
    })
}

/// Where a node keeps its metadata.
fn data(disk: &Mount) -> PathBuf {
    disk.path().join("metadata")
}

/// What a node's clock goes by, if it can be set.
fn clock(disk: &Mount) -> PathBuf {
    disk.path().join("clock")
}

fn set_clock(disk: &Mount, offset: &str) {
    // Renamed into place: it is read all the time.
    let fresh = disk.path().join("clock.fresh");
    fs::write(&fresh, offset).expect("a clock can be written");
    fs::rename(&fresh, clock(disk)).expect("a clock can be set");
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

    /// Sets how far a node's clock is off, such as `-1h`.
    pub(super) fn set_clock(&self, node: usize, offset: &str) {
        set_clock(&self.disks[node], offset);
    }

    /// Kills a node and removes all that it knew.
    pub(super) fn wipe(&mut self, node: usize) {
        self.group.nodes[node].kill();
        fs::remove_dir_all(data(&self.disks[node])).expect("its folder can be removed");
    }

    /// Starts a node that is not running and has no data, so that it joins by way of another.
    pub(super) fn join(&mut self, node: usize, by: usize) {
        let config = self.group.nodes[node].config();
        let text = fs::read_to_string(config).expect("its configuration can be read");
        let is_about_others = |line: &str| {
            let line = line.trim_start();
            line.starts_with("members:") || line.starts_with("join:")
        };
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        for line in lines.iter_mut().filter(|line| is_about_others(line)) {
            *line = format!("  join: {}", self.group.address(by));
        }
        self.group.nodes[node].write_config(&lines.join("\n"));
        self.group.nodes[node].spawn();
    }

    /// Waits until so many nodes vote.
    #[track_caller]
    pub(super) fn has_voters(&mut self, count: usize, asked: usize) {
        let voting = wait::poll(LONG, || {
            self.tend();
            let told = ask(
                &self.group.nodes[asked],
                &["cluster", "status", "--output", "json"],
            );
            let status: Value = serde_json::from_str(&told.out).unwrap_or_default();
            let members = status["members"].as_array().into_iter().flatten();
            let voters = members.filter(|member| member["is_voter"] == true).count();
            (voters == count).then_some(())
        });
        let logs = || self.logs();
        assert!(voting.is_some(), "not {count} voters\n{}", logs());
    }

    /// The id of a node, which says who it is.
    #[track_caller]
    pub(super) fn id(&self, node: usize) -> String {
        let status = ask_json(&self.group.nodes[node], &["cluster", "status"]);
        status["answered_by"].to_string()
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
