//! Answers of a real server, read off a real socket, over a store that fails on demand.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::{Arbiter, System};
use bytes::Bytes;
use roadstead_cluster::{Metadata, Options};
use roadstead_proto::rpc::metadata::ChangeSettings;
use roadstead_proto::rpc::metadata::command::Action as Command;
use roadstead_proto::{Algorithm, Digest, RepositoryName};
use roadstead_storage::faulty::Plan;
use roadstead_storage::{BlobStore, Faulty};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

use super::{Bound, Server, Shared};
use crate::actor::{Arbiters, Repositories, Uploads};
use crate::config::{Address, Config, Reserve};
use crate::founding;
use crate::health::Health;
use crate::limits::Capacity;
use crate::service::{Policy, Registry};
use crate::space::Space;
use crate::store_guard::StoreGuard;
use crate::telemetry::{AccessLog, Metrics};
use crate::testing::LONG;
use crate::upload::{Chunk, Piece, Tools, Upload};

mod elsewhere;
mod redirects;
mod troubles;

use elsewhere::Elsewhere;

/// What a configuration says beside the bucket.
type Variables = [(&'static str, &'static str)];

/// A server and what it works with.
struct Site {
    address: String,
    tools: Tools,
    store: Faulty,
    server: Server,
}

/// Serves a store that can redirect and fails by plan, and runs the test against it.
fn serve(plan: Plan, variables: &Variables, test: impl AsyncFnOnce(&Site)) {
    let runtime = Runtime::new().expect("threads can be had");
    let folder = tempfile::tempdir().expect("a temporary folder");
    System::new().block_on(async {
        let store = Faulty::new(Arc::new(Elsewhere::default()), plan);
        let metadata = open(&runtime, &folder, store.clone()).await;
        let site = Site::start(metadata, store, variables, &runtime);
        test(&site).await;
        let Site { server, tools, .. } = site;
        server.stop(false).await;
        tools.metadata.shutdown().await.expect("it ends in order");
    });
    runtime.shutdown_background();
}

async fn open(runtime: &Runtime, folder: &tempfile::TempDir, store: Faulty) -> Metadata {
    let options = Options {
        datadir: folder.path().to_owned(),
        proposal_timeout: Duration::from_secs(10),
        snapshot_after_entries: 10_000,
        keep_entries: 1_000,
        feature_level_max: 1,
        cluster: None,
    };
    let opening = async move {
        let metadata = Metadata::open(&options).await.expect("the metadata open");
        let taken = founding::take_part(&metadata, &store).await;
        taken.expect("the node founds its cluster");
        metadata
    };
    runtime.spawn(opening).await.expect("it opens")
}

fn repository() -> RepositoryName {
    "a/b".parse().expect("a name")
}

impl Site {
    fn start(metadata: Metadata, store: Faulty, variables: &Variables, runtime: &Runtime) -> Self {
        let usual = [
            ("REGISTRY_STORAGE", "s3"),
            ("REGISTRY_STORAGE_S3_BUCKET", "b"),
            ("REGISTRY_CLUSTER_DATADIR", "elsewhere"),
            ("REGISTRY_LOG_ACCESSLOG_DISABLED", "true"),
            ("REGISTRY_HEALTH_STORAGEDRIVER_ENABLED", "false"),
        ];
        let variables = usual.iter().chain(variables);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let loaded = Config::load(None, variables).expect("the configuration is right");
        let config = loaded.config;
        let shared_store: Arc<dyn BlobStore> = Arc::new(store.clone());
        let metrics = Arc::new(Metrics::new());
        let tools = Tools {
            metadata: metadata.clone(),
            store: Arc::clone(&shared_store),
            metrics: Arc::clone(&metrics),
        };
        let capacity = Capacity {
            connections: 64,
            uploads: 16,
        };
        let arbiters = Arbiters::new(vec![Arbiter::current()]);
        let registry = Registry::new(
            metadata.clone(),
            Arc::clone(&shared_store),
            Uploads::start(tools.clone(), arbiters.clone(), capacity.uploads),
            Repositories::new(metadata.clone(), arbiters),
            Policy::new(&config).expect("the rules are right"),
            Space::watch(Vec::new(), Reserve::Bytes(0)).expect("nothing is watched"),
            StoreGuard::new(metadata, Arc::clone(&shared_store)),
        );
        let health = Health::start(&config.health, shared_store, runtime.handle());
        let access_log = AccessLog::start(&config.log).expect("it is off");
        let shared = Shared::new(registry, health, metrics, access_log, &config.http);
        let bound = Bound::bind(&Address::loopback(0)).expect("a free port");
        let address = bound.address.to_string();
        let server = Server::start(bound, &config.http, capacity, &Arc::new(shared));
        Self {
            address,
            tools,
            store,
            server: server.expect("it starts"),
        }
    }

    /// Stores a blob, as a push would.
    async fn push(&self, data: impl Into<Bytes>) -> Digest {
        let data = data.into();
        let digest = Algorithm::Sha256.digest(&data);
        let mut upload = Upload::begin(&self.tools, &repository(), Algorithm::Sha256)
            .await
            .expect("it begins");
        let (sender, body) = mpsc::channel(2);
        for piece in [Piece::Data(data), Piece::End] {
            sender.send(piece).await.expect("there is room");
        }
        let chunk = Chunk {
            start: None,
            length: None,
            body,
        };
        upload.append(chunk).await.expect("the chunk fits");
        upload.commit(&digest).await.expect("it commits");
        digest
    }

    async fn change(&self, change: ChangeSettings) {
        let changed = self.tools.metadata.propose(Command::ChangeSettings(change));
        changed.await.expect("the settings change");
    }

    /// One request on a connection of its own, and the answer as far as it comes.
    async fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        Answer::of(&self.bytes(method, path, headers).await)
    }

    /// All that comes back until the server ends the connection.
    async fn bytes(&self, method: &str, path: &str, headers: &[&str]) -> Vec<u8> {
        let mut lines = vec![format!("{method} {path} HTTP/1.1"), "Host: r".to_owned()];
        lines.extend(headers.iter().map(|line| (*line).to_owned()));
        let request = lines.join("\r\n") + "\r\n\r\n";
        let asked = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.map(|_| bytes)
        };
        let bytes = timeout(LONG, asked).await.expect("the connection ends");
        bytes.expect("it can be read")
    }

    async fn blob(&self, method: &str, digest: &Digest, headers: &[&str]) -> Answer {
        let path = format!("/v2/a/b/blobs/{digest}");
        let close = ["Connection: close"];
        let headers = [&close[..], headers].concat();
        self.ask(method, &path, &headers).await
    }

    /// Waits until a path is answered with this status.
    async fn becomes(&self, path: &str, status: u16) {
        let waiting = async {
            let mut look = interval(Duration::from_millis(20));
            while self.ask("GET", path, &["Connection: close"]).await.status != status {
                look.tick().await;
            }
        };
        let waited = timeout(LONG, waiting).await;
        waited.unwrap_or_else(|_| panic!("{path} does not become {status}"));
    }
}

/// What came back: maybe less of a body than its head promised.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn of(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) = bytes.split_at(end.expect("a whole head") + 4);
        let head = String::from_utf8(head.to_vec()).expect("text");
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Self {
            status: status.expect("a status"),
            head,
            body: body.to_vec(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}
