//! One look at one thing that the node depends on.
//!
//! It does not remember earlier looks. Its answer is a sentence that an operator can act on.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request};
use roadstead_storage::BlobStore;
use tokio::net::TcpStream;
use url::Url;

use crate::config::{Header, HttpCheck, TcpCheck};
use crate::limits::HEALTH_CHECK_TIME;

/// Something to look at.
pub(super) enum Check {
    /// The object store can be used.
    Store(Arc<dyn BlobStore>),
    /// The file does not exist.
    File(PathBuf),
    /// The address answers with the right status.
    Http(Box<Http>),
    /// The port accepts connections.
    Tcp(Tcp),
}

pub(super) struct Http {
    uri: Url,
    status_code: u16,
    limit: Duration,
    /// What to send and with what, or why that cannot be made.
    prepared: Result<(Client, Request), String>,
}

pub(super) struct Tcp {
    name: String,
    host: String,
    port: u16,
    limit: Duration,
}

impl Check {
    pub(super) fn http(config: &HttpCheck) -> Self {
        Self::Http(Box::new(Http {
            uri: config.uri.clone(),
            status_code: config.status_code,
            limit: config.timeout,
            prepared: prepare(config),
        }))
    }

    pub(super) fn tcp(config: &TcpCheck) -> Self {
        Self::Tcp(Tcp {
            name: config.addr.to_string(),
            // As Go does: no host is this machine.
            host: config.addr.host().unwrap_or("localhost").to_owned(),
            port: config.addr.port(),
            limit: config.timeout,
        })
    }

    /// The name that Distribution gives it, but without a password.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Store(store) => format!("storagedriver_{}", store.name()),
            Self::File(path) => path.display().to_string(),
            Self::Http(http) => without_password(&http.uri),
            Self::Tcp(tcp) => tcp.name.clone(),
        }
    }

    /// How long it may take.
    pub(super) fn limit(&self) -> Duration {
        match self {
            Self::Store(_) | Self::File(_) => HEALTH_CHECK_TIME,
            Self::Http(http) => http.limit,
            Self::Tcp(tcp) => tcp.limit,
        }
    }

    /// Whether one that hangs may be dropped and made anew.
    ///
    /// A call that hangs in a file system holds a thread until it ends. Were it made again and
    /// again, it would in time hold all of them.
    pub(super) fn can_be_dropped(&self) -> bool {
        match self {
            Self::Store(_) | Self::File(_) => false,
            Self::Http(_) | Self::Tcp(_) => true,
        }
    }

    /// Looks. The caller sets a limit to how long that takes.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub(super) async fn run(&self) -> Result<(), String> {
        match self {
            Self::Store(store) => store.check().await.map_err(|error| sentence(&error)),
            Self::File(path) => is_absent(path).await,
            Self::Http(http) => http.run().await,
            Self::Tcp(tcp) => tcp.run().await,
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Check({})", self.name())
    }
}

async fn is_absent(path: &Path) -> Result<(), String> {
    match tokio::fs::metadata(path).await {
        Ok(_) => Err("the file exists, which takes this node out of service".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("nobody can tell whether the file exists: {error}")),
    }
}

impl Http {
    async fn run(&self) -> Result<(), String> {
        let (client, request) = self.prepared.as_ref().map_err(Clone::clone)?;
        // A request without a body can always be cloned.
        let request = request
            .try_clone()
            .ok_or("the request cannot be repeated")?;
        let response = client
            .execute(request)
            .await
            // The name says the address, and the address may hold a password.
            .map_err(|error| format!("there is no answer: {}", sentence(&error.without_url())))?;
        let (found, expected) = (response.status().as_u16(), self.status_code);
        if found == expected {
            return Ok(());
        }
        Err(format!(
            "the answer has status {found} instead of {expected}"
        ))
    }
}

/// A `HEAD`, as Distribution sends it.
fn prepare(config: &HttpCheck) -> Result<(Client, Request), String> {
    let client = Client::builder()
        // A kept connection may be one that its other end has forgotten.
        .pool_max_idle_per_host(0)
        .build()
        .map_err(|error| format!("the request cannot be made: {}", sentence(&error)))?;
    let mut request = Request::new(Method::HEAD, config.uri.clone());
    for header in &config.headers {
        append(request.headers_mut(), header)
            .map_err(|error| format!("{} cannot be sent: {error}", header.name))?;
    }
    Ok((client, request))
}

fn append(headers: &mut HeaderMap, header: &Header) -> Result<(), Box<dyn Error>> {
    let name = HeaderName::from_bytes(header.name.as_bytes())?;
    for value in &header.values {
        let mut value = HeaderValue::from_bytes(value.as_bytes())?;
        value.set_sensitive(true);
        headers.append(&name, value);
    }
    Ok(())
}

fn without_password(uri: &Url) -> String {
    let mut shown = uri.clone();
    // It fails for an address that cannot have one.
    let _ = shown.set_password(None);
    shown.into()
}

impl Tcp {
    async fn run(&self) -> Result<(), String> {
        let connected = TcpStream::connect((self.host.as_str(), self.port)).await;
        connected
            .map(drop)
            .map_err(|error| format!("the connection failed: {error}"))
    }
}

/// An error with what lies beneath it, where that says more.
fn sentence(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut beneath = error.source();
    while let Some(error) = beneath {
        let reason = error.to_string();
        if !sentence.ends_with(&reason) {
            // Writing to a string does not fail.
            let _ = write!(sentence, ": {reason}");
        }
        beneath = error.source();
    }
    sentence
}
