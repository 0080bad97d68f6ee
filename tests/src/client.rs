//! Clients as tests want them: one request a method, and nothing is retried, followed or hidden.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use reqwest::blocking::{Body, RequestBuilder};
use reqwest::{Method, Url, redirect};
use roadstead_proto::Digest;

use crate::Answer;
use crate::fixture::{self, CONFIG, Document, LAYER};
use crate::wait::LONG;

static HTTP1: LazyLock<reqwest::blocking::Client> = LazyLock::new(|| build(false, 0, LONG));
static HTTP2: LazyLock<reqwest::blocking::Client> = LazyLock::new(|| build(true, 0, LONG));
static KEPT: LazyLock<reqwest::blocking::Client> = LazyLock::new(|| build(false, KEPT_IDLE, LONG));

/// Connections without a request that are kept where a test wants them kept.
const KEPT_IDLE: usize = 16;

/// A client of one registry.
#[derive(Debug, Clone)]
pub struct Client {
    /// `http://host:port` and the prefix, without a slash at the end.
    base: String,
    http: reqwest::blocking::Client,
}

/// A request in the making.
#[derive(Debug)]
pub struct Request {
    line: String,
    // Under this path every answer must keep the promises of the registry.
    is_of_registry: bool,
    builder: RequestBuilder,
}

/// A client of one repository.
#[derive(Debug, Clone)]
pub struct Repository {
    client: Client,
    name: String,
}

/// An open upload, which follows the `Location` of each answer as a client must.
#[derive(Debug, Clone)]
pub struct Upload {
    client: Client,
    /// Where the next request goes, as the registry wrote it.
    pub location: String,
}

/// An image that was pushed.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its manifest.
    pub manifest: Document,
    /// The content of its configuration.
    pub config: Vec<u8>,
    /// The content of its layers.
    pub layers: Vec<Vec<u8>>,
}

/// Connections that are used once, made by the network of the thread that calls this, and given up
/// when an answer takes longer than this.
pub(crate) fn patient_for(limit: Duration) -> reqwest::blocking::Client {
    build(false, 0, limit)
}

fn build(is_http2: bool, kept: usize, limit: Duration) -> reqwest::blocking::Client {
    let builder = reqwest::blocking::Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(limit)
        // A connection that outlived a restart of its registry would fail for no fault of it.
        .pool_max_idle_per_host(kept);
    let builder = if is_http2 {
        builder.http2_prior_knowledge()
    } else {
        builder.http1_only()
    };
    builder.build().expect("a client without TLS can be made")
}

impl Client {
    /// A client of the registry at `host:port`.
    pub fn new(address: &str) -> Self {
        Self {
            base: format!("http://{address}"),
            http: HTTP1.clone(),
        }
    }

    /// The same by connections of another kind, such as those of another network.
    pub fn with(address: &str, http: &reqwest::blocking::Client) -> Self {
        Self {
            base: format!("http://{address}"),
            http: http.clone(),
        }
    }

    /// The same below a path, such as `/registry`.
    pub fn below(&self, prefix: &str) -> Self {
        Self {
            base: format!("{}{prefix}", self.base),
            http: self.http.clone(),
        }
    }

    /// The same by HTTP/2 from the first byte.
    pub fn by_http2(&self) -> Self {
        Self {
            base: self.base.clone(),
            http: HTTP2.clone(),
        }
    }

    /// The same with connections that are used again, which is faster where requests are many.
    pub fn keeping_connections(&self) -> Self {
        Self {
            base: self.base.clone(),
            http: KEPT.clone(),
        }
    }

    /// A client of one of the registry's repositories.
    pub fn repository(&self, name: &str) -> Repository {
        Repository {
            client: self.clone(),
            name: name.to_owned(),
        }
    }

    /// Where a path, or a `Location`, leads.
    #[track_caller]
    fn resolve(&self, target: &str) -> Url {
        let base = Url::parse(&self.base).expect("the base is a URL");
        let url = base.join(target);
        url.unwrap_or_else(|error| panic!("{target} is no address: {error}"))
    }

    /// A request for a path below the client's base.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str) -> Request {
        self.request_to(method, &format!("{}{path}", self.base))
    }

    /// A request for what a `Location` or `Link` says.
    #[track_caller]
    pub fn request_to(&self, method: &str, target: &str) -> Request {
        let url = self.resolve(target);
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        Request {
            line: format!("{method} {url}"),
            is_of_registry: url.path().contains("/v2/"),
            builder: self.http.request(method, url),
        }
    }

    /// `GET` of a path.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send()
    }

    /// Whether the registry says that it is ready.
    pub fn is_ready(&self) -> bool {
        let answer = self.request("GET", "/readyz").builder.send();
        answer.is_ok_and(|answer| answer.status() == 200)
    }
}

impl Request {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.line.push_str(&format!("  {name}: {value}"));
        self.builder = self.builder.header(name, value);
        self
    }

    /// Sends a body with its length.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        self.line.push_str(&format!("  ({} bytes)", bytes.len()));
        self.builder = self.builder.body(bytes);
        self
    }

    /// Sends a body in pieces, without its length.
    pub fn stream(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        self.line
            .push_str(&format!("  ({} bytes, streamed)", bytes.len()));
        self.builder = self.builder.body(Body::new(std::io::Cursor::new(bytes)));
        self
    }

    /// Sends the request and reads the whole answer.
    #[track_caller]
    pub fn send(self) -> Answer {
        match self.try_send() {
            Ok(answer) => answer,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// As `send`, where it may be that there is no answer.
    #[track_caller]
    pub fn try_send(self) -> Result<Answer, String> {
        let Self {
            line,
            is_of_registry,
            builder,
        } = self;
        let failed = |error: reqwest::Error| format!("{line}: {error:?}");
        let response = builder.send().map_err(failed)?;
        let answer = Answer {
            request: line.clone(),
            status: response.status().as_u16(),
            version: response.version(),
            headers: response.headers().clone(),
            body: response.bytes().map_err(failed)?,
        };
        if is_of_registry {
            answer.check_promises();
        }
        Ok(answer)
    }
}

impl Repository {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A request for a path below the repository.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str) -> Request {
        let name = &self.name;
        self.client.request(method, &format!("/v2/{name}/{path}"))
    }

    /// end-4a: begins an upload.
    #[track_caller]
    pub fn start_upload(&self) -> Upload {
        let answer = self.request("POST", "blobs/uploads/").send().expect(202);
        self.upload(&answer)
    }

    /// The upload that an answer opened.
    #[track_caller]
    pub fn upload(&self, answer: &Answer) -> Upload {
        Upload {
            client: self.client.clone(),
            location: answer.header("location").to_owned(),
        }
    }

    /// Pushes a blob as containerd does: a `POST`, and a `PUT` with all of it.
    #[track_caller]
    pub fn push_blob(&self, content: &[u8]) -> Digest {
        let digest = fixture::digest(content);
        self.start_upload()
            .put(digest.as_str(), content)
            .expect(201);
        digest
    }

    /// end-2.
    #[track_caller]
    pub fn get_blob(&self, digest: &Digest) -> Answer {
        self.request("GET", &format!("blobs/{digest}")).send()
    }

    /// end-2.
    #[track_caller]
    pub fn head_blob(&self, digest: &Digest) -> Answer {
        self.request("HEAD", &format!("blobs/{digest}")).send()
    }

    /// end-10.
    #[track_caller]
    pub fn delete_blob(&self, digest: &Digest) -> Answer {
        self.request("DELETE", &format!("blobs/{digest}")).send()
    }

    /// end-7: pushes a manifest with its type.
    #[track_caller]
    pub fn put_manifest(&self, reference: impl fmt::Display, manifest: &Document) -> Answer {
        self.request("PUT", &format!("manifests/{reference}"))
            .header("content-type", &manifest.media_type)
            .body(manifest.bytes())
            .send()
    }

    /// end-3.
    #[track_caller]
    pub fn get_manifest(&self, reference: impl fmt::Display) -> Answer {
        self.request("GET", &format!("manifests/{reference}"))
            .send()
    }

    /// end-3.
    #[track_caller]
    pub fn head_manifest(&self, reference: impl fmt::Display) -> Answer {
        self.request("HEAD", &format!("manifests/{reference}"))
            .send()
    }

    /// end-9.
    #[track_caller]
    pub fn delete_manifest(&self, reference: impl fmt::Display) -> Answer {
        self.request("DELETE", &format!("manifests/{reference}"))
            .send()
    }

    /// end-8: the list of tags; `query` begins with `?` unless it is empty.
    #[track_caller]
    pub fn tags(&self, query: &str) -> Answer {
        self.request("GET", &format!("tags/list{query}")).send()
    }

    /// end-12: the referrers; `query` begins with `?` unless it is empty.
    #[track_caller]
    pub fn referrers(&self, digest: &Digest, query: &str) -> Answer {
        self.request("GET", &format!("referrers/{digest}{query}"))
            .send()
    }

    /// Pushes an image with one layer under a tag. The seed decides its content.
    #[track_caller]
    pub fn push_image(&self, tag: &str, seed: u64) -> Image {
        let image = self.push_content(seed);
        self.put_manifest(tag, &image.manifest).expect(201);
        image
    }

    /// Pushes the blobs of an image, and not its manifest.
    #[track_caller]
    pub fn push_content(&self, seed: u64) -> Image {
        let config = format!(r#"{{"architecture":"amd64","os":"linux","seed":{seed}}}"#);
        let config = config.into_bytes();
        let layer = fixture::random(seed, 2000);
        self.push_blob(&config);
        self.push_blob(&layer);
        let layers = [fixture::descriptor(LAYER, &layer)];
        let manifest = fixture::image(&fixture::descriptor(CONFIG, &config), &layers);
        Image {
            manifest,
            config,
            layers: vec![layer],
        }
    }
}

impl Upload {
    /// A request to the upload, after which nothing is learned.
    #[track_caller]
    pub fn request(&self, method: &str) -> Request {
        self.client.request_to(method, &self.location)
    }

    /// end-5: sends more bytes, as one piece without `Content-Range`.
    #[track_caller]
    pub fn patch(&mut self, bytes: &[u8]) -> Answer {
        let answer = self.request("PATCH").body(bytes).send();
        self.follow(answer)
    }

    /// end-5: sends a chunk that says where it begins.
    #[track_caller]
    pub fn chunk(&mut self, start: usize, bytes: &[u8]) -> Answer {
        let range = content_range(start, bytes);
        let request = self.request("PATCH").header("content-range", &range);
        let answer = request.body(bytes).send();
        self.follow(answer)
    }

    /// The same upload, through another node.
    #[track_caller]
    pub fn through(&self, client: &Client) -> Self {
        let url = self.client.resolve(&self.location);
        let query = url.query().map(|query| format!("?{query}"));
        Self {
            client: client.clone(),
            location: format!("{}{}", url.path(), query.unwrap_or_default()),
        }
    }

    /// end-6: closes the upload, with these last bytes.
    #[track_caller]
    pub fn put(&self, digest: &str, bytes: &[u8]) -> Answer {
        self.closing(digest).body(bytes).send()
    }

    /// end-6: closes the upload with a chunk that says where it begins.
    #[track_caller]
    pub fn put_chunk(&self, digest: &str, start: usize, bytes: &[u8]) -> Answer {
        let range = content_range(start, bytes);
        let request = self.closing(digest).header("content-range", &range);
        request.body(bytes).send()
    }

    /// The closing `PUT`, to be sent.
    #[track_caller]
    pub fn closing(&self, digest: &str) -> Request {
        let joint = if self.location.contains('?') {
            '&'
        } else {
            '?'
        };
        let target = format!("{}{joint}digest={digest}", self.location);
        self.client.request_to("PUT", &target)
    }

    /// end-13: how far it is.
    #[track_caller]
    pub fn status(&mut self) -> Answer {
        let answer = self.request("GET").send();
        self.follow(answer)
    }

    /// The number of bytes that the registry says it has.
    #[track_caller]
    pub fn offset(&mut self) -> usize {
        let answer = self.status().expect(204);
        let range = answer.header("range");
        let end = range.strip_prefix("0-").and_then(|end| end.parse().ok());
        let end: usize = end.unwrap_or_else(|| panic!("Range {range:?} in {answer}"));
        // Nothing and one byte look the same: `0-0`.
        if end == 0 { 0 } else { end + 1 }
    }

    /// end-14: gives it up.
    #[track_caller]
    pub fn cancel(&self) -> Answer {
        self.request("DELETE").send()
    }

    fn follow(&mut self, answer: Answer) -> Answer {
        if matches!(answer.status, 202 | 204) && answer.has("location") {
            answer.header("location").clone_into(&mut self.location);
        }
        answer
    }

    /// Its path and query, for requests that are written by hand.
    #[track_caller]
    pub fn path(&self) -> String {
        let url = self.client.resolve(&self.location);
        match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        }
    }
}

fn content_range(start: usize, bytes: &[u8]) -> String {
    format!("{start}-{}", (start + bytes.len()).saturating_sub(1))
}
