//! The handle on a real folder: restarts, snapshots, purges, retries, damage.
//!
//! Each test opens its own temporary folder with Raft and RocksDB, as a node does.

use std::path::Path;
use std::time::{Duration, Instant};

use roadstead_cluster::{Error, Metadata, OpenError, Options, read};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{
    BeginUpload, CommitUpload, DeleteTag, FoundCluster, PutManifest, StartNode,
};
use roadstead_proto::rpc::state::Owner;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn options(folder: &Path) -> Options {
    Options {
        datadir: folder.to_owned(),
        proposal_timeout: Duration::from_secs(10),
        snapshot_after_entries: 50,
        keep_entries: 5,
        feature_level_max: 1,
        cluster: None,
    }
}

/// Opens a node and takes it through what every start proposes.
async fn start(folder: &Path) -> Metadata {
    start_with(&options(folder)).await
}

async fn start_with(options: &Options) -> Metadata {
    let metadata = Metadata::open(options).await.expect("the metadata open");
    let found = FoundCluster {
        cluster_id: "c".to_owned(),
        grace_ms: 1_000,
        feature_level: 1,
    };
    propose(&metadata, Action::FoundCluster(found)).await;
    let start = StartNode {
        node: metadata.identity().node,
        instance: metadata.identity().instance.to_string(),
        address: String::new(),
        feature_level_max: 1,
        version: "test".to_owned(),
    };
    match propose(&metadata, Action::StartNode(start)).await {
        Outcome::Started(started) => metadata.set_boot(started.boot),
        other => panic!("a start is answered with a boot number, not {other:?}"),
    }
    metadata
}

async fn propose(metadata: &Metadata, action: Action) -> Outcome {
    let response = metadata
        .propose(action)
        .await
        .expect("the proposal is answered");
    response.outcome.expect("every command has an outcome")
}

fn put_manifest(tag: &str) -> Action {
    Action::PutManifest(PutManifest {
        repository: "r".to_owned(),
        digest: DIGEST.to_owned(),
        media_type: "a/b".to_owned(),
        body: b"{}".as_slice().into(),
        tags: vec![tag.to_owned()],
        ..PutManifest::default()
    })
}

/// It is not synced: a power cut may take all of it.
fn remove_write_ahead_log_of_the_state(folder: &Path) {
    let mut removed = 0;
    for entry in std::fs::read_dir(folder.join("state/1")).expect("the state is there") {
        let path = entry.expect("the state can be listed").path();
        if path.extension().is_some_and(|extension| extension == "log") {
            std::fs::remove_file(path).expect("a file can be removed");
            removed += 1;
        }
    }
    assert!(removed > 0, "there was something to lose");
}

async fn tag(metadata: &Metadata, tag: &str) -> Option<String> {
    metadata
        .read(|view| read::tag(view, "r", tag))
        .await
        .expect("the state can be read")
}

/// Polls a condition that another task brings about.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "in 30 seconds: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    propose(&first, put_manifest("kept")).await;
    let (instance, boot) = (first.identity().instance, first.boot());
    first.close().await.unwrap();

    let second = start(folder.path()).await;
    assert_eq!(tag(&second, "kept").await.as_deref(), Some(DIGEST));
    assert_eq!(second.identity().instance, instance);
    assert!(
        second.boot() > boot,
        "every life of a node has a number of its own"
    );
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_purged_behind_a_snapshot_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    for number in 0..200 {
        propose(&first, put_manifest(&format!("t{number:03}"))).await;
    }
    until("a snapshot is taken", || first.status().snapshot_index > 50).await;
    // It is purged by 256 entries at once.
    assert_eq!(first.status().purged_index, 0);
    for number in 200..600 {
        propose(&first, put_manifest(&format!("t{number:03}"))).await;
    }
    until("the log is purged behind a snapshot", || {
        first.status().purged_index >= 256
    })
    .await;
    let before = first.status();
    assert!(before.snapshot_index >= before.purged_index);
    first.close().await.unwrap();

    let second = start(folder.path()).await;
    assert!(second.status().purged_index >= before.purged_index);
    let page = second
        .read(|view| read::tags(view, "r", None, 1_000))
        .await
        .unwrap();
    assert_eq!(page.items.len(), 600);
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_lost_its_newest_writes_is_made_whole_by_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    propose(&first, put_manifest("a")).await;
    first.close().await.unwrap();
    remove_write_ahead_log_of_the_state(folder.path());
    let second = start(folder.path()).await;
    assert_eq!(tag(&second, "a").await.as_deref(), Some(DIGEST));
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn first_read_waits_for_what_the_log_brings_back() {
    const TAGS: usize = 1_500;
    let folder = tempfile::tempdir().unwrap();
    let many = Options {
        snapshot_after_entries: 1_000_000,
        ..options(folder.path())
    };
    let first = start_with(&many).await;
    let puts = (0..TAGS).map(|number| put_manifest(&format!("t{number}")));
    let puts = puts.map(|put| Box::pin(propose(&first, put)));
    futures::future::join_all(puts).await;
    first.close().await.unwrap();
    remove_write_ahead_log_of_the_state(folder.path());
    let second = Metadata::open(&many).await.unwrap();
    let last = format!("t{}", TAGS - 1);
    assert_eq!(tag(&second, &last).await.as_deref(), Some(DIGEST));
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_side_by_side_all_get_their_answers() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = start(folder.path()).await;
    let writers = (0..64).map(|number| {
        let metadata = metadata.clone();
        tokio::spawn(async move { propose(&metadata, put_manifest(&format!("t{number}"))).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        assert!(matches!(writer.await.unwrap(), Outcome::Done(_)));
    }
    let page = metadata
        .read(|view| read::tags(view, "r", None, 1_000))
        .await
        .unwrap();
    assert_eq!(page.items.len(), 64);
    metadata.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_an_earlier_life_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = start(folder.path()).await;
    propose(&metadata, put_manifest("a")).await;
    metadata.set_boot(metadata.boot() - 1);
    let delete = DeleteTag {
        repository: "r".to_owned(),
        tag: "a".to_owned(),
    };
    let outcome = propose(&metadata, Action::DeleteTag(delete)).await;
    assert!(matches!(outcome, Outcome::Refusal(_)), "{outcome:?}");
    assert!(tag(&metadata, "a").await.is_some());
    metadata.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_from_begin_to_commit() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = start(folder.path()).await;
    let begin = BeginUpload {
        upload: "u".to_owned(),
        repository: "r".to_owned(),
        object_key: "k".to_owned(),
        algorithm: "sha256".to_owned(),
        owner: Some(Owner {
            node: 1,
            boot: metadata.boot(),
        }),
    };
    propose(&metadata, Action::BeginUpload(begin)).await;
    let commit = CommitUpload {
        upload: "u".to_owned(),
        epoch: 1,
        digest: DIGEST.to_owned(),
        size: 0,
        repository: "r".to_owned(),
    };
    assert!(matches!(
        propose(&metadata, Action::CommitUpload(commit)).await,
        Outcome::Done(_)
    ));
    let blob = metadata
        .read(|view| read::blob(view, "r", DIGEST))
        .await
        .unwrap();
    assert_eq!(blob.expect("the blob is linked").blob.object_key, "k");
    metadata.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_time_goes_on_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    propose(&first, put_manifest("a")).await;
    let before = first.read(|view| read::now_ms(view)).await.unwrap();
    first.close().await.unwrap();
    let second = start(folder.path()).await;
    assert!(second.cluster_time().await.unwrap() >= before);
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_and_left_alone() {
    for damaged in ["log/CURRENT", "state/1/CURRENT", "state/current"] {
        let folder = tempfile::tempdir().unwrap();
        let metadata = start(folder.path()).await;
        metadata.close().await.unwrap();
        let path = folder.path().join(damaged);
        std::fs::write(&path, "garbage").unwrap();
        let error = Metadata::open(&options(folder.path()))
            .await
            .expect_err(damaged);
        assert!(
            matches!(error, OpenError::Corrupt { .. }),
            "{damaged}: {error}"
        );
        assert!(error.to_string().contains("restore"), "{damaged}: {error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "garbage");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_too_large_is_refused() {
    const BYTES_MAX: usize = 12 << 20;
    let folder = tempfile::tempdir().unwrap();
    let metadata = start(folder.path()).await;
    for (body_bytes, is_taken) in [(BYTES_MAX - 1_000, true), (BYTES_MAX, false)] {
        let put = PutManifest {
            body: vec![b' '; body_bytes].into(),
            ..PutManifest::default()
        };
        match metadata.propose(Action::PutManifest(put)).await {
            Ok(_) => assert!(is_taken, "{body_bytes} bytes"),
            Err(Error::TooLarge { bytes, bytes_max }) => {
                assert!(!is_taken && bytes > bytes_max, "{bytes} bytes");
            }
            Err(error) => panic!("{error}"),
        }
    }
    metadata.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_the_metadata_open_holds_up_the_end_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = start(folder.path()).await;
    let kept = metadata.clone();
    let began = Instant::now();
    let closed = metadata.close().await;
    assert!(matches!(closed, Err(Error::TimedOut(_))), "{closed:?}");
    let expected = Duration::from_secs(10)..Duration::from_secs(20);
    assert!(expected.contains(&began.elapsed()));
    drop(kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let error = Metadata::open(&options(folder.path()))
        .await
        .expect_err("the folder is in use");
    assert!(matches!(error, OpenError::Locked(_)), "{error}");
    first.shutdown().await.unwrap();
}
