//! `Verify`: to compare the object store with the metadata. Not built yet.

use roadstead_proto::rpc::admin::{VerifyEvent, VerifyRequest};
use tokio::sync::watch;
use tonic::Status;

use super::Tools;
use super::events::Events;

pub(super) fn verify(
    _tools: &Tools,
    _stopped: &watch::Receiver<bool>,
    _request: &VerifyRequest,
) -> Result<Events<VerifyEvent>, Status> {
    Err(Status::unimplemented(
        "this version cannot compare the object store with the metadata yet",
    ))
}
