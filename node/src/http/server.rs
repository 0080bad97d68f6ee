//! The servers: listeners, what handlers share, start and stop.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_rt::net::TcpStream;
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, ServerHandle};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::connection::Connection;
use super::location::Locations;
use super::{debug, request};
use crate::config::{Address, Http};
use crate::health::Health;
use crate::limits::{
    Capacity, DEBUG_DRAIN_SECONDS, DISCONNECT_TIME, KEEP_ALIVE, MANIFEST_BYTES_AT_WORK,
    REQUEST_HEAD_TIME,
};
use crate::service::Registry;
use crate::telemetry::AccessLog;
use crate::telemetry::Metrics;

/// What a client that speaks HTTP/2 from the start begins with (RFC 9113, 3.4), as far as it comes
/// in one piece.
const H2_PREFACE: &[u8; 12] = b"PRI * HTTP/2";

/// What every request handler may look at.
#[derive(Debug)]
pub struct Shared {
    pub(super) registry: Registry,
    pub(super) health: Health,
    pub(super) metrics: Arc<Metrics>,
    pub(super) locations: Locations,
    // Room for manifests at work, in bytes.
    pub(super) manifest_room: Semaphore,
    pub(super) access_log: AccessLog,
    /// Headers that every answer gets (`http.headers`).
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
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

    /// The same listener once more, for a server that ends before this one begins.
    pub(super) fn another(&self) -> io::Result<TcpListener> {
        self.listener.try_clone()
    }

    /// The listener alone, for a server that is not HTTP.
    pub fn into_listener(self) -> TcpListener {
        self.listener
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
        // What `HttpServer` does, over a connection of our own.
        let builder = actix_server::Server::build();
        let draining = builder.graceful_shutdown_signal();
        // HTTP/2 without TLS is what `http.h2c` turns on; `http.http2` is about TLS.
        let is_h2c_enabled = http.is_h2c_enabled;
        let address = bound.address;
        let server = builder
            .workers(workers)
            .max_concurrent_connections((capacity.connections / workers).max(1))
            .shutdown_timeout(http.drain_timeout.as_secs())
            .disable_signals()
            .listen("api", bound.listener, move || {
                let draining = draining.clone();
                let app = App::new()
                    .app_data(data.clone())
                    .default_service(web::to(request::serve));
                let service = HttpService::build()
                    .keep_alive(KEEP_ALIVE)
                    .client_request_timeout(REQUEST_HEAD_TIME)
                    .client_disconnect_timeout(DISCONNECT_TIME)
                    .local_addr(address)
                    .graceful_shutdown_signal(move || {
                        let draining = draining.clone();
                        async move { draining.notified().await }
                    })
                    .on_connect_ext(|connection: &Connection, data| {
                        if let Some(lane) = connection.lane() {
                            data.insert(lane.clone());
                        }
                    })
                    // Names and addresses come from requests, never from this.
                    .finish(map_config(app, |()| AppConfig::default()));
                fn_service(move |stream| greet(stream, is_h2c_enabled)).and_then(service)
            })?;
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
        .shutdown_timeout(DEBUG_DRAIN_SECONDS)
        .disable_signals()
        .listen(bound.listener)?;
        Ok(Self::run(server.run()))
    }

    pub(super) fn run(server: actix_web::dev::Server) -> Self {
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

/// Finds out which protocol a client speaks.
async fn greet(
    stream: TcpStream,
    is_h2c_enabled: bool,
) -> Result<(Connection, Protocol, Option<SocketAddr>), DispatchError> {
    // It fails only when the client has gone already.
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr().ok();
    if is_h2c_enabled {
        let mut first = [0; H2_PREFACE.len()];
        // A client that says nothing must not hold its place for ever.
        let peeked = timeout(REQUEST_HEAD_TIME, stream.peek(&mut first)).await;
        peeked.map_err(|_elapsed| DispatchError::SlowRequestTimeout)??;
        if first == *H2_PREFACE {
            return Ok((Connection::without_lane(stream), Protocol::Http2, peer));
        }
    }
    Ok((Connection::with_lane(stream), Protocol::Http1, peer))
}
