//! What all requests have in common: an id, a route, an answer, and how a failure is told.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use actix_web::body::BoxBody;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use roadstead_crash::{Point, point};
use tracing::Instrument;
use url::form_urlencoded;
use uuid::Uuid;

use super::body::drain;
use super::connection::Sent;
use super::observed::{Finished, Observed};
use super::response::{API_VERSION, REQUEST_ID};
use super::routes::Endpoint;
use super::server::Shared;
use super::{base, blobs, lists, manifests, uploads};
use crate::error::RegistryError;
use crate::limits::{QUOTED_METHOD_MAX, REQUEST_ID_BYTES_MAX};
use crate::telemetry::metrics::Handler;

/// The parameters of a request. Of one that is given twice the first counts.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let pairs = form_urlencoded::parse(request.query_string().as_bytes());
        Self(pairs.into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let name = name.to_owned();
        self.0
            .iter()
            .filter(move |(key, _)| *key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Every request comes here: it is named, routed, answered, counted and logged.
pub(super) async fn serve(
    request: HttpRequest,
    mut payload: Payload,
    shared: Data<Shared>,
) -> HttpResponse<BoxBody> {
    let received_at = SystemTime::now();
    let id = request_id(request.headers());
    let span = tracing::info_span!(
        "request",
        http.request.id = %id,
        http.request.method = %request.method(),
        http.request.uri = %request.uri(),
    );
    let path = percent_decoded(request.path());
    let endpoint = match &path {
        Some(path) => Endpoint::parse(path, shared.locations.prefix()),
        None => Err(RegistryError::PathUnknown("(not UTF-8)".to_owned())),
    };
    let handler = endpoint.as_ref().map_or(Handler::Other, Endpoint::handler);
    let in_flight = shared.metrics.request_started(handler);
    let answered = async {
        let (endpoint, error) = match endpoint {
            Ok(endpoint) => match route(&shared, &request, &mut payload, &endpoint).await {
                Ok(response) => {
                    if !request.method().is_safe() {
                        point(Point::Answer);
                    }
                    return response;
                }
                Err(error) => (Some(endpoint), error),
            },
            Err(error) => (None, error),
        };
        if error.leaves_a_body() {
            drain(&mut payload).await;
        }
        refuse(&shared, endpoint.as_ref(), &error)
    };
    let mut response = answered.instrument(span).await;
    let headers = response.headers_mut();
    let (name, value) = API_VERSION;
    headers.insert(name, value);
    for (name, value) in &shared.headers {
        headers.append(name.clone(), value.clone());
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    let sent = response.extensions_mut().remove::<Sent>();
    let finished = Finished {
        shared,
        request,
        received_at,
        in_flight: Some(in_flight),
    };
    response.map_body(|head, body| {
        BoxBody::new(Observed {
            body,
            bytes: 0,
            sent: sent.unwrap_or_default(),
            status: head.status.as_u16(),
            finished,
        })
    })
}

/// The answer to a request that failed.
fn refuse(shared: &Shared, endpoint: Option<&Endpoint>, error: &RegistryError) -> HttpResponse {
    if let RegistryError::TooMany(actor) = error {
        shared.metrics.mailbox_full(actor);
    }
    let mut response = error.error_response();
    let allowed = endpoint.and_then(|endpoint| endpoint.allowed_after(error));
    if let Some(value) = allowed.and_then(|allowed| HeaderValue::from_str(&allowed).ok()) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

async fn route(
    shared: &Shared,
    request: &HttpRequest,
    payload: &mut Payload,
    endpoint: &Endpoint,
) -> Result<HttpResponse, RegistryError> {
    let method = request.method();
    let is_probe = matches!(endpoint, Endpoint::Alive | Endpoint::Live | Endpoint::Ready);
    if !is_probe && !shared.health.is_healthy() {
        // As Distribution: while a check fails, every request is refused.
        return Err(RegistryError::Unhealthy);
    }
    // The future of a request has room for the largest of these, and is moved about: those that
    // pulls do not need lie elsewhere.
    let response = match (endpoint, method.as_str()) {
        (Endpoint::Alive | Endpoint::Live, "GET" | "HEAD") => base::alive(),
        (Endpoint::Ready, "GET" | "HEAD") => base::ready(shared).await?,
        (Endpoint::Base, "GET" | "HEAD") => base::base(),
        (Endpoint::Catalog, "GET" | "HEAD") => Box::pin(lists::catalog(shared, request)).await?,
        (Endpoint::Tags(name), "GET" | "HEAD") => {
            Box::pin(lists::tags(shared, request, name)).await?
        }
        (Endpoint::Referrers(name, digest), "GET" | "HEAD") => {
            Box::pin(lists::referrers(shared, request, name, digest)).await?
        }
        (Endpoint::Blob(name, digest), "HEAD") => {
            blobs::head(shared, request, name, digest).await?
        }
        (Endpoint::Blob(name, digest), "GET") => blobs::get(shared, request, name, digest).await?,
        (Endpoint::Blob(name, digest), "DELETE") => {
            Box::pin(blobs::delete(shared, name, digest)).await?
        }
        (Endpoint::Manifest(name, reference), "HEAD") => {
            manifests::head(shared, request, name, reference).await?
        }
        (Endpoint::Manifest(name, reference), "GET") => {
            manifests::get(shared, request, name, reference).await?
        }
        (Endpoint::Manifest(name, reference), "PUT") => {
            Box::pin(manifests::put(shared, request, payload, name, reference)).await?
        }
        (Endpoint::Manifest(name, reference), "DELETE") => {
            Box::pin(manifests::delete(shared, name, reference)).await?
        }
        (Endpoint::Uploads(name), "POST") => {
            Box::pin(uploads::begin(shared, request, payload, name)).await?
        }
        (Endpoint::Upload(name, id), "PATCH") => {
            Box::pin(uploads::patch(shared, request, payload, name, *id)).await?
        }
        (Endpoint::Upload(name, id), "PUT") => {
            Box::pin(uploads::put(shared, request, payload, name, *id)).await?
        }
        (Endpoint::Upload(name, id), "GET" | "HEAD") => {
            Box::pin(uploads::status(shared, request, name, *id)).await?
        }
        (Endpoint::Upload(name, id), "DELETE") => {
            Box::pin(uploads::cancel(shared, name, *id)).await?
        }
        (endpoint, method) => {
            return Err(RegistryError::MethodUnknown {
                method: method.chars().take(QUOTED_METHOD_MAX).collect(),
                allowed: endpoint.allowed(),
            });
        }
    };
    Ok(response)
}

/// The length of the body, if the request says so.
pub(super) fn content_length(request: &HttpRequest) -> Option<u64> {
    request
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The client's own id, if it is one that can stand in a log; otherwise a fresh one.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    let given = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let is_plain = |id: &&str| {
        !id.is_empty()
            && id.len() <= REQUEST_ID_BYTES_MAX
            && id.bytes().all(|b| b.is_ascii_graphic())
    };
    given
        .filter(is_plain)
        .map_or_else(|| fresh_id().to_string(), str::to_owned)
}

/// An id that no other request has. It is no secret, so each thread asks the system for randomness
/// once and not for every request: a keyed hash of a counter is as random.
fn fresh_id() -> Uuid {
    thread_local! {
        static SOURCE: (RandomState, Cell<u64>) = (RandomState::new(), Cell::new(0));
    }
    let halves = SOURCE.with(|(keys, counter)| {
        let count = counter.replace(counter.get().wrapping_add(1));
        [0_u8, 1].map(|half| keys.hash_one((half, count)))
    });
    let random = u128::from(halves[0]) << 64 | u128::from(halves[1]);
    uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid()
}

/// The path as the client meant it: `sha256%3A…` is a digest too. `None` when it is not UTF-8.
fn percent_decoded(path: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        // `from_str_radix` would take a sign for a digit.
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let text = std::str::from_utf8(&digits).ok()?;
        decoded.push(u8::from_str_radix(text, 16).ok()?);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once() {
        for (path, expected) in [
            ("/v2/a/blobs/sha256%3Aab", Some("/v2/a/blobs/sha256:ab")),
            ("/v2/%2561", Some("/v2/%61")),
            ("/%zz", None),
            ("/%+6", None),
            ("/%f", None),
            ("/%ff", None),
        ] {
            assert_eq!(percent_decoded(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn request_ids_can_stand_in_a_log() {
        let id_of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_static(text));
            request_id(&headers)
        };
        assert_eq!(id_of("abc-1"), "abc-1");
        assert_ne!(id_of("a b"), "a b");
        assert_eq!(request_id(&HeaderMap::new()).len(), 36);
    }

    #[test]
    fn fresh_ids_differ_on_every_thread() {
        const EACH: usize = 1_000;
        let some = || (0..EACH).map(|_| fresh_id()).collect::<Vec<_>>();
        let threads = [std::thread::spawn(some), std::thread::spawn(some)];
        let elsewhere = threads.into_iter().flat_map(|ids| ids.join().unwrap());
        let ids: std::collections::HashSet<_> = some().into_iter().chain(elsewhere).collect();
        assert_eq!(ids.len(), 3 * EACH);
        assert!(ids.iter().all(|id| id.get_version_num() == 4));
    }
}
