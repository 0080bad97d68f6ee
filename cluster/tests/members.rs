//! Several nodes in one process, over real connections: they form one cluster, agree on what was
//! written, and go on without one of them.

use std::net::TcpListener;
use std::time::Duration;

use roadstead_cluster::{Cluster, Metadata, OpenError, Options, Timing, read};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{FoundCluster, PutManifest, StartNode};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What no step of a test takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node that is to be started.
struct Site {
    folder: TempDir,
    address: String,
}

impl Site {
    fn new() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let folder = tempfile::tempdir().expect("a temporary folder");
        (Self { folder, address }, listener)
    }

    fn options(&self, listener: TcpListener, members: &[String], join: Option<&str>) -> Options {
        Options {
            datadir: self.folder.path().to_owned(),
            proposal_timeout: Duration::from_secs(10),
            snapshot_after_entries: 50,
            keep_entries: 5,
            feature_level_max: 1,
            cluster: Some(Cluster {
                name: "test".to_owned(),
                tls: None,
                listener,
                address: self.address.clone(),
                members: members.to_vec(),
                join: join.map(str::to_owned),
                found_refusal: None,
                timing: Timing::default(),
            }),
        }
    }
}

/// Opens a node, and takes it through what every start proposes.
async fn start(options: Options) -> Result<Metadata, OpenError> {
    let metadata = Metadata::open(&options).await?;
    drop(options);
    let settings = metadata.read(|view| read::settings(view)).await;
    let settings = settings.expect("there is a quorum");
    let cluster_id = match settings {
        Some(settings) => settings.cluster_id,
        None => {
            let found = FoundCluster {
                cluster_id: "c".to_owned(),
                grace_ms: 1_000,
                feature_level: 1,
            };
            propose(&metadata, Action::FoundCluster(found)).await;
            "c".to_owned()
        }
    };
    metadata.founded(&cluster_id, 1);
    let start = StartNode {
        node: metadata.identity().node,
        instance: metadata.identity().instance.to_string(),
        address: metadata.address().to_owned(),
        feature_level_max: 1,
        version: "test".to_owned(),
    };
    match propose(&metadata, Action::StartNode(start)).await {
        Outcome::Started(started) => metadata.set_boot(started.boot),
        other => panic!("a start is answered with a boot number, not {other:?}"),
    }
    metadata.formed().await;
    Ok(metadata)
}

async fn propose(metadata: &Metadata, action: Action) -> Outcome {
    let response = timeout(PATIENCE, metadata.propose(action)).await;
    let response = response.expect("in time").expect("it is answered");
    response.outcome.expect("every command has an outcome")
}

async fn put(metadata: &Metadata, tag: &str) {
    let put = PutManifest {
        repository: "r".to_owned(),
        digest: DIGEST.to_owned(),
        media_type: "a/b".to_owned(),
        body: b"{}".as_slice().into(),
        tags: vec![tag.to_owned()],
        ..PutManifest::default()
    };
    let outcome = propose(metadata, Action::PutManifest(put)).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

async fn has(metadata: &Metadata, tag: &str) -> bool {
    let found = metadata.read(|view| read::tag(view, "r", tag));
    let found = timeout(PATIENCE, found).await.expect("in time");
    found.expect("there is a quorum").is_some()
}

/// Starts as many fresh nodes at once as form a cluster together.
async fn cluster(count: usize) -> (Vec<Site>, Vec<Metadata>) {
    let (sites, listeners): (Vec<_>, Vec<_>) = (0..count).map(|_| Site::new()).unzip();
    let members: Vec<_> = sites.iter().map(|site| site.address.clone()).collect();
    let starts: Vec<JoinHandle<_>> = sites
        .iter()
        .zip(listeners)
        .map(|(site, listener)| tokio::spawn(start(site.options(listener, &members, None))))
        .collect();
    let mut nodes = Vec::new();
    for start in starts {
        let node = timeout(PATIENCE, start).await.expect("in time");
        let node = node.expect("it does not panic");
        nodes.push(node.expect("it starts"));
    }
    (sites, nodes)
}

async fn stop(nodes: Vec<Metadata>) {
    for node in nodes {
        node.close().await.expect("it stops");
    }
}

/// Binds the address of a node again, once whoever had it has let go.
async fn bind_again(address: &str) -> TcpListener {
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let bound = async {
        loop {
            if let Ok(listener) = TcpListener::bind(address) {
                return listener;
            }
            look.tick().await;
        }
    };
    timeout(PATIENCE, bound).await.expect("it becomes free")
}

fn leader(nodes: &[Metadata]) -> usize {
    let leads = |node: &Metadata| node.status().is_leader;
    nodes.iter().position(leads).expect("somebody leads")
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_form_one_cluster_and_agree() {
    let (_sites, nodes) = cluster(3).await;
    let mut ids: Vec<_> = nodes.iter().map(|node| node.identity().node).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
    for (at, node) in nodes.iter().enumerate() {
        let tag = format!("t{at}");
        put(node, &tag).await;
        for other in &nodes {
            assert!(has(other, &tag).await, "{tag}");
        }
    }
    let times: Vec<u64> = futures::future::join_all(nodes.iter().map(Metadata::cluster_time))
        .await
        .into_iter()
        .map(|time| time.expect("the leader says"))
        .collect();
    let spread = times.iter().max().zip(times.iter().min());
    assert!(
        spread.is_some_and(|(last, first)| last - first < 10_000),
        "{times:?}"
    );
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_go_on_and_the_third_catches_up_by_snapshot() {
    let (sites, mut nodes) = cluster(3).await;
    let lost = leader(&nodes);
    nodes.remove(lost).close().await.expect("it stops");
    // More than are kept in the log, so that a snapshot has to be sent.
    for number in 0..120 {
        put(&nodes[number % 2], &format!("t{number}")).await;
    }
    let listener = bind_again(&sites[lost].address).await;
    let again = start(sites[lost].options(listener, &[], None));
    let again = timeout(PATIENCE, again)
        .await
        .expect("in time")
        .expect("it starts");
    assert!(has(&again, "t0").await && has(&again, "t119").await);
    put(&again, "more").await;
    assert!(has(&nodes[0], "more").await);
    nodes.push(again);
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wiped_node_neither_votes_nor_founds() {
    let (mut sites, mut nodes) = cluster(3).await;
    let members: Vec<_> = sites.iter().map(|site| site.address.clone()).collect();
    let first = nodes.iter().position(|node| node.identity().node == 1);
    let first = first.expect("somebody has founded it");
    nodes.remove(first).close().await.expect("it stops");
    sites[first].folder = tempfile::tempdir().unwrap();
    let listener = bind_again(&sites[first].address).await;
    let wiped = start(sites[first].options(listener, &members, None));
    let refused = timeout(PATIENCE, wiped).await.expect("in time");
    let refused = refused.expect_err("its folder is another one");
    assert!(
        refused.to_string().contains("has to be removed"),
        "{refused}"
    );
    put(&nodes[0], "on").await;
    assert!(has(&nodes[1], "on").await);
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_joins_a_cluster_of_one() {
    let (sites, mut nodes) = cluster(1).await;
    put(&nodes[0], "before").await;
    let (site, listener) = Site::new();
    let joining = start(site.options(listener, &[], Some(&sites[0].address)));
    let joined = timeout(PATIENCE, joining).await.expect("in time");
    nodes.push(joined.expect("it joins"));
    assert_eq!(nodes[1].identity().node, 2);
    assert!(has(&nodes[1], "before").await);
    put(&nodes[1], "after").await;
    assert!(has(&nodes[0], "after").await);
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_that_was_alone_becomes_the_first_of_a_cluster() {
    let (site, listener) = Site::new();
    let later = listener.try_clone().expect("a second handle");
    let mut options = site.options(listener, &[], None);
    options.cluster = None;
    let alone = start(options).await.expect("it starts");
    put(&alone, "before").await;
    alone.close().await.expect("it stops");
    let first = start(site.options(later, &[], None));
    let first = first.await.expect("it starts again");
    let (other, listener) = Site::new();
    let joining = start(other.options(listener, &[], Some(&site.address)));
    let joined = timeout(PATIENCE, joining).await.expect("in time");
    let joined = joined.expect("it joins");
    assert!(has(&joined, "before").await);
    stop(vec![first, joined]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn address_that_the_others_do_not_know_is_refused() {
    let (sites, mut nodes) = cluster(2).await;
    let last = nodes.pop().expect("two of them");
    last.close().await.expect("it stops");
    let (elsewhere, listener) = Site::new();
    let mut options = sites[1].options(listener, &[], Some(&sites[0].address));
    if let Some(cluster) = &mut options.cluster {
        cluster.address.clone_from(&elsewhere.address);
    }
    let refused = timeout(PATIENCE, start(options)).await.expect("in time");
    let refused = refused.expect_err("its address is another one");
    let words = "its members know this node as";
    assert!(refused.to_string().contains(words), "{refused}");
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn member_that_would_not_listen_is_refused() {
    let (sites, mut nodes) = cluster(2).await;
    let last = nodes.pop().expect("two of them");
    last.close().await.expect("it stops");
    let (_, listener) = Site::new();
    let mut options = sites[1].options(listener, &[], None);
    options.cluster = None;
    let refused = timeout(PATIENCE, start(options)).await.expect("in time");
    let refused = refused.expect_err("nobody could reach it");
    assert!(
        refused.to_string().contains("has to be reached"),
        "{refused}"
    );
    stop(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn minority_answers_that_there_is_no_quorum() {
    let (_sites, mut nodes) = cluster(3).await;
    put(&nodes[0], "kept").await;
    let last = nodes.pop().expect("three of them");
    stop(nodes).await;
    let read = last.read(|view| read::tag(view, "r", "kept")).await;
    assert!(
        matches!(read, Err(roadstead_cluster::Error::Unavailable(_))),
        "{read:?}"
    );
    last.close().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_differ_are_refused() {
    let (first, first_listener) = Site::new();
    let (second, second_listener) = Site::new();
    let own = [first.address.clone(), second.address.clone()];
    let other = [
        first.address.clone(),
        second.address.clone(),
        "127.0.0.1:1".to_owned(),
    ];
    // Whoever looks first is refused, and the other waits for it in vain.
    let refused = async {
        tokio::select! {
            refused = start(first.options(first_listener, &other, None)) => refused,
            refused = start(second.options(second_listener, &own, None)) => refused,
        }
    };
    let refused = timeout(PATIENCE, Box::pin(refused)).await;
    let refused = refused.expect("in time");
    let refused = refused.expect_err("the lists differ");
    assert!(
        refused.to_string().contains("`cluster.members` is"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn node_that_is_none_of_the_members_is_refused() {
    let (site, listener) = Site::new();
    let members = ["127.0.0.1:1".to_owned()];
    let refused = start(site.options(listener, &members, None)).await;
    let refused = refused.expect_err("it is not named");
    assert!(
        refused.to_string().contains("none of `cluster.members`"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_that_lost_its_log_and_state_does_not_vote_again() {
    let (sites, mut nodes) = cluster(2).await;
    let last = nodes.pop().expect("two of them");
    last.close().await.expect("it stops");
    for name in ["log", "state", "snapshots"] {
        std::fs::remove_dir_all(sites[1].folder.path().join(name)).expect("it is there");
    }
    let listener = bind_again(&sites[1].address).await;
    let refused = timeout(PATIENCE, start(sites[1].options(listener, &[], None))).await;
    let refused = refused.expect("in time").expect_err("it has voted");
    assert!(
        refused.to_string().contains("taken part before"),
        "{refused}"
    );
    stop(nodes).await;
}

/// What does not change is read from the local state while nobody can decide, and only then.
#[tokio::test(flavor = "multi_thread")]
async fn local_reads_begin_and_end_with_an_outage() {
    const SOON: Duration = Duration::from_millis(300);
    let (sites, mut nodes) = cluster(3).await;
    put(&nodes[2], "kept").await;
    let last = nodes.pop().expect("three of them");
    let seen = |tag: &'static str| last.read_settled(SOON, move |view| read::tag(view, "r", tag));
    let kept = seen("kept").await.expect("there is a quorum");
    assert!(!kept.is_local && kept.found.is_some());
    stop(nodes).await;
    for _ in 0..2 {
        let kept = seen("kept").await.expect("it is here");
        assert!(kept.is_local && kept.found.is_some());
    }
    let listener = bind_again(&sites[0].address).await;
    let again = start(sites[0].options(listener, &[], None));
    let again = timeout(PATIENCE, again).await.expect("in time");
    let again = again.expect("it starts");
    put(&again, "more").await;
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let more = async {
        loop {
            look.tick().await;
            let more = seen("more").await.expect("it is answered");
            if !more.is_local {
                return more.found;
            }
        }
    };
    let more = timeout(PATIENCE, more).await.expect("in time");
    assert!(more.is_some(), "a barrier was passed");
    stop(vec![again, last]).await;
}
