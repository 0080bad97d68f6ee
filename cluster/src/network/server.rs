//! What other nodes are answered. It is served before the node has a place in a cluster: until then
//! it only says who it is.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{Stream, StreamExt, future};
use openraft::Snapshot;
use openraft::raft::TransferLeaderRequest as Transfer;
use prost::Message;
use roadstead_proto::rpc::admin;
use roadstead_proto::rpc::peer::peer_server::{Peer, PeerServer};
use roadstead_proto::rpc::peer::raft_server::{Raft, RaftServer};
use roadstead_proto::rpc::peer::{
    AppendRequest, AppendResponse, ChangeRequest, ChangeResponse, DescribeRequest, DrainRequest,
    DrainResponse, InstallSnapshotResponse, IntroduceRequest, IntroduceResponse, InviteRequest,
    InviteResponse, JoinRequest, JoinResponse, NodeStatus, ProposeRequest, ProposeResponse,
    ReadIndexRequest, ReadIndexResponse, ReleaseUploadRequest, ReleaseUploadResponse,
    SnapshotPiece, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use tokio::sync::watch;
use tokio::time::sleep;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use super::place::{Place, refused, removed};
use super::{tls, transfer, wire};
use crate::consensus::{Applied, SnapshotMeta, Vote, decode_log_id, vote_message, vote_of};
use crate::error::Error;
use crate::handle::Metadata;
use crate::limits::{
    ALIVE_ANSWERED, ALIVE_ASKED, COMMAND_BYTES_MAX, MESSAGE_BYTES_MAX, SERVED_STOP_TIME,
};
use crate::store::state::position_in;

/// The services of a node.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    place: Arc<Place>,
    metadata: Arc<RwLock<Option<Metadata>>>,
    receiving: PathBuf,
}

/// The services while they are served.
#[derive(Debug)]
pub(crate) struct Served {
    metadata: Arc<RwLock<Option<Metadata>>>,
    administration: Administration,
    stopping: watch::Sender<bool>,
}

impl Served {
    /// From now on the node answers for its cluster.
    pub(crate) fn open(&self, metadata: Metadata) {
        *self
            .metadata
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(metadata);
    }

    /// From now on the node is administered here too.
    pub(crate) fn administer(&self, routes: Routes) {
        self.administration.set(Some(routes));
    }

    /// Lets go of everything; calls that are under way end by themselves.
    pub(crate) fn stop(&self) {
        *self
            .metadata
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
        self.administration.set(None);
        self.stopping.send_replace(true);
    }
}

/// The administration service, which belongs to another crate and begins later.
#[derive(Debug, Clone, Default)]
struct Administration {
    routes: Arc<RwLock<Option<Routes>>>,
}

impl Administration {
    fn set(&self, routes: Option<Routes>) {
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = routes;
    }
}

impl NamedService for Administration {
    const NAME: &'static str = admin::administration_server::SERVICE_NAME;
}

impl Service<http::Request<Body>> for Administration {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        match routes.clone() {
            // Routes are always ready.
            Some(mut routes) => Box::pin(routes.call(request)),
            None => {
                let starting = Status::unavailable("this node is starting");
                Box::pin(future::ready(Ok(starting.into_http())))
            }
        }
    }
}

impl Server {
    /// Serves on the runtime that this is called on. What snapshots bring is kept in `receiving`
    /// while they arrive.
    pub(crate) fn start(
        listener: TcpListener,
        place: Arc<Place>,
        receiving: PathBuf,
    ) -> io::Result<Served> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let incoming = tls::incoming(listener, place.tls.clone());
        let administration = Administration::default();
        let metadata: Arc<RwLock<Option<Metadata>>> = Arc::default();
        let server = Self {
            place,
            metadata: Arc::clone(&metadata),
            receiving,
        };
        let (stopping, stopped) = watch::channel(false);
        let raft = RaftServer::new(server.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let peer = PeerServer::new(server)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let serving = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(ALIVE_ASKED))
            .http2_keepalive_timeout(Some(ALIVE_ANSWERED))
            .add_service(raft)
            .add_service(peer)
            .add_service(administration.clone())
            .serve_with_incoming_shutdown(incoming, is_told(stopped.clone()));
        tokio::spawn(async move {
            // Whoever has a connection is told to make another. A stop does not wait for streams
            // that have no end.
            let ended = async {
                is_told(stopped).await;
                sleep(SERVED_STOP_TIME).await;
            };
            tokio::select! {
                served = serving => if let Err(error) = served {
                    tracing::error!(%error, "other nodes are not answered any more");
                },
                () = ended => {}
            }
        });
        Ok(Served {
            metadata,
            administration,
            stopping,
        })
    }

    fn metadata(&self) -> Result<Metadata, Status> {
        let metadata = self.metadata.read().unwrap_or_else(PoisonError::into_inner);
        let absent = || Status::unavailable("this node is starting, or stopping");
        metadata.clone().ok_or_else(absent)
    }

    /// What answers a call of Raft that is meant for this node. Who calls may have joined without
    /// this node having heard of it, and must be answered all the same: its vote may be needed.
    fn answering(&self, headers: &MetadataMap) -> Result<Metadata, Status> {
        let from = self.place.check(headers)?;
        let metadata = self.metadata()?;
        match metadata.instance_of(from.node) {
            Some(instance) if instance == from.instance => Ok(metadata),
            Some(instance) => Err(refused(format!(
                "node {} is known with the data folder {instance}, and not with {}",
                from.node, from.instance
            ))),
            None => match metadata.is_removed(from.node) {
                Ok(false) => Ok(metadata),
                Ok(true) => Err(removed(from.node)),
                Err(error) => Err(failed(&error)),
            },
        }
    }

    /// What answers a call that only a member may make.
    fn answering_member(&self, headers: &MetadataMap) -> Result<(Metadata, u64), Status> {
        let metadata = self.answering(headers)?;
        let from = self.place.check(headers)?;
        if metadata.instance_of(from.node).is_none() {
            return Err(Status::unavailable(format!(
                "node {} is no member as far as this node knows",
                from.node
            )));
        }
        Ok((metadata, from.node))
    }
}

/// Ends when the node is about to stop.
async fn is_told(mut stopped: watch::Receiver<bool>) {
    // Its end means the same.
    let _ = stopped.wait_for(|is_stopping| *is_stopping).await;
}

fn broken(error: &io::Error) -> Status {
    tracing::warn!(%error, "a message of another node cannot be understood");
    Status::invalid_argument(error.to_string())
}

fn failed(error: &impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

/// A snapshot that holds what its head says. Another one must not reach Raft, which would put it
/// in the place of the state.
async fn checked(
    received: transfer::Kept,
    vote: &Vote,
    applied: Applied,
) -> Result<(transfer::Kept, Applied), Status> {
    let term = applied.0.map_or(0, |log_id| log_id.leader_id.term);
    if term > vote.leader_id.term {
        return Err(Status::invalid_argument(
            "a snapshot of a later term than its sender's",
        ));
    }
    let folder = received.folder().database();
    let position = tokio::task::spawn_blocking(move || position_in(&folder)).await;
    let position = position.map_err(|error| failed(&error))?;
    let position = position.map_err(|error| broken(&error))?;
    if position != applied {
        let reason = "a snapshot holds another position than it says";
        return Err(broken(&io::Error::new(io::ErrorKind::InvalidData, reason)));
    }
    Ok((received, applied))
}

#[tonic::async_trait]
impl Raft for Server {
    type AppendStream = Pin<Box<dyn Stream<Item = Result<AppendResponse, Status>> + Send>>;

    async fn append(
        &self,
        request: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let metadata = self.answering(request.metadata())?;
        // What follows a message that is lost or broken is not looked at: the sender begins anew.
        let requests = request.into_inner().scan((), |(), message| {
            let message = message.inspect_err(|status| {
                tracing::debug!(%status, "a stream of entries broke off");
            });
            let request = message.ok().and_then(|message| {
                let decoded = wire::append_of(message);
                decoded.inspect_err(|error| drop(broken(error))).ok()
            });
            future::ready(request)
        });
        let answers = metadata.raft().stream_append(requests);
        let answers = answers.map(|answer| match answer {
            Ok(result) => Ok(wire::appended(result)),
            Err(fatal) => Err(failed(&fatal)),
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn vote(&self, request: Request<VoteRequest>) -> Result<Response<VoteResponse>, Status> {
        let metadata = self.answering(request.metadata())?;
        let message = request.into_inner();
        let is_trial = message.is_trial;
        let request = wire::vote_request_of(message).map_err(|error| broken(&error))?;
        let answer = if is_trial {
            metadata.raft().pre_vote(request).await
        } else {
            metadata.raft().vote(request).await
        };
        let answer = answer.map_err(|error| failed(&error))?;
        Ok(Response::new(wire::voted(&answer)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<SnapshotPiece>>,
    ) -> Result<Response<InstallSnapshotResponse>, Status> {
        let metadata = self.answering(request.metadata())?;
        let received = transfer::receive(&self.receiving, request.into_inner()).await;
        let (head, received) = received.map_err(|error| broken(&error))?;
        let (vote, applied) = wire::head_of(head).map_err(|error| broken(&error))?;
        // Whoever calls may go away: what arrived is needed until it is installed.
        let installing = tokio::spawn(async move {
            let (received, applied) = checked(received, &vote, applied).await?;
            let snapshot = Snapshot {
                meta: SnapshotMeta {
                    last_log_id: applied.0,
                    last_membership: applied.1,
                },
                snapshot: received.folder(),
            };
            tracing::info!(position = ?snapshot.meta.last_log_id, "a snapshot arrived");
            let installed = metadata.raft().install_full_snapshot(vote, snapshot).await;
            drop(received);
            installed.map_err(|fatal| failed(&fatal))
        });
        let answer = installing.await.map_err(|error| failed(&error))??;
        Ok(Response::new(InstallSnapshotResponse {
            vote: Some(vote_message(&answer.vote)),
        }))
    }

    async fn transfer_leader(
        &self,
        request: Request<TransferLeaderRequest>,
    ) -> Result<Response<TransferLeaderResponse>, Status> {
        let metadata = self.answering(request.metadata())?;
        let TransferLeaderRequest {
            from,
            to,
            last_log_id,
        } = request.into_inner();
        let from = from.ok_or_else(|| Status::invalid_argument("a transfer without a vote"))?;
        let last_log_id = last_log_id.as_ref().map(decode_log_id);
        let transfer = Transfer::new(vote_of(&from), to, last_log_id);
        let answer = metadata.raft().handle_transfer_leader(transfer).await;
        let refusal = match answer.map_err(|fatal| failed(&fatal))? {
            Ok(()) => String::new(),
            Err(refusal) => refusal.to_string(),
        };
        Ok(Response::new(TransferLeaderResponse { refusal }))
    }
}

#[tonic::async_trait]
impl Peer for Server {
    async fn introduce(
        &self,
        _request: Request<IntroduceRequest>,
    ) -> Result<Response<IntroduceResponse>, Status> {
        let place = &self.place;
        Ok(Response::new(IntroduceResponse {
            name: place.name.clone(),
            instance: place.instance.to_string(),
            node: place.node().unwrap_or_default(),
            cluster_id: place.cluster_id().unwrap_or_default().to_owned(),
            members: place.members.clone(),
            address: place.address.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }

    async fn invite(
        &self,
        request: Request<InviteRequest>,
    ) -> Result<Response<InviteResponse>, Status> {
        let join = request.into_inner().join;
        tracing::info!(join, "an operator has this node join a cluster");
        self.place.invite(join)?;
        Ok(Response::new(InviteResponse {}))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let message = request.into_inner();
        if message.name != self.place.name {
            return Err(refused(format!(
                "`cluster.name` is {:?} here and {:?} at {}",
                self.place.name, message.name, message.address
            )));
        }
        let joined = self.metadata()?.admit(message).await?;
        Ok(Response::new(joined))
    }

    async fn change(
        &self,
        request: Request<ChangeRequest>,
    ) -> Result<Response<ChangeResponse>, Status> {
        let (metadata, _) = self.answering_member(request.metadata())?;
        let change = request.into_inner().change;
        let change = change.ok_or_else(|| {
            Status::invalid_argument("a change of a kind that this version does not know")
        })?;
        metadata.change_here(change).await?;
        Ok(Response::new(ChangeResponse {}))
    }

    async fn describe(
        &self,
        request: Request<DescribeRequest>,
    ) -> Result<Response<NodeStatus>, Status> {
        let (metadata, _) = self.answering_member(request.metadata())?;
        Ok(Response::new(metadata.describe()))
    }

    async fn drain(
        &self,
        request: Request<DrainRequest>,
    ) -> Result<Response<DrainResponse>, Status> {
        let (metadata, from) = self.answering_member(request.metadata())?;
        tracing::info!(from, "an operator has this node drained, through another");
        metadata.drain_here();
        Ok(Response::new(DrainResponse {}))
    }

    async fn propose(
        &self,
        request: Request<ProposeRequest>,
    ) -> Result<Response<ProposeResponse>, Status> {
        let (metadata, from) = self.answering_member(request.metadata())?;
        let command = request.into_inner().command;
        let command = command.ok_or_else(|| Status::invalid_argument("no command"))?;
        if command
            .origin
            .as_ref()
            .is_some_and(|origin| origin.node != from)
        {
            return Err(refused(format!("node {from} asks in another's name")));
        }
        if command.action.is_none() || command.encoded_len() > COMMAND_BYTES_MAX {
            let reason = "a command that this version does not know, or too large for the log";
            return Err(refused(reason.to_owned()));
        }
        let response = metadata.propose_here(command).await;
        let response = Some(response.map_err(|error| failed(&error))?);
        Ok(Response::new(ProposeResponse { response }))
    }

    async fn release_upload(
        &self,
        request: Request<ReleaseUploadRequest>,
    ) -> Result<Response<ReleaseUploadResponse>, Status> {
        let (metadata, _) = self.answering_member(request.metadata())?;
        metadata.release_here(request.into_inner().upload).await;
        Ok(Response::new(ReleaseUploadResponse {}))
    }

    async fn read_index(
        &self,
        request: Request<ReadIndexRequest>,
    ) -> Result<Response<ReadIndexResponse>, Status> {
        let (metadata, _) = self.answering_member(request.metadata())?;
        let index = metadata.read_index_here().await;
        let (index, now_ms) = index.map_err(|error| match error {
            Error::TimedOut(_) => Status::aborted("the leader lags behind its own log"),
            error => failed(&error),
        })?;
        Ok(Response::new(ReadIndexResponse { index, now_ms }))
    }
}
