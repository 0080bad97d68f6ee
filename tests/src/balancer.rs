//! `Balancer`: haproxy before several nodes, with the settings of `tests/haproxy.cfg`.

use std::fmt::Write;
use std::fs;
use std::process::{Child, Stdio};

use tempfile::TempDir;

use crate::Client;
use crate::mount::command;
use crate::process::free_port;
use crate::wait::{LONG, until};

/// A running haproxy.
#[derive(Debug)]
pub struct Balancer {
    process: Child,
    port: u16,
    statistics_port: u16,
    nodes: usize,
    // It reads its configuration from there.
    _folder: TempDir,
}

/// What it is told, but for the nodes and its own address.
const SETTINGS: &str = include_str!("../haproxy.cfg");

impl Balancer {
    /// Starts one before nodes at these addresses, and waits until it reaches one of them.
    #[track_caller]
    pub fn start(nodes: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (port, statistics_port) = (free_port(), free_port());
        let mut text = SETTINGS.to_owned();
        for (number, node) in nodes.iter().enumerate() {
            let _ = writeln!(text, "    server node{number} {node}");
        }
        let _ = write!(text, "frontend clients\n    bind 127.0.0.1:{port}\n");
        text.push_str("    default_backend nodes\n");
        let _ = write!(
            text,
            "frontend statistics\n    bind 127.0.0.1:{statistics_port}\n"
        );
        text.push_str("    stats enable\n    stats uri /\n");
        let path = folder.path().join("haproxy.cfg");
        fs::write(&path, text).expect("it can be written");
        // Where a user's own PATH need not lead.
        let mut command = command("haproxy");
        command.arg("-db").arg("-f").arg(&path);
        // It complains of nodes that go, which is what a test has them do.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("haproxy can be started");
        let balancer = Self {
            process,
            port,
            statistics_port,
            nodes: nodes.len(),
            _folder: folder,
        };
        until("haproxy reaches a node", LONG, || {
            balancer.client().is_ready().then_some(())
        });
        balancer
    }

    /// Waits until it sends requests to every node.
    #[track_caller]
    pub fn sees_all(&self) {
        let statistics = Client::new(&format!("127.0.0.1:{}", self.statistics_port));
        until("haproxy reaches every node", LONG, || {
            let table = statistics.get("/;csv").expect(200);
            let table = String::from_utf8_lossy(&table.body).into_owned();
            let nodes = table.lines().filter(|line| line.starts_with("nodes,node"));
            let up = nodes.filter(|line| line.contains(",UP,")).count();
            (up == self.nodes).then_some(())
        });
    }

    /// Where it serves, as `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A client of whatever is behind it.
    pub fn client(&self) -> Client {
        Client::new(&self.address())
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
