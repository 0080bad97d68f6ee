//! What openraft is told about our types, and their encoding on disk.
//!
//! Own protobufs lie on disk, never openraft's structs: its types change between releases.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

use openraft::impls::leader_id_std;
use openraft::vote::RaftLeaderId;
use openraft::{EntryPayload, StoredMembership};
use prost::Message;
use roadstead_proto::rpc::metadata::{Command, Response};
use roadstead_proto::rpc::raft;

openraft::declare_raft_types!(
    /// The types that Raft works with here.
    pub(crate) TypeConfig:
        D = Proposal,
        R = Response,
        NodeId = u64,
        Node = Peer,
        Term = u64,
        LeaderId = leader_id_std::LeaderId<u64, u64>,
);

pub(crate) type LeaderId = leader_id_std::LeaderId<u64, u64>;
pub(crate) type CommittedLeaderId = <LeaderId as RaftLeaderId>::Committed;
pub(crate) type LogId = openraft::LogId<CommittedLeaderId>;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type Entry = openraft::alias::EntryOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, Peer>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Applied = (
    Option<LogId>,
    StoredMembership<CommittedLeaderId, u64, Peer>,
);

/// A command on its way through the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Proposal(pub(crate) Command);

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The action may hold a whole manifest: logs get its size, not its bytes.
        write!(f, "command of {} bytes", self.0.encoded_len())
    }
}

/// How a node is known to the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The random identity of its data folder.
    pub(crate) instance: String,
    /// Where its Raft port is; empty for a node alone.
    pub(crate) address: String,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the Raft log holds {what}"),
    )
}

pub(crate) fn encode_log_id(log_id: &LogId) -> raft::LogId {
    raft::LogId {
        term: log_id.leader_id.term,
        index: log_id.index,
    }
}

pub(crate) fn decode_log_id(log_id: &raft::LogId) -> LogId {
    LogId::new(CommittedLeaderId::from(log_id.term), log_id.index)
}

pub(crate) fn vote_message(vote: &Vote) -> raft::Vote {
    raft::Vote {
        term: vote.leader_id.term,
        node: vote.leader_id.voted_for,
        is_committed: vote.committed,
    }
}

pub(crate) fn vote_of(message: &raft::Vote) -> Vote {
    let leader_id = leader_id_std::LeaderId {
        term: message.term,
        voted_for: message.node,
    };
    Vote {
        leader_id,
        committed: message.is_committed,
    }
}

pub(crate) fn encode_vote(vote: &Vote) -> Vec<u8> {
    vote_message(vote).encode_to_vec()
}

pub(crate) fn decode_vote(bytes: &[u8]) -> io::Result<Vote> {
    let vote = raft::Vote::decode(bytes).map_err(|_| invalid("a vote that does not decode"))?;
    Ok(vote_of(&vote))
}

pub(crate) fn entry_message(entry: &Entry) -> raft::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => raft::entry::Payload::Blank(raft::Blank {}),
        EntryPayload::Normal(proposal) => raft::entry::Payload::Command(proposal.0.clone()),
        EntryPayload::Membership(membership) => {
            raft::entry::Payload::Membership(encode_membership(membership))
        }
    };
    let log_id = Some(encode_log_id(&entry.log_id));
    raft::Entry {
        log_id,
        payload: Some(payload),
    }
}

pub(crate) fn encode_entry(entry: &Entry) -> Vec<u8> {
    entry_message(entry).encode_to_vec()
}

pub(crate) fn decode_entry(bytes: &[u8]) -> io::Result<Entry> {
    let entry = raft::Entry::decode(bytes).map_err(|_| invalid("an entry that does not decode"))?;
    entry_of(entry)
}

pub(crate) fn entry_of(entry: raft::Entry) -> io::Result<Entry> {
    let log_id = entry
        .log_id
        .ok_or_else(|| invalid("an entry without an id"))?;
    let payload = match entry.payload {
        Some(raft::entry::Payload::Blank(_)) => EntryPayload::Blank,
        Some(raft::entry::Payload::Command(command)) => EntryPayload::Normal(Proposal(command)),
        Some(raft::entry::Payload::Membership(membership)) => {
            EntryPayload::Membership(decode_membership(&membership)?)
        }
        None => {
            return Err(invalid(
                "an entry of a kind that this version does not know",
            ));
        }
    };
    Ok(Entry {
        log_id: decode_log_id(&log_id),
        payload,
    })
}

fn encode_membership(membership: &Membership) -> raft::Membership {
    let voters = |nodes: &BTreeSet<u64>| raft::Voters {
        nodes: nodes.iter().copied().collect(),
    };
    let node = |(id, peer): (&u64, &Peer)| raft::Node {
        id: *id,
        instance: peer.instance.clone(),
        address: peer.address.clone(),
    };
    raft::Membership {
        configurations: membership.get_joint_config().iter().map(voters).collect(),
        nodes: membership.nodes().map(node).collect(),
    }
}

fn decode_membership(membership: &raft::Membership) -> io::Result<Membership> {
    let voters = membership.configurations.iter();
    let voters = voters
        .map(|set| set.nodes.iter().copied().collect())
        .collect();
    let nodes: BTreeMap<u64, Peer> = membership
        .nodes
        .iter()
        .map(|node| {
            let (instance, address) = (node.instance.clone(), node.address.clone());
            (node.id, Peer { instance, address })
        })
        .collect();
    Membership::new(voters, nodes).map_err(|_| invalid("a membership that contradicts itself"))
}

/// The state machine's place in the log.
pub(crate) fn applied_message((last_applied, membership): &Applied) -> raft::Applied {
    let membership = raft::StoredMembership {
        log_id: membership.log_id().as_ref().map(encode_log_id),
        membership: Some(encode_membership(membership.membership())),
    };
    raft::Applied {
        last_applied: last_applied.as_ref().map(encode_log_id),
        membership: Some(membership),
    }
}

pub(crate) fn applied_of(applied: raft::Applied) -> io::Result<Applied> {
    let stored = applied.membership.unwrap_or_default();
    let membership = decode_membership(&stored.membership.unwrap_or_default())?;
    let log_id = stored.log_id.as_ref().map(decode_log_id);
    let last_applied = applied.last_applied.as_ref().map(decode_log_id);
    Ok((last_applied, StoredMembership::new(log_id, membership)))
}

pub(crate) fn encode_applied(applied: &Applied) -> Vec<u8> {
    applied_message(applied).encode_to_vec()
}

pub(crate) fn decode_applied(bytes: &[u8]) -> io::Result<Applied> {
    let applied =
        raft::Applied::decode(bytes).map_err(|_| invalid("a position that does not decode"))?;
    applied_of(applied)
}

#[cfg(test)]
mod tests {
    use roadstead_proto::rpc::metadata::DeleteTag;
    use roadstead_proto::rpc::metadata::command::Action;

    use super::*;

    fn log_id(term: u64, index: u64) -> LogId {
        decode_log_id(&raft::LogId { term, index })
    }

    #[test]
    fn entries_survive_their_encoding() {
        let delete = DeleteTag {
            repository: "r".to_owned(),
            tag: "t".to_owned(),
        };
        let command = Command {
            now_ms: 7,
            unix_ms: 8,
            origin: None,
            action: Some(Action::DeleteTag(delete)),
        };
        let peer = Peer {
            instance: "i".to_owned(),
            address: "a:1".to_owned(),
        };
        let nodes = BTreeMap::from([(1, peer.clone()), (2, peer)]);
        let membership = Membership::new(vec![BTreeSet::from([1])], nodes).unwrap();
        for payload in [
            EntryPayload::Blank,
            EntryPayload::Normal(Proposal(command)),
            EntryPayload::Membership(membership),
        ] {
            let entry = Entry {
                log_id: log_id(3, 9),
                payload,
            };
            let decoded = decode_entry(&encode_entry(&entry)).unwrap();
            assert_eq!(decoded.log_id, entry.log_id);
            assert_eq!(decoded.payload, entry.payload);
        }
    }

    #[test]
    fn votes_survive_their_encoding() {
        for committed in [true, false] {
            let leader_id = leader_id_std::LeaderId {
                term: 5,
                voted_for: 2,
            };
            let vote = Vote {
                leader_id,
                committed,
            };
            assert_eq!(decode_vote(&encode_vote(&vote)).unwrap(), vote);
        }
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        assert!(decode_entry(b"\xff").is_err());
        assert!(decode_entry(b"").is_err());
        // A payload of a kind that comes later: field 99.
        let later = [
            &encode_entry(&Entry {
                log_id: log_id(1, 1),
                payload: EntryPayload::Blank,
            })[..6],
            &[0x9a, 0x06, 0x00],
        ]
        .concat();
        assert!(decode_entry(&later).is_err());
    }
}
