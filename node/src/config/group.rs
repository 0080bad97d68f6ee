//! The keys of `cluster` that make a node one of several.

use std::time::Duration;

use roadstead_cluster::Timing;

use super::address::Address;
use super::reader::{Expected, Section, expected};
use super::unbuilt;
use crate::limits::PROPOSAL_TIMEOUT;

const LISTEN: Expected = expected(
    "an address for other nodes to reach this one",
    "0.0.0.0:7400",
);
const NODE: Expected = expected("a host with a port", "node1.example:7400");
const NODES: Expected = expected("a list of hosts with ports", "[node1.example:7400]");
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
        unbuilt::refuse_key(
            section,
            "tls",
            "without it nodes would speak to each other in the clear",
        );
        let Some(listen) = listen else {
            let wants_others = !members.is_empty() || join.is_some() || advertise.is_some();
            if wants_others && section.node("listen").is_none() {
                section.missing("listen", LISTEN);
            }
            return None;
        };
        if !listen.is_loopback() && !is_insecure {
            refuse_plain(section);
        }
        if members.is_empty() == join.is_none() {
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
        })
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
                       other is not encrypted yet; set cluster.insecure to true where nobody else \
                       is on that network";
        section.report().error(&entry.origin, message.to_owned());
    }
}

fn refuse_ambiguous(section: &mut Section<'_>) {
    let message = "a cluster needs either cluster.members, the same list on every node that forms \
                   it, or cluster.join, a node of the cluster to join";
    section.report().error(section.origin(), message.to_owned());
}
