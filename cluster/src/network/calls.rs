//! What a node asks of others, mostly of the leader. Connections are kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roadstead_proto::rpc::metadata::{Command, Response};
use roadstead_proto::rpc::peer::peer_client::PeerClient;
use roadstead_proto::rpc::peer::{
    ChangeRequest, DescribeRequest, DrainRequest, IntroduceRequest, IntroduceResponse,
    InviteRequest, JoinRequest, JoinResponse, NodeStatus, ProposeRequest, ReadIndexRequest,
    ReadIndexResponse, ReleaseUploadRequest, change_request,
};
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::Channel;

use super::client::connection;
use super::place::{Place, Side};
use crate::consensus::Peer;
use crate::limits::{INTRODUCE_TIME, MESSAGE_BYTES_MAX};

/// Asks other nodes.
#[derive(Debug)]
pub(crate) struct Calls {
    place: Arc<Place>,
    connections: Mutex<BTreeMap<u64, (Peer, PeerClient<Channel>)>>,
}

fn client(address: &str, place: &Place) -> Result<PeerClient<Channel>, Status> {
    let channel = connection(address, place.tls.clone());
    let channel = channel.map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok(PeerClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX))
}

async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match timeout(limit, answer).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_elapsed) => Err(Status::deadline_exceeded(format!("no answer in {limit:?}"))),
    }
}

/// Asks whoever is at an address who that is.
pub(crate) async fn introduce(address: &str, place: &Place) -> Result<IntroduceResponse, Status> {
    let mut client = client(address, place)?;
    in_time(INTRODUCE_TIME, client.introduce(IntroduceRequest {})).await
}

/// Tells the fresh node at an address whom to join.
pub(crate) async fn invite(address: &str, place: &Place, join: String) -> Result<(), Status> {
    let mut client = client(address, place)?;
    let invited = in_time(INTRODUCE_TIME, client.invite(InviteRequest { join })).await;
    invited.map(drop)
}

/// Asks the cluster of whoever is at an address to take this node in.
pub(crate) async fn join(
    address: &str,
    place: &Place,
    request: JoinRequest,
    limit: Duration,
) -> Result<JoinResponse, Status> {
    let mut client = client(address, place)?;
    in_time(limit, client.join(request)).await
}

impl Calls {
    pub(crate) fn new(place: Arc<Place>) -> Self {
        Self {
            place,
            connections: Mutex::default(),
        }
    }

    fn to(&self, node: u64, peer: &Peer) -> Result<(Side, PeerClient<Channel>), Status> {
        let mut connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let side = Side::of(node, peer);
        if let Some((known, client)) = connections.get(&node)
            && known == peer
        {
            return Ok((side, client.clone()));
        }
        let client = client(&peer.address, &self.place)?;
        connections.insert(node, (peer.clone(), client.clone()));
        Ok((side, client))
    }

    async fn answered<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Status> {
        let answer = in_time(limit, answer).await;
        answer.inspect_err(|status| self.place.heed(status))
    }

    pub(crate) async fn propose(
        &self,
        (node, peer): &(u64, Peer),
        command: Command,
        limit: Duration,
    ) -> Result<Response, Status> {
        let (side, mut client) = self.to(*node, peer)?;
        let command = Some(command);
        let request = self.place.addressed(ProposeRequest { command }, &side);
        let answer = self.answered(limit, client.propose(request)).await?;
        let absent = || Status::internal("the leader answered without a response");
        answer.response.ok_or_else(absent)
    }

    pub(crate) async fn read_index(
        &self,
        (node, peer): &(u64, Peer),
        limit: Duration,
    ) -> Result<ReadIndexResponse, Status> {
        let (side, mut client) = self.to(*node, peer)?;
        let request = self.place.addressed(ReadIndexRequest {}, &side);
        self.answered(limit, client.read_index(request)).await
    }

    pub(crate) async fn release_upload(
        &self,
        (node, peer): &(u64, Peer),
        upload: String,
        limit: Duration,
    ) -> Result<(), Status> {
        let (side, mut client) = self.to(*node, peer)?;
        let request = ReleaseUploadRequest { upload };
        let request = self.place.addressed(request, &side);
        self.answered(limit, client.release_upload(request))
            .await
            .map(drop)
    }

    pub(crate) async fn change(
        &self,
        (node, peer): &(u64, Peer),
        change: change_request::Change,
        limit: Duration,
    ) -> Result<(), Status> {
        let (side, mut client) = self.to(*node, peer)?;
        let change = Some(change);
        let request = self.place.addressed(ChangeRequest { change }, &side);
        self.answered(limit, client.change(request)).await.map(drop)
    }

    pub(crate) async fn describe(
        &self,
        (node, peer): &(u64, Peer),
        limit: Duration,
    ) -> Result<NodeStatus, Status> {
        let (side, mut client) = self.to(*node, peer)?;
        let request = self.place.addressed(DescribeRequest {}, &side);
        self.answered(limit, client.describe(request)).await
    }

    pub(crate) async fn drain(
        &self,
        (node, peer): &(u64, Peer),
        limit: Duration,
    ) -> Result<(), Status> {
        let (side, mut client) = self.to(*node, peer)?;
        let request = self.place.addressed(DrainRequest {}, &side);
        self.answered(limit, client.drain(request)).await.map(drop)
    }
}
