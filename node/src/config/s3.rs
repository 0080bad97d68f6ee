//! The sections `storage.s3` and `storage.s3aws`: which S3 store, and how it is reached.
//!
//! Names and defaults are Distribution's, with `buffermemory` beside them. What only the store can
//! answer, such as whether the bucket exists, is not asked here.
//! Invariant: no complaint shows a secret.

use roadstead_storage::ObjectKey;
use roadstead_storage::limits::{BUFFER_BYTES_DEFAULT, PART_BYTES_DEFAULT, PART_BYTES_MIN};
use roadstead_storage::s3::{Credentials, Options};
use url::Url;

use super::reader::{Expected, Section, expected};
use super::size;
use super::tree::{Kind, Scalar, Value};
use super::unbuilt;
use crate::limits::{S3_CHUNK_BYTES_MAX, S3_ROOT_BYTES_MAX};

const BUCKET: Expected = expected("the name of a bucket", "registry");
const ENDPOINT: Expected = expected(
    "an http or https address without user and query",
    "https://s3.example.com",
);
const CHUNK: Expected = expected("a size from 5MiB to 5GiB", "10MiB");
const BUFFER: Expected = expected("a size of at least twice the chunksize", "256MiB");
const CLASS: Expected = expected(
    "a storage class that can be read at once, or NONE",
    "STANDARD",
);
const ACL: Expected = expected("one of S3's canned ACLs", "private");
const ROOT: Expected = expected(
    "what every key begins with: at most 512 bytes, no segment of it empty or of dots",
    "registry/blobs",
);

/// Where a region is needed to sign and the store has none: what such stores take.
const REGION_OF_ENDPOINTS: &str = "us-east-1";

/// Distribution's settings of the copy that it makes when an upload ends.
const COPYING: [&str; 3] = [
    "multipartcopychunksize",
    "multipartcopymaxconcurrency",
    "multipartcopythresholdsize",
];

/// Objects of these have to be restored before they can be read.
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

const ACLS: [&str; 7] = [
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
];

const LOG_LEVELS: [&str; 7] = [
    "off",
    "debug",
    "debugwithsigning",
    "debugwithhttpbody",
    "debugwithrequestretries",
    "debugwithrequesterrors",
    "debugwitheventstreambody",
];

/// Reads one of the two sections. What is wrong is in the report; the answer is then not used.
pub(super) fn read(section: &mut Section<'_>) -> Options {
    refuse_variants(section);
    for key in COPYING {
        unbuilt::warn_if_needless(section, key);
    }
    if section.node("bucket").is_none() {
        section.missing("bucket", BUCKET);
    }
    let bucket = section.parsed("bucket", BUCKET, bucket);
    let is_secure = flag(section, "secure", true);
    let endpoint = address(section, "regionendpoint", is_secure);
    let public_endpoint = address(section, "redirectendpoint", is_secure);
    let region = parsed(
        section,
        "region",
        expected("a region", "eu-central-1"),
        name,
    );
    let region_of_endpoint = endpoint.as_ref().map(|_| REGION_OF_ENDPOINTS.to_owned());
    let log_level = parsed(
        section,
        "loglevel",
        expected("off or debug", "off"),
        log_level,
    );
    let chunk_bytes = chunk_bytes(section);
    let options = Options {
        bucket: bucket.unwrap_or_default(),
        region: region.or(region_of_endpoint),
        endpoint,
        public_endpoint,
        force_path_style: flag(section, "forcepathstyle", false),
        credentials: credentials(section),
        root: parsed(section, "rootdirectory", ROOT, root).unwrap_or_default(),
        is_secure,
        skip_verify: flag(section, "skipverify", false),
        encrypt: flag(section, "encrypt", false),
        key_id: parsed(
            section,
            "keyid",
            expected("the id of a KMS key", "alias/a"),
            name,
        ),
        storage_class: parsed(section, "storageclass", CLASS, storage_class).flatten(),
        object_acl: parsed(section, "objectacl", ACL, object_acl).flatten(),
        use_dual_stack: flag(section, "usedualstack", false),
        accelerate: flag(section, "accelerate", false),
        user_agent: parsed(
            section,
            "useragent",
            expected("printable ASCII", "a/1"),
            printable,
        ),
        log_requests: log_level.unwrap_or(false),
        chunk_bytes,
        buffer_bytes: buffer_bytes(section, chunk_bytes),
    };
    judge(section, &options);
    options
}

/// What Distribution can do in two ways, and Roadstead in one.
fn refuse_variants(section: &mut Section<'_>) {
    if !flag(section, "v4auth", true) {
        let path = section.name("v4auth");
        let message = format!(
            "{path} is false, but requests are signed by version 4 of the protocol and no other; \
             remove it if the store takes that"
        );
        complain(section, "v4auth", message);
    }
    if flag(section, "usefipsendpoint", false) {
        let reason = "without it requests would go to endpoints that are not validated";
        let message = unbuilt::refusal(&section.name("usefipsendpoint"), reason);
        complain(section, "usefipsendpoint", message);
    }
}

/// Complains about settings that do not go together.
fn judge(section: &mut Section<'_>, options: &Options) {
    let pairs = [
        (options.accelerate, "accelerate", "regionendpoint"),
        (options.use_dual_stack, "usedualstack", "regionendpoint"),
    ];
    for (is_set, key, other) in pairs {
        if is_set && options.endpoint.is_some() {
            let (path, other) = (section.name(key), section.name(other));
            let message = format!("{path} is of AWS alone and does not go with {other}");
            complain(section, key, message);
        }
    }
    if options.accelerate && options.force_path_style {
        let (path, other) = (section.name("accelerate"), section.name("forcepathstyle"));
        let message = format!("{path} does not go with {other}: it needs the bucket in the name");
        complain(section, "accelerate", message);
    }
    if options.key_id.is_some() && !options.encrypt {
        let (path, other) = (section.name("keyid"), section.name("encrypt"));
        warn(
            section,
            "keyid",
            format!("{path} has no effect without {other}: true"),
        );
    }
    let scheme = options.endpoint.as_ref().map(Url::scheme);
    if scheme == Some("http") && options.is_secure && section.node("secure").is_some() {
        let (path, other) = (section.name("secure"), section.name("regionendpoint"));
        let message = format!("{path} has no effect: {other} says http, and what it says counts");
        warn(section, "secure", message);
    }
}

/// A key and its secret. One without the other would quietly be another identity than was meant.
fn credentials(section: &mut Section<'_>) -> Option<Credentials> {
    let access_key = secret(section, "accesskey");
    let secret_key = secret(section, "secretkey");
    let session_token = secret(section, "sessiontoken");
    let keys = [
        ("accesskey", access_key.is_some()),
        ("secretkey", secret_key.is_some()),
        ("sessiontoken", session_token.is_some()),
    ];
    let found = keys.iter().find(|(_, is_written)| *is_written);
    let absent = keys.iter().take(2).find(|(_, is_written)| !is_written);
    if let (Some((found, _)), Some((absent, _))) = (found, absent) {
        let message = format!(
            "{} is written without {}; write both, or none to have the usual places of AWS asked \
             (environment, profile, role)",
            section.name(found),
            section.name(absent),
        );
        complain(section, found, message);
    }
    Some(Credentials {
        access_key: access_key?.0,
        secret_key: secret_key?.0,
        session_token: session_token.map(|Secret(text)| text),
    })
}

/// What no complaint and no log shows.
struct Secret(String);

fn secret(section: &mut Section<'_>, key: &'static str) -> Option<Secret> {
    let text = text(section, key, expected("a string", "one in quotes"))?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let path = section.name(key);
        let message = format!("{path} holds white space or other characters that no key has");
        complain(section, key, message);
    }
    Some(Secret(text))
}

fn chunk_bytes(section: &mut Section<'_>) -> u64 {
    let parse = |text: &str| {
        let bounds = PART_BYTES_MIN..=S3_CHUNK_BYTES_MAX;
        size::bytes(text).filter(|bytes| bounds.contains(bytes))
    };
    parsed(section, "chunksize", CHUNK, parse).unwrap_or(PART_BYTES_DEFAULT)
}

/// One part is sent while the next is received, so that less than two would stop every upload.
fn buffer_bytes(section: &mut Section<'_>, chunk_bytes: u64) -> u64 {
    let least = 2 * chunk_bytes;
    let parse = |text: &str| size::bytes(text).filter(|bytes| *bytes >= least);
    let default = BUFFER_BYTES_DEFAULT.max(least);
    parsed(section, "buffermemory", BUFFER, parse).unwrap_or(default)
}

/// An address. As in Distribution, `secure` says how to speak to one that does not.
fn address(section: &mut Section<'_>, key: &'static str, is_secure: bool) -> Option<Url> {
    let written = text(section, key, ENDPOINT)?;
    if written.contains('@') {
        // It may hold a password, so it is not shown.
        let path = section.name(key);
        complain(
            section,
            key,
            format!("{path} names a user; that belongs into accesskey and secretkey"),
        );
        return None;
    }
    parsed(section, key, ENDPOINT, |text| {
        let scheme = if is_secure { "https" } else { "http" };
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("{scheme}://{text}"))
        };
        let is_plain = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
        };
        url.ok().filter(is_plain)
    })
}

/// The name of a bucket, or the ARN of an access point.
fn bucket(text: &str) -> Option<String> {
    let is_arn = text.starts_with("arn:");
    let fits = |byte: u8| byte.is_ascii_graphic() && (is_arn || !matches!(byte, b'/' | b':'));
    text.bytes().all(fits).then(|| text.to_owned())
}

fn name(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_graphic();
    text.bytes().all(fits).then(|| text.to_owned())
}

fn printable(text: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    text.bytes().all(fits).then(|| text.to_owned())
}

fn root(text: &str) -> Option<String> {
    let root = text.trim_matches('/');
    let fits = root.is_empty() || ObjectKey::parse(root).is_ok();
    (fits && root.len() <= S3_ROOT_BYTES_MAX).then(|| root.to_owned())
}

/// `Some(None)` is none. Stores have classes of their own, so that any name will do.
fn storage_class(text: &str) -> Option<Option<String>> {
    let class = text.to_ascii_uppercase();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if ARCHIVES.contains(&class.as_str()) || !class.bytes().all(fits) {
        return None;
    }
    Some(Some(class).filter(|class| class != "NONE"))
}

/// `Some(None)` is none: what nobody sends is `private`, and stores without ACLs refuse any.
fn object_acl(text: &str) -> Option<Option<String>> {
    let is_known = ACLS.contains(&text);
    is_known.then(|| Some(text.to_owned()).filter(|acl| acl != "private"))
}

fn log_level(text: &str) -> Option<bool> {
    let level = text.to_ascii_lowercase();
    // YAML reads `off` as a boolean, and a boolean may be spelt in other ways.
    if matches!(level.as_str(), "false" | "no") {
        return Some(false);
    }
    LOG_LEVELS.contains(&level.as_str()).then(|| level != "off")
}

/// What a key says, as it is written: `no` is the name of a region too. Empty is as good as
/// missing, as in Distribution: templates write empty strings for what is not set.
fn text(section: &mut Section<'_>, key: &'static str, wanted: Expected) -> Option<String> {
    let node = section.node(key)?;
    match &node.value {
        Value::Scalar(Scalar { text, .. }) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Null | Value::List(_) | Value::Map(_) => {
            section.refuse(node, key, wanted);
            None
        }
    }
}

fn parsed<T>(
    section: &mut Section<'_>,
    key: &'static str,
    wanted: Expected,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let parsed = parse(&text(section, key, wanted)?);
    if parsed.is_none()
        && let Some(node) = section.node(key)
    {
        section.refuse(node, key, wanted);
    }
    parsed
}

/// A boolean, which Distribution's driver also takes in quotes.
fn flag(section: &mut Section<'_>, key: &'static str, default: bool) -> bool {
    let Some(node) = section.node(key) else {
        return default;
    };
    match &node.value {
        Value::Scalar(Scalar {
            kind: Kind::Boolean(value),
            ..
        }) => *value,
        Value::Scalar(Scalar { text, .. }) if text.is_empty() => default,
        Value::Scalar(Scalar { text, .. }) if text.eq_ignore_ascii_case("true") => true,
        Value::Scalar(Scalar { text, .. }) if text.eq_ignore_ascii_case("false") => false,
        Value::Null | Value::Scalar(_) | Value::List(_) | Value::Map(_) => {
            section.refuse(node, key, expected("true or false", "true"));
            default
        }
    }
}

fn complain(section: &mut Section<'_>, key: &'static str, message: String) {
    let node = section.node(key);
    let origin = node.map_or(section.origin(), |node| &node.origin);
    section.report().error(origin, message);
}

fn warn(section: &mut Section<'_>, key: &'static str, message: String) {
    let node = section.node(key);
    let origin = node.map_or(section.origin(), |node| &node.origin);
    section.report().warn(origin, message);
}
