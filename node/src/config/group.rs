//! The keys of `cluster` that make a node one of several.

use std::path::PathBuf;
use std::time::Duration;

use roadstead_cluster::Timing;

use super::address::Address;
use super::reader::{Expected, Section, expected};
use crate::limits::{DRAIN_NOTICE, LOCAL_AFTER, PROPOSAL_TIMEOUT};

const LISTEN: Expected = expected(
    "an address for other nodes to reach this one",
    "0.0.0.0:7400",
);
const NODE: Expected = expected("a host with a port", "node1.example:7400");
const NODES: Expected = expected("a list of hosts with ports", "[node1.example:7400]");
const LEVEL: Expected = expected("a feature level of 1 or more", "1");
const NAME: Expected = expected("a name for the cluster, the same on every node", "prod");

/// The cluster of several nodes that this one is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `cluster.name`. Default `roadstead`.
    pub name: String,
    /// `cluster.listen`.
    pub listen: Address,
    /// `cluster.advertise`: where other nodes reach this one. Default `cluster.listen`, if that
    /// names a host.
    pub advertise: Address,
    /// `cluster.members`, read at the first start only.
    pub members: Vec<Address>,
    /// `cluster.join`, read at the first start only.
    pub join: Option<Address>,
    /// `cluster.heartbeat` and `cluster.election`. Default 200 ms, and 700 ms to 1.1 s.
    pub timing: Timing,
    /// `cluster.proposaltimeout`: how long a write or a read waits for a leader. Default 10 s.
    pub proposal_timeout: Duration,
    /// `cluster.tls`: who this node is to others, and whom it believes. `None` speaks in the clear.
    pub tls: Option<Tls>,
    /// `cluster.reads`: what is read while nobody can decide.
    pub reads: Reads,
    /// `cluster.featurelevel`: the cluster is never raised above this. Default: what this version
    /// can apply.
    pub feature_level: Option<u64>,
    /// `cluster.drain`: how a node leaves.
    pub drain: Drain,
}

/// Files in PEM, read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// `ca`: whoever has a certificate of these is of the cluster, or administers it.
    pub ca: PathBuf,
    /// `certificate`: this node's, for its name in `cluster.advertise`, with what leads to the CA.
    pub certificate: PathBuf,
    /// `key`: the private key of that.
    pub key: PathBuf,
}

/// What is read while no majority answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// `local_after`: how long a read by digest waits before it is answered by what this node
    /// knows. Default 5 s, longer than a lost leader is replaced.
    pub local_after: Duration,
    /// `stale_tags: during-outage`: tags are answered so too, with a warning. Default `never`.
    pub are_stale_tags_served: bool,
}

impl Default for Reads {
    fn default() -> Self {
        Self {
            local_after: LOCAL_AFTER,
            are_stale_tags_served: false,
        }
    }
}

/// How a node leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// `notice`: how long `/readyz` says that the node leaves while it still serves. Default 5 s.
    pub notice: Duration,
    /// `timeout`: how long requests in flight may take after that. Default `http.draintimeout`.
    pub timeout: Option<Duration>,
}

impl Group {
    /// Reads those keys; `None` for a node alone, which listens to no other.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let name = section.string("name", NAME);
        let listen = section.parsed("listen", LISTEN, Address::parse);
        let advertise = section.parsed("advertise", NODE, named);
        let members = members(section);
        let join = section.parsed("join", NODE, named);
        let timing = timing(section);
        let proposal_timeout =
            section.duration("proposaltimeout", Duration::from_secs(1), PROPOSAL_TIMEOUT);
        let is_insecure = section.boolean("insecure", false);
        let tls = tls(section);
        let reads = reads(&mut section.section("reads"));
        let feature_level = section.parsed("featurelevel", LEVEL, level);
        let drain = drain(&mut section.section("drain"));
        let Some(listen) = listen else {
            let wants_others = !members.is_empty() || join.is_some() || advertise.is_some();
            if wants_others && section.node("listen").is_none() {
                section.missing("listen", LISTEN);
            }
            return None;
        };
        if !listen.is_loopback() && !is_insecure && tls.is_none() {
            refuse_plain(section);
        }
        if !members.is_empty() && join.is_some() {
            refuse_ambiguous(section);
        }
        let advertise = advertise.or_else(|| listen.host().map(|_| listen.clone()));
        let Some(advertise) = advertise else {
            section.missing("advertise", NODE);
            return None;
        };
        Some(Self {
            name: name.unwrap_or_else(|| "roadstead".to_owned()),
            listen,
            advertise,
            members,
            join,
            timing,
            proposal_timeout,
            tls,
            reads,
            feature_level,
            drain,
        })
    }
}

fn tls(section: &mut Section<'_>) -> Option<Tls> {
    section.node("tls")?;
    let mut tls = section.section("tls");
    let mut file = |key, wanted| {
        let path = tls.string(key, wanted).map(PathBuf::from);
        if path.is_none() && tls.node(key).is_none() {
            tls.missing(key, wanted);
        }
        path
    };
    let ca = file(
        "ca",
        expected("a file of certificates", "/etc/roadstead/ca.pem"),
    );
    let certificate = expected(
        "a file with this node's certificate",
        "/etc/roadstead/node.pem",
    );
    let certificate = file("certificate", certificate);
    let key = expected("a file with the key of that", "/etc/roadstead/node.key");
    let key = file("key", key);
    Some(Tls {
        ca: ca?,
        certificate: certificate?,
        key: key?,
    })
}

fn reads(section: &mut Section<'_>) -> Reads {
    const WHEN: Expected = expected("when tags may be old", "never, or during-outage");
    let least = Duration::from_millis(100);
    Reads {
        local_after: section.duration("local_after", least, LOCAL_AFTER),
        are_stale_tags_served: section
            .parsed("stale_tags", WHEN, |text| match text {
                "never" => Some(false),
                "during-outage" => Some(true),
                _ => None,
            })
            .unwrap_or_default(),
    }
}

fn level(text: &str) -> Option<u64> {
    text.parse().ok().filter(|level| *level > 0)
}

fn drain(section: &mut Section<'_>) -> Drain {
    let is_given = section.node("timeout").is_some();
    let timeout = section.duration("timeout", Duration::ZERO, Duration::ZERO);
    Drain {
        notice: section.duration("notice", Duration::ZERO, DRAIN_NOTICE),
        timeout: is_given.then_some(timeout),
    }
}

/// An address that can be connected to from elsewhere: with a host.
fn named(text: &str) -> Option<Address> {
    let address = Address::parse(text)?;
    let is_specific = address.host().is_some_and(|host| {
        let ip = host.parse::<std::net::IpAddr>();
        !ip.is_ok_and(|ip| ip.is_unspecified())
    });
    (is_specific && address.port() != 0).then_some(address)
}

fn members(section: &mut Section<'_>) -> Vec<Address> {
    let written = section.strings("members", NODES);
    let count = written.len();
    let members: Vec<Address> = written.iter().filter_map(|text| named(text)).collect();
    if members.len() < count
        && let Some(node) = section.node("members")
    {
        section.refuse(node, "members", NODES);
    }
    members
}

fn timing(section: &mut Section<'_>) -> Timing {
    let default = Timing::default();
    let milliseconds = |section: &mut Section<'_>, key, default: u64| {
        let default = Duration::from_millis(default);
        let found = section.duration(key, Duration::from_millis(10), default);
        u64::try_from(found.as_millis()).unwrap_or(u64::MAX)
    };
    let heartbeat = milliseconds(section, "heartbeat", default.heartbeat);
    let mut election = section.section("election");
    let election_min = milliseconds(&mut election, "min", default.election_min);
    let election_max = milliseconds(&mut election, "max", default.election_max);
    if heartbeat * 3 > election_min || election_min >= election_max {
        let message = format!(
            "cluster.election.min ({election_min}ms) must be at least three times \
             cluster.heartbeat ({heartbeat}ms), and less than cluster.election.max \
             ({election_max}ms)"
        );
        election.report().error(election.origin(), message);
    }
    Timing {
        heartbeat,
        election_min,
        election_max,
    }
}

fn refuse_plain(section: &mut Section<'_>) {
    if let Some(entry) = section.entry("listen") {
        let message = "cluster.listen is reached from other machines, and what nodes say to each \
                       other would be in the clear; set cluster.tls (`roadstead cluster certs` \
                       makes the files), or cluster.insecure to true where nobody else is on that \
                       network";
        section.report().error(&entry.origin, message.to_owned());
    }
}

fn refuse_ambiguous(section: &mut Section<'_>) {
    let message = "either cluster.members is set, the same list on every node that forms the \
                   cluster, or cluster.join, a node of the cluster to join";
    section.report().error(section.origin(), message.to_owned());
}
