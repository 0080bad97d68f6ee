//! Who this node is, and whether a call is meant for it.
//!
//! Every call between nodes names the cluster and both sides, each by its id and the random
//! identity of its data folder: a node whose folder was replaced is another one, whatever its
//! address. The headers are `roadstead-cluster`, `roadstead-from` and `roadstead-to`.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use tonic::Status;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use uuid::Uuid;

use super::tls::Tls;
use crate::consensus::Peer;

const CLUSTER: &str = "roadstead-cluster";
const FROM: &str = "roadstead-from";
const TO: &str = "roadstead-to";

/// This node, as others see it.
#[derive(Debug)]
pub(crate) struct Place {
    /// `cluster.name`; empty for a node alone.
    pub(crate) name: String,
    /// The identity of the data folder.
    pub(crate) instance: Uuid,
    /// `cluster.advertise`; empty for a node alone.
    pub(crate) address: String,
    /// `cluster.members`, sorted.
    pub(crate) members: Vec<String>,
    /// The folder for snapshots while they are sent.
    pub(crate) sending: PathBuf,
    /// `cluster.tls`; `None` speaks in the clear.
    pub(crate) tls: Option<Arc<Tls>>,
    node: OnceLock<u64>,
    cluster_id: OnceLock<String>,
    // Whom an operator has this node join.
    invitation: watch::Sender<Option<String>>,
    // Whether another node has said that this one was removed.
    is_removed: watch::Sender<bool>,
}

/// One side of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) node: u64,
    pub(crate) instance: String,
}

impl Side {
    /// A node of the membership.
    pub(crate) fn of(node: u64, peer: &Peer) -> Self {
        Self {
            node,
            instance: peer.instance.clone(),
        }
    }

    fn encode(&self) -> String {
        format!("{}/{}", self.node, self.instance)
    }

    fn decode(text: &str) -> Option<Self> {
        let (node, instance) = text.split_once('/')?;
        Some(Self {
            node: node.parse().ok()?,
            instance: instance.to_owned(),
        })
    }
}

impl Place {
    pub(crate) fn new(name: String, instance: Uuid, address: String, members: Vec<String>) -> Self {
        Self {
            name,
            instance,
            address,
            members,
            sending: PathBuf::new(),
            tls: None,
            node: OnceLock::new(),
            cluster_id: OnceLock::new(),
            invitation: watch::Sender::new(None),
            is_removed: watch::Sender::new(false),
        }
    }

    /// The same, with a folder for what it sends, and by TLS.
    pub(crate) fn with(self, sending: PathBuf, tls: Option<Arc<Tls>>) -> Self {
        Self {
            sending,
            tls,
            ..self
        }
    }

    /// The id; `None` until the node is of a cluster.
    pub(crate) fn node(&self) -> Option<u64> {
        self.node.get().copied()
    }

    /// Takes the id that the cluster gave. It is never changed.
    pub(crate) fn set_node(&self, node: u64) {
        // A second one is the same: it was read from the folder that keeps it.
        let _ = self.node.set(node);
    }

    /// The cluster; `None` until it was founded and this node knows.
    pub(crate) fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.get().map(String::as_str)
    }

    /// Takes the cluster's id. It is never changed.
    pub(crate) fn set_cluster_id(&self, cluster_id: &str) {
        // A second one is the same: both come from the replicated state.
        let _ = self.cluster_id.set(cluster_id.to_owned());
    }

    /// Takes an invitation, if the node is still fresh.
    pub(crate) fn invite(&self, join: String) -> Result<(), Status> {
        if let Some(node) = self.node() {
            return Err(refused(format!(
                "this node is node {node} of a cluster already"
            )));
        }
        self.invitation.send_replace(Some(join));
        Ok(())
    }

    /// Whom this node was told to join last.
    pub(crate) fn invitation(&self) -> Option<String> {
        self.invitation.borrow().clone()
    }

    /// Looks at why a call was refused: the cluster may have removed this node. The sentence counts
    /// and not the code, which whatever lies between the nodes may make up.
    pub(crate) fn heed(&self, refusal: &Status) {
        let is_removed = |node| refusal.message() == removed(node).message();
        if self.node().is_some_and(is_removed) {
            self.is_removed.send_replace(true);
        }
    }

    /// Ends when this node was removed, with its id.
    pub(crate) async fn removed(&self) -> u64 {
        let mut is_removed = self.is_removed.subscribe();
        // The sender lives as long as this value.
        let _ = is_removed.wait_for(|is_removed| *is_removed).await;
        self.node().unwrap_or_default()
    }

    pub(crate) fn is_removed(&self) -> bool {
        *self.is_removed.borrow()
    }

    /// How the others know this node.
    pub(crate) fn peer(&self) -> Peer {
        Peer {
            instance: self.instance.to_string(),
            address: self.address.clone(),
        }
    }

    fn own_side(&self) -> Option<Side> {
        Some(Side {
            node: self.node()?,
            instance: self.instance.to_string(),
        })
    }

    /// A request with its headers: from this node to that one.
    pub(crate) fn addressed<T>(&self, message: T, to: &Side) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        let headers = request.metadata_mut();
        let mut put = |name: &'static str, text: String| {
            // Ids are numbers and UUIDs; anything else would not have been admitted.
            if let Ok(value) = AsciiMetadataValue::try_from(text) {
                headers.insert(name, value);
            }
        };
        put(TO, to.encode());
        if let Some(own) = self.own_side() {
            put(FROM, own.encode());
        }
        if let Some(cluster_id) = self.cluster_id() {
            put(CLUSTER, cluster_id.to_owned());
        }
        request
    }

    /// Who calls, if the call is meant for this node.
    pub(crate) fn check(&self, headers: &MetadataMap) -> Result<Side, Status> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let side = |name| {
            let side = text(name).and_then(Side::decode);
            side.ok_or_else(|| Status::invalid_argument(format!("the call has no header {name}")))
        };
        let (from, to) = (side(FROM)?, side(TO)?);
        let Some(own) = self.own_side() else {
            // One that has just joined is often called before it has heard its id.
            return Err(Status::unavailable(
                "this node has no place in a cluster yet",
            ));
        };
        if to != own {
            let (to, own) = (to.encode(), own.encode());
            return Err(refused(format!("{to} is meant, and this is {own}")));
        }
        match (text(CLUSTER), self.cluster_id()) {
            (Some(theirs), Some(own)) if theirs != own => Err(refused(format!(
                "the call is of cluster {theirs}, and this node is of {own}"
            ))),
            _ => Ok(from),
        }
    }
}

/// The caller was removed from the cluster, which is final. Nothing else is answered so.
pub(super) fn removed(node: u64) -> Status {
    Status::permission_denied(format!("node {node} was removed from the cluster"))
}

/// The call is not meant for this node, or comes from one that is not of the cluster.
pub(super) fn refused(reason: String) -> Status {
    tracing::warn!(reason, "a call of another node is refused");
    Status::failed_precondition(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(node: u64, instance: u128, cluster_id: &str) -> Place {
        let instance = Uuid::from_u128(instance);
        let place = Place::new("c".to_owned(), instance, "a:1".to_owned(), Vec::new());
        place.set_node(node);
        if !cluster_id.is_empty() {
            place.set_cluster_id(cluster_id);
        }
        place
    }

    #[test]
    fn calls_reach_only_who_is_meant() {
        let (one, two) = (place(1, 1, "x"), place(2, 2, "x"));
        let to_two = Side::of(2, &two.peer());
        let call = one.addressed((), &to_two);
        let from = two.check(call.metadata()).expect("it is meant");
        assert_eq!(from, Side::of(1, &one.peer()));
        for other in [place(2, 3, "x"), place(3, 2, "x"), place(2, 2, "y")] {
            let refused = other.check(call.metadata()).expect_err("another is meant");
            assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
        }
        // Who does not know its cluster yet learns it by what is replicated.
        assert!(place(2, 2, "").check(call.metadata()).is_ok());
    }

    #[test]
    fn fresh_node_is_never_meant() {
        let fresh = Place::new("c".to_owned(), Uuid::nil(), String::new(), Vec::new());
        let to = Side::of(0, &fresh.peer());
        let call = place(1, 1, "x").addressed((), &to);
        assert!(fresh.check(call.metadata()).is_err());
        let bare = MetadataMap::new();
        assert_eq!(
            fresh.check(&bare).expect_err("no headers").code(),
            tonic::Code::InvalidArgument
        );
    }
}
