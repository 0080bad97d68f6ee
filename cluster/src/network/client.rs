//! What Raft sends by. Each client has a connection of its own, so that heartbeats do not wait
//! behind entries, nor entries behind a snapshot.

use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend, RaftNetworkFactory};
use roadstead_proto::rpc::peer;
use roadstead_proto::rpc::peer::raft_client::RaftClient;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::place::{Place, Side};
use super::tls::{Connector, Tls};
use super::{transfer, wire};
use crate::consensus::{Peer, TypeConfig, Vote, encode_log_id, vote_message};
use crate::limits::{ALIVE_ANSWERED, ALIVE_ASKED, CONNECT_TIME, MESSAGE_BYTES_MAX};
use crate::store::snapshot::{SnapshotFolder, SnapshotOf};

/// Makes clients.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    place: Arc<Place>,
}

impl Network {
    pub(crate) fn new(place: Arc<Place>) -> Self {
        Self { place }
    }
}

/// A connection to an address, made when it is first needed and again when it broke. A name is
/// looked up each time.
pub(super) fn connection(
    address: &str,
    tls: Option<Arc<Tls>>,
) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIME)
        .http2_keep_alive_interval(ALIVE_ASKED)
        .keep_alive_timeout(ALIVE_ANSWERED)
        .keep_alive_while_idle(true);
    Ok(endpoint.connect_with_connector_lazy(Connector::new(tls)))
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, peer: &Peer) -> Client {
        let connection = match peer.address.as_str() {
            "" => Err(Unreachable::new(&AnyError::error(
                "this node is a cluster of one",
            ))),
            address => connection(address, self.place.tls.clone())
                .map_err(|error| Unreachable::new(&error)),
        };
        Client {
            place: Arc::clone(&self.place),
            to: Side::of(target, peer),
            raft: connection.map(|channel| {
                RaftClient::new(channel)
                    .max_decoding_message_size(MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(MESSAGE_BYTES_MAX)
            }),
        }
    }
}

/// Speaks to one node.
#[derive(Debug)]
pub(crate) struct Client {
    place: Arc<Place>,
    to: Side,
    raft: Result<RaftClient<Channel>, Unreachable<TypeConfig>>,
}

/// Whoever does not answer, or not what can be understood, is not reached: it is tried again, and
/// less and less often.
fn unreachable(error: &(impl std::error::Error + 'static)) -> Unreachable<TypeConfig> {
    Unreachable::new(error)
}

impl Client {
    fn raft(&self) -> Result<RaftClient<Channel>, Unreachable<TypeConfig>> {
        self.raft.clone()
    }

    /// One question and its answer, in time.
    async fn ask<T, A>(
        &self,
        option: &RPCOption,
        message: T,
        ask: impl AsyncFnOnce(
            RaftClient<Channel>,
            tonic::Request<T>,
        ) -> Result<tonic::Response<A>, Status>,
    ) -> Result<A, Unreachable<TypeConfig>> {
        let request = self.place.addressed(message, &self.to);
        let asked = timeout(option.soft_ttl(), ask(self.raft()?, request)).await;
        let answer = asked.map_err(|elapsed| unreachable(&elapsed))?;
        let answer = answer.inspect_err(|status| self.place.heed(status));
        Ok(answer.map_err(|status| unreachable(&status))?.into_inner())
    }
}

fn understood<T>(decoded: io::Result<T>) -> Result<T, Unreachable<TypeConfig>> {
    decoded.map_err(|error| unreachable(&error))
}

impl NetBackoff<TypeConfig> for Client {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

impl NetStreamAppend<TypeConfig> for Client {
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<
            BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>,
            RPCError<TypeConfig>,
        >,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let mut input = input;
            // Raft waits after a failure before it gives the first request. A call that did not
            // wait for that would be refused again and again, without a pause.
            let Some(first) = input.next().await else {
                return Ok(Box::pin(stream::empty()) as BoxStream<'s, _>);
            };
            let requests = stream::iter([first]).chain(input);
            let requests = requests.map(|request| wire::append(&request));
            let ask = async |mut raft: RaftClient<Channel>, request| raft.append(request).await;
            let answers = self.ask(&option, requests, ask).await?;
            let answers = answers.map(|answer| {
                let answer = answer.map_err(|status| unreachable(&status))?;
                Ok(understood(wire::appended_of(answer))?)
            });
            Ok(Box::pin(answers) as BoxStream<'s, _>)
        })
    }
}

impl NetVote<TypeConfig> for Client {
    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask_vote(wire::vote(&request, false), &option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask_vote(wire::vote(&request, true), &option).await
    }
}

impl Client {
    async fn ask_vote(
        &self,
        request: peer::VoteRequest,
        option: &RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let ask = async |mut raft: RaftClient<Channel>, request| raft.vote(request).await;
        let answer = self.ask(option, request, ask).await?;
        Ok(understood(wire::voted_of(answer))?)
    }
}

impl NetSnapshot<TypeConfig> for Client {
    type SnapshotData = SnapshotFolder;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let head = wire::head(&vote, &snapshot.meta);
        let sending = self.place.sending.clone();
        let folder = snapshot.snapshot;
        let kept = spawn_blocking(move || transfer::Kept::of(&sending, &folder)).await;
        let kept = kept.map_err(|error| unreachable(&error))?;
        let pieces = transfer::pieces(head, understood(kept)?);
        let ask =
            async |mut raft: RaftClient<Channel>, request| raft.install_snapshot(request).await;
        let answer = tokio::select! {
            answer = self.ask(&option, pieces, ask) => answer?,
            closed = cancel => return Err(closed.into()),
        };
        let vote = understood(wire::installed_of(answer))?;
        Ok(SnapshotResponse::new(vote))
    }
}

impl NetTransferLeader<TypeConfig> for Client {
    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let message = peer::TransferLeaderRequest {
            from: Some(vote_message(request.from_leader())),
            to: *request.to_node_id(),
            last_log_id: request.last_log_id().map(encode_log_id),
        };
        let ask =
            async |mut raft: RaftClient<Channel>, request| raft.transfer_leader(request).await;
        let answer = self.ask(&option, message, ask).await?;
        if answer.refusal.is_empty() {
            Ok(Ok(()))
        } else {
            Err(unreachable(&AnyError::error(answer.refusal)).into())
        }
    }
}
