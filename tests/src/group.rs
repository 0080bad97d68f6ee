//! `Group`: several nodes of one cluster, each a process of its own, with one folder for blobs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::asked::{Asked, ask};
use crate::folder::{self, Objects};
use crate::process::free_port;
use crate::wait::{self, LONG};
use crate::{Client, Network, Place, Registry, Setup};

/// Where a node with a host of its own is reached by the others.
const PORT: u16 = 7400;

/// Nodes that have nobody to tell that they stop do so at once.
const AT_ONCE: &str = "drain:\n  notice: 0s";

/// Up to which entry a node has applied what, as a hash.
#[derive(Debug)]
struct State {
    index: u64,
    hash: String,
}

/// What a node says of its state, or why it does not.
fn state(node: &Registry) -> Result<State, Asked> {
    let asked = ask(node, &["cluster", "hash", "--output", "json"]);
    if asked.code != Some(0) {
        return Err(asked);
    }
    let told: Value = serde_json::from_str(&asked.out).expect("one document");
    Ok(State {
        index: told["index"].as_u64().expect("the index of an entry"),
        hash: told["hash"].as_str().expect("a hash").to_owned(),
    })
}

/// The nodes of a cluster.
#[derive(Debug)]
pub struct Group {
    /// The nodes, running or not, in the order of their addresses' making.
    pub nodes: Vec<Registry>,
    addresses: Vec<String>,
    blobs: TempDir,
    // Where blobs are instead, if this run is to keep them in a bucket.
    place: Option<Place>,
    // Lines of the section `cluster` that every node has.
    lines: String,
}

impl Group {
    /// Starts so many fresh nodes at once, and waits until each is ready.
    #[track_caller]
    pub fn start(count: usize) -> Self {
        let mut group = Self::prepare(count);
        for node in &mut group.nodes {
            node.spawn();
        }
        group.are_ready();
        group
    }

    /// Fresh nodes that are not running yet.
    pub fn prepare(count: usize) -> Self {
        Self::prepare_with(count, |_folder| AT_ONCE.to_owned())
    }

    /// The same, with more lines in the section `cluster` of each, which may name files in a folder
    /// that all of them see.
    pub fn prepare_with(count: usize, lines: impl FnOnce(&Path) -> String) -> Self {
        let addresses = (0..count).map(|_| format!("127.0.0.1:{}", free_port()));
        Self::of(addresses.collect(), count, lines, |_| Self::base())
    }

    /// The same, each on a host of a network, with what its setup says of its data and times. Those
    /// beyond the first `founders` are to join the first.
    pub fn on(
        network: &Network,
        count: usize,
        founders: usize,
        setup: impl Fn(usize) -> Setup,
    ) -> Self {
        let hosts: Vec<_> = (0..count).map(|node| network.host(node)).collect();
        let addresses = hosts.iter().map(|host| format!("{}:{PORT}", host.address));
        // The address is not one of loopback, although nobody else can reach it.
        // What is read by digest in an outage may be as old as that, and then it cannot be told
        // from what is wrong: no outage lasts so long here.
        let reads = "reads:\n  local_after: 10m";
        let lines = |_: &Path| format!("{AT_ONCE}\ninsecure: true\n{reads}");
        let base = |node: usize| setup(node).on(hosts[node].clone());
        Self::of(addresses.collect(), founders, lines, base)
    }

    fn of(
        addresses: Vec<String>,
        founders: usize,
        lines: impl FnOnce(&Path) -> String,
        base: impl Fn(usize) -> Setup,
    ) -> Self {
        let blobs = tempfile::Builder::new()
            .prefix("roadstead-blobs-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary folder can be made");
        let lines = lines(blobs.path());
        let mut group = Self {
            nodes: Vec::new(),
            addresses,
            blobs,
            place: Place::if_chosen(),
            lines,
        };
        let members = format!("members: [{}]", group.addresses[..founders].join(", "));
        let join = format!("join: {}", group.addresses[0]);
        let nodes = group.addresses.iter().enumerate();
        let nodes = nodes.map(|(node, address)| {
            let others = if node < founders { &members } else { &join };
            Registry::prepare(group.setup(base(node), address, others))
        });
        group.nodes = nodes.collect();
        group
    }

    fn base() -> Setup {
        Setup::empty().with("cluster", "datadir: {folder}/metadata\nproposaltimeout: 5s")
    }

    fn setup(&self, base: Setup, address: &str, others: &str) -> Setup {
        let storage = match &self.place {
            None => format!("filesystem:\n  rootdirectory: {}", self.blobs().display()),
            // The suites are about what the nodes themselves answer.
            Some(place) => place.storage() + "\nredirect:\n  disable: true",
        };
        base.with("http", "addr: {host}:{port}")
            .with_debug()
            .with("storage", &storage)
            .with("storage", "delete:\n  enabled: true")
            .with("cluster", "name: test")
            .with("cluster", &format!("listen: {address}\n{others}"))
            .with("cluster", &self.lines)
    }

    /// A fresh node that joins the cluster through its first, not running yet.
    pub fn add(&mut self) -> &mut Registry {
        let address = format!("127.0.0.1:{}", free_port());
        let join = format!("join: {}", self.addresses[0]);
        let node = Registry::prepare(self.setup(Self::base(), &address, &join));
        self.addresses.push(address);
        self.nodes.push(node);
        self.nodes.last_mut().expect("it was just added")
    }

    /// A fresh node whose configuration does not say what to join, not running yet.
    pub fn add_untold(&mut self) -> usize {
        let address = format!("127.0.0.1:{}", free_port());
        let setup = self.setup(Self::base(), &address, "");
        self.nodes.push(Registry::prepare(setup));
        self.addresses.push(address);
        self.nodes.len() - 1
    }

    /// A fresh node in the place of one that was removed, under its address, not running yet.
    pub fn renew(&mut self, node: usize) -> &mut Registry {
        let other = (node + 1) % self.addresses.len();
        let join = format!("join: {}", self.addresses[other]);
        let setup = self.setup(Self::base(), &self.addresses[node], &join);
        self.nodes[node] = Registry::prepare(setup);
        &mut self.nodes[node]
    }

    /// Waits until every node that was started is ready.
    #[track_caller]
    pub fn are_ready(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.is_started()) {
            let client = node.client();
            let come = wait::poll(LONG, || {
                let ended = node.try_wait();
                assert!(ended.is_none(), "it ended: {ended:?}\n{}", node.logs());
                client.is_ready().then_some(())
            });
            assert!(come.is_some(), "not ready after {LONG:?}\n{}", node.logs());
        }
    }

    /// Where the others reach one of the nodes.
    pub fn address(&self, node: usize) -> &str {
        &self.addresses[node]
    }

    /// A folder that all nodes see.
    pub fn folder(&self) -> &Path {
        self.blobs.path()
    }

    /// A client of one of the nodes.
    pub fn client(&self, node: usize) -> Client {
        self.nodes[node].client()
    }

    /// Which node leads, by its metrics, once one does.
    ///
    /// # Panics
    /// When nobody does in time.
    #[track_caller]
    pub fn leader(&self) -> usize {
        let found = wait::poll(LONG, || {
            let mut nodes = 0..self.nodes.len();
            nodes.find(|node| self.leads(*node))
        });
        found.expect("some node leads")
    }

    /// Whether the node says that it leads, if it says anything.
    pub fn leads(&self, node: usize) -> bool {
        let client = self.nodes[node].debug_client();
        let metrics = client.request("GET", "/metrics").try_send();
        metrics.is_ok_and(|answer| {
            String::from_utf8_lossy(&answer.body).contains("\nroadstead_raft_is_leader 1\n")
        })
    }

    /// Waits until every node has applied the same entries; what is wrong when they have not in
    /// time, or when what they have made of them differs.
    ///
    /// # Errors
    /// What each node says, for people.
    pub fn have_one_state(&self, limit: Duration) -> Result<(), String> {
        let mut last = Vec::new();
        let settled = wait::poll(limit, || {
            last = self.nodes.iter().map(state).collect();
            let first = last.first()?.as_ref().ok()?;
            let is_same_entry = |told: &Result<State, Asked>| {
                let told = told.as_ref();
                told.is_ok_and(|told| told.index == first.index && told.index > 0)
            };
            let is_settled = last.iter().all(is_same_entry);
            is_settled.then(|| last.iter().flatten().all(|told| told.hash == first.hash))
        });
        match settled {
            Some(true) => Ok(()),
            Some(false) => Err(format!("states differ at the same entry: {last:?}")),
            None => Err(format!("nodes do not apply the same entries: {last:?}")),
        }
    }

    /// The folder that the nodes share.
    pub fn blobs(&self) -> PathBuf {
        self.blobs.path().join("blobs")
    }

    /// How many objects lie in what the nodes share.
    pub fn objects(&self) -> Objects {
        match &self.place {
            None => folder::objects(&self.blobs()),
            Some(place) => place.counted(),
        }
    }
}
