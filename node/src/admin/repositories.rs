//! Calls about repositories: which there are, and delete one with all that is in it.

use roadstead_cluster::{Metadata, garbage};
use roadstead_proto::RepositoryName;
use roadstead_proto::rpc::admin::{
    DeletionProgress, ListRepositoriesRequest, Repository, RepositoryPage,
};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{ContinueDeletion, DeleteRepository};
use roadstead_proto::rpc::state;
use tokio::sync::watch;
use tonic::Status;

use super::events::{Events, Teller, events};
use super::{Tools, cut, page_length, status};
use crate::error::{RegistryError, outcome};

pub(super) async fn list(
    tools: &Tools,
    request: &ListRepositoriesRequest,
) -> Result<RepositoryPage, Status> {
    let from = garbage::after(&request.last);
    let length = page_length(request.limit);
    let found = tools
        .metadata
        .read(|view| garbage::repositories(view, &from, length + 1))
        .await;
    let (found, has_more) = cut(found.map_err(status::of_metadata)?.items, length);
    let repositories = found.into_iter().map(|(name, row)| Repository {
        name,
        manifests: row.manifests,
        tags: row.tags,
        blobs: row.links,
        created_at_unix_ms: row.created_at_unix_ms,
        is_deleting: row.deleting,
    });
    Ok(RepositoryPage {
        repositories: repositories.collect(),
        has_more,
    })
}

/// Begins the deletion, or takes one up that has begun. It goes on when the client has gone.
pub(super) async fn delete(
    tools: &Tools,
    stopped: &watch::Receiver<bool>,
    name: &str,
) -> Result<Events<DeletionProgress>, Status> {
    tools.check_write()?;
    let name: RepositoryName = name
        .parse()
        .map_err(|error| status::of(&RegistryError::NameInvalid(error)))?;
    let metadata = tools.metadata.clone();
    let row = row_of(&metadata, &name)
        .await?
        .ok_or_else(|| unknown(&name))?;
    if !row.deleting {
        tracing::info!(repository = %name, "an operator deletes a repository");
        begin(&metadata, &name).await?;
    }
    Ok(events(stopped, move |teller| async move {
        if let Err(error) = finish(&metadata, &name, &row, &teller).await {
            // Nobody has to listen; the node takes it up by itself.
            let _ = teller.send(Err(error)).await;
        }
    }))
}

fn unknown(name: &RepositoryName) -> Status {
    Status::not_found(format!(
        "there is no repository `{name}`; `roadstead repository list` shows which there are"
    ))
}

async fn row_of(
    metadata: &Metadata,
    name: &RepositoryName,
) -> Result<Option<state::Repository>, Status> {
    let row = metadata
        .read(|view| garbage::repository(view, name.as_str()))
        .await;
    row.map_err(status::of_metadata)
}

/// From here on the repository reads as absent.
async fn begin(metadata: &Metadata, name: &RepositoryName) -> Result<(), Status> {
    let delete = DeleteRepository {
        repository: name.to_string(),
    };
    let response = metadata.propose(Action::DeleteRepository(delete)).await;
    match outcome(response.map_err(status::of_metadata)?) {
        // Somebody else was faster.
        Err(refused) if refused.reason == Reason::RepositoryUnknown => Ok(()),
        Err(refused) => Err(status::of(&refused.other())),
        Ok(_) => Ok(()),
    }
}

/// Takes step after step until the repository is gone, and tells what is left of it.
async fn finish(
    metadata: &Metadata,
    name: &RepositoryName,
    before: &state::Repository,
    teller: &Teller<DeletionProgress>,
) -> Result<(), Status> {
    tell(teller, before, false).await;
    loop {
        let step = ContinueDeletion {
            repository: name.to_string(),
            digest: String::new(),
        };
        let response = metadata.propose(Action::ContinueDeletion(step)).await;
        match outcome(response.map_err(status::of_metadata)?) {
            Ok(Outcome::Deletion(deletion)) if !deletion.is_finished => {
                let left = row_of(metadata, name).await?.unwrap_or_default();
                tell(teller, &left, false).await;
            }
            Ok(_) => {
                tell(teller, &state::Repository::default(), true).await;
                return Ok(());
            }
            Err(refused) => return Err(status::of(&refused.other())),
        }
    }
}

/// The deletion goes on whether somebody listens or not, and does not wait for who reads slowly.
async fn tell(teller: &Teller<DeletionProgress>, left: &state::Repository, is_finished: bool) {
    let progress = DeletionProgress {
        manifests: left.manifests,
        tags: left.tags,
        blobs: left.links,
        is_finished,
    };
    if is_finished {
        let _ = teller.send(Ok(progress)).await;
    } else {
        let _ = teller.try_send(Ok(progress));
    }
}
