//! How requests reach the store: HTTP/1.1 over TCP, with TLS by rustls where the address says so.
//!
//! The SDK's own connector cannot be told to take a certificate as it comes (`skipverify`), nor to
//! log what it sends (`loglevel`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{
    CaptureConnection, HttpConnector as TcpConnector, capture_connection,
};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::error::{Error, Result};
use crate::limits::{STORE_CONNECT_TIME, STORE_CONNECTIONS_IDLE, STORE_IDLE_TIME};

/// A client for the SDK.
pub(super) fn http_client(skip_verify: bool, log_requests: bool) -> Result<SharedHttpClient> {
    let mut tcp = TcpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(STORE_CONNECT_TIME));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls(skip_verify)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(STORE_IDLE_TIME)
        .pool_max_idle_per_host(STORE_CONNECTIONS_IDLE)
        .build(https);
    let connector = SharedHttpConnector::new(Connector {
        client,
        log_requests,
    });
    Ok(http_client_fn(move |_, _| connector.clone()))
}

fn tls(skip_verify: bool) -> Result<ClientConfig> {
    let unsuitable = |reason: String, source| Error::Unsuitable {
        subject: "storage.s3".to_owned(),
        reason,
        source: Some(source),
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unsuitable("TLS cannot be set up".to_owned(), error.into()))?;
    if skip_verify {
        let verifier = Arc::new(Unverified(provider));
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        return Ok(builder.with_no_client_auth());
    }
    let builder = builder.with_native_roots().map_err(|error| {
        let reason = "this machine has no certificates to know servers by; install \
                      ca-certificates, or name a file in SSL_CERT_FILE";
        unsuitable(reason.to_owned(), error.into())
    })?;
    Ok(builder.with_no_client_auth())
}

#[derive(Clone, Debug)]
struct Connector {
    client: Client<HttpsConnector<TcpConnector>, SdkBody>,
    log_requests: bool,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move {
            if !connector.log_requests {
                return connector.send(request).await;
            }
            let (method, uri) = (request.method().to_owned(), request.uri().to_owned());
            let began = Instant::now();
            let answer = connector.send(request).await;
            log(&method, &uri, began.elapsed(), &answer);
            answer
        })
    }
}

impl Connector {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let mut request = request
            .try_into_http1x()
            .map_err(|error| ConnectorError::user(error.into()))?;
        let used = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || Some(described(&used)));
        }
        let answer = self.client.request(request).await.map_err(|error| {
            let is_connect = error.is_connect();
            let error = ConnectorError::io(error.into());
            if is_connect {
                error.never_connected()
            } else {
                error
            }
        })?;
        HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
            .map_err(|error| ConnectorError::other(error.into(), None))
    }
}

/// Tells the SDK how to have a connection that misbehaved not used again.
fn described(used: &CaptureConnection) -> ConnectionMetadata {
    let used = used.clone();
    let poison = move || {
        if let Some(connection) = used.connection_metadata().as_ref() {
            connection.poison();
        }
    };
    ConnectionMetadata::builder()
        .proxied(false)
        .poison_fn(poison)
        .build()
}

/// Without the query: a signature may stand there.
fn log(method: &str, uri: &str, took: Duration, answer: &Result<HttpResponse, ConnectorError>) {
    let path = uri.split('?').next().unwrap_or_default();
    let milliseconds = took.as_millis();
    match answer {
        Ok(answer) => {
            let status = answer.status().as_u16();
            tracing::info!(method, path, status, milliseconds, "asked the store");
        }
        Err(error) => tracing::info!(method, path, %error, milliseconds, "asked the store in vain"),
    }
}

/// Takes every certificate: for `skipverify`. What a server signs must still be signed rightly.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
