//! `Answer`: what the registry answered, and what must hold for every answer whatever was asked.
//!
//! The checks that panic name the request, so that a failure can be read without the test.

use std::fmt;

use bytes::Bytes;
use reqwest::Version;
use reqwest::header::HeaderMap;
use roadstead_proto::Digest;
use serde_json::Value;

/// Most bytes of a body that a failure shows.
const SHOWN_BYTES_MAX: usize = 2000;

/// A whole answer to one request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The request, as failures name it.
    pub request: String,
    /// The status.
    pub status: u16,
    /// The version of HTTP that it came in.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The first error of an OCI error body.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The request that was refused.
    pub request: String,
    /// The code.
    pub code: String,
    /// What it says to people.
    pub message: String,
    /// What it says to programs.
    pub detail: Value,
}

impl Answer {
    /// Panics unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Panics unless it is this status with an OCI error body of this code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Refusal {
        let refusal = self.refused_somehow(status);
        assert_eq!(refusal.code, code, "{refusal}");
        refusal
    }

    /// Panics unless it is this status with an OCI error body, whatever its code.
    #[track_caller]
    pub fn refused_somehow(self, status: u16) -> Refusal {
        let answer = self.expect(status);
        assert!(
            answer
                .header("content-type")
                .starts_with("application/json"),
            "{answer}"
        );
        let errors = &answer.json()["errors"];
        let error = errors
            .get(0)
            .unwrap_or_else(|| panic!("no error in {answer}"));
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        let (code, message) = (text("code"), text("message"));
        let is_code = !code.is_empty() && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        assert!(is_code, "the code is not one: {answer}");
        assert!(!message.is_empty(), "no message in {answer}");
        Refusal {
            request: answer.request,
            code,
            message,
            detail: error["detail"].clone(),
        }
    }

    /// The value of a header that must be there, and be there once.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        let [value] = values.as_slice() else {
            panic!("{} times the header {name} in {self}", values.len());
        };
        match value.to_str() {
            Ok(text) => text,
            Err(_) => panic!("the header {name} is not text in {self}"),
        }
    }

    /// The values of a header that may come several times or as a list.
    pub fn list(&self, name: &str) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect()
    }

    /// Whether the header is there.
    pub fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {self}"),
        }
    }

    /// The target of the `Link` with `rel="next"`, if there is one.
    #[track_caller]
    pub fn next_page(&self) -> Option<String> {
        if !self.has("link") {
            return None;
        }
        let link = self.header("link");
        let target = link.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        match target {
            Some((target, parameters)) if parameters.contains("rel=\"next\"") => {
                Some(target.to_owned())
            }
            _ => panic!("the Link cannot be read: {self}"),
        }
    }

    /// Panics unless it is what every answer of the registry must be.
    ///
    /// Every answer carries the API version and a request id; every error of a request that has
    /// a body is an OCI error; a 405 says what is allowed; a 429 or 503 says when to come back; a
    /// digest is one; warnings have the form that the specification wants.
    #[track_caller]
    pub(crate) fn check_promises(&self) {
        assert_eq!(
            self.header("docker-distribution-api-version"),
            "registry/2.0",
            "{self}"
        );
        assert!(!self.header("x-request-id").is_empty(), "{self}");
        if self.has("docker-content-digest") {
            let digest = self.header("docker-content-digest");
            assert!(digest.parse::<Digest>().is_ok(), "{digest} in {self}");
        }
        if self.status == 405 {
            assert!(self.has("allow"), "a 405 without Allow: {self}");
        }
        if matches!(self.status, 429 | 503) {
            let seconds = self.header("retry-after").parse::<u32>();
            assert!(seconds.is_ok(), "Retry-After is no number: {self}");
        }
        assert_ne!(self.status, 500, "a defect of the registry: {self}");
        if self.status >= 400 && !self.request.starts_with("HEAD ") {
            self.clone().refused_somehow(self.status);
        }
        for warning in self.headers.get_all("warning") {
            let text = warning.to_str().unwrap_or_default();
            assert!(text.starts_with("299 - \""), "{text} in {self}");
        }
    }
}

impl Refusal {
    /// Panics unless the message or the detail contains this.
    #[track_caller]
    pub fn names(&self, what: &str) -> &Self {
        let is_named = self.message.contains(what) || self.detail.to_string().contains(what);
        assert!(is_named, "{what} is not named: {self}");
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            request,
            code,
            message,
            detail,
        } = self;
        write!(f, "{request}\n  {code}: {message}\n  detail {detail}")
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n  {}", self.request, self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "  {name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        let shown = &self.body[..self.body.len().min(SHOWN_BYTES_MAX)];
        write!(f, "  {} bytes: ", self.body.len())?;
        match std::str::from_utf8(shown) {
            Ok(text) => f.write_str(text),
            Err(_) => f.write_str("(not text)"),
        }
    }
}
