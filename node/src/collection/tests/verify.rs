//! `verify` on the same node: what is missing, wrong or left over is found, marked and healed.

use crate::verify::{Event, Finding, Kind, Report, Verifier, VerifyError, Wanted};

use super::*;

const HASHED: Wanted = Wanted {
    hash: true,
    bytes_per_second: u64::MAX,
};

impl Node {
    async fn verify(&self, wanted: Wanted) -> (Result<(), VerifyError>, Vec<Finding>, Report) {
        let verifier = Verifier::new(self.pass.tools.clone());
        let (sender, mut events) = mpsc::channel(64);
        let running = async {
            let ended = verifier.run(wanted, &sender).await;
            drop(sender);
            ended
        };
        let listening = async {
            let (mut findings, mut last) = (Vec::new(), Report::default());
            while let Some(event) = events.recv().await {
                match event {
                    Event::Progress(..) => {}
                    Event::Finding(finding) => findings.push(finding),
                    Event::Report(report) => last = report,
                }
            }
            (findings, last)
        };
        let (ended, (findings, report)) = tokio::join!(running, listening);
        (ended, findings, report)
    }

    async fn is_damaged(&self, digest: &Digest) -> bool {
        let text = digest.to_string();
        let look = |view: &dyn roadstead_cluster::metadata::View| garbage::blob(view, &text);
        let blob = self
            .metadata
            .read(look)
            .await
            .expect("the state can be read");
        blob.expect("a record").damaged
    }

    /// Removes the object behind the metadata's back.
    async fn lose(&self, digest: &Digest) {
        let key = self.key(digest).await.expect("a key");
        for deleted in self.store.delete(&[key]).await {
            deleted.expect("it is deleted");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_holds_what_it_should_is_clean() {
    let node = node().await;
    for data in [b"one".as_slice(), b"three"] {
        node.push(data).await;
    }
    let (ended, findings, report) = node.verify(HASHED).await;
    ended.expect("it comes to its end");
    assert_eq!(findings, []);
    assert_eq!((report.blobs, report.bytes, report.objects), (2, 8, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_marked_and_healed_by_the_next_push() {
    let node = node().await;
    let contents: [&[u8]; 4] = [b"missing", b"shorter", b"altered", b"right"];
    let mut blobs = Vec::new();
    for data in contents {
        blobs.push(node.push(data).await);
    }
    node.lose(&blobs[0]).await;
    let keys = [node.key(&blobs[1]).await, node.key(&blobs[2]).await];
    node.store.spoil(keys[0].as_ref().expect("a key"), b"short");
    node.store
        .spoil(keys[1].as_ref().expect("a key"), b"Altered");
    let orphan = fresh_key();
    let writer = node.store.create(&orphan).await.expect("a writer");
    writer.finish().await.expect("an object");

    // Without reading, an altered object of the right size is not seen.
    let (ended, findings, report) = node.verify(Wanted::default()).await;
    ended.expect("it comes to its end");
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert_eq!(
        (report.missing, report.wrong_size, report.marked),
        (1, 1, 2)
    );
    let (ended, findings, report) = node.verify(HASHED).await;
    ended.expect("it comes to its end");
    let kinds = |kind| findings.iter().filter(move |found| found.kind == kind);
    for (kind, digest) in [
        (Kind::Missing, &blobs[0]),
        (Kind::WrongSize, &blobs[1]),
        (Kind::WrongHash, &blobs[2]),
    ] {
        let found: Vec<_> = kinds(kind).collect();
        assert_eq!(found.len(), 1, "{findings:?}");
        assert_eq!(found[0].digest, digest.to_string());
        assert_eq!(found[0].repositories, ["a/b"]);
        assert!(node.is_damaged(digest).await);
    }
    let found: Vec<_> = kinds(Kind::Orphan).map(|found| &found.object_key).collect();
    assert_eq!(found, [orphan.as_str()]);
    assert_eq!(report.marked, 1, "the others were marked before");
    assert!(!node.is_damaged(&blobs[3]).await);
    assert!(
        node.stored().await.contains(orphan.as_str()),
        "it deletes nothing"
    );

    // What comes back by itself stays marked until `verify` has read it.
    node.store.restore(keys[1].as_ref().expect("a key"));
    assert!(node.is_damaged(&blobs[2]).await);
    let (ended, findings, report) = node.verify(HASHED).await;
    ended.expect("it comes to its end");
    assert!(!node.is_damaged(&blobs[2]).await);
    let marked: Vec<_> = findings
        .iter()
        .filter(|found| found.kind == Kind::Marked)
        .map(|found| &found.digest)
        .collect();
    assert_eq!(marked, [blobs[2].as_str()]);
    assert_eq!((report.damaged, report.marked), (1, 0));

    for data in contents {
        node.push(data).await;
    }
    let (ended, findings, _) = node.verify(HASHED).await;
    ended.expect("it comes to its end");
    let left: Vec<_> = findings.iter().map(|found| found.kind).collect();
    assert_eq!(left, [Kind::Orphan], "the rest was healed");
    assert_eq!(node.read(&blobs[0]).await, "missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmounted_store_marks_nothing() {
    let node = node().await;
    let blob = node.push(b"kept").await;
    // Not before the first look at the marker.
    node.store.unmount_when_asked();
    let (ended, findings, _) = node.verify(HASHED).await;
    assert!(matches!(ended, Err(VerifyError::Alarm(_))), "{ended:?}");
    assert_eq!(findings, []);
    assert!(!node.is_damaged(&blob).await);
}
