//! `Network`: hosts of a test's own, between any two of which it can cut the way, in each direction
//! by itself.
//!
//! Each host is a network namespace with one link to a bridge, which lies in one more namespace;
//! nothing is on the machine's own network. The test's clients run in the namespace of the bridge,
//! so that they reach a host that no other host reaches. It needs root.
//!
//! Invariant: a namespace lives as long as a process that waits for the end of a pipe of this one,
//! and the threads and processes that were started in it. So none is left over, whatever ends the
//! test.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::client::patient_for;
use crate::mount::command;

/// Where the clients are.
const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// Hosts around a bridge.
#[derive(Debug)]
pub struct Network {
    hosts: Vec<Host>,
    spaces: Vec<Space>,
    // Last, so that no link loses its other end first.
    hub: Space,
}

/// Where a process of the network runs.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its address.
    pub address: Ipv4Addr,
    space: String,
    pub(crate) http: reqwest::blocking::Client,
}

/// A network namespace.
#[derive(Debug)]
struct Space {
    // It has the namespace, and ends with its standard input.
    holder: Child,
}

impl Network {
    /// Makes a network of so many hosts and has a test run beside them. Its clients do not wait
    /// for an answer longer than `patience`.
    ///
    /// # Panics
    /// When the test does, or this user may not make networks.
    pub fn with<T: Send>(
        hosts: usize,
        patience: Duration,
        test: impl FnOnce(&Self) -> T + Send,
    ) -> T {
        let mut network = Self::make(hosts);
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                network.hub.enter();
                let http = patient_for(patience);
                network.hosts = (0..hosts)
                    .map(|host| Host {
                        address: address(host),
                        space: network.spaces[host].path(),
                        http: http.clone(),
                    })
                    .collect();
                test(&network)
            });
            match inside.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    #[track_caller]
    fn make(hosts: usize) -> Self {
        let hub = Space::make();
        hub.run(&format!(
            "ip link set lo up
             ip link add bridge type bridge
             ip link set bridge up
             ip address add {HUB}/24 dev bridge"
        ));
        let spaces: Vec<_> = (0..hosts).map(|_| Space::make()).collect();
        for (host, space) in spaces.iter().enumerate() {
            let holder = space.holder.id();
            hub.run(&format!(
                "ip link add host{host} type veth peer name port netns {holder}
                 ip link set host{host} master bridge
                 ip link set host{host} up"
            ));
            space.run(&format!(
                "ip link set lo up
                 ip address add {}/24 dev port
                 ip link set port up",
                address(host)
            ));
        }
        Self {
            hosts: Vec::new(),
            spaces,
            hub,
        }
    }

    /// One of the hosts.
    pub fn host(&self, host: usize) -> Host {
        self.hosts[host].clone()
    }

    /// From now on nothing that `from` sends comes to `to`. The other way stays open.
    #[track_caller]
    pub fn cut(&self, from: usize, to: usize) {
        let from = address(from);
        self.spaces[to].run(&format!("iptables -w -A INPUT -s {from} -j DROP"));
    }

    /// Opens every way again.
    #[track_caller]
    pub fn heal(&self) {
        for space in &self.spaces {
            space.run("iptables -w -F INPUT");
        }
    }
}

fn address(host: usize) -> Ipv4Addr {
    let last = u8::try_from(host + 11).expect("a network has a handful of hosts");
    Ipv4Addr::new(10, 77, 0, last)
}

impl Host {
    /// A program on this host.
    pub fn program(&self, program: &Path) -> Command {
        enter(&self.space, program)
    }
}

fn enter(space: &str, program: impl AsRef<OsStr>) -> Command {
    let mut entering = command("nsenter");
    entering
        .arg(format!("--net={space}"))
        .arg("--")
        .arg(program);
    entering
}

impl Space {
    #[track_caller]
    fn make() -> Self {
        let mut unshare = command("unshare");
        unshare.args(["--net", "sh", "-c", "echo there && exec cat"]);
        unshare.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = unshare.spawn().expect("unshare can be run");
        let said = holder.stdout.take().expect("its output is a pipe");
        let mut line = String::new();
        // It says so from inside.
        let read = BufReader::new(said).read_line(&mut line);
        let space = Self { holder };
        assert!(
            read.is_ok() && line == "there\n",
            "no network namespace can be made (it needs root)"
        );
        space
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// Has this thread, and what it starts from now on, be inside.
    #[track_caller]
    fn enter(&self) {
        let link = File::open(self.path()).expect("the namespace is there");
        let moved = move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network));
        moved.expect("a thread can go into a network namespace (it needs root)");
    }

    /// Runs lines of a shell inside.
    #[track_caller]
    fn run(&self, lines: &str) {
        let ran = enter(&self.path(), "sh").args(["-ec", lines]).output();
        let ran = ran.expect("nsenter can be run");
        assert!(
            ran.status.success(),
            "{lines}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // It may have ended with this process's signals.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
