//! The administration service: gRPC for operators, whose client is this very program.
//!
//! It asks the collector, the metadata and the uploads; nothing is decided here. Health and
//! reflection stand beside it, for load balancers and for `grpcurl`.
//!
//! Not here: who may ask. Whoever can connect may administer, so that the configuration allows
//! loopback addresses only; where other nodes reach this one it is served by the same TLS as they.

mod cluster;
mod collection;
mod connections;
mod events;
mod repositories;
mod status;
mod uploads;
mod verify;

use std::io;

use roadstead_cluster::Metadata;
use roadstead_proto::rpc::admin::administration_server::{
    Administration as Rpc, AdministrationServer,
};
use roadstead_proto::rpc::admin::{
    AddNodeRequest, AddNodeResponse, BackupRequest, CancelUploadRequest, CancelUploadResponse,
    ClusterStatus, CollectionProgress, CollectionStatus, DESCRIPTOR, DeleteRepositoryRequest,
    DeletionProgress, DrainNodeRequest, DrainNodeResponse, ExplainDigestRequest, Explanation,
    GetClusterStatusRequest, GetCollectionStatusRequest, HashStateRequest, ListRepositoriesRequest,
    ListUploadsRequest, PauseCollectionRequest, PauseCollectionResponse, PromoteNodeRequest,
    PromoteNodeResponse, RaiseFeatureLevelRequest, RaiseFeatureLevelResponse, RemoveNodeRequest,
    RemoveNodeResponse, RepositoryPage, ResumeCollectionRequest, ResumeCollectionResponse,
    RunCollectionRequest, SetLogLevelRequest, SetLogLevelResponse, StateHash, TakeSnapshotRequest,
    TakeSnapshotResponse, TransferLeadershipRequest, TransferLeadershipResponse, UploadPage,
    VerifyEvent, VerifyRequest,
};
use roadstead_proto::rpc::peer::change_request::Change;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_health::server::{HealthReporter, health_reporter};

use crate::actor::{Collector, Uploads};
use crate::error::RegistryError;
use crate::http::Bound;
use crate::limits::{
    ADMINISTRATION_CALLS, ADMINISTRATION_PAGE, ADMINISTRATION_SILENCE, ADMINISTRATION_STOP,
};
use crate::telemetry::logs;
use crate::verify::Verifier;
use events::Events;

/// The service's name in health checks.
const SERVICE: &str = <AdministrationServer<Service> as NamedService>::NAME;

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Tools {
    /// What is known.
    pub metadata: Metadata,
    /// What collects on this node.
    pub collector: Collector,
    /// Uploads of this node's clients.
    pub uploads: Uploads,
    /// What compares the store with the metadata.
    pub verifier: Verifier,
    /// `storage.maintenance.readonly`: nothing is deleted.
    pub is_read_only: bool,
    /// What the node logs.
    pub log_filter: logs::Filter,
}

impl Tools {
    fn check_write(&self) -> Result<(), Status> {
        if self.is_read_only {
            Err(status::of(&RegistryError::ReadOnly))
        } else {
            Ok(())
        }
    }

    /// Cluster time, by which ages are told.
    async fn now_ms(&self) -> Result<u64, Status> {
        let now_ms = self.metadata.cluster_time().await;
        now_ms.map_err(status::of_metadata)
    }
}

/// How many rows a page has, by what was asked for: 0 is as many as it may have.
fn page_length(limit: u32) -> usize {
    match usize::try_from(limit) {
        Ok(limit) if (1..ADMINISTRATION_PAGE).contains(&limit) => limit,
        _ => ADMINISTRATION_PAGE,
    }
}

/// The page of `found`, of which one more than `length` was asked for, and whether more follow.
fn cut<T>(mut found: Vec<T>, length: usize) -> (Vec<T>, bool) {
    let has_more = found.len() > length;
    found.truncate(length);
    (found, has_more)
}

/// The service while it is served.
#[derive(Debug)]
pub struct Administration {
    health: HealthReporter,
    stopping: watch::Sender<bool>,
    ended: JoinHandle<()>,
}

impl Administration {
    /// Serves it on `runtime`: at `bound`, and where other nodes reach this one.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn start(bound: Option<Bound>, tools: Tools, runtime: &Handle) -> io::Result<Self> {
        let (stopping, stopped) = watch::channel(false);
        let (health, health_service) = health_reporter();
        let metadata = tools.metadata.clone();
        let service = AdministrationServer::new(Service {
            tools,
            stopped: stopped.clone(),
        });
        metadata.administer(Routes::new(service.clone()));
        let Some(bound) = bound else {
            let ended = runtime.spawn(std::future::ready(()));
            return Ok(Self {
                health,
                stopping,
                ended,
            });
        };
        let address = bound.address;
        let listener = bound.into_listener();
        listener.set_nonblocking(true)?;
        // A listener belongs to the runtime that it is made in.
        let _entered = runtime.enter();
        let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?);
        let incoming = connections::bounded(incoming.with_nodelay(Some(true)));
        let reporter = health.clone();
        let mut signal = stopped;
        let serve = async move {
            reporter
                .set_service_status(SERVICE, tonic_health::ServingStatus::Serving)
                .await;
            let served = Server::builder()
                .max_concurrent_streams(ADMINISTRATION_CALLS)
                .http2_keepalive_interval(Some(ADMINISTRATION_SILENCE / 3))
                .add_service(health_service)
                .add_service(reflection().build_v1().map_err(io::Error::other)?)
                .add_service(reflection().build_v1alpha().map_err(io::Error::other)?)
                .add_service(service)
                .serve_with_incoming_shutdown(incoming, async move {
                    // Its end means the same.
                    let _ = signal.wait_for(|is_stopping| *is_stopping).await;
                });
            served.await.map_err(io::Error::other)
        };
        let ended = runtime.spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "administration has ended");
            }
        });
        tracing::info!("administration is served on {address}");
        Ok(Self {
            health,
            stopping,
            ended,
        })
    }

    /// Ends it. What it was asked for and takes long goes on where it is done, or is taken up in
    /// the next life of the node.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        for name in ["", SERVICE] {
            // Whoever watches the health hears nothing more.
            self.health.clear_service_status(name).await;
        }
        if timeout(ADMINISTRATION_STOP, &mut self.ended).await.is_err() {
            tracing::warn!("a client of the administration service was cut off");
            self.ended.abort();
        }
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Each call goes to the file of what it is about.
#[derive(Debug)]
struct Service {
    tools: Tools,
    // Whether the node is about to stop.
    stopped: watch::Receiver<bool>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Rpc for Service {
    type RunCollectionStream = Events<CollectionProgress>;
    type DeleteRepositoryStream = Events<DeletionProgress>;
    type VerifyStream = Events<VerifyEvent>;
    type BackupStream = cluster::Backup;

    async fn get_collection_status(
        &self,
        _request: Request<GetCollectionStatusRequest>,
    ) -> Answer<CollectionStatus> {
        collection::status(&self.tools).await.map(Response::new)
    }

    async fn run_collection(
        &self,
        request: Request<RunCollectionRequest>,
    ) -> Answer<Self::RunCollectionStream> {
        let events = collection::run(&self.tools, &self.stopped, request.get_ref());
        Ok(Response::new(events))
    }

    async fn pause_collection(
        &self,
        _request: Request<PauseCollectionRequest>,
    ) -> Answer<PauseCollectionResponse> {
        collection::set_paused(&self.tools, true).await?;
        Ok(Response::new(PauseCollectionResponse {}))
    }

    async fn resume_collection(
        &self,
        _request: Request<ResumeCollectionRequest>,
    ) -> Answer<ResumeCollectionResponse> {
        collection::set_paused(&self.tools, false).await?;
        Ok(Response::new(ResumeCollectionResponse {}))
    }

    async fn explain_digest(&self, request: Request<ExplainDigestRequest>) -> Answer<Explanation> {
        let explained = collection::explain(&self.tools, &request.get_ref().digest);
        explained.await.map(Response::new)
    }

    async fn list_repositories(
        &self,
        request: Request<ListRepositoriesRequest>,
    ) -> Answer<RepositoryPage> {
        let page = repositories::list(&self.tools, request.get_ref());
        page.await.map(Response::new)
    }

    async fn delete_repository(
        &self,
        request: Request<DeleteRepositoryRequest>,
    ) -> Answer<Self::DeleteRepositoryStream> {
        let name = &request.get_ref().repository;
        let events = repositories::delete(&self.tools, &self.stopped, name);
        events.await.map(Response::new)
    }

    async fn list_uploads(&self, request: Request<ListUploadsRequest>) -> Answer<UploadPage> {
        let page = uploads::list(&self.tools, request.get_ref());
        page.await.map(Response::new)
    }

    async fn cancel_upload(
        &self,
        request: Request<CancelUploadRequest>,
    ) -> Answer<CancelUploadResponse> {
        uploads::cancel(&self.tools, &request.get_ref().id).await?;
        Ok(Response::new(CancelUploadResponse {}))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Answer<Self::VerifyStream> {
        let events = verify::verify(&self.tools, &self.stopped, request.get_ref());
        Ok(Response::new(events))
    }

    async fn get_cluster_status(
        &self,
        _request: Request<GetClusterStatusRequest>,
    ) -> Answer<ClusterStatus> {
        cluster::show(&self.tools).await.map(Response::new)
    }

    async fn add_node(&self, request: Request<AddNodeRequest>) -> Answer<AddNodeResponse> {
        let added = cluster::add(&self.tools, &request.get_ref().address);
        added.await.map(Response::new)
    }

    async fn promote_node(
        &self,
        request: Request<PromoteNodeRequest>,
    ) -> Answer<PromoteNodeResponse> {
        cluster::change(&self.tools, Change::Promote(request.get_ref().node)).await?;
        Ok(Response::new(PromoteNodeResponse {}))
    }

    async fn remove_node(&self, request: Request<RemoveNodeRequest>) -> Answer<RemoveNodeResponse> {
        cluster::change(&self.tools, Change::Remove(request.get_ref().node)).await?;
        Ok(Response::new(RemoveNodeResponse {}))
    }

    async fn transfer_leadership(
        &self,
        request: Request<TransferLeadershipRequest>,
    ) -> Answer<TransferLeadershipResponse> {
        let transferred = cluster::transfer(&self.tools, request.get_ref().node);
        transferred.await.map(Response::new)
    }

    async fn drain_node(&self, request: Request<DrainNodeRequest>) -> Answer<DrainNodeResponse> {
        cluster::drain(&self.tools, request.get_ref().node).await?;
        Ok(Response::new(DrainNodeResponse {}))
    }

    async fn take_snapshot(
        &self,
        _request: Request<TakeSnapshotRequest>,
    ) -> Answer<TakeSnapshotResponse> {
        cluster::take_snapshot(&self.tools).await.map(Response::new)
    }

    async fn raise_feature_level(
        &self,
        request: Request<RaiseFeatureLevelRequest>,
    ) -> Answer<RaiseFeatureLevelResponse> {
        cluster::raise_level(&self.tools, request.get_ref().level).await?;
        Ok(Response::new(RaiseFeatureLevelResponse {}))
    }

    async fn set_log_level(
        &self,
        request: Request<SetLogLevelRequest>,
    ) -> Answer<SetLogLevelResponse> {
        cluster::set_log_level(&self.tools, &request.get_ref().filter)?;
        Ok(Response::new(SetLogLevelResponse {}))
    }

    async fn backup(&self, _request: Request<BackupRequest>) -> Answer<Self::BackupStream> {
        cluster::back_up(&self.tools).await.map(Response::new)
    }

    async fn hash_state(&self, _request: Request<HashStateRequest>) -> Answer<StateHash> {
        cluster::hash_state(&self.tools).await.map(Response::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_never_longer_than_its_bound() {
        for (asked, expected) in [
            (0, ADMINISTRATION_PAGE),
            (1, 1),
            (999, 999),
            (1_001, ADMINISTRATION_PAGE),
            (u32::MAX, ADMINISTRATION_PAGE),
        ] {
            assert_eq!(page_length(asked), expected, "{asked}");
        }
    }
}
