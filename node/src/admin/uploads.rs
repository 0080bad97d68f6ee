//! Calls about uploads: which are in progress, and end one.

use roadstead_cluster::garbage;
use roadstead_proto::UploadId;
use roadstead_proto::rpc::admin::{ListUploadsRequest, Upload, UploadPage};
use tonic::Status;

use super::{Tools, cut, page_length, status};
use crate::error::RegistryError;

pub(super) async fn list(
    tools: &Tools,
    request: &ListUploadsRequest,
) -> Result<UploadPage, Status> {
    let from = garbage::after(&request.last);
    let length = page_length(request.limit);
    let found = tools
        .metadata
        .read(|view| garbage::uploads(view, &from, length + 1))
        .await;
    let (found, has_more) = cut(found.map_err(status::of_metadata)?.items, length);
    let now_ms = tools.now_ms().await?;
    let uploads = found.into_iter().map(|(id, row)| Upload {
        id,
        repository: row.repository,
        offset: row.offset,
        started_at_unix_ms: row.started_at_unix_ms,
        idle_ms: now_ms.saturating_sub(row.updated_at_ms),
        owner_node: row.owner.unwrap_or_default().node,
    });
    Ok(UploadPage {
        uploads: uploads.collect(),
        has_more,
    })
}

pub(super) async fn cancel(tools: &Tools, id: &str) -> Result<(), Status> {
    tools.check_write()?;
    let unknown = || {
        Status::not_found(format!(
            "no upload has the id `{id}`; `roadstead upload list` shows which there are"
        ))
    };
    // What is no id is the id of nothing.
    let parsed: UploadId = id.parse().map_err(|_| unknown())?;
    match tools.uploads.cancel_any(parsed).await {
        Ok(()) => {
            tracing::info!(upload = id, "an operator has ended an upload");
            Ok(())
        }
        Err(RegistryError::UploadUnknown(_)) => Err(unknown()),
        Err(error) => Err(status::of(&error)),
    }
}
