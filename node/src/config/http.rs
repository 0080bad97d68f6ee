//! The section `http`: where and how the registry is served.

use std::time::Duration;

use url::Url;

use super::Defaults;
use super::address::Address;
use super::headers::{self, Header};
use super::reader::{Section, expected};
use super::unbuilt;

const ADDRESS: super::reader::Expected = expected(
    "host:port with an IPv6 address in brackets",
    "localhost:5000 or :5000",
);

/// Where and how the registry is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// `http.addr`: where to listen. Default `:5000`, which is what Distribution's examples say.
    pub addr: Address,
    /// `http.prefix`: the path below which everything is served. It begins and ends with `/`.
    /// Default `/`, as in Distribution.
    pub prefix: String,
    /// `http.host`: the address that clients know, used for `Location`. It is `http` or `https`
    /// and has no user, query or fragment. Default none, as in Distribution: requests tell.
    pub host: Option<Url>,
    /// `http.relativeurls`: whether `Location` holds a path only. Default false, as in
    /// Distribution.
    pub uses_relative_urls: bool,
    /// `http.draintimeout`: how long to finish requests after a signal to stop. Default 60 s;
    /// Distribution's is zero, which there and here means that nothing is waited for.
    pub drain_timeout: Duration,
    /// `http.headers`: headers for every response. Default none, as in Distribution.
    pub headers: Vec<Header>,
    /// `http.http2.disabled`: whether only HTTP/1.1 is spoken. Default false, as in Distribution.
    pub is_http2_disabled: bool,
    /// `http.h2c.enabled`: whether HTTP/2 is spoken without TLS. Default false with a file, as in
    /// Distribution; without one true, unless HTTP/2 is disabled.
    pub is_h2c_enabled: bool,
    /// `http.debug`: a second port, for operators. Default none, as in Distribution.
    pub debug: Option<Debug>,
}

/// A port for operators, which must not be reachable by strangers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debug {
    /// `http.debug.addr`: where to listen. There is no debug port without it.
    pub addr: Address,
    /// `http.debug.prometheus`: metrics.
    pub prometheus: Prometheus,
}

/// Metrics for Prometheus on the debug port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prometheus {
    /// `http.debug.prometheus.enabled`: whether they are served. Default false, as in
    /// Distribution.
    pub is_enabled: bool,
    /// `http.debug.prometheus.path`: where they are served; begins with `/`. Default `/metrics`,
    /// as in Distribution.
    pub path: String,
}

impl Http {
    /// Reads `http` from the whole configuration.
    pub(super) fn read(root: &mut Section<'_>, defaults: Defaults) -> Self {
        const PORT: u16 = 5000;
        const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
        let mut section = root.section("http");
        unbuilt::warn_if_needless(&mut section, "secret");
        unbuilt::refuse_net(&mut section);
        unbuilt::refuse_key(
            &mut section,
            "tls",
            "without it everything would be sent in the clear",
        );
        let is_http2_disabled = section.section("http2").boolean("disabled", false);
        let h2c_default = defaults == Defaults::WithoutFile && !is_http2_disabled;
        let prefix_wanted = expected("a path of letters, digits and -._~", "/registry/");
        let host_wanted = expected(
            "an http or https address without query",
            "https://registry.example.com",
        );
        Self {
            addr: section
                .parsed("addr", ADDRESS, Address::parse)
                .unwrap_or_else(|| Address::every(PORT)),
            prefix: section
                .parsed("prefix", prefix_wanted, prefix)
                .unwrap_or_else(|| "/".to_owned()),
            host: section.parsed("host", host_wanted, public_address),
            uses_relative_urls: section.boolean("relativeurls", false),
            drain_timeout: section.duration("draintimeout", Duration::ZERO, DRAIN_TIMEOUT),
            headers: headers::read(&mut section, "headers"),
            is_http2_disabled,
            is_h2c_enabled: section.section("h2c").boolean("enabled", h2c_default),
            debug: debug(&mut section.section("debug")),
        }
    }
}

fn debug(section: &mut Section<'_>) -> Option<Debug> {
    let addr = section.parsed("addr", ADDRESS, Address::parse);
    let has_address = section.node("addr").is_some();
    let mut prometheus = section.section("prometheus");
    let is_enabled = prometheus.boolean("enabled", false);
    if is_enabled && !has_address {
        let message = "http.debug.prometheus has no effect without http.debug.addr";
        prometheus.report().warn(prometheus.origin(), message);
    }
    let path = prometheus
        .parsed("path", expected("a path", "/metrics"), metrics_path)
        .unwrap_or_else(|| "/metrics".to_owned());
    Some(Debug {
        addr: addr?,
        prometheus: Prometheus { is_enabled, path },
    })
}

/// Normalizes a prefix to begin and end with `/`.
fn prefix(text: &str) -> Option<String> {
    let path = text.trim_matches('/');
    if path.is_empty() {
        return Some("/".to_owned());
    }
    // A segment of dots would be resolved away by clients and proxies.
    let fits = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(unreserved)
    };
    path.split('/').all(fits).then(|| format!("/{path}/"))
}

fn unreserved(byte: u8) -> bool {
    // RFC 3986, 2.3.
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn metrics_path(text: &str) -> Option<String> {
    let allowed = |byte: u8| unreserved(byte) || byte == b'/';
    (text.starts_with('/') && text.bytes().all(allowed)).then(|| text.to_owned())
}

fn public_address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    is_plain.then_some(url)
}
