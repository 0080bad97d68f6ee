//! Uploads on a store that cannot append: a small checkpoint is the object itself, and what follows
//! goes to a fresh key.

use roadstead_cluster::garbage;
use roadstead_proto::rpc::state::object::State;

use super::*;

/// More than every upload here, so that what was not taken over is sealed.
const SEALED_BYTES_MAX: usize = 1_000;

async fn sealing_node() -> Node {
    node_on(Memory::sealing(SEALED_BYTES_MAX)).await
}

impl Node {
    /// An upload whose first bytes are acknowledged, and thereby sealed.
    async fn sealed(&self) -> Upload {
        let mut upload = self.begin().await;
        take_in(&mut upload, None, b"abc").await;
        assert_eq!(upload.acknowledge().await.expect("it is durable"), 3);
        assert!(is_sealed(&upload));
        let size = self.store.size(&upload.object_key).await;
        assert_eq!(size.expect("it is the object already"), 3);
        upload
    }

    async fn claim(&self, id: UploadId) -> Upload {
        let row = self.row(id).await.expect("it is under way");
        let claimed = Upload::claim(&self.tools, id, &repository(), &row).await;
        claimed.expect("it can be claimed")
    }

    async fn state(&self, key: &ObjectKey) -> Option<State> {
        let look = |view: &dyn View| garbage::object(view, key.as_str());
        let row = self.tools.metadata.read(look).await;
        row.expect("the state can be read")?.state
    }

    /// Commits the upload, the first of this content, and looks what became of its keys.
    async fn commit(&self, upload: Upload, content: &'static [u8], reclaimed: &[ObjectKey]) {
        let (id, key) = (upload.id(), upload.object_key.clone());
        let digest = Algorithm::Sha256.digest(content);
        upload.commit(&digest).await.expect("it commits");
        assert_eq!(self.blob(&digest).await.expect("it is there"), content);
        assert_eq!(self.row(id).await, None);
        assert_eq!(
            self.state(&key).await,
            Some(State::Live(digest.to_string()))
        );
        for key in reclaimed {
            let state = self.state(key).await;
            assert!(
                matches!(state, Some(State::Reclaimed(_))),
                "{key}: {state:?}"
            );
        }
    }

    async fn is_uploading(&self, upload: &Upload, key: &ObjectKey) -> bool {
        self.state(key).await == Some(State::Uploading(upload.id().to_string()))
    }
}

fn is_sealed(upload: &Upload) -> bool {
    upload
        .writer
        .as_ref()
        .is_some_and(|writer| writer.is_sealed())
}

/// A chunk whose body breaks off.
async fn break_off(upload: &mut Upload, start: Option<u64>, data: &'static [u8]) {
    let failure = upload.append(chunk(start, data, false).await).await;
    assert!(failure.expect_err("the body broke off").is_usable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_blob_is_stored_by_its_checkpoint() {
    let node = sealing_node().await;
    let mut upload = node.sealed().await;
    let key = upload.object_key.clone();
    take_in(&mut upload, Some(3), b"").await;
    assert_eq!(upload.acknowledge().await.expect("nothing to do"), 3);
    assert_eq!((&upload.object_key, upload.epoch), (&key, 1), "no move");
    node.commit(upload, b"abc", &[]).await;
    let digest = Algorithm::Sha512.digest(b"abc");
    let mut upload = node.sealed().await;
    upload.expect(digest.algorithm());
    upload.commit(&digest).await.expect("it is read back");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_after_a_seal_go_to_a_fresh_key_once() {
    let node = sealing_node().await;
    let mut upload = node.sealed().await;
    let former = upload.object_key.clone();
    take_in(&mut upload, Some(3), b"def").await;
    let key = upload.object_key.clone();
    assert_ne!(key, former);
    let row = node.row(upload.id()).await.expect("a row");
    assert_eq!((row.offset, row.epoch), (3, 2));
    assert_eq!(
        [row.object_key, row.former_key],
        [key.as_str(), former.as_str()]
    );
    assert!(
        node.is_uploading(&upload, &former).await,
        "the checkpoint is there"
    );
    assert_eq!(upload.acknowledge().await.expect("it is durable"), 6);
    let state = node.state(&former).await;
    assert!(matches!(state, Some(State::Reclaimed(_))), "{state:?}");
    take_in(&mut upload, Some(6), b"ghi").await;
    assert_eq!(upload.acknowledge().await.expect("it is durable"), 9);
    assert!(!is_sealed(&upload));
    assert_eq!(upload.object_key, key);
    node.commit(upload, b"abcdefghi", &[former]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_right_after_the_move_reclaims_the_former_key() {
    let node = sealing_node().await;
    let mut upload = node.sealed().await;
    let former = upload.object_key.clone();
    take_in(&mut upload, Some(3), b"def").await;
    node.commit(upload, b"abcdef", &[former]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_broke_off_after_the_move_is_dropped_or_kept() {
    for is_acknowledged in [false, true] {
        let node = sealing_node().await;
        let mut upload = node.sealed().await;
        let mut reclaimed = vec![upload.object_key.clone()];
        // Each attempt has a key of its own; the acknowledged bytes stay where they are.
        for _ in 0..2 {
            break_off(&mut upload, None, b"zzz").await;
            reclaimed.push(upload.object_key.clone());
            assert!(node.is_uploading(&upload, &reclaimed[0]).await);
        }
        take_in(&mut upload, None, b"def").await;
        assert!(!reclaimed.contains(&upload.object_key));
        if is_acknowledged {
            assert_eq!(upload.acknowledge().await.expect("it is durable"), 6);
            break_off(&mut upload, None, b"zzz").await;
            take_in(&mut upload, None, b"").await;
        }
        node.commit(upload, b"abcdef", &reclaimed).await;
    }
    let node = sealing_node().await;
    let mut upload = node.sealed().await;
    let former = upload.object_key.clone();
    break_off(&mut upload, Some(3), b"def").await;
    assert_eq!(upload.acknowledge().await.expect("it is durable"), 6);
    node.commit(upload, b"abcdef", &[former]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_gone_is_succeeded_wherever_it_was() {
    for has_moved in [false, true] {
        let node = sealing_node().await;
        let mut first = node.sealed().await;
        let mut reclaimed = vec![first.object_key.clone()];
        if has_moved {
            take_in(&mut first, Some(3), b"lost").await;
            reclaimed.push(first.object_key.clone());
        }
        let id = first.id();
        drop(first);
        let mut second = node.claim(id).await;
        assert!(!is_sealed(&second) && !reclaimed.contains(&second.object_key));
        assert_eq!(second.acknowledge().await.expect("nothing to do"), 3);
        take_in(&mut second, Some(3), b"def").await;
        node.commit(second, b"abcdef", &reclaimed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_hands_over_what_was_acknowledged() {
    let node = sealing_node().await;
    // Sealed: the next owner goes on sealed, under the same key.
    let first = node.sealed().await;
    let (id, key) = (first.id(), first.object_key.clone());
    first.release().await.expect("it lets go");
    let mut second = node.claim(id).await;
    assert!(is_sealed(&second) && second.object_key == key);
    take_in(&mut second, Some(3), b"def").await;
    node.commit(second, b"abcdef", &[key]).await;

    // Moved, and nothing acknowledged there: the next owner takes the former key over as well.
    let node = sealing_node().await;
    let mut first = node.sealed().await;
    let (id, former) = (first.id(), first.object_key.clone());
    break_off(&mut first, Some(3), b"lost").await;
    let moved = first.object_key.clone();
    first.release().await.expect("it lets go");
    assert!(!node.row(id).await.expect("a row").released);
    let mut second = node.claim(id).await;
    take_in(&mut second, Some(3), b"def").await;
    node.commit(second, b"abcdef", &[former, moved]).await;

    // Moved, and back at what was acknowledged: the checkpoint of the new key says the same.
    let node = sealing_node().await;
    let mut first = node.sealed().await;
    let (id, former) = (first.id(), first.object_key.clone());
    break_off(&mut first, Some(3), b"lost").await;
    take_in(&mut first, None, b"").await;
    let key = first.object_key.clone();
    first.release().await.expect("it lets go");
    let row = node.row(id).await.expect("a row");
    assert!(row.released && row.former_key.is_empty() && row.offset == 3);
    let mut second = node.claim(id).await;
    assert_eq!(second.object_key, key);
    take_in(&mut second, Some(3), b"def").await;
    node.commit(second, b"abcdef", &[former]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_wakes_up_sealed_finds_that_it_was_succeeded() {
    let node = sealing_node().await;
    let mut late = node.sealed().await;
    let former = late.object_key.clone();
    let mut second = node.claim(late.id()).await;
    let failure = late.append(chunk(Some(3), b"LATE", true).await).await;
    let failure = failure.expect_err("its epoch is over");
    assert!(matches!(failure.error, RegistryError::UploadMoving));
    assert!(!failure.is_usable);
    take_in(&mut second, Some(3), b"def").await;
    node.commit(second, b"abcdef", &[former]).await;
}
