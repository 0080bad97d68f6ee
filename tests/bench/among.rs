//! Collects dead blobs among many live ones, and says how long that takes and what memory it needs.
//!
//! `among seed FOLDER LIVE` fills metadata with live blobs, by the commands that pushes propose.
//! `among collect FOLDER BATCHES DEAD` opens them, pushes dead blobs into a store in memory and has
//! the collector take them away, batch by batch; it prints one line for each. A process of its own
//! for each is what makes memory comparable.
//!
//! It is no test and judges nothing: `tests/bench/run-gc` calls it. Live blobs have no bytes, since
//! nobody reads them.

#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use roadstead::collection::{Counts, Pace, Pass, Progress, Run, Tools};
use roadstead::founding;
use roadstead::limits::{LOG_ENTRIES_KEPT, SNAPSHOT_AFTER_ENTRIES};
use roadstead::store_guard::StoreGuard;
use roadstead::telemetry::Metrics;
use roadstead::upload::{self, Chunk, Piece, Upload};
use roadstead_cluster::metadata::View;
use roadstead_cluster::{Metadata, Options, garbage, read};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{
    BeginUpload, ChangeSettings, CommitUpload, Content, PutManifest,
};
use roadstead_proto::rpc::state::Owner;
use roadstead_proto::{Algorithm, RepositoryName};
use roadstead_storage::{BlobStore, Marker, Memory, ObjectKey};
use tokio::sync::mpsc;
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Blobs that one manifest names: with so many, blobs are what there is most of.
const CONTENTS: u64 = 100;
/// Manifests of one repository.
const MANIFESTS: u64 = 10;
/// Log entries after which seeding takes a snapshot: what it writes out each time is larger then.
const SEEDED_PER_SNAPSHOT: u64 = 100_000;
/// Manifests that are seeded at once, each with its blobs.
const AT_ONCE: usize = 8;
/// Dead blobs that are pushed at once.
const PUSHED_AT_ONCE: usize = 64;
/// Dead blobs go to as many repositories.
const REPOSITORIES: u64 = 10;
/// Objects per second: more than there is, so that this does not bound it.
const RATE: u32 = 100_000;
/// A hold is twice as long.
const GRACE_MS: u64 = 1;
const BATCH_WITHIN: Duration = Duration::from_secs(60);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match words.as_slice() {
        ["seed", folder, live] => runtime.block_on(seed(Path::new(folder), live.parse()?)),
        ["collect", folder, batches, dead] => {
            let (batches, dead) = (batches.parse()?, dead.parse()?);
            runtime.block_on(collect(Path::new(folder), batches, dead))
        }
        _ => Err("usage: among seed FOLDER LIVE | among collect FOLDER BATCHES DEAD".into()),
    }
}

async fn open(folder: &Path, snapshot_after_entries: u64) -> Result<Metadata, Failure> {
    let options = Options {
        datadir: folder.to_owned(),
        proposal_timeout: BATCH_WITHIN,
        snapshot_after_entries,
        keep_entries: LOG_ENTRIES_KEPT,
        feature_level_max: 1,
        cluster: None,
    };
    Ok(Metadata::open(&options).await?)
}

async fn propose(metadata: &Metadata, action: Action) -> Result<Outcome, Failure> {
    match metadata.propose(action).await?.outcome {
        Some(Outcome::Refusal(refusal)) => Err(format!("refused: {refusal:?}").into()),
        Some(outcome) => Ok(outcome),
        None => Err("a command has no outcome".into()),
    }
}

// --- Seeding -------------------------------------------------------------------------------------

async fn seed(folder: &Path, live: u64) -> Result<(), Failure> {
    let metadata = open(folder, SEEDED_PER_SNAPSHOT).await?;
    founding::take_part(&metadata, &Memory::new()).await?;
    let began = Instant::now();
    stream::iter(0..live.div_ceil(CONTENTS))
        .map(|number| seed_manifest(&metadata, number))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    println!("seconds {:.3}", began.elapsed().as_secs_f64());
    metadata.close().await?;
    Ok(())
}

/// A manifest with its blobs, in the three steps of a push.
async fn seed_manifest(metadata: &Metadata, number: u64) -> Result<(), Failure> {
    let repository = format!("live/r{:05}", number / MANIFESTS);
    let owner = Owner {
        node: metadata.identity().node,
        boot: metadata.boot(),
    };
    let blobs: Vec<(String, String)> = (0..CONTENTS)
        .map(|blob| {
            let digest = Algorithm::Sha256.digest(format!("{number}/{blob}").as_bytes());
            (Uuid::new_v4().to_string(), digest.to_string())
        })
        .collect();
    let begin = |upload: &String| {
        Action::BeginUpload(BeginUpload {
            upload: upload.clone(),
            repository: repository.clone(),
            object_key: ObjectKey::for_upload(Uuid::new_v4()).to_string(),
            algorithm: "sha256".to_owned(),
            owner: Some(owner),
        })
    };
    let begun = blobs
        .iter()
        .map(|(upload, _)| propose(metadata, begin(upload)));
    try_join_all(begun).await?;
    let commit = |upload: &String, digest: &String| {
        Action::CommitUpload(CommitUpload {
            upload: upload.clone(),
            epoch: 1,
            digest: digest.clone(),
            size: 1024,
            repository: repository.clone(),
        })
    };
    let committed = blobs
        .iter()
        .map(|(upload, digest)| propose(metadata, commit(upload, digest)));
    try_join_all(committed).await?;
    let body = format!("manifest {number}");
    let contents = blobs.into_iter().map(|(_, digest)| Content {
        digest,
        is_manifest: false,
        is_required: true,
    });
    let put = PutManifest {
        repository: repository.clone(),
        digest: Algorithm::Sha256.digest(body.as_bytes()).to_string(),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        body: body.into_bytes().into(),
        contents: contents.collect(),
        tags: vec![format!("v{number}")],
        ..PutManifest::default()
    };
    propose(metadata, Action::PutManifest(put)).await?;
    Ok(())
}

// --- Collecting ----------------------------------------------------------------------------------

async fn collect(folder: &Path, batches: u64, dead: u64) -> Result<(), Failure> {
    let metadata = open(folder, SNAPSHOT_AFTER_ENTRIES).await?;
    let store = Arc::new(Memory::new());
    // The store of the seeding is gone with its process, and held nothing but this.
    let settings = metadata.read(|view| read::settings(view)).await?;
    let settings = settings.ok_or("nothing was seeded there")?;
    let marker = Marker {
        cluster_id: settings.cluster_id.parse()?,
        incarnation: settings.incarnation,
    };
    store.write_marker(&marker).await?;
    founding::take_part(&metadata, store.as_ref()).await?;
    let change = ChangeSettings {
        grace_ms: Some(GRACE_MS),
        reading_delay_ms: Some(0),
        ..ChangeSettings::default()
    };
    propose(&metadata, Action::ChangeSettings(change)).await?;
    let pushing = upload::Tools {
        metadata: metadata.clone(),
        store: Arc::clone(&store) as Arc<dyn BlobStore>,
        metrics: Arc::new(Metrics::new()),
    };
    let tools = Tools {
        metadata: metadata.clone(),
        store: Arc::clone(&store) as Arc<dyn BlobStore>,
        guard: StoreGuard::new(metadata.clone(), Arc::clone(&store) as Arc<dyn BlobStore>),
    };
    let mut pass = Pass::new(tools, Pace::new(RATE, Arc::new(Metrics::new())));
    for _ in 0..batches {
        stream::iter(0..dead)
            .map(|number| push(&pushing, number % REPOSITORIES))
            .buffer_unordered(PUSHED_AT_ONCE)
            .try_collect::<()>()
            .await?;
        wait_until_due(&metadata, dead).await?;
        batch(&mut pass, dead).await?;
    }
    Ok(())
}

/// Waits until the holds of all dead blobs are over.
async fn wait_until_due(metadata: &Metadata, dead: u64) -> Result<(), Failure> {
    let (began, limit) = (Instant::now(), usize::try_from(dead)? + 1);
    while began.elapsed() < BATCH_WITHIN {
        let now_ms = metadata.cluster_time().await?;
        let look = |view: &dyn View| garbage::due_links(view, &[], now_ms, limit);
        if metadata.read(look).await?.items.len() as u64 == dead {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
    Err("the holds do not end".into())
}

/// A small blob that no manifest will ever name.
async fn push(tools: &upload::Tools, number: u64) -> Result<(), Failure> {
    let repository: RepositoryName = format!("dead/r{number}").parse()?;
    let content = Bytes::from(Uuid::new_v4().to_string());
    let digest = Algorithm::Sha256.digest(&content);
    let mut upload = Upload::begin(tools, &repository, Algorithm::Sha256).await?;
    let (sender, body) = mpsc::channel(2);
    sender.send(Piece::Data(content)).await?;
    sender.send(Piece::End).await?;
    let chunk = Chunk {
        start: None,
        length: None,
        body,
    };
    let appended = upload.append(chunk).await;
    appended.map_err(|failure| format!("{failure:?}"))?;
    upload.commit(&digest).await?;
    Ok(())
}

/// Has everything that is dead taken away, and prints milliseconds, and kilobytes before and at
/// the peak.
async fn batch(pass: &mut Pass, dead: u64) -> Result<(), Failure> {
    let progress = Progress::default();
    // The peak begins anew.
    fs::write("/proc/self/clear_refs", "5")?;
    let before = kilobytes("VmRSS")?;
    let began = Instant::now();
    while progress.counts().objects < dead {
        pass.run(Run::default(), &progress).await?;
        if began.elapsed() > BATCH_WITHIN {
            return Err(format!("not collected in time: {:?}", progress.counts()).into());
        }
    }
    let took = began.elapsed();
    let Counts { links, objects, .. } = progress.counts();
    if (links, objects) != (dead, dead) {
        return Err(format!("{links} links and {objects} objects were collected").into());
    }
    let milliseconds = took.as_secs_f64() * 1e3;
    let peak = kilobytes("VmHWM")?;
    println!("milliseconds {milliseconds:.2} before {before} peak {peak}");
    Ok(())
}

/// A line of what the kernel says of this process.
fn kilobytes(field: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.ok_or("the kernel does not say it")?.parse()?)
}
