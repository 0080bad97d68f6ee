//! The SDK's client, made of the settings.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    AppName, BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, SharedCredentialsProvider, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use url::Url;

use super::connector::http_client;
use super::options::Options;
use crate::error::{Error, Result};
use crate::limits::{
    STORE_ATTEMPT_TIME, STORE_ATTEMPTS_MAX, STORE_BACKOFF_MAX, STORE_OPERATION_TIME,
};

/// What AWS's own servers want of a client that has an endpoint and no region; others take any.
const REGION_OF_ENDPOINTS: &str = "us-east-1";

/// A client of the store as the node reaches it, and one as its clients do.
pub(super) struct Clients {
    pub(super) ours: Client,
    pub(super) public: Client,
}

impl Clients {
    pub(super) async fn new(options: &Options) -> Result<Self> {
        let http = http_client(options.skip_verify, options.log_requests)?;
        let (region, credentials) = region_and_credentials(options, &http).await?;
        let builder = builder(options, &region)?
            .http_client(http)
            .region(Region::new(region))
            .credentials_provider(credentials);
        let public = match &options.public_endpoint {
            Some(endpoint) => builder.clone().endpoint_url(text(endpoint)),
            None => builder.clone(),
        };
        Ok(Self {
            ours: Client::from_conf(builder.build()),
            public: Client::from_conf(public.build()),
        })
    }
}

fn unsuitable(reason: impl Into<String>) -> Error {
    Error::Unsuitable {
        subject: "storage.s3".to_owned(),
        reason: reason.into(),
        source: None,
    }
}

/// The SDK puts the bucket right behind it.
fn text(endpoint: &Url) -> String {
    match endpoint.as_str().trim_end_matches('/') {
        text if endpoint.path().trim_end_matches('/').is_empty() => text.to_owned(),
        text => format!("{text}/"),
    }
}

/// A name as the SDK takes it: Distribution's key is any text.
fn app_name(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let replaced = text.chars().map(|c| if allowed(c) { c } else { '-' });
    replaced.collect()
}

/// Those that are configured, or those that AWS's usual places tell.
async fn region_and_credentials(
    options: &Options,
    http: &SharedHttpClient,
) -> Result<(String, SharedCredentialsProvider)> {
    let given = options.credentials.as_ref().map(|given| {
        SharedCredentialsProvider::new(Credentials::new(
            &given.access_key,
            &given.secret_key,
            given.session_token.clone(),
            None,
            "configuration",
        ))
    });
    let of_endpoint = options
        .endpoint
        .as_ref()
        .map(|_| REGION_OF_ENDPOINTS.to_owned());
    let region = options.region.clone().or(of_endpoint);
    let (region, credentials) = match (region, given) {
        (Some(region), Some(credentials)) => return Ok((region, credentials)),
        missing => missing,
    };
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http.clone());
    if let Some(region) = &region {
        loader = loader.region(Region::new(region.clone()));
    }
    let found = loader.load().await;
    let region = region.or_else(|| found.region().map(ToString::to_string));
    let region = region.ok_or_else(|| {
        unsuitable("no region is known; set storage.s3.region, for example eu-central-1")
    })?;
    let credentials = credentials.or_else(|| found.credentials_provider());
    let credentials = credentials.ok_or_else(|| {
        unsuitable(
            "no credentials are known; set storage.s3.accesskey and storage.s3.secretkey, or give \
             this machine a role",
        )
    })?;
    Ok((region, credentials))
}

fn builder(options: &Options, region: &str) -> Result<Builder> {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(STORE_ATTEMPT_TIME)
        .operation_timeout(STORE_OPERATION_TIME);
    let retries = RetryConfig::standard()
        .with_max_attempts(STORE_ATTEMPTS_MAX)
        .with_max_backoff(STORE_BACKOFF_MAX);
    let mut builder = Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .force_path_style(options.force_path_style)
        .use_dual_stack(options.use_dual_stack)
        .accelerate(options.accelerate)
        .disable_s3_express_session_auth(true)
        // Several servers refuse what AWS's newer checksums put around a body.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        // Signed URLs cannot be corrected, so that a clock that is off has to show.
        .disable_clock_skew_correction(true)
        // A slow client is no stalled store; the reader has a time limit of its own.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(timeouts.build())
        .retry_config(retries);
    if let Some(endpoint) = &options.endpoint {
        builder = builder.endpoint_url(text(endpoint));
    } else if !options.is_secure {
        builder = builder.endpoint_url(format!("http://s3.{region}.amazonaws.com"));
    }
    if let Some(name) = &options.user_agent {
        let name = AppName::new(app_name(name));
        let name = name.map_err(|_| unsuitable("useragent names nobody".to_owned()))?;
        builder = builder.app_name(name);
    }
    Ok(builder)
}
