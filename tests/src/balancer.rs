//! `Balancer`: haproxy before several nodes, as an operator would set it up.
//!
//! Round robin over the nodes whose `/readyz` says 200. A request without a body is tried elsewhere
//! when a node does not answer it, or says that it cannot now; one with a body only as long as
//! nothing of it was sent.

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
    // It reads its configuration from there.
    _folder: TempDir,
}

const SETTINGS: &str = "\
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    retries 3
    option redispatch 1
backend nodes
    balance roundrobin
    option httpchk GET /readyz
    http-check expect status 200
    retry-on conn-failure empty-response response-timeout 502 503 504
    acl has_body req.hdr(content-length) -m int gt 0
    acl has_body req.hdr(transfer-encoding) -m found
    http-request disable-l7-retry if has_body
    default-server check inter 100ms fall 1 rise 1
";

impl Balancer {
    /// Starts one before nodes at these addresses, and waits until it reaches one of them.
    #[track_caller]
    pub fn start(nodes: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let port = free_port();
        let mut text = SETTINGS.to_owned();
        for (number, node) in nodes.iter().enumerate() {
            let _ = writeln!(text, "    server node{number} {node}");
        }
        let _ = write!(text, "frontend clients\n    bind 127.0.0.1:{port}\n");
        text.push_str("    default_backend nodes\n");
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
            _folder: folder,
        };
        until("haproxy reaches a node", LONG, || {
            balancer.client().is_ready().then_some(())
        });
        balancer
    }

    /// A client of whatever is behind it.
    pub fn client(&self) -> Client {
        Client::new(&format!("127.0.0.1:{}", self.port))
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
