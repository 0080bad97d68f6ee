//! What a node does from when it is open until it takes part: it founds, campaigns, or joins.

use openraft::ChangeMembers;
use roadstead_proto::rpc::peer::change_request::Change;
use tokio::time::{Instant, sleep};

use super::Metadata;
use super::group::{Leader, until};
use crate::error::{Error, OpenError, with_source};
use crate::formation;
use crate::identity::FIRST_NODE;
use crate::limits::{ASK_TIME, FORMATION_LOOK};
use crate::metadata::read;

impl Metadata {
    /// Makes a fresh founder the only voter; makes a node that is alone campaign at once; has one
    /// that has joined caught up, and then vote.
    pub(super) async fn start(&self, is_fresh: bool) -> Result<(), OpenError> {
        let node = self.shared.identity.node;
        if is_fresh && node == FIRST_NODE {
            let members = std::collections::BTreeMap::from([(node, self.shared.place.peer())]);
            let initialized = self.raft.initialize(members).await;
            initialized.map_err(|error| OpenError::Raft(error.into()))?;
        }
        if !is_fresh && self.is_sole_voter() {
            // Nobody else could lead: do not wait for an election timeout.
            let elected = self.raft.trigger().elect(false).await;
            elected.map_err(|error| OpenError::Raft(error.into()))?;
        }
        if self.shared.served.is_none() {
            self.refuse_silence()?;
        }
        if self.shared.served.is_none() || node == FIRST_NODE && is_fresh {
            self.barrier().await?;
            return self.learn_cluster();
        }
        // What takes no longer than usual is not worth a line.
        let mut said = Some(Instant::now());
        loop {
            let waits_for = match self.barrier().await {
                Err(error @ (Error::Stopped(_) | Error::Removed(_))) => return Err(error.into()),
                Err(error) => with_source(&error),
                Ok(_) if self.is_voter(node) => {
                    self.settle_address().await?;
                    return self.learn_cluster();
                }
                Ok(_) => match self.promote_self().await {
                    Ok(()) => continue,
                    Err(status) => status.message().to_owned(),
                },
            };
            formation::say(&mut said, &waits_for);
            sleep(FORMATION_LOOK).await;
        }
    }

    /// A member of a cluster that nobody can reach could still win its elections.
    fn refuse_silence(&self) -> Result<(), OpenError> {
        let others = {
            let applied = self.state.applied();
            let (_, membership) = applied.map_err(|error| OpenError::Raft(error.into()))?;
            let nodes = membership.membership().nodes();
            nodes
                .filter(|(id, _)| **id != self.shared.identity.node)
                .count()
        };
        if others == 0 {
            return Ok(());
        }
        Err(OpenError::Refused(format!(
            "this node is one of {} and has to be reached by the others; set `cluster.listen` as \
             before",
            others + 1
        )))
    }

    /// Has the others know where this node is, if it was alone until now.
    async fn settle_address(&self) -> Result<(), OpenError> {
        let (node, own) = (self.shared.identity.node, self.shared.place.peer());
        let known = self.peer_of(node).unwrap_or_default();
        if known == own {
            return Ok(());
        }
        if !self.is_sole_voter() {
            return Err(OpenError::Refused(format!(
                "its members know this node as {}, and `cluster.advertise` is {}; keep the address \
                 and let the name lead elsewhere",
                known.address, own.address
            )));
        }
        let nodes = std::collections::BTreeMap::from([(node, own)]);
        let changed = self
            .raft
            .change_membership(ChangeMembers::SetNodes(nodes), true);
        let changed = changed.await.map_err(|error| OpenError::Raft(error.into()));
        changed.map(drop)
    }

    async fn promote_self(&self) -> Result<(), tonic::Status> {
        let node = self.shared.identity.node;
        match self.leader() {
            Leader::Here => self.change_here(Change::Promote(node)).await,
            Leader::There(leader) => {
                let calls = &self.shared.calls;
                let change = Change::Promote(node);
                calls.change(&leader, change, ASK_TIME).await
            }
            Leader::Nobody => Err(tonic::Status::unavailable("nobody leads")),
        }
    }

    /// Takes the cluster's id from the state, if it was founded.
    fn learn_cluster(&self) -> Result<(), OpenError> {
        let settings = self.state.view(|view| read::settings(view));
        if let Some(settings) = settings.map_err(Error::Fault)? {
            self.founded(&settings.cluster_id, settings.incarnation);
        }
        Ok(())
    }

    /// Says that the cluster was founded and has this id: from now on others may join.
    pub fn founded(&self, cluster_id: &str, incarnation: u64) {
        let life = format!("{cluster_id}/{incarnation}");
        self.shared.place.set_cluster_id(&life);
    }

    /// Waits until all members that this node has founded the cluster with vote; does not wait in
    /// any later life.
    pub async fn formed(&self) {
        let expected = self.shared.founded_with.len();
        let mut said = 0;
        while said < expected {
            let news = until(self.raft.metrics(), |_| {
                // None while a change is in its first half.
                let voters = self.settled_voters().len();
                (voters > 0 && voters != said).then_some(voters)
            });
            // Where Raft has ended, there is nothing to wait for.
            let Ok(voters) = news.await else { return };
            said = voters;
            if voters < expected {
                tracing::info!("waiting for the other members: {voters} of {expected} vote");
            }
        }
    }
}
