//! Connections between nodes, and of operators: TLS on both sides, or in the clear.
//!
//! Whoever has a certificate of the CA is believed; which node it is, and of which cluster, every
//! call says (`place`). The files are looked at for each new connection, so that certificates are
//! renewed without a restart; connections that exist go on with what they began with.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use futures::{Stream, StreamExt, stream};
use hyper_util::rt::TokioIo;
use rustls::client::{Resumption, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::server::{Connected, TcpConnectInfo};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::limits::{ACCEPT_PAUSE, HANDSHAKE_TIME, HANDSHAKES_MAX};

/// The files that a node, or an operator, is known by, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the CA.
    pub ca: PathBuf,
    /// The own certificate, with what leads from it to the CA.
    pub certificate: PathBuf,
    /// The private key of that.
    pub key: PathBuf,
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}: {reason}", .path.display())]
pub struct TlsError {
    path: PathBuf,
    reason: String,
}

/// What both sides of a connection prove themselves by. It is read again when the files change.
pub struct Tls {
    files: TlsFiles,
    loaded: Mutex<Loaded>,
}

#[derive(Clone)]
struct Loaded {
    // When each file was changed, as far as is known.
    changed: [Option<SystemTime>; 3],
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    // Seconds since 1970.
    expires: i64,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`], with the file and what is wrong with it.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let loaded = Mutex::new(load(&files)?);
        Ok(Self { files, loaded })
    }

    /// Whether others that reach this node at a host will believe it.
    ///
    /// # Errors
    /// [`TlsError`] when the certificate is for other hosts, or has ended.
    pub fn check(&self, host: &str) -> Result<(), TlsError> {
        let path = &self.files.certificate;
        let chain = certificates(path)?;
        let leaf = chain.first().ok_or_else(|| error(path, "it is empty"))?;
        let parsed = ParsedCertificate::try_from(leaf).map_err(|reason| error(path, reason))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|reason| error(path, reason))?;
        verify_server_name(&parsed, &name).map_err(|_| {
            error(
                path,
                format!("it is not for {host}, where others reach this node"),
            )
        })?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let expires = u64::try_from(self.expires()).unwrap_or_default();
        if expires < now.as_secs() {
            return Err(error(path, "it has ended"));
        }
        Ok(())
    }

    /// When the own certificate ends, in seconds since 1970.
    pub fn expires(&self) -> i64 {
        self.current().expires
    }

    /// What the files hold now. Files that cannot be used, as while they are being written, are
    /// passed over until they can.
    fn current(&self) -> Loaded {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = changed(&self.files);
        if changed != loaded.changed {
            match load(&self.files) {
                Ok(fresh) => {
                    tracing::info!("the certificates have changed");
                    *loaded = fresh;
                }
                Err(error) => {
                    tracing::error!(%error, "the former certificates stay in use");
                    loaded.changed = changed;
                }
            }
        }
        loaded.clone()
    }

    async fn accept(&self, stream: TcpStream) -> io::Result<Connection> {
        let accepted = TlsAcceptor::from(self.current().server).accept(stream);
        let stream = in_time(accepted).await?;
        Ok(Connection::Tls(Box::new(TlsStream::from(stream))))
    }

    async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<Connection> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connected = TlsConnector::from(self.current().client).connect(name, stream);
        let stream = in_time(connected).await?;
        Ok(Connection::Tls(Box::new(TlsStream::from(stream))))
    }
}

async fn in_time<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(HANDSHAKE_TIME, handshake).await {
        Ok(shaken) => shaken,
        Err(elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)),
    }
}

fn changed(files: &TlsFiles) -> [Option<SystemTime>; 3] {
    [&files.ca, &files.certificate, &files.key].map(|path| {
        std::fs::metadata(path)
            .and_then(|found| found.modified())
            .ok()
    })
}

fn error(path: &Path, reason: impl ToString) -> TlsError {
    TlsError {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).map_err(|reason| error(path, reason))?;
    let found: Result<Vec<_>, _> = found.collect();
    let found = found.map_err(|reason| error(path, reason))?;
    if found.is_empty() {
        return Err(error(path, "it holds no certificate in PEM"));
    }
    Ok(found)
}

fn load(files: &TlsFiles) -> Result<Loaded, TlsError> {
    // Before they are read: what changes meanwhile is read again.
    let changed = changed(files);
    let mut roots = RootCertStore::empty();
    for root in certificates(&files.ca)? {
        roots.add(root).map_err(|reason| error(&files.ca, reason))?;
    }
    let roots = Arc::new(roots);
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key);
    let key = key.map_err(|reason| error(&files.key, reason))?;
    let expires = expiry(&chain).ok_or_else(|| error(&files.certificate, "it cannot be read"))?;
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let unfit = |reason: rustls::Error| error(&files.certificate, reason);
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
    let verifier = verifier.build();
    let verifier = verifier.map_err(|reason| error(&files.ca, reason))?;
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(unfit)?;
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(unfit)?;
    // A session that goes on shows no certificate, which may have ended since.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    client.resumption = Resumption::disabled();
    server.alpn_protocols = vec![b"h2".to_vec()];
    client.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Loaded {
        changed,
        server: Arc::new(server),
        client: Arc::new(client),
        expires,
    })
}

fn expiry(chain: &[CertificateDer<'_>]) -> Option<i64> {
    let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
    Some(leaf.validity().not_after.timestamp())
}

/// Connections that are as they should be. Those that are not are refused, and said in the log.
pub(super) fn incoming(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
) -> impl Stream<Item = io::Result<Connection>> {
    let accepted = stream::unfold(listener, |listener| async move {
        loop {
            match listener.accept().await {
                Ok(accepted) => return Some((accepted, listener)),
                Err(error) => {
                    // Too many open files: some are closed in a moment.
                    tracing::warn!(%error, "a connection of another node was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
    let shaken = accepted.map(move |(stream, peer)| {
        let tls = tls.clone();
        async move {
            stream.set_nodelay(true).ok()?;
            let Some(tls) = tls else {
                return Some(Ok(Connection::Plain(stream)));
            };
            match tls.accept(stream).await {
                Ok(connection) => Some(Ok(connection)),
                Err(error) => {
                    tracing::warn!(%peer, %error, "a connection to `cluster.listen` is refused");
                    None
                }
            }
        }
    });
    shaken
        .buffer_unordered(HANDSHAKES_MAX)
        .filter_map(std::future::ready)
}

/// Makes connections to nodes.
#[derive(Debug, Clone)]
pub struct Connector {
    tls: Option<Arc<Tls>>,
}

impl Connector {
    /// Connects by TLS, or in the clear.
    pub fn new(tls: Option<Arc<Tls>>) -> Self {
        Self { tls }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Connection>>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else {
                return Err(io::Error::other(format!("{uri} is no host with a port")));
            };
            let address = (host.trim_start_matches('[').trim_end_matches(']'), port);
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let connection = match tls {
                Some(tls) => tls.connect(host, stream).await?,
                None => Connection::Plain(stream),
            };
            Ok(TokioIo::new(connection))
        })
    }
}

/// A connection, of either side.
#[derive(Debug)]
pub enum Connection {
    /// In the clear.
    Plain(TcpStream),
    /// Both sides have shown a certificate.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        match self {
            Self::Plain(stream) => stream.connect_info(),
            Self::Tls(stream) => stream.get_ref().0.connect_info(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
