//! Who is of the cluster, and how that is changed.
//!
//! A change is asked of any node, and made by the leader. What would leave a cluster that cannot
//! decide any more is refused before anything is changed.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{ChangeMembers, ServerState};
use roadstead_proto::Digest;
use roadstead_proto::rpc::metadata::RemoveNode;
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::peer::NodeStatus;
use roadstead_proto::rpc::peer::change_request::Change;
use roadstead_proto::rpc::state::Settings;
use rustix::fs::statvfs;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

use super::group::{Leader, until};
use super::leader::refused;
use super::{Metadata, stopped};
use crate::consensus::Peer;
use crate::error::{Error, with_source};
use crate::limits::{CHANGE_TIME, DESCRIBE_TIME, PROMOTED_LAG_MAX, RETRY_AFTER, TRANSFER_TIME};
use crate::metadata::{Fault, read};
use crate::network::calls;

/// The cluster as one node sees it.
#[derive(Debug)]
pub struct Members {
    /// `cluster.name`; empty for a node alone.
    pub name: String,
    /// What is replicated of the cluster itself.
    pub settings: Settings,
    /// Whether a majority answers now. Without it, the rest may be old.
    pub has_quorum: bool,
    /// Who leads as far as this node knows.
    pub leader: Option<u64>,
    /// Those that were not removed, by their ids.
    pub members: Vec<MemberStatus>,
}

/// One of the nodes.
#[derive(Debug)]
pub struct MemberStatus {
    /// Its id.
    pub node: u64,
    /// Where it is reached; empty for a node alone.
    pub address: String,
    /// Whether it votes.
    pub is_voter: bool,
    /// The highest feature level that it can apply, as it said when it started.
    pub feature_level_max: u64,
    /// What it says of itself, or why it says nothing.
    pub status: Result<NodeStatus, String>,
}

impl Metadata {
    /// Looks at every member. Answers without a quorum too.
    ///
    /// # Errors
    /// [`Fault`] when the local state cannot be read.
    pub async fn members(&self) -> Result<Members, Fault> {
        let asked = timeout(DESCRIBE_TIME, self.barrier());
        let (passed, members) = future::join(asked, self.describe_all()).await;
        let settings = self.state.view(|view| read::settings(view))?;
        Ok(Members {
            name: self.shared.place.name.clone(),
            settings: settings.unwrap_or_default(),
            has_quorum: matches!(passed, Ok(Ok(_))),
            leader: match self.leader() {
                Leader::Here => Some(self.shared.identity.node),
                Leader::There((node, _)) => Some(node),
                Leader::Nobody => None,
            },
            members: members?,
        })
    }

    async fn describe_all(&self) -> Result<Vec<MemberStatus>, Fault> {
        let known = self.state.view(|view| read::members(view))?;
        let (voters, peers) = {
            let metrics = self.raft.server_metrics();
            let server = metrics.borrow_watched();
            let membership = server.membership_config.membership();
            let voters: BTreeSet<u64> = membership.voter_ids().collect();
            let peers: Vec<(u64, Peer)> = membership
                .nodes()
                .map(|(node, peer)| (*node, peer.clone()))
                .collect();
            (voters, peers)
        };
        let asked = peers.iter().map(|there| async {
            let (node, peer) = there;
            let status = if *node == self.shared.identity.node {
                Ok(self.describe())
            } else {
                let described = self.shared.calls.describe(there, DESCRIBE_TIME).await;
                described.map_err(|status| status.message().to_owned())
            };
            let row = known.iter().find(|(known, _)| known == node);
            MemberStatus {
                node: *node,
                address: peer.address.clone(),
                is_voter: voters.contains(node),
                feature_level_max: row.map_or(0, |(_, row)| row.feature_level_max),
                status,
            }
        });
        Ok(future::join_all(asked).await)
    }

    /// Has the fresh node that waits at an address join this cluster, and waits until it votes.
    /// Answers its id.
    ///
    /// # Errors
    /// `FailedPrecondition` when it is not a fresh one; `Unavailable` when it does not answer, or
    /// has not caught up yet.
    pub async fn add(&self, address: &str) -> Result<u64, Status> {
        let place = &self.shared.place;
        if place.address.is_empty() {
            return Err(Status::failed_precondition(
                "this node is alone: set its `cluster.listen`, so that others reach it",
            ));
        }
        let found = calls::introduce(address, place).await;
        let found = found.map_err(|status| {
            Status::unavailable(format!("{address} does not answer: {}", status.message()))
        })?;
        if found.node != 0 {
            return Err(Status::failed_precondition(format!(
                "{address} is node {} of a cluster already",
                found.node
            )));
        }
        calls::invite(address, place, place.address.clone()).await?;
        let voter = until(self.raft.metrics(), |metrics| {
            let mut nodes = metrics.membership_config.membership().nodes();
            let (node, _) = nodes.find(|(_, peer)| peer.instance == found.instance)?;
            self.is_voter(*node).then_some(*node)
        });
        match timeout(CHANGE_TIME, voter).await {
            Ok(voter) => voter.map_err(|error| Status::unavailable(with_source(&error))),
            Err(_elapsed) => Err(Status::unavailable(format!(
                "{address} was told to join, and does not vote yet: its log says what it waits \
                 for, and `roadstead cluster status` shows when it does"
            ))),
        }
    }

    /// How this node is.
    pub(crate) fn describe(&self) -> NodeStatus {
        let status = self.status();
        let role = self.raft.server_metrics().borrow_watched().state;
        let disk = statvfs(&self.shared.datadir).ok();
        let (disk_free_bytes, disk_bytes) = disk.map_or((0, 0), |disk| {
            let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
            (bytes(disk.f_bavail), bytes(disk.f_blocks))
        });
        let uptime = self.shared.began.elapsed().as_millis();
        NodeStatus {
            node: self.shared.identity.node,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            feature_level_max: self.shared.feature_level_max,
            role: match role {
                ServerState::Leader => "leader",
                ServerState::Follower => "follower",
                ServerState::Candidate => "candidate",
                ServerState::Learner | ServerState::Shutdown => "learner",
            }
            .to_owned(),
            term: status.term,
            last_log_index: status.last_log_index,
            last_applied_index: status.last_applied_index,
            snapshot_index: status.snapshot_index,
            purged_index: status.purged_index,
            disk_free_bytes,
            disk_bytes,
            uptime_ms: u64::try_from(uptime).unwrap_or(u64::MAX),
            is_draining: self.shared.is_draining.load(Ordering::Acquire),
        }
    }

    /// Has the leader change who is of the cluster, votes or leads, and waits until it is done. A
    /// change that was made before is no error.
    ///
    /// # Errors
    /// `NotFound`, or `FailedPrecondition` with what to do; `Unavailable` when it may be tried
    /// again.
    pub async fn change(&self, change: Change) -> Result<(), Status> {
        let deadline = Instant::now() + CHANGE_TIME;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let attempt = match self.leader() {
                Leader::Here => self.change_here(change).await,
                Leader::There(leader) => self.shared.calls.change(&leader, change, left).await,
                Leader::Nobody => Err(Status::unavailable("nobody leads")),
            };
            match attempt {
                Err(status)
                    if status.code() == Code::Unavailable
                        && Instant::now() + RETRY_AFTER < deadline => {}
                Err(status) if status.code() == Code::Unavailable => {
                    return Err(Status::unavailable(format!(
                        "no leader has made the change in {CHANGE_TIME:?}: {}; see by `roadstead \
                         cluster status` whether a majority answers",
                        status.message()
                    )));
                }
                answer => return answer,
            }
            sleep(RETRY_AFTER).await;
        }
    }

    /// Makes a change, if this node leads.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub(crate) async fn change_here(&self, change: Change) -> Result<(), Status> {
        self.finish_change().await?;
        match change {
            Change::Promote(node) => self.promote_here(node).await,
            Change::Remove(node) => self.remove_here(node).await,
            Change::Transfer(to) => self.hand_over(to).await.map(drop),
        }
    }

    /// Ends a change whose first half an earlier leader has made: its two majorities are needed for
    /// everything until then.
    async fn finish_change(&self) -> Result<(), Status> {
        let is_half = {
            let metrics = self.raft.server_metrics();
            let server = metrics.borrow_watched();
            let committed = server.committed_membership_config.membership();
            committed.get_joint_config().len() > 1
        };
        if !is_half {
            return Ok(());
        }
        // Nothing is added to what the first half leads to.
        let change = ChangeMembers::AddVoterIds(BTreeSet::new());
        self.change_voters(change, "a change of the members was finished".to_owned())
            .await
    }

    /// Whether a node may vote: with it there have to be enough that answer, or nothing could be
    /// decided from then on.
    async fn check_promotion(&self, node: u64) -> Result<(), Status> {
        let members = self.describe_all().await.map_err(internal)?;
        let Some(status) = answer_of(&members, node) else {
            return Err(Status::failed_precondition(format!(
                "node {node} does not answer: start it first, or remove it"
            )));
        };
        let last = self.status().last_log_index;
        if status.last_applied_index + PROMOTED_LAG_MAX < last {
            return Err(Status::unavailable(format!(
                "node {node} has not caught up yet: it is at entry {} of {last}",
                status.last_applied_index
            )));
        }
        let mut voters = self.settled_voters();
        voters.insert(node);
        check_quorum(&voters, &members, &format!("with node {node}"))
    }

    async fn promote_here(&self, node: u64) -> Result<(), Status> {
        if self.is_voter(node) {
            return Ok(());
        }
        if self.instance_of(node).is_none() || self.is_removed(node).map_err(internal)? {
            return Err(unknown(node));
        }
        self.check_promotion(node).await?;
        self.change_voters(
            ChangeMembers::AddVoterIds(BTreeSet::from([node])),
            format!("node {node} votes"),
        )
        .await
    }

    async fn remove_here(&self, node: u64) -> Result<(), Status> {
        let row = self.state.view(|view| read::member(view, node));
        let row = row.map_err(internal)?;
        let is_member = self.instance_of(node).is_some();
        match row {
            None if !is_member => return Err(unknown(node)),
            Some(row) if row.removed && !is_member => return Ok(()),
            _ => {}
        }
        if is_member {
            let voters = self.settled_voters();
            if voters.is_empty() {
                return Err(Status::unavailable(
                    "another change of the members is under way",
                ));
            }
            let ids = BTreeSet::from([node]);
            let change = if voters.contains(&node) {
                self.check_quorum_without(node, &voters).await?;
                if node == self.shared.identity.node {
                    self.hand_over(0).await?;
                    return Err(Status::unavailable(
                        "the node that is removed led until now",
                    ));
                }
                ChangeMembers::RemoveVoters(ids)
            } else {
                ChangeMembers::RemoveNodes(ids)
            };
            let words = format!("node {node} is no member any more");
            self.change_voters(change, words).await?;
        }
        // After it has no vote any more: until then its vote may have been needed.
        let removed = self.propose(Action::RemoveNode(RemoveNode { node })).await;
        let removed = removed.map_err(|error| Status::unavailable(with_source(&error)));
        removed.map(drop)
    }

    /// Whether enough nodes answer to decide without this one.
    async fn check_quorum_without(&self, node: u64, voters: &BTreeSet<u64>) -> Result<(), Status> {
        let mut left = voters.clone();
        left.remove(&node);
        if left.is_empty() {
            return Err(Status::failed_precondition(format!(
                "node {node} is the only one that votes: add another before it is removed"
            )));
        }
        // They are asked now: what was heard from a follower lately may have been its last.
        let members = self.describe_all().await;
        let members = members.map_err(internal)?;
        check_quorum(&left, &members, &format!("without node {node}"))
    }

    /// Makes a change that has two steps, to its end whether or not somebody still waits for it.
    async fn change_voters(
        &self,
        change: ChangeMembers<u64, Peer>,
        words: String,
    ) -> Result<(), Status> {
        let raft = self.raft.clone();
        let changing = self.shared.runtime.spawn(async move {
            let changed = raft.change_membership(change, false).await;
            changed.map(|_| tracing::info!("{words}"))
        });
        let changed = timeout(CHANGE_TIME, changing).await;
        let changed = changed.map_err(|_elapsed| {
            Status::deadline_exceeded("the change has begun and waits for a majority to answer")
        })?;
        let changed = changed.map_err(|error| Status::unavailable(error.to_string()))?;
        changed.map_err(|error| Status::unavailable(with_source(&refused(error))))
    }

    /// Lets another voter lead, if this node does: `to`, or with 0 the one that lags least.
    /// Answers who leads then.
    ///
    /// # Errors
    /// `FailedPrecondition` when nobody can; `Unavailable` when it was not taken over in time.
    pub async fn hand_over(&self, to: u64) -> Result<u64, Status> {
        let own = self.shared.identity.node;
        if to == own {
            return Ok(own);
        }
        let wanted = to;
        let to = self.successor(to)?;
        let asked = self.raft.trigger().transfer_leader(to).await;
        asked.map_err(|fatal| Status::unavailable(with_source(&stopped(fatal))))?;
        let moved = until(self.raft.server_metrics(), |metrics| {
            metrics.current_leader.filter(|leader| *leader != own)
        });
        match timeout(TRANSFER_TIME, moved).await {
            Ok(Ok(leader)) if wanted > 0 && leader != wanted => Err(Status::failed_precondition(
                format!("node {leader} leads now, since node {wanted} did not take over"),
            )),
            Ok(leader) => {
                let leader = leader.map_err(|error| Status::unavailable(with_source(&error)))?;
                tracing::info!(leader, "the leadership was handed over");
                Ok(leader)
            }
            Err(_elapsed) => Err(Status::unavailable(format!(
                "node {to} did not take over in {TRANSFER_TIME:?}"
            ))),
        }
    }

    fn successor(&self, to: u64) -> Result<u64, Status> {
        let own = self.shared.identity.node;
        let mut others = self.settled_voters();
        others.remove(&own);
        if to > 0 {
            let refused = |reason: &str| {
                let status = "`roadstead cluster status` shows who votes and answers";
                Err(Status::failed_precondition(format!(
                    "node {to} {reason}; {status}"
                )))
            };
            return match (others.contains(&to), self.is_heard_from(to)) {
                (false, _) => refused("does not vote"),
                (true, false) => refused("does not answer"),
                (true, true) => Ok(to),
            };
        }
        let matched = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            metrics.replication.clone().unwrap_or_default()
        };
        let alive = others.into_iter().filter(|node| self.is_heard_from(*node));
        let last = |node: &u64| matched.get(node).copied().flatten();
        alive.max_by_key(last).ok_or_else(|| {
            Status::failed_precondition("no other voter answers, so that none can lead")
        })
    }

    /// Leaves, in order: hands over if this node leads and another can. What cannot be handed over
    /// is left to an election.
    pub async fn leave(&self) {
        if !self.status().is_leader || self.is_sole_voter() {
            return;
        }
        if let Err(status) = self.hand_over(0).await {
            tracing::warn!(
                reason = status.message(),
                "the leadership was not handed over"
            );
        }
    }

    /// Has a member finish what it is at, and stop.
    ///
    /// # Errors
    /// `NotFound`, or what the connection says.
    pub async fn drain(&self, node: u64) -> Result<(), Status> {
        if node == self.shared.identity.node {
            self.drain_here();
            return Ok(());
        }
        let there = (node, self.peer_of(node).ok_or_else(|| unknown(node))?);
        let told = self.shared.calls.drain(&there, DESCRIBE_TIME).await;
        told.map_err(|status| {
            Status::unavailable(format!(
                "node {node} does not answer ({}): it has stopped already, or is lost",
                status.message()
            ))
        })
    }

    pub(crate) fn drain_here(&self) {
        self.set_draining();
        self.shared.drains.notify_one();
    }

    /// Ends when somebody wants this node to be drained.
    pub async fn drained(&self) {
        self.shared.drains.notified().await;
    }

    /// Says that the node finishes what it is at.
    pub fn set_draining(&self) {
        self.shared.is_draining.store(true, Ordering::Release);
    }

    /// Writes a snapshot of what is applied now, and waits for it. Answers its last entry.
    ///
    /// # Errors
    /// [`Error::Stopped`], and [`Error::TimedOut`] when it takes longer than `limit`.
    pub async fn take_snapshot(&self, limit: Duration) -> Result<u64, Error> {
        let wanted = self.status().last_applied_index;
        self.raft.trigger().snapshot().await.map_err(stopped)?;
        let taken = until(self.raft.data_metrics(), |metrics| {
            let snapshot = metrics.snapshot?;
            (snapshot.index >= wanted).then_some(snapshot.index)
        });
        let taken = timeout(limit, taken).await;
        taken.map_err(|_elapsed| Error::TimedOut(limit))?
    }

    /// A hash over everything that is applied here, and the entry up to which that is. It reads all
    /// of the state, and blocks meanwhile.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn hash_state(&self) -> Result<(u64, Digest), Fault> {
        self.state.hash()
    }

    /// Whether the node was removed, as far as is applied here.
    pub(crate) fn is_removed(&self, node: u64) -> Result<bool, Fault> {
        let row = self.state.view(|view| read::member(view, node))?;
        Ok(row.is_some_and(|row| row.removed))
    }
}

/// What a member says of itself, if it answers.
fn answer_of(members: &[MemberStatus], node: u64) -> Option<&NodeStatus> {
    let member = members.iter().find(|member| member.node == node)?;
    member.status.as_ref().ok()
}

/// Whether enough of those who are to vote answer. `when` says what would make them the voters.
fn check_quorum(
    voters: &BTreeSet<u64>,
    members: &[MemberStatus],
    when: &str,
) -> Result<(), Status> {
    let silent = voters
        .iter()
        .filter(|voter| answer_of(members, **voter).is_none());
    let silent: Vec<String> = silent.map(ToString::to_string).collect();
    let needed = voters.len() / 2 + 1;
    if voters.len() - silent.len() >= needed {
        return Ok(());
    }
    Err(Status::failed_precondition(format!(
        "{when} there would be {} voters, of which {needed} have to answer, and these do not: {}; \
         start them, or remove them first",
        voters.len(),
        silent.join(", ")
    )))
}

fn internal(fault: Fault) -> Status {
    Status::internal(fault.to_string())
}

fn unknown(node: u64) -> Status {
    Status::not_found(format!(
        "no member has the id {node}; `roadstead cluster status` shows who is there"
    ))
}
