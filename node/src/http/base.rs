//! end-1, and whether the node is alive and ready.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use tokio::time::timeout;

use super::server::Shared;
use crate::error::RegistryError;
use crate::limits::READY_TIME;

/// end-1: this is a registry.
pub(super) fn base() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({}))
}

/// The process serves requests.
pub(super) fn alive() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-cache"))
        .finish()
}

/// Requests may be sent here: the metadata answer, no check fails, and the node is not draining.
pub(super) async fn ready(shared: &Shared) -> Result<HttpResponse, RegistryError> {
    if shared.is_draining() {
        return Err(RegistryError::Draining);
    }
    if !shared.health.is_healthy() {
        return Err(RegistryError::Unhealthy);
    }
    let checked = timeout(READY_TIME, shared.registry.check_metadata()).await;
    checked.map_err(|_elapsed| RegistryError::Unavailable {
        what: "the metadata",
        source: "no majority of the nodes has answered".into(),
    })??;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body("ready\n"))
}
