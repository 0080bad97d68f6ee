//! `Bucket`: the bucket that `tests/stores/run` has made, asked by requests signed by hand.
//!
//! It shares no code with the driver under test, so that no mistake of that is repeated here. It
//! knows what tests look for: which objects and unfinished uploads there are, and what they hold.

use std::env;
use std::fmt::Write;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::fixture;
use crate::wait::LONG;

static HTTP: LazyLock<reqwest::blocking::Client> = LazyLock::new(|| {
    let builder = reqwest::blocking::Client::builder()
        .no_proxy()
        .timeout(LONG);
    builder.build().expect("a client without TLS can be made")
});

/// A bucket, and who may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Which server it is: `garage` or `versitygw`.
    pub server: String,
    /// Where it is, as `http://host:port`.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Its name.
    pub name: String,
    /// The key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
}

/// A stored object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its size.
    pub size: u64,
}

/// An answer of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Bucket {
    /// The one that the environment names.
    ///
    /// # Panics
    /// When it names none: these tests are nothing without a store.
    #[track_caller]
    pub fn given() -> Self {
        Self {
            server: variable("SERVER"),
            endpoint: variable("ENDPOINT"),
            region: variable("REGION"),
            name: variable("BUCKET"),
            access_key: variable("ACCESS_KEY"),
            secret_key: variable("SECRET_KEY"),
        }
    }

    /// Where it is, as `host:port`.
    #[track_caller]
    pub fn address(&self) -> &str {
        let address = self.endpoint.strip_prefix("http://");
        address.expect("the store is asked by plain HTTP")
    }

    /// The same by another way, such as a proxy at `host:port`.
    pub fn by(&self, address: &str) -> Self {
        Self {
            endpoint: format!("http://{address}"),
            ..self.clone()
        }
    }

    /// The lines of a configuration's section `storage`, for a registry with this root.
    pub fn storage(&self, root: &str) -> String {
        let Self {
            server: _,
            endpoint,
            region,
            name,
            access_key,
            secret_key,
        } = self;
        format!(
            "s3:\n  region: {region}\n  regionendpoint: {endpoint}\n  bucket: {name}\n  \
             accesskey: {access_key}\n  secretkey: {secret_key}\n  forcepathstyle: true\n  \
             rootdirectory: /{root}"
        )
    }

    /// Every object whose key begins with this, by their keys.
    #[track_caller]
    pub fn objects(&self, prefix: &str) -> Vec<Object> {
        let mut found = Vec::new();
        let mut token = None::<String>;
        loop {
            let mut query = vec![("list-type", "2"), ("prefix", prefix)];
            if let Some(token) = &token {
                query.push(("continuation-token", token));
            }
            let text = self.ask("GET", "", &query, b"").xml(200);
            for entry in elements(&text, "Contents") {
                found.push(Object {
                    key: element(entry, "Key"),
                    size: element(entry, "Size").parse().expect("a size is a number"),
                });
            }
            if element(&text, "IsTruncated") != "true" {
                found.sort();
                return found;
            }
            token = Some(element(&text, "NextContinuationToken"));
        }
    }

    /// The keys of the unfinished uploads that begin with this. There are few.
    #[track_caller]
    pub fn uploads(&self, prefix: &str) -> Vec<String> {
        let query = [("uploads", ""), ("prefix", prefix)];
        let text = self.ask("GET", "", &query, b"").xml(200);
        assert_ne!(element(&text, "IsTruncated"), "true", "too many uploads");
        let entries = elements(&text, "Upload").into_iter();
        entries.map(|entry| element(entry, "Key")).collect()
    }

    /// What an object holds.
    #[track_caller]
    pub fn get(&self, key: &str) -> Vec<u8> {
        self.ask("GET", key, &[], b"").expect(200).body
    }

    /// Writes an object, whatever was there.
    #[track_caller]
    pub fn put(&self, key: &str, content: &[u8]) {
        self.ask("PUT", key, &[], content).expect(200);
    }

    /// Removes an object.
    #[track_caller]
    pub fn delete(&self, key: &str) {
        let told = self.ask("DELETE", key, &[], b"");
        assert!(matches!(told.status, 200 | 204), "{told:?}");
    }

    /// One request, for an object or for the bucket itself.
    #[track_caller]
    pub fn ask(&self, method: &str, key: &str, query: &[(&str, &str)], body: &[u8]) -> Told {
        let mut query: Vec<_> = query
            .iter()
            .map(|(name, value)| format!("{}={}", quoted(name, ""), quoted(value, "")))
            .collect();
        query.sort();
        let query = query.join("&");
        let path = format!("/{}/{}", self.name, quoted(key, "/"));
        let url = format!("{}{path}?{query}", self.endpoint);
        let method = method.parse().expect("a method");
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = stamp(now.expect("it is after 1970").as_secs());
        let hashed = fixture::digest(body).hex().to_owned();
        let signature = self.signature(&method, &path, &query, &now, &hashed);
        let request = HTTP
            .request(method, &url)
            .header("x-amz-content-sha256", hashed)
            .header("x-amz-date", now)
            .header("authorization", signature)
            .body(body.to_vec());
        let answer = request.send();
        let answer = answer.unwrap_or_else(|error| panic!("no answer for {url}: {error:?}"));
        let status = answer.status().as_u16();
        let body = answer.bytes();
        let body = body.unwrap_or_else(|error| panic!("no whole answer for {url}: {error:?}"));
        Told {
            status,
            body: body.to_vec(),
        }
    }

    /// The value of `Authorization`: version 4 of the signature.
    fn signature(
        &self,
        method: &reqwest::Method,
        path: &str,
        query: &str,
        now: &str,
        hashed: &str,
    ) -> String {
        let host = self.address();
        let names = "host;x-amz-content-sha256;x-amz-date";
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{hashed}\n\
             x-amz-date:{now}\n\n{names}\n{hashed}"
        );
        let day = &now[..8];
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let canonical = fixture::digest(canonical.as_bytes());
        let text = format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{}", canonical.hex());
        let mut key = format!("AWS4{}", self.secret_key).into_bytes();
        for part in scope.split('/') {
            key = authenticated(&key, part.as_bytes());
        }
        let signature = hex(&authenticated(&key, text.as_bytes()));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        )
    }
}

impl Told {
    /// Panics unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(2000)]);
        assert_eq!(self.status, status, "the store says {text}");
        self
    }

    #[track_caller]
    fn xml(self, status: u16) -> String {
        String::from_utf8(self.expect(status).body).expect("XML is text")
    }
}

#[track_caller]
fn variable(name: &str) -> String {
    let name = format!("ROADSTEAD_S3_{name}");
    env::var(&name).unwrap_or_else(|_| panic!("{name} is not set: `make stores` runs these tests"))
}

/// What stands between the tags, for each element of this name.
fn elements<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let pieces = text.split(&open).skip(1);
    pieces
        .filter_map(|piece| piece.split_once(&close).map(|(inner, _)| inner))
        .collect()
}

/// What the first element of this name holds, or nothing.
fn element(text: &str, name: &str) -> String {
    let found = elements(text, name);
    found.first().copied().unwrap_or_default().to_owned()
}

/// Percent-encoded but for what the signature leaves, and for these.
fn quoted(text: &str, kept: &str) -> String {
    let mut quoted = String::new();
    for byte in text.bytes() {
        let letter = char::from(byte);
        if letter.is_ascii_alphanumeric() || "-_.~".contains(letter) || kept.contains(letter) {
            quoted.push(letter);
        } else {
            let _ = write!(quoted, "%{byte:02X}");
        }
    }
    quoted
}

/// A time in seconds since 1970 as `20261122T201623Z`.
fn stamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Counted from 1 March of the year 0, so that leap days come last.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{date:02}T{hour:02}{minute:02}{second:02}Z")
}

/// HMAC with SHA-256.
fn authenticated(key: &[u8], text: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 64;
    let mut padded = if key.len() > BLOCK {
        sha256(key)
    } else {
        key.to_vec()
    };
    padded.resize(BLOCK, 0);
    let with = |byte: u8| padded.iter().map(move |one| one ^ byte);
    let inner: Vec<u8> = with(0x36).chain(text.iter().copied()).collect();
    let outer: Vec<u8> = with(0x5c).chain(sha256(&inner)).collect();
    sha256(&outer)
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    let digest = fixture::digest(bytes);
    let hex = digest.hex().as_bytes();
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default() as u8;
    hex.chunks(2)
        .map(|pair| value(pair[0]) << 4 | value(pair[1]))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_of_the_calendar() {
        let table = [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_369_353_600, "20130524T000000Z"),
            (4_107_542_400, "21000301T000000Z"),
        ];
        for (seconds, expected) in table {
            assert_eq!(stamp(seconds), expected);
        }
    }

    /// The example of AWS's documentation of the signature in version 4.
    #[test]
    fn keys_are_derived_as_documented() {
        let mut key = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec();
        for part in ["20120215", "us-east-1", "iam", "aws4_request"] {
            key = authenticated(&key, part.as_bytes());
        }
        let expected = "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d";
        assert_eq!(hex(&key), expected);
    }

    #[test]
    fn elements_are_found_by_name() {
        let text = "<A><Key>one</Key></A><A><Key>two</Key></A><IsTruncated>false</IsTruncated>";
        let keys = elements(text, "A").into_iter().map(|a| element(a, "Key"));
        assert_eq!(keys.collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(element(text, "IsTruncated"), "false");
        assert_eq!(element(text, "Nothing"), "");
    }
}
