//! The bucket, and what is common to all requests to it.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use url::Url;

use super::client::Clients;
use super::failure::{Failure, mapped};
use super::options::Options;
use crate::error::{Error, Result};

/// A bucket, and the prefix in it that everything lies under.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) client: Client,
    public: Client,
    pub(super) options: Options,
    // Ends with a slash unless it is empty.
    root: String,
}

impl Bucket {
    pub(super) async fn new(options: Options) -> Result<Self> {
        let clients = Clients::new(&options).await?;
        let root = match options.root.as_str() {
            "" => String::new(),
            root => format!("{root}/"),
        };
        Ok(Self {
            client: clients.ours,
            public: clients.public,
            options,
            root,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.options.bucket
    }

    /// The key in the bucket of what is called `name` here.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    /// The reverse of [`Self::key`].
    pub(super) fn name_of<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.root)
    }

    /// What was being done, for an error.
    pub(super) fn subject(&self, action: &str, name: &str) -> String {
        format!("{action} s3://{}/{}{name}", self.options.bucket, self.root)
    }

    pub(super) fn failed<E>(&self, action: &str, name: &str, error: Failure<E>) -> Error
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        mapped(self.subject(action, name), error)
    }

    /// Whether a body is sent over TLS, which keeps it whole: then its hash is not signed too.
    pub(super) fn is_encrypted(&self) -> bool {
        let endpoint = self.options.endpoint.as_ref();
        endpoint.map_or(self.options.is_secure, |url| url.scheme() == "https")
    }

    pub(super) async fn signed_url(&self, name: &str, valid_for: Duration) -> Result<Url> {
        let unsuitable = |source: crate::error::Cause| Error::Unsuitable {
            subject: self.subject("sign a URL of", name),
            reason: "no URL can be made".to_owned(),
            source: Some(source),
        };
        let signing = PresigningConfig::expires_in(valid_for).map_err(|e| unsuitable(e.into()))?;
        let get = self
            .public
            .get_object()
            .bucket(self.name())
            .key(self.key(name));
        let signed = get.presigned(signing).await;
        let signed = signed.map_err(|error| self.failed("sign a URL of", name, error))?;
        Url::parse(signed.uri()).map_err(|error| unsuitable(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::Credentials;

    #[tokio::test]
    async fn signed_urls_keep_the_path_of_the_endpoint() {
        for (endpoint, expected) in [
            ("https://cdn.example.com", "/b/r/objects/x"),
            ("https://cdn.example.com/", "/b/r/objects/x"),
            ("https://cdn.example.com/s3", "/s3/b/r/objects/x"),
            ("https://cdn.example.com/s3/", "/s3/b/r/objects/x"),
        ] {
            let options = Options {
                bucket: "b".to_owned(),
                region: Some("r".to_owned()),
                endpoint: Some(Url::parse("http://127.0.0.1:1").unwrap()),
                public_endpoint: Some(Url::parse(endpoint).unwrap()),
                force_path_style: true,
                credentials: Some(Credentials {
                    access_key: "a".to_owned(),
                    secret_key: "s".to_owned(),
                    session_token: None,
                }),
                root: "r".to_owned(),
                is_secure: true,
                skip_verify: false,
                encrypt: false,
                key_id: None,
                storage_class: None,
                object_acl: None,
                use_dual_stack: false,
                accelerate: false,
                user_agent: Some("docker/20 build 1".to_owned()),
                log_requests: false,
                chunk_bytes: 10 << 20,
                buffer_bytes: 64 << 20,
            };
            let bucket = Bucket::new(options).await.unwrap();
            let signed = bucket
                .signed_url("objects/x", Duration::from_secs(60))
                .await;
            assert_eq!(signed.unwrap().path(), expected, "{endpoint}");
        }
    }
}
