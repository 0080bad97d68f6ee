//! The servers: listeners, what all requests have in common, and which handler gets which.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::SystemTime;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServerHandle;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, Version};
use actix_web::web::{Data, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError, web};
use bytes::Bytes;
use tokio::sync::Semaphore;
use tracing::Instrument;
use url::form_urlencoded;
use uuid::Uuid;

use super::body::drain;
use super::location::Locations;
use super::response::{API_VERSION, REQUEST_ID};
use super::routes::Endpoint;
use super::{base, blobs, debug, lists, manifests, uploads};
use crate::config::{Address, Http};
use crate::error::RegistryError;
use crate::health::Health;
use crate::limits::{
    Capacity, DISCONNECT_TIME, KEEP_ALIVE, MANIFEST_BYTES_AT_WORK, REQUEST_HEAD_TIME,
};
use crate::service::Registry;
use crate::telemetry::access_log::{AccessLog, Entry};
use crate::telemetry::metrics::{
    Completed, Handler, Method as CountedMethod, Metrics, RequestInFlight,
};

/// What every request handler may look at.
#[derive(Debug)]
pub struct Shared {
    pub(super) registry: Registry,
    pub(super) health: Health,
    pub(super) metrics: Arc<Metrics>,
    pub(super) locations: Locations,
    // Room for manifests at work, in bytes.
    pub(super) manifest_room: Semaphore,
    access_log: AccessLog,
    headers: Vec<(HeaderName, HeaderValue)>,
    is_draining: AtomicBool,
}

impl Shared {
    /// Puts the parts together.
    pub fn new(
        registry: Registry,
        health: Health,
        metrics: Arc<Metrics>,
        access_log: AccessLog,
        http: &Http,
    ) -> Self {
        let pairs = http.headers.iter().flat_map(|header| {
            header.values.iter().filter_map(|value| {
                // The configuration has checked both.
                let name = HeaderName::try_from(header.name.as_str()).ok()?;
                Some((name, HeaderValue::from_str(value).ok()?))
            })
        });
        Self {
            registry,
            health,
            metrics,
            locations: Locations::new(http),
            manifest_room: Semaphore::new(MANIFEST_BYTES_AT_WORK),
            access_log,
            headers: pairs.collect(),
            is_draining: AtomicBool::new(false),
        }
    }

    /// From now on load balancers are told to send requests elsewhere.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }
}

/// A listener that is bound and not yet served.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    /// Where it is bound.
    pub address: SocketAddr,
}

impl Bound {
    /// Binds the first of the addresses that can be bound.
    ///
    /// # Errors
    /// The error of the last one tried.
    pub fn bind(address: &Address) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "it names no address");
        for candidate in address.to_socket_addrs()? {
            match TcpListener::bind(candidate) {
                Ok(listener) => {
                    let address = listener.local_addr()?;
                    return Ok(Self { listener, address });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A running server.
pub struct Server {
    handle: ServerHandle,
    ended: tokio::task::JoinHandle<io::Result<()>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// Serves the API. Must be called inside an actix system.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(
        bound: Bound,
        http: &Http,
        capacity: Capacity,
        shared: &Arc<Shared>,
    ) -> io::Result<Self> {
        let data = Data::from(Arc::clone(shared));
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .default_service(web::to(serve))
        })
        .workers(workers)
        .max_connections((capacity.connections / workers).max(1))
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(REQUEST_HEAD_TIME)
        .client_disconnect_timeout(DISCONNECT_TIME)
        .tcp_nodelay(true)
        .shutdown_timeout(http.drain_timeout.as_secs())
        .disable_signals();
        // HTTP/2 without TLS is what `http.h2c` turns on; `http.http2` is about TLS.
        let server = if http.is_h2c_enabled {
            server.listen_auto_h2c(bound.listener)?
        } else {
            server.listen(bound.listener)?
        };
        Ok(Self::run(server.run()))
    }

    /// Serves what operators look at (`http.debug`).
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_debug(
        bound: Bound,
        config: &crate::config::Debug,
        shared: &Arc<Shared>,
    ) -> io::Result<Self> {
        let data = Data::from(Arc::clone(shared));
        let metrics_path = config
            .prometheus
            .is_enabled
            .then(|| config.prometheus.path.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(Data::new(debug::Paths {
                    metrics: metrics_path.clone(),
                }))
                .default_service(web::to(debug::serve))
        })
        .workers(1)
        .client_request_timeout(REQUEST_HEAD_TIME)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(bound.listener)?;
        Ok(Self::run(server.run()))
    }

    fn run(server: actix_web::dev::Server) -> Self {
        let handle = server.handle();
        Self {
            handle,
            ended: actix_rt::spawn(server),
        }
    }

    /// Takes no new connections and waits until requests in flight are answered, at most as long
    /// as `http.draintimeout` says.
    pub async fn stop(self, is_graceful: bool) {
        self.handle.stop(is_graceful).await;
        if let Ok(Err(error)) = self.ended.await {
            tracing::error!(%error, "the HTTP server ended with an error");
        }
    }
}

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
async fn serve(
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
        match endpoint {
            Ok(endpoint) => match route(&shared, &request, &mut payload, &endpoint).await {
                Ok(response) => response,
                Err(error) => {
                    drain(&mut payload).await;
                    refuse(&shared, Some(&endpoint), &error)
                }
            },
            Err(error) => {
                drain(&mut payload).await;
                refuse(&shared, None, &error)
            }
        }
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
    let response = match (endpoint, method.as_str()) {
        (Endpoint::Alive | Endpoint::Live, "GET" | "HEAD") => base::alive(),
        (Endpoint::Ready, "GET" | "HEAD") => base::ready(shared).await?,
        (Endpoint::Base, "GET" | "HEAD") => base::base(),
        (Endpoint::Catalog, "GET" | "HEAD") => lists::catalog(shared, request).await?,
        (Endpoint::Tags(name), "GET" | "HEAD") => lists::tags(shared, request, name).await?,
        (Endpoint::Referrers(name, digest), "GET" | "HEAD") => {
            lists::referrers(shared, request, name, digest).await?
        }
        (Endpoint::Blob(name, digest), "HEAD") => {
            blobs::head(shared, request, name, digest).await?
        }
        (Endpoint::Blob(name, digest), "GET") => blobs::get(shared, request, name, digest).await?,
        (Endpoint::Blob(name, digest), "DELETE") => blobs::delete(shared, name, digest).await?,
        (Endpoint::Manifest(name, reference), "HEAD") => {
            manifests::head(shared, request, name, reference).await?
        }
        (Endpoint::Manifest(name, reference), "GET") => {
            manifests::get(shared, request, name, reference).await?
        }
        (Endpoint::Manifest(name, reference), "PUT") => {
            manifests::put(shared, request, payload, name, reference).await?
        }
        (Endpoint::Manifest(name, reference), "DELETE") => {
            manifests::delete(shared, name, reference).await?
        }
        (Endpoint::Uploads(name), "POST") => uploads::begin(shared, request, payload, name).await?,
        (Endpoint::Upload(name, id), "PATCH") => {
            uploads::patch(shared, request, payload, name, *id).await?
        }
        (Endpoint::Upload(name, id), "PUT") => {
            uploads::put(shared, request, payload, name, *id).await?
        }
        (Endpoint::Upload(name, id), "GET" | "HEAD") => {
            uploads::status(shared, request, name, *id).await?
        }
        (Endpoint::Upload(name, id), "DELETE") => uploads::cancel(shared, name, *id).await?,
        (endpoint, method) => {
            return Err(RegistryError::MethodUnknown {
                method: method.chars().take(20).collect(),
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
fn request_id(headers: &HeaderMap) -> String {
    const BYTES_MAX: usize = 128;
    let given = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let is_plain = |id: &&str| {
        !id.is_empty() && id.len() <= BYTES_MAX && id.bytes().all(|b| b.is_ascii_graphic())
    };
    given
        .filter(is_plain)
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
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

/// What is recorded when the last byte is out, or the client has gone.
struct Finished {
    shared: Data<Shared>,
    request: HttpRequest,
    received_at: SystemTime,
    // Taken when it is done.
    in_flight: Option<RequestInFlight>,
}

/// A body that counts what is sent of it.
struct Observed {
    body: BoxBody,
    bytes: u64,
    status: u16,
    finished: Finished,
}

impl MessageBody for Observed {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(context);
        if let Poll::Ready(Some(Ok(data))) = &polled {
            self.bytes += data.len() as u64;
        }
        polled
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let in_flight = self.finished.in_flight.take();
        let Finished {
            shared,
            request,
            received_at,
            ..
        } = &self.finished;
        // Small bodies are handed over whole and never polled.
        let response_bytes = match self.body.size() {
            BodySize::Sized(size) if self.bytes == 0 && request.method() != Method::HEAD => size,
            _ => self.bytes,
        };
        if let Some(in_flight) = in_flight {
            in_flight.complete(Completed {
                method: CountedMethod::of(request.method().as_str()),
                status: self.status,
                request_bytes: content_length(request).unwrap_or(0),
                response_bytes,
            });
        }
        if !shared.access_log.is_enabled() {
            return;
        }
        let headers = request.headers();
        shared.access_log.record(&Entry {
            remote: request.peer_addr().map(|address| address.ip()),
            user: None,
            received_at: *received_at,
            method: request.method().as_str(),
            target: request
                .uri()
                .path_and_query()
                .map_or("-", |target| target.as_str()),
            protocol: protocol(request.version()),
            status: self.status,
            bytes: response_bytes,
            referer: headers.get(header::REFERER).map(HeaderValue::as_bytes),
            user_agent: headers.get(header::USER_AGENT).map(HeaderValue::as_bytes),
        });
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
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
}
