//! `Group`: several nodes of one cluster, each a process of its own, with one folder for blobs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::process::free_port;
use crate::wait::{self, LONG};
use crate::{Client, Registry, Setup};

/// The nodes of a cluster.
#[derive(Debug)]
pub struct Group {
    /// The nodes, running or not, in the order of their addresses' making.
    pub nodes: Vec<Registry>,
    addresses: Vec<String>,
    blobs: TempDir,
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
        let blobs = tempfile::Builder::new()
            .prefix("roadstead-blobs-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary folder can be made");
        let addresses: Vec<_> = (0..count)
            .map(|_| format!("127.0.0.1:{}", free_port()))
            .collect();
        let mut group = Self {
            nodes: Vec::new(),
            addresses,
            blobs,
        };
        let members = format!("members: [{}]", group.addresses.join(", "));
        let nodes = group.addresses.iter();
        let nodes = nodes.map(|address| Registry::prepare(group.setup(address, &members)));
        group.nodes = nodes.collect();
        group
    }

    fn setup(&self, address: &str, others: &str) -> Setup {
        let blobs = self.blobs.path().display();
        Setup::empty()
            .with("http", "addr: 127.0.0.1:{port}")
            .with_debug()
            .with(
                "storage",
                &format!("filesystem:\n  rootdirectory: {blobs}\ndelete:\n  enabled: true"),
            )
            .with("cluster", "datadir: {folder}/metadata\nname: test")
            .with("cluster", &format!("listen: {address}\n{others}"))
            .with("cluster", "proposaltimeout: 5s")
    }

    /// A fresh node that joins the cluster through its first, not running yet.
    pub fn add(&mut self) -> &mut Registry {
        let address = format!("127.0.0.1:{}", free_port());
        let join = format!("join: {}", self.addresses[0]);
        let node = Registry::prepare(self.setup(&address, &join));
        self.addresses.push(address);
        self.nodes.push(node);
        self.nodes.last_mut().expect("it was just added")
    }

    /// Waits until every node is ready.
    #[track_caller]
    pub fn are_ready(&mut self) {
        for node in &mut self.nodes {
            let client = node.client();
            let come = wait::poll(LONG, || {
                let ended = node.try_wait();
                assert!(ended.is_none(), "it ended: {ended:?}\n{}", node.logs());
                client.is_ready().then_some(())
            });
            assert!(come.is_some(), "not ready after {LONG:?}\n{}", node.logs());
        }
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
        let leads = |node: &Registry| {
            let client = Client::new(&node.debug_address());
            let metrics = client.request("GET", "/metrics").try_send();
            metrics.is_ok_and(|answer| {
                String::from_utf8_lossy(&answer.body).contains("\nroadstead_raft_is_leader 1\n")
            })
        };
        let found = wait::poll(LONG, || self.nodes.iter().position(leads));
        found.expect("some node leads")
    }
}
