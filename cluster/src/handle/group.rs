//! What this node knows of its Raft group: read off Raft's metrics, so that nobody is asked.

use std::collections::BTreeSet;

use openraft::Instant as _;
use openraft::async_runtime::watch::{Watch, WatchReceiver};
use openraft::metrics::RaftServerMetrics;
use openraft::{OptionalSend, OptionalSync};

use super::Metadata;
use crate::consensus::{Peer, TypeConfig};
use crate::error::Error;
use crate::limits::ALIVE_TIME;

/// Who leads, as far as this node knows.
#[derive(Debug)]
pub(super) enum Leader {
    Here,
    There((u64, Peer)),
    Nobody,
}

impl Metadata {
    /// The present term.
    pub(super) fn term(&self) -> u64 {
        let metrics = self.raft.server_metrics();
        metrics.borrow_watched().vote.leader_id.term
    }

    /// Whom to ask.
    pub(super) fn leader(&self) -> Leader {
        let leader = self.raft.server_metrics().borrow_watched().current_leader;
        match leader {
            Some(node) if node == self.shared.identity.node => Leader::Here,
            Some(node) => match self.peer_of(node) {
                Some(peer) => Leader::There((node, peer)),
                None => Leader::Nobody,
            },
            None => Leader::Nobody,
        }
    }

    /// Where a member is, and which data folder it has.
    pub(super) fn peer_of(&self, node: u64) -> Option<Peer> {
        let metrics = self.raft.server_metrics();
        let server = metrics.borrow_watched();
        let membership = server.membership_config.membership();
        membership.get_node(&node).cloned()
    }

    /// Which data folder a member has.
    pub(crate) fn instance_of(&self, node: u64) -> Option<String> {
        self.peer_of(node).map(|peer| peer.instance)
    }

    /// Whether the node is a member, and no later leader can undo that.
    pub(super) fn is_settled_member(&self, node: u64) -> bool {
        let metrics = self.raft.server_metrics();
        let server = metrics.borrow_watched();
        let committed = server.committed_membership_config.membership();
        committed.get_node(&node).is_some()
    }

    /// Whether the node votes, and no change of that is under way.
    pub(super) fn is_voter(&self, node: u64) -> bool {
        self.settled_voters().contains(&node)
    }

    /// The nodes that vote; none while a change of that is under way.
    pub(super) fn settled_voters(&self) -> BTreeSet<u64> {
        let metrics = self.raft.server_metrics();
        let server = metrics.borrow_watched();
        let committed = server.committed_membership_config.membership();
        match committed.get_joint_config().as_slice() {
            [voters] => voters.clone(),
            _ => BTreeSet::new(),
        }
    }

    /// Whether nobody else has a say, changes that are under way included.
    pub(super) fn is_sole_voter(&self) -> bool {
        let metrics = self.raft.server_metrics();
        self.is_sole_voter_in(&metrics.borrow_watched())
    }

    /// The same, by metrics that are being looked at.
    pub(super) fn is_sole_voter_in(&self, server: &RaftServerMetrics<TypeConfig>) -> bool {
        let mut voters = server.membership_config.membership().voter_ids();
        voters.next() == Some(self.shared.identity.node) && voters.next().is_none()
    }

    /// Whether a follower has answered lately. Only the leader knows.
    pub(super) fn is_heard_from(&self, node: u64) -> bool {
        if node == self.shared.identity.node {
            return true;
        }
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let heard = metrics.heartbeat.as_ref();
        let heard = heard.and_then(|heard| heard.get(&node).copied().flatten());
        heard.is_some_and(|heard| heard.elapsed() < ALIVE_TIME)
    }
}

/// Waits until `look` finds something in the metrics, which it is shown each time that they are
/// published.
///
/// They are locked meanwhile: `look` must not borrow the same ones once more, and Raft waits for
/// it. Of the three kinds, [`Raft::metrics`](openraft::Raft::metrics) are published last, and at
/// every turn of Raft's loop: whoever waits for these may look at the others too, which are at
/// least as new, and does little at each look.
///
/// # Errors
/// [`Error::Stopped`] when Raft has ended.
pub(super) async fn until<W, M, T>(
    mut metrics: impl WatchReceiver<W, M>,
    mut look: impl FnMut(&M) -> Option<T>,
) -> Result<T, Error>
where
    W: Watch,
    M: OptionalSend + OptionalSync,
{
    loop {
        let found = look(&metrics.borrow_and_update());
        if let Some(found) = found {
            return Ok(found);
        }
        if metrics.changed().await.is_err() {
            return Err(Error::Stopped("Raft has ended".into()));
        }
    }
}
