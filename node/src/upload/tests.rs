//! Uploads against real metadata and a store in memory that fails on demand.

use std::time::Duration;

use roadstead_cluster::{Options, read};
use roadstead_storage::faulty::Plan;
use roadstead_storage::{Action as StoreAction, Faulty, Memory, Result as StoreResult};

use super::*;
use crate::founding;

mod sealing;

struct Node {
    tools: Tools,
    store: Memory,
    _folder: tempfile::TempDir,
}

async fn node() -> Node {
    node_on(Memory::new()).await
}

async fn node_on(store: Memory) -> Node {
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
    founding::take_part(&metadata, &store)
        .await
        .expect("the node founds its cluster");
    let metrics = Arc::new(Metrics::new());
    let tools = Tools {
        metadata,
        store: Arc::new(store.clone()),
        metrics,
    };
    Node {
        tools,
        store,
        _folder: folder,
    }
}

fn repository() -> RepositoryName {
    "a/b".parse().expect("a name")
}

/// A chunk whose body ends, or breaks off.
async fn chunk(start: Option<u64>, data: &'static [u8], is_whole: bool) -> Chunk {
    let (sender, body) = mpsc::channel(4);
    sender
        .send(Piece::Data(Bytes::from_static(data)))
        .await
        .expect("there is room");
    if is_whole {
        sender.send(Piece::End).await.expect("there is room");
    }
    Chunk {
        start,
        length: None,
        body,
    }
}

/// Has a whole chunk taken in.
async fn take_in(upload: &mut Upload, start: Option<u64>, data: &'static [u8]) {
    let taken = upload.append(chunk(start, data, true).await).await;
    taken.expect("the chunk fits");
}

impl Node {
    async fn begin(&self) -> Upload {
        Upload::begin(&self.tools, &repository(), Algorithm::Sha256)
            .await
            .expect("it begins")
    }

    async fn row(&self, id: UploadId) -> Option<state::Upload> {
        let id = id.to_string();
        let row = self
            .tools
            .metadata
            .read(|view| read::upload(view, &id))
            .await;
        row.expect("the state can be read")
    }

    /// The bytes that the repository has under a digest.
    async fn blob(&self, digest: &Digest) -> StoreResult<Bytes> {
        let text = digest.to_string();
        let found = self
            .tools
            .metadata
            .read(|view| read::blob(view, "a/b", &text))
            .await;
        let blob = found
            .expect("the state can be read")
            .expect("the blob is linked")
            .blob;
        let key = blob.object_key.parse::<ObjectKey>().expect("a key");
        self.store.read(&key, None).await?.collect(1 << 20).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_become_a_blob() {
    let node = node().await;
    let mut upload = node.begin().await;
    let id = upload.id();
    for (start, data, offset) in [(None, b"abc".as_slice(), 3), (Some(3), b"def", 6)] {
        take_in(&mut upload, start, data).await;
        assert_eq!(upload.acknowledge().await.expect("it is durable"), offset);
    }
    let digest = Algorithm::Sha256.digest(b"abcdef");
    upload.commit(&digest).await.expect("it commits");
    assert_eq!(node.blob(&digest).await.unwrap(), "abcdef");
    assert_eq!(node.row(id).await, None);
    node.tools
        .repeat_commit(id, &repository(), &digest)
        .await
        .expect("a repeated PUT is a yes");
    let other = Algorithm::Sha256.digest(b"x");
    node.tools
        .repeat_commit(id, &repository(), &other)
        .await
        .expect_err("of another digest");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_body_is_kept_and_can_be_dropped() {
    let node = node().await;
    for acknowledged_first in [true, false] {
        let mut upload = node.begin().await;
        if acknowledged_first {
            take_in(&mut upload, None, b"abc").await;
            upload.acknowledge().await.expect("it is durable");
        }
        let failure = upload.append(chunk(None, b"zzz", false).await).await;
        let failure = failure.expect_err("the body broke off");
        assert!(failure.is_usable && matches!(failure.error, RegistryError::BodyBroken));
        // Without `Content-Range` a request begins at what was acknowledged.
        take_in(&mut upload, None, b"def").await;
        let content: &[u8] = if acknowledged_first {
            b"abcdef"
        } else {
            b"def"
        };
        let digest = Algorithm::Sha256.digest(content);
        upload
            .commit(&digest)
            .await
            .expect("what broke off is not part of it");
        assert_eq!(node.blob(&digest).await.unwrap(), content);
    }
}

/// Memory that it holds would be missing to others, and what it has sent could arrive later in the
/// place of what follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_body_is_stored_and_settled_before_the_upload_goes_back() {
    let mut node = node().await;
    let store = Arc::new(Faulty::new(Arc::clone(&node.tools.store), Plan::none()));
    node.tools.store = Arc::<Faulty>::clone(&store);
    let mut upload = node.begin().await;
    take_in(&mut upload, None, b"abc").await;
    upload.acknowledge().await.expect("it is durable");
    assert_eq!(store.calls(StoreAction::Checkpoint), 1);
    let failure = upload.append(chunk(None, b"zzz", false).await).await;
    assert!(failure.expect_err("the body broke off").is_usable);
    assert_eq!(store.calls(StoreAction::Checkpoint), 2);
    take_in(&mut upload, Some(3), b"def").await;
    assert_eq!(store.calls(StoreAction::Checkpoint), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_request_acknowledges_what_a_broken_body_left() {
    let node = node().await;
    let mut upload = node.begin().await;
    upload
        .append(chunk(None, b"abc", false).await)
        .await
        .expect_err("the body broke off");
    assert_eq!(upload.acknowledge().await.expect("it is durable"), 3);
    take_in(&mut upload, Some(3), b"d").await;
    upload
        .commit(&Algorithm::Sha256.digest(b"abcd"))
        .await
        .expect("it commits");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_an_upload_that_has_ended_elsewhere_is_that_it_is_unknown() {
    let node = node().await;
    let mut upload = node.begin().await;
    take_in(&mut upload, None, b"abc").await;
    assert_eq!(upload.acknowledge().await.expect("it is durable"), 3);
    let row = node.row(upload.id()).await.expect("a row");
    let cancel = CancelUpload {
        upload: upload.id().to_string(),
        epoch: row.epoch,
    };
    let cancelled = node.tools.metadata.propose(Action::CancelUpload(cancel));
    cancelled.await.expect("it is cancelled");
    let failure = upload.acknowledge().await.expect_err("it is gone");
    assert!(matches!(failure.error, RegistryError::UploadUnknown(_)));
    assert!(!failure.is_usable, "the session ends with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_still_coming_ends_when_the_upload_has_ended_elsewhere() {
    let node = node().await;
    let mut upload = node.begin().await;
    let row = node.row(upload.id()).await.expect("a row");
    let cancel = CancelUpload {
        upload: upload.id().to_string(),
        epoch: row.epoch,
    };
    let cancelled = node.tools.metadata.propose(Action::CancelUpload(cancel));
    cancelled.await.expect("it is cancelled");
    let (sender, body) = mpsc::channel(1);
    let endless = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while sender
            .send(Piece::Data(Bytes::from_static(b"more")))
            .await
            .is_ok()
        {
            ticks.tick().await;
        }
    });
    let chunk = Chunk {
        start: None,
        length: None,
        body,
    };
    let taken = tokio::time::timeout(Duration::from_secs(30), upload.append(chunk)).await;
    let failure = taken.expect("it ends").expect_err("the upload is gone");
    assert!(matches!(failure.error, RegistryError::UploadUnknown(_)));
    endless.await.expect("nobody takes it in any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_out_of_order_changes_nothing() {
    let node = node().await;
    let mut upload = node.begin().await;
    take_in(&mut upload, None, b"abc").await;
    upload.acknowledge().await.expect("it is durable");
    for start in [0, 2, 4] {
        let failure = upload.append(chunk(Some(start), b"x", true).await).await;
        let failure = failure.expect_err("it does not fit");
        let RegistryError::RangeOutOfOrder { offset, .. } = failure.error else {
            panic!("another error: {}", failure.error);
        };
        assert_eq!((offset, failure.is_usable), (3, true), "start {start}");
    }
    upload
        .commit(&Algorithm::Sha256.digest(b"abc"))
        .await
        .expect("it is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_length_leaves_nothing() {
    let node = node().await;
    let mut upload = node.begin().await;
    let mut long = chunk(None, b"abc", true).await;
    long.length = Some(2);
    let failure = upload
        .append(long)
        .await
        .expect_err("it is longer than announced");
    assert!(matches!(
        failure.error,
        RegistryError::SizeMismatch {
            expected: 2,
            actual: 3
        }
    ));
    assert_eq!(upload.acknowledge().await.expect("nothing to do"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_content_ends_the_upload_and_links_nothing() {
    let node = node().await;
    let mut upload = node.begin().await;
    let id = upload.id();
    take_in(&mut upload, None, b"abc").await;
    let expected = Algorithm::Sha256.digest(b"other");
    let error = upload
        .commit(&expected)
        .await
        .expect_err("the digest does not match");
    assert!(
        matches!(error, RegistryError::DigestMismatch { .. }),
        "{error}"
    );
    assert_eq!(node.row(id).await, None);
    let text = expected.to_string();
    let found = node
        .tools
        .metadata
        .read(|view| read::blob(view, "a/b", &text))
        .await;
    assert_eq!(found.expect("the state can be read"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_algorithm_is_computed_from_the_object() {
    let node = node().await;
    let mut upload = node.begin().await;
    take_in(&mut upload, None, b"abc").await;
    upload.acknowledge().await.expect("it is durable");
    let digest = Algorithm::Sha512.digest(b"abc");
    upload.expect(digest.algorithm());
    upload.commit(&digest).await.expect("it is read back");
    assert_eq!(node.blob(&digest).await.unwrap(), "abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_goes_on_at_the_acknowledged_offset() {
    let node = node().await;
    for is_released in [true, false] {
        let mut first = node.begin().await;
        let id = first.id();
        first
            .append(chunk(None, b"abc", true).await)
            .await
            .expect("the chunk fits");
        first.acknowledge().await.expect("it is durable");
        let key = first.object_key.clone();
        let late = if is_released {
            first
                .append(chunk(Some(3), b"lost", false).await)
                .await
                .expect_err("it broke off");
            first.release().await.expect("it lets go");
            None
        } else {
            Some(first)
        };
        let row = node.row(id).await.expect("it is under way");
        let claimed = Upload::claim(&node.tools, id, &repository(), &row).await;
        let mut second = claimed.expect("it can be claimed");
        assert_eq!(
            second.object_key == key,
            is_released,
            "a key has one writer"
        );
        if let Some(mut late) = late {
            // The former owner wakes up: its bytes go nowhere, and its word counts for nothing.
            late.append(chunk(Some(3), b"LATE", true).await)
                .await
                .expect("it does not know");
            late.acknowledge().await.expect_err("its epoch is over");
        }
        second
            .append(chunk(Some(3), b"def", true).await)
            .await
            .expect("it goes on");
        let digest = Algorithm::Sha256.digest(b"abcdef");
        second.commit(&digest).await.expect("it commits");
        assert_eq!(node.blob(&digest).await.unwrap(), "abcdef");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_store_has_lost_ends() {
    let node = node().await;
    let mut upload = node.begin().await;
    take_in(&mut upload, None, b"abc").await;
    upload.acknowledge().await.expect("it is durable");
    let (id, key) = (upload.id(), upload.object_key.clone());
    drop(upload);
    for deleted in node.store.delete(&[key]).await {
        deleted.expect("somebody deletes it");
    }
    let row = node.row(id).await.expect("it is under way");
    let claimed = Upload::claim(&node.tools, id, &repository(), &row).await;
    let refused = claimed.map(drop).expect_err("nothing is left of it");
    assert!(
        matches!(refused, RegistryError::UploadUnknown(_)),
        "{refused}"
    );
    assert_eq!(node.row(id).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_without_bytes_can_be_claimed_and_committed() {
    let node = node().await;
    let id = node.begin().await.id();
    let row = node.row(id).await.expect("it is under way");
    let claimed = Upload::claim(&node.tools, id, &repository(), &row).await;
    let digest = Algorithm::Sha256.digest(b"");
    claimed
        .expect("it can be claimed")
        .commit(&digest)
        .await
        .expect("an empty blob is a blob");
    assert_eq!(node.blob(&digest).await.unwrap(), "");
}
