//! The collector against real metadata and a store in memory whose deletes fail or wait on demand.
//!
//! Graces are milliseconds here; every wait is for a condition, with a deadline.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use roadstead_cluster::{Metadata, Options, garbage, read};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::{ChangeSettings, DeleteBlob, RenewHold};
use roadstead_proto::{Algorithm, Digest, RepositoryName};
use roadstead_storage::{BlobStore, Marker, ObjectKey};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval};

use super::failures::Failures;
use super::*;
use crate::founding;
use crate::limits::DELETED_PER_STEP;
use crate::store_guard::StoreGuard;
use crate::telemetry::Metrics;
use crate::testing::until;
use crate::upload::{self, Chunk, Piece, Upload};

mod leftovers;
mod shim;
mod sweeping;
mod untagged;
mod verify;

use shim::Shim;

const GRACE_MS: u64 = 40;

struct Node {
    metadata: Metadata,
    store: Arc<Shim>,
    pass: Pass,
    progress: Progress,
    _folder: tempfile::TempDir,
}

async fn node() -> Node {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options {
        datadir: folder.path().to_owned(),
        proposal_timeout: Duration::from_secs(10),
        snapshot_after_entries: 10_000,
        keep_entries: 1_000,
        feature_level_max: 1,
        cluster: None,
    };
    let metadata = Metadata::open(&options).await.expect("the metadata open");
    let store = Arc::new(Shim::default());
    founding::take_part(&metadata, store.as_ref())
        .await
        .expect("the node founds its cluster");
    let tools = Tools {
        metadata: metadata.clone(),
        store: Arc::clone(&store) as Arc<dyn BlobStore>,
        guard: StoreGuard::new(metadata.clone(), Arc::clone(&store) as Arc<dyn BlobStore>),
    };
    let node = Node {
        metadata,
        store,
        pass: Pass::new(tools, Pace::new(100_000, Arc::new(Metrics::new()))),
        progress: Progress::default(),
        _folder: folder,
    };
    node.change(ChangeSettings {
        grace_ms: Some(GRACE_MS),
        reading_delay_ms: Some(0),
        ..ChangeSettings::default()
    })
    .await;
    node
}

fn repository() -> RepositoryName {
    "a/b".parse().expect("a name")
}

fn fresh_key() -> ObjectKey {
    ObjectKey::for_upload(uuid::Uuid::new_v4())
}

impl Node {
    async fn change(&self, change: ChangeSettings) {
        let changed = self.metadata.propose(Action::ChangeSettings(change)).await;
        changed.expect("the settings change");
    }

    fn tools(&self) -> upload::Tools {
        upload::Tools {
            metadata: self.metadata.clone(),
            store: Arc::clone(&self.store) as Arc<dyn BlobStore>,
            metrics: Arc::new(Metrics::new()),
        }
    }

    async fn begin(&self, data: &'static [u8]) -> Upload {
        let mut upload = Upload::begin(&self.tools(), &repository(), Algorithm::Sha256)
            .await
            .expect("it begins");
        let (sender, body) = mpsc::channel(4);
        for piece in [Piece::Data(Bytes::from_static(data)), Piece::End] {
            sender.send(piece).await.expect("there is room");
        }
        let chunk = Chunk {
            start: None,
            length: None,
            body,
        };
        upload.append(chunk).await.expect("the chunk fits");
        upload
    }

    async fn push(&self, data: &'static [u8]) -> Digest {
        let digest = Algorithm::Sha256.digest(data);
        let upload = self.begin(data).await;
        upload.commit(&digest).await.expect("it commits");
        digest
    }

    async fn key(&self, digest: &Digest) -> Option<ObjectKey> {
        let text = digest.to_string();
        let found = self
            .metadata
            .read(|view| read::blob(view, "a/b", &text))
            .await;
        let key = found.expect("the state can be read")?.blob.object_key;
        Some(key.parse().expect("a key"))
    }

    async fn read(&self, digest: &Digest) -> Bytes {
        let key = self.key(digest).await.expect("the blob is linked");
        let reader = self
            .store
            .read(&key, None)
            .await
            .expect("the object is there");
        reader.collect(1 << 20).await.expect("it can be read")
    }

    /// Removes the link, as a client would, so that the object is reclaimed at once.
    async fn drop_blob(&self, digest: &Digest) {
        let delete = DeleteBlob {
            repository: repository().to_string(),
            digest: digest.to_string(),
        };
        let deleted = self.metadata.propose(Action::DeleteBlob(delete)).await;
        deleted.expect("the link goes");
    }

    async fn look(&mut self) -> Result<Counts, CollectionError> {
        self.run(Run::default()).await
    }

    async fn run(&mut self, run: Run) -> Result<Counts, CollectionError> {
        let before = self.progress.counts();
        self.pass.run(run, &self.progress).await?;
        if run.sweep {
            self.pass.sweep(run, &self.progress).await?;
        }
        Ok(self.progress.counts().since(&before))
    }

    /// Looks until `is_done`.
    async fn look_until(&mut self, what: &str, is_done: impl Fn(&Counts, &Shim) -> bool) {
        until(what, async || {
            let is_done = is_done(&self.progress.counts(), &self.store);
            if !is_done {
                self.look().await.expect("a look");
            }
            is_done
        })
        .await;
    }

    async fn stored(&self) -> BTreeSet<String> {
        let listed = self.store.list(roadstead_storage::path::OBJECTS_PREFIX);
        let keys = listed.map(|entry| entry.expect("an entry").key.as_str().to_owned());
        keys.collect().await
    }

    async fn rows_of_reclaimed(&self) -> usize {
        let look = |view: &dyn roadstead_cluster::metadata::View| {
            garbage::reclaimed(view, &[], u64::MAX, 10_000)
        };
        let found = self.metadata.read(look).await.expect("rows");
        found.items.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_names_goes_after_its_hold_and_nothing_else() {
    let mut node = node().await;
    let before = Instant::now();
    let blob = node.push(b"unused").await;
    node.look_until("the blob goes", |counts, _| counts.objects == 1)
        .await;
    assert!(before.elapsed() >= Duration::from_millis(2 * GRACE_MS));
    assert_eq!(node.key(&blob).await, None);
    assert!(node.stored().await.is_empty());
    assert_eq!(node.rows_of_reclaimed().await, 0);
    let counts = node.progress.counts();
    assert_eq!((counts.links, counts.bytes), (1, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_arrives_after_the_digest_was_pushed_again_leaves_the_new_blob() {
    let node = node().await;
    let blob = node.push(b"again").await;
    let former = node.key(&blob).await.expect("a key");
    node.drop_blob(&blob).await;
    let gate = node.store.hold_deletes();
    let pace = Pace::new(100, Arc::new(Metrics::new()));
    let mut pass = Pass::new(node.pass.tools.clone(), pace);
    let late = tokio::spawn(async move {
        let progress = Progress::default();
        let ended = pass.run(Run::default(), &progress).await;
        (ended, progress.counts())
    });
    node.store.wait_for_deletes(1).await;
    // The delete is on its way; now the same bytes come again.
    assert_eq!(node.push(b"again").await, blob);
    let fresh = node.key(&blob).await.expect("a key");
    assert_ne!(former, fresh);
    gate.release();
    let (ended, counts) = late.await.expect("it ends");
    ended.expect("it was harmless");
    assert_eq!(counts.objects, 1);
    assert_eq!(node.read(&blob).await, "again");
    assert_eq!(node.stored().await, [fresh.as_str().to_owned()].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_deleted_hold_up_no_others_and_are_tried_again() {
    let mut node = node().await;
    let stubborn = node.push(b"stubborn").await;
    let key = node.key(&stubborn).await.expect("a key");
    node.store.refuse([key.as_str().to_owned()]);
    node.drop_blob(&stubborn).await;
    let other = node.push(b"other").await;
    node.drop_blob(&other).await;
    node.look_until("the other goes", |counts, _| counts.objects == 1)
        .await;
    assert_eq!(node.stored().await, [key.as_str().to_owned()].into());
    assert_eq!(node.rows_of_reclaimed().await, 1, "its row stays");
    // It waits longer each time, so that a store that refuses is not asked all the time.
    let asked = node.store.deletes_of(key.as_str());
    for _ in 0..50 {
        node.look().await.expect("a look");
    }
    assert!(node.store.deletes_of(key.as_str()) <= asked + 5);
    assert!(node.progress.counts().failures >= 1);
    node.store.refuse([]);
    node.look_until("it goes after all", |counts, _| counts.objects == 2)
        .await;
    assert_eq!(node.rows_of_reclaimed().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_every_delete_loses_no_row() {
    let mut node = node().await;
    for data in [b"one".as_slice(), b"two", b"three"] {
        let blob = node.push(data).await;
        node.drop_blob(&blob).await;
    }
    let all = node.stored().await;
    node.store.refuse(all.clone());
    node.look_until("all were tried", |counts, _| counts.failures >= 3)
        .await;
    assert_eq!(node.stored().await, all);
    assert_eq!(node.rows_of_reclaimed().await, 3);
    // Others are served meanwhile.
    let blob = node.push(b"new").await;
    assert_eq!(node.read(&blob).await, "new");
}

/// Each refusal may take as long as a store takes to answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_ends_its_deletes_when_the_store_refuses_all_of_a_step() {
    let mut node = node().await;
    let mut blobs = Vec::new();
    for number in 0..DELETED_PER_STEP + 5 {
        blobs.push(node.push(number.to_string().leak().as_bytes()).await);
    }
    let mut refused = Vec::new();
    for blob in &blobs[..DELETED_PER_STEP] {
        let key = node.key(blob).await.expect("it is linked");
        refused.push(key.as_str().to_owned());
    }
    let (first, last) = blobs.split_at(DELETED_PER_STEP);
    for blob in first {
        node.drop_blob(blob).await;
    }
    let now_ms = node.metadata.cluster_time().await.expect("a leader");
    until("time has passed", async || {
        node.metadata.cluster_time().await.expect("a leader") > now_ms
    })
    .await;
    for blob in last {
        node.drop_blob(blob).await;
    }
    let all_refused = (0, refused.len() as u64);
    node.store.refuse(refused);
    let mut look = async || {
        // None of them has to wait, as when there are too many to remember.
        node.pass.failures = Failures::default();
        let counts = node.look().await.expect("a look");
        (counts.objects, counts.failures)
    };
    assert_eq!(look().await, all_refused);
    assert_eq!(look().await, (5, 0), "they keep nobody else from a turn");
    assert_eq!(look().await, all_refused, "from the first on");
    node.store.refuse([]);
    node.look_until("all go after all", |counts, _| {
        counts.objects == blobs.len() as u64
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_marker_stops_collection_and_pushes_until_it_is_back() {
    let mut node = node().await;
    let guard = node.pass.tools.guard.clone();
    let own = node.store.read_marker().await.unwrap().expect("a marker");
    let blob = node.push(b"kept").await;
    node.drop_blob(&blob).await;
    let other = Marker {
        incarnation: own.incarnation + 1,
        ..own
    };
    for changed in [Some(other), None] {
        node.store.put_marker(changed.as_ref());
        let failure = node.look().await.expect_err("the store is another's");
        assert!(matches!(failure, CollectionError::Alarm(_)), "{failure}");
        assert_eq!(node.stored().await.len(), 1, "nothing was deleted");
        assert!(guard.check().is_err(), "pushes are refused");
    }
    let sweep = Run {
        sweep: true,
        ..Run::default()
    };
    node.run(sweep).await.expect_err("nor is anything swept");
    node.store.put_marker(Some(&own));
    assert_eq!(node.look().await.expect("a look").objects, 1);
    guard.check().expect("pushes are taken again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_takes_what_nothing_names_and_leaves_the_rest() {
    let mut node = node().await;
    node.change(ChangeSettings {
        grace_ms: Some(600_000),
        reading_delay_ms: Some(600_000),
        ..ChangeSettings::default()
    })
    .await;
    let live = node.push(b"live").await;
    let reclaimed = node.push(b"reclaimed").await;
    node.drop_blob(&reclaimed).await;
    // Its bytes are there, and no checkpoint names them yet.
    let uploading = node.begin(b"uploading").await;
    let expected = node.stored().await;
    assert_eq!(expected.len(), 3);
    let orphans = [fresh_key(), fresh_key()];
    for (orphan, is_finished) in orphans.iter().zip([true, false]) {
        let mut writer = node.store.create(orphan).await.expect("a writer");
        writer
            .write(Bytes::from_static(b"lost"))
            .await
            .expect("room");
        if is_finished {
            writer.finish().await.expect("an object");
        } else {
            writer.checkpoint().await.expect("a checkpoint");
        }
    }
    // Somebody's note; no upload has such a key.
    let note = format!("{}ab/note.txt", roadstead_storage::path::OBJECTS_PREFIX);
    let writer = node.store.create(&note.parse().expect("a key")).await;
    writer.expect("a writer").finish().await.expect("an object");
    let dry = Run {
        sweep: true,
        is_dry: true,
        ..Run::default()
    };
    assert_eq!(node.run(dry).await.expect("a dry run").orphans, 2);
    assert_eq!(node.stored().await.len(), 6, "a dry run only counts");
    let sweep = Run {
        is_dry: false,
        ..dry
    };
    assert_eq!(node.run(sweep).await.expect("a sweep").orphans, 2);
    let mut stored = node.stored().await;
    assert!(stored.remove(&note), "what is not ours stays");
    assert_eq!(stored, expected);
    let swept = node.progress.swept().expect("a report");
    assert_eq!((swept.objects, swept.orphans, swept.error), (5, 2, None));
    assert_eq!(swept.foreign, 1);
    assert_eq!(node.read(&live).await, "live");
    let digest = Algorithm::Sha256.digest(b"uploading");
    uploading.commit(&digest).await.expect("it goes on");
    assert_eq!(node.read(&digest).await, "uploading");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_hold_lasts_another_grace() {
    let mut node = node().await;
    node.change(ChangeSettings {
        grace_ms: Some(1_000),
        ..ChangeSettings::default()
    })
    .await;
    let blob = node.push(b"seen").await;
    let (started, mut ticks) = (Instant::now(), interval(Duration::from_millis(50)));
    while started.elapsed() < Duration::from_millis(3_500) {
        ticks.tick().await;
        let renew = RenewHold {
            repository: repository().to_string(),
            digests: vec![blob.to_string()],
        };
        let renewed = propose(&node, Action::RenewHold(renew)).await;
        assert!(renewed, "whoever asks in time finds it");
        assert_eq!(node.look().await.expect("a look").links, 0);
    }
    let renewed = Instant::now();
    node.look_until("it goes", |counts, _| counts.objects == 1)
        .await;
    assert!(renewed.elapsed() >= Duration::from_millis(1_000));
}

async fn propose(node: &Node, action: Action) -> bool {
    let response = node.metadata.propose(action).await.expect("an answer");
    crate::error::outcome(response).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_collector_stops_and_a_dry_run_changes_nothing() {
    let mut node = node().await;
    let blob = node.push(b"waiting").await;
    node.drop_blob(&blob).await;
    let paused = |is_paused| ChangeSettings {
        collection_paused: Some(is_paused),
        ..ChangeSettings::default()
    };
    node.change(paused(true)).await;
    let failure = node.look().await.expect_err("it is paused");
    assert!(matches!(failure, CollectionError::Paused), "{failure}");
    let dry = Run {
        is_dry: true,
        ..Run::default()
    };
    assert_eq!(node.run(dry).await.expect("a dry run").objects, 1);
    assert_eq!(node.stored().await.len(), 1);
    node.change(paused(false)).await;
    assert_eq!(node.look().await.expect("a look").objects, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_uploads_end_with_their_bytes() {
    let mut node = node().await;
    let mut abandoned = node.begin(b"abandoned").await;
    abandoned.acknowledge().await.expect("it is durable");
    drop(abandoned);
    let uploads = Run {
        uploads: true,
        ..Run::default()
    };
    assert_eq!(
        node.run(uploads).await.expect("a look").uploads,
        0,
        "no age"
    );
    node.change(ChangeSettings {
        upload_age_ms: Some(100),
        ..ChangeSettings::default()
    })
    .await;
    until("the upload goes", async || {
        node.run(uploads).await.expect("a look");
        node.progress.counts().objects > 0
    })
    .await;
    assert_eq!(node.progress.counts().uploads, 1);
    assert!(node.stored().await.is_empty());
}
