//! What operators look at (`http.debug`): metrics and the report of the health checks.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use super::base;
use super::error::status_of_health;
use super::server::Shared;
use crate::error::RegistryError;
use crate::limits::QUOTED_PATH_MAX;
use crate::telemetry::metrics::CONTENT_TYPE as METRICS_TYPE;

/// Where things are on this listener.
#[derive(Debug)]
pub(super) struct Paths {
    /// Where metrics are, if they are turned on.
    pub(super) metrics: Option<String>,
}

/// Every request to the debug listener.
pub(super) async fn serve(
    request: HttpRequest,
    paths: Data<Paths>,
    shared: Data<Shared>,
) -> HttpResponse {
    let path = request.path();
    if paths.metrics.as_deref() == Some(path) {
        let body = shared.metrics.encode();
        return HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, METRICS_TYPE))
            .body(body);
    }
    match path {
        "/debug/health" => {
            let status = status_of_health(shared.health.is_healthy());
            let mut response = HttpResponse::build(status);
            let report = shared.health.report_json();
            response
                .insert_header((CONTENT_TYPE, "application/json"))
                .body(report)
        }
        "/livez" => base::alive(),
        "/readyz" => base::ready(&shared)
            .await
            .unwrap_or_else(|error| error.error_response()),
        _ => RegistryError::PathUnknown(path.chars().take(QUOTED_PATH_MAX).collect())
            .error_response(),
    }
}
