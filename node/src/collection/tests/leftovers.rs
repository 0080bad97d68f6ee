//! The sweep and unfinished writes beside objects, which a crash leaves in some stores.

use roadstead_storage::ObjectInfo;

use super::*;
use crate::collection::sweep::look_up;

const SWEEP: Run = Run {
    is_dry: false,
    uploads: false,
    manifests: false,
    sweep: true,
};

impl Node {
    /// A node where nothing else is collected meanwhile.
    async fn unhurried() -> Self {
        let node = node().await;
        node.change(ChangeSettings {
            grace_ms: Some(600_000),
            reading_delay_ms: Some(600_000),
            ..ChangeSettings::default()
        })
        .await;
        node
    }

    async fn pushed(&self, data: &'static [u8]) -> (Digest, ObjectKey) {
        let digest = self.push(data).await;
        let key = self.key(&digest).await.expect("a key");
        (digest, key)
    }

    async fn listed(&self) -> Vec<ObjectInfo> {
        let listed = self.store.list(roadstead_storage::path::OBJECTS_PREFIX);
        listed.map(|entry| entry.expect("an entry")).collect().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_write_beside_a_blob_is_discarded_and_every_other_stays() {
    let mut node = Node::unhurried().await;
    let (live, live_key) = node.pushed(b"live").await;
    let (reclaimed, reclaimed_key) = node.pushed(b"reclaimed").await;
    node.drop_blob(&reclaimed).await;
    let mut uploading = node.begin(b"uploading").await;
    uploading.acknowledge().await.expect("it is durable");
    let listed = node.listed().await;
    let under_way = listed.into_iter().find(|info| info.unfinished);
    let uploading_key = under_way.expect("an unfinished write").key;
    let orphan = fresh_key();
    for key in [&live_key, &reclaimed_key, &uploading_key, &orphan] {
        node.store.leave_beside(key);
    }
    let before = node.stored().await;

    let dry = node
        .run(Run {
            is_dry: true,
            ..SWEEP
        })
        .await;
    let dry = dry.expect("a dry run");
    assert_eq!((dry.orphans, dry.leftovers), (1, 1));
    assert_eq!(node.stored().await, before, "a dry run only counts");

    let swept = node.run(SWEEP).await.expect("a sweep");
    assert_eq!((swept.orphans, swept.leftovers, swept.failures), (1, 1, 0));
    let last = node.progress.swept().expect("a report");
    assert_eq!((last.objects, last.orphans, last.leftovers), (7, 1, 1));
    assert_eq!(
        node.store.leftovers(),
        [reclaimed_key, uploading_key].into()
    );
    assert_eq!(node.store.deletes_of(live_key.as_str()), 0);
    assert_eq!(node.read(&live).await, "live");
    let digest = Algorithm::Sha256.digest(b"uploading");
    uploading.commit(&digest).await.expect("it goes on");
    assert_eq!(node.read(&digest).await, "uploading");
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_stay_while_the_store_is_anothers_or_refuses() {
    let mut node = Node::unhurried().await;
    let (live, key) = node.pushed(b"live").await;
    node.store.leave_beside(&key);
    let listed = node.listed().await;
    let own = node.store.read_marker().await.unwrap().expect("a marker");
    let mut swept = Swept::default();
    node.store.put_marker(None);
    // The listing came before the store was changed; the look comes after.
    let looked = look_up(&mut node.pass, SWEEP, &node.progress, &listed, &mut swept).await;
    let failure = looked.expect_err("the store is another's");
    assert!(matches!(failure, CollectionError::Alarm(_)), "{failure}");
    assert_eq!(node.store.leftovers().len(), 1);

    node.store.put_marker(Some(&own));
    node.store.refuse([key.as_str().to_owned()]);
    let counts = node.run(SWEEP).await.expect("a sweep");
    assert_eq!((counts.leftovers, counts.failures), (0, 1));
    node.store.refuse([]);
    let counts = node.run(SWEEP).await.expect("a sweep");
    assert_eq!((counts.leftovers, counts.failures), (1, 0));
    assert!(node.store.leftovers().is_empty());
    assert_eq!(node.read(&live).await, "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_finished_after_it_was_listed_is_left_alone() {
    let mut node = Node::unhurried().await;
    let uploading = node.begin(b"in time").await;
    let listed = node.listed().await;
    assert!(listed.iter().all(|info| info.unfinished), "{listed:?}");
    let mut swept = Swept::default();
    look_up(&mut node.pass, SWEEP, &node.progress, &listed, &mut swept)
        .await
        .expect("a look");
    assert_eq!(swept.leftovers, 0, "an upload keeps everything");
    let digest = Algorithm::Sha256.digest(b"in time");
    uploading.commit(&digest).await.expect("it commits");
    look_up(&mut node.pass, SWEEP, &node.progress, &listed, &mut swept)
        .await
        .expect("a look");
    assert_eq!(swept.leftovers, 1);
    assert_eq!(node.read(&digest).await, "in time");
}
