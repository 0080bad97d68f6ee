//! What the leader does for the other nodes.

use openraft::errors::{ClientWriteError, RaftError};
use roadstead_crash::{Point, point};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{AdmitNode, Command, Response};
use roadstead_proto::rpc::peer::{JoinRequest, JoinResponse};
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use super::group::{Leader, until};
use super::{Metadata, StateRaft, stopped};
use crate::clock::unix_ms;
use crate::consensus::{Peer, Proposal, TypeConfig};
use crate::error::Error;
use crate::network::calls;

impl Metadata {
    /// Raft itself, for the services that it is heard by.
    pub(crate) fn raft(&self) -> &StateRaft {
        &self.raft
    }

    /// Stamps a command and writes it, if this node leads.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: trying again, perhaps elsewhere, helps. It may have happened.
    pub(crate) async fn propose_here(&self, mut command: Command) -> Result<Response, Error> {
        let limit = self.shared.proposal_timeout;
        let deadline = Instant::now() + limit;
        let term = self.term();
        // Looked at here, since every proposal does: Raft's metrics are for the few that wait.
        if !self.has_own_entry(term) {
            timeout_at(deadline, self.begun(term))
                .await
                .map_err(|_elapsed| Error::TimedOut(limit))??;
        }
        command.now_ms = self.clock_here(term)?;
        command.unix_ms = unix_ms();
        point(Point::Propose);
        let proposed = self.raft.client_write(Proposal(command));
        match timeout_at(deadline, proposed).await {
            Ok(Ok(written)) => {
                point(Point::Proposed);
                Ok(written.data)
            }
            Ok(Err(error)) => Err(refused(error)),
            Err(_elapsed) => Err(Error::TimedOut(limit)),
        }
    }

    /// Waits until an entry of this node's term is applied: until then what the term began with is
    /// not, and neither is its clock.
    async fn begun(&self, term: u64) -> Result<(), Error> {
        let is_begun = until(self.raft.metrics(), |_| {
            if self.has_own_entry(term) {
                return Some(true);
            }
            let is_over = !matches!(self.leader(), Leader::Here) || self.term() != term;
            is_over.then_some(false)
        });
        if is_begun.await? {
            Ok(())
        } else {
            Err(Error::Unavailable("the leader has changed".into()))
        }
    }

    /// Takes a fresh node in, as one that learns and does not vote yet.
    ///
    /// # Errors
    /// `FailedPrecondition` when it must not be, with what to do; `Unavailable` when it may be
    /// tried again.
    pub(crate) async fn admit(&self, request: JoinRequest) -> Result<JoinResponse, Status> {
        let unavailable = |error: &Error| Status::unavailable(crate::error::with_source(error));
        let leader = match self.leader() {
            Leader::Here => None,
            Leader::There((_, peer)) if !request.is_forwarded => Some(peer),
            _ => return Err(Status::unavailable("nobody leads")),
        };
        if let Some(peer) = leader {
            let request = JoinRequest {
                is_forwarded: true,
                ..request
            };
            let limit = self.shared.proposal_timeout;
            return calls::join(&peer.address, &self.shared.place, request, limit).await;
        }
        // Nobody joins before the founder has given the cluster its name.
        let founding = || Status::unavailable("the cluster is being founded");
        let cluster_id = self.shared.place.cluster_id().ok_or_else(founding)?;
        let admit = AdmitNode {
            instance: request.instance.clone(),
            address: request.address.clone(),
            feature_level_max: request.feature_level_max,
            version: request.version,
        };
        let admitted = self.propose(Action::AdmitNode(admit)).await;
        let node = match admitted.map_err(|error| unavailable(&error))?.outcome {
            Some(Outcome::Admitted(admitted)) => admitted.node,
            _ => {
                return Err(Status::failed_precondition(format!(
                    "the cluster does not take {} in: a node with that address and another data \
                     folder is a member, or this version of roadstead is older than the \
                     cluster's feature level. A node whose folder was lost has to be removed from \
                     the cluster before another takes its address",
                    request.address
                )));
            }
        };
        let peer = Peer {
            instance: request.instance,
            address: request.address,
        };
        // What is not committed may be undone by the next leader.
        if !self.is_settled_member(node) {
            let added = self.raft.add_learner(node, peer.clone(), false).await;
            added.map_err(|error| unavailable(&refused(error)))?;
            tracing::info!(node, address = peer.address, "a node has joined");
        }
        Ok(JoinResponse {
            node,
            cluster_id: cluster_id.to_owned(),
        })
    }
}

pub(super) fn refused(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> Error {
    match error {
        RaftError::Fatal(fatal) => stopped(fatal),
        RaftError::APIError(error) => Error::Unavailable(error.into()),
    }
}
