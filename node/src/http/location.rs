//! Where things are, as the client must ask for them: `Location` and `Link`.
//!
//! As Distribution has it: `http.host` wins, then what a proxy forwards, then the `Host` of the
//! request; with `http.relativeurls`, only a path.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use roadstead_proto::{Digest, RepositoryName, UploadId};
use url::Url;

use crate::config::Http;

/// How addresses are made.
#[derive(Debug, Clone)]
pub(super) struct Locations {
    host: Option<Url>,
    is_relative: bool,
    prefix: String,
}

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

impl Locations {
    pub(super) fn new(http: &Http) -> Self {
        Self {
            host: http.host.clone(),
            is_relative: http.uses_relative_urls,
            prefix: http.prefix.clone(),
        }
    }

    /// What paths begin with: `/`, or `/…/`.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The address of a blob.
    pub(super) fn blob(
        &self,
        request: &HttpRequest,
        name: &RepositoryName,
        digest: &Digest,
    ) -> String {
        self.absolute(request, &format!("v2/{name}/blobs/{digest}"))
    }

    /// The address of a manifest.
    pub(super) fn manifest(
        &self,
        request: &HttpRequest,
        name: &RepositoryName,
        digest: &Digest,
    ) -> String {
        self.absolute(request, &format!("v2/{name}/manifests/{digest}"))
    }

    /// The address of an upload.
    pub(super) fn upload(
        &self,
        request: &HttpRequest,
        name: &RepositoryName,
        id: UploadId,
    ) -> String {
        self.absolute(request, &format!("v2/{name}/blobs/uploads/{id}"))
    }

    /// The path of a next page, which is relative to wherever the client is.
    pub(super) fn path(&self, below: &str) -> String {
        format!("{}{below}", self.prefix)
    }

    fn absolute(&self, request: &HttpRequest, below: &str) -> String {
        let path = self.path(below);
        if self.is_relative {
            return path;
        }
        if let Some(host) = &self.host {
            return format!("{}{path}", host.as_str().trim_end_matches('/'));
        }
        match origin(request) {
            Some(origin) => format!("{origin}{path}"),
            None => path,
        }
    }
}

/// `scheme://host` as the client sees it; `None` when nothing trustworthy says so.
fn origin(request: &HttpRequest) -> Option<String> {
    let headers = request.headers();
    let forwarded = first(headers, &header::FORWARDED).unwrap_or_default();
    let host = parameter(forwarded, "host")
        .or_else(|| first(headers, &FORWARDED_HOST))
        .or_else(|| first(headers, &header::HOST))
        .or_else(|| {
            request
                .uri()
                .authority()
                .map(|authority| authority.as_str())
        })?;
    let is_host =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    if host.is_empty() || !host.bytes().all(is_host) {
        return None;
    }
    let scheme = parameter(forwarded, "proto").or_else(|| first(headers, &FORWARDED_PROTO));
    let scheme = match scheme {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    };
    Some(format!("{scheme}://{host}"))
}

/// The first element of a header that may list several proxies, the outermost first.
fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?;
    value
        .split(',')
        .next()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

/// A parameter of a `Forwarded` element (RFC 7239).
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (key.trim().eq_ignore_ascii_case(name) && !value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_outermost_proxy_knows_what_the_client_sees() {
        for (headers, expected) in [
            (vec![("host", "r:5000")], Some("http://r:5000")),
            (
                vec![("host", "r"), ("x-forwarded-proto", "https")],
                Some("https://r"),
            ),
            (
                vec![
                    ("host", "r"),
                    ("x-forwarded-host", "a.b, c"),
                    ("x-forwarded-proto", "https"),
                ],
                Some("https://a.b"),
            ),
            (
                vec![
                    ("host", "r"),
                    ("forwarded", "for=1;proto=https;host=\"x:1\", host=y"),
                ],
                Some("https://x:1"),
            ),
            (
                vec![("host", "r"), ("forwarded", "for=1")],
                Some("http://r"),
            ),
            (vec![("host", "evil/path")], None),
            (vec![("host", "[::1]:5000")], Some("http://[::1]:5000")),
        ] {
            let mut request = TestRequest::default();
            for header in &headers {
                request = request.insert_header(*header);
            }
            let found = origin(&request.to_http_request());
            assert_eq!(found.as_deref(), expected, "{headers:?}");
        }
    }
}
