//! Calls about the cluster itself: who is there, who leads, who leaves.

use futures::StreamExt;
use futures::stream::BoxStream;
use roadstead_proto::rpc::admin::{
    AddNodeResponse, BackupPiece, ClusterStatus, Member, StateHash, TakeSnapshotResponse,
    TransferLeadershipResponse,
};
use roadstead_proto::rpc::metadata::RaiseFeatureLevel;
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::peer::change_request::Change;
use tonic::Status;

use super::{Tools, status};
use crate::error::{RegistryError, outcome, with_causes};
use crate::limits::SNAPSHOT_TIME;

pub(super) async fn show(tools: &Tools) -> Result<ClusterStatus, Status> {
    let members = tools.metadata.members().await;
    let members = members.map_err(|fault| status::of_metadata(fault.into()))?;
    let levels = members
        .members
        .iter()
        .map(|member| member.feature_level_max);
    Ok(ClusterStatus {
        name: members.name,
        cluster_id: members.settings.cluster_id,
        incarnation: members.settings.incarnation,
        feature_level: members.settings.feature_level,
        feature_level_max: levels.min().unwrap_or_default(),
        has_quorum: members.has_quorum,
        leader: members.leader.unwrap_or_default(),
        answered_by: tools.metadata.identity().node,
        members: members.members.into_iter().map(member).collect(),
    })
}

fn member(member: roadstead_cluster::MemberStatus) -> Member {
    let (status, failure) = match member.status {
        Ok(status) => (Some(status), String::new()),
        Err(failure) => (None, failure),
    };
    Member {
        node: member.node,
        address: member.address,
        is_voter: member.is_voter,
        status,
        failure,
    }
}

pub(super) async fn add(tools: &Tools, address: &str) -> Result<AddNodeResponse, Status> {
    tracing::info!(address, "an operator adds a node");
    let node = tools.metadata.add(address).await?;
    Ok(AddNodeResponse { node })
}

/// Has the leader change the members.
pub(super) async fn change(tools: &Tools, change: Change) -> Result<(), Status> {
    tracing::info!(?change, "an operator changes the members");
    tools.metadata.change(change).await
}

pub(super) async fn transfer(
    tools: &Tools,
    node: u64,
) -> Result<TransferLeadershipResponse, Status> {
    change(tools, Change::Transfer(node)).await?;
    // The new leader has a term of its own as soon as it answers.
    tools.now_ms().await?;
    let members = tools.metadata.members().await;
    let members = members.map_err(|fault| status::of_metadata(fault.into()))?;
    let leader = members.leader.unwrap_or_default();
    Ok(TransferLeadershipResponse { leader })
}

pub(super) async fn drain(tools: &Tools, node: u64) -> Result<(), Status> {
    tracing::info!(node, "an operator has a node drained");
    tools.metadata.drain(node).await
}

pub(super) async fn take_snapshot(tools: &Tools) -> Result<TakeSnapshotResponse, Status> {
    let index = tools.metadata.take_snapshot(SNAPSHOT_TIME).await;
    let index = index.map_err(status::of_metadata)?;
    Ok(TakeSnapshotResponse { index })
}

/// Raises the level for ever. It is refused when a member cannot apply it.
pub(super) async fn raise_level(tools: &Tools, level: u64) -> Result<(), Status> {
    let raise = Action::RaiseFeatureLevel(RaiseFeatureLevel { level });
    let response = tools.metadata.propose(raise).await;
    if outcome(response.map_err(status::of_metadata)?).is_ok() {
        tracing::info!(level, "an operator has raised the feature level");
        return Ok(());
    }
    let members = tools.metadata.members().await;
    let members = members.map_err(|fault| status::of_metadata(fault.into()))?;
    let present = members.settings.feature_level;
    if level < present {
        return Err(Status::failed_precondition(format!(
            "the feature level is {present}, and it is never lowered"
        )));
    }
    let below = members.members.iter();
    let below = below.filter(|member| member.feature_level_max < level);
    let below: Vec<_> = below
        .map(|member| format!("node {}", member.node))
        .collect();
    Err(Status::failed_precondition(format!(
        "not every member can apply feature level {level}: update {} first, and see that its \
         `cluster.featurelevel` allows it",
        below.join(", ")
    )))
}

pub(super) fn set_log_level(tools: &Tools, filter: &str) -> Result<(), Status> {
    let set = tools.log_filter.set(filter);
    set.map_err(|error| {
        Status::invalid_argument(format!(
            "{filter:?} is neither a level such as debug nor a filter such as \
             info,roadstead=debug: {}",
            with_causes(&error)
        ))
    })?;
    tracing::info!(filter, "an operator has set what is logged");
    Ok(())
}

pub(super) async fn hash_state(tools: &Tools) -> Result<StateHash, Status> {
    let metadata = tools.metadata.clone();
    let hashed = tokio::task::spawn_blocking(move || metadata.hash_state()).await;
    let hashed = hashed.map_err(|error| status::of(&RegistryError::internal(error.to_string())))?;
    let (index, hash) = hashed.map_err(|fault| status::of_metadata(fault.into()))?;
    let hash = hash.to_string();
    Ok(StateHash { index, hash })
}

/// The pieces of a backup, as fast as they are taken.
pub(super) type Backup = BoxStream<'static, Result<BackupPiece, Status>>;

pub(super) async fn back_up(tools: &Tools) -> Result<Backup, Status> {
    tracing::info!("an operator takes a backup");
    let pieces = tools.metadata.backup().await;
    let pieces = pieces.map_err(status::of_metadata)?;
    Ok(pieces.map(Ok).boxed())
}
