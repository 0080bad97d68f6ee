//! When a client is sent to the store for a blob, and when not.

use roadstead_cluster::read;
use roadstead_proto::rpc::metadata::MarkDamaged;
use roadstead_storage::Action;
use roadstead_storage::faulty::{Failure, Fault};

use super::*;

/// How long the URL is valid that a client was sent to, in seconds; `None` if it got the bytes.
fn valid_for(answer: &Answer) -> Option<u64> {
    if answer.status == 200 {
        return None;
    }
    assert_eq!(answer.status, 307, "{answer:?}");
    let location = answer.header("location").expect("where to");
    let valid = location.split_once("valid=").expect("how long").1;
    valid.split('&').next().and_then(|text| text.parse().ok())
}

fn delay(minutes: f64) -> ChangeSettings {
    ChangeSettings {
        reading_delay_ms: Some((minutes * 60_000.0) as u64),
        ..ChangeSettings::default()
    }
}

#[test]
fn get_of_a_blob_is_sent_to_the_store() {
    serve(Plan::none(), &[], async |site| {
        let digest = site.push("hello").await;
        for headers in [&[][..], &["Range: bytes=1-2"]] {
            let answer = site.blob("GET", &digest, headers).await;
            assert_eq!(valid_for(&answer), Some(20 * 60), "{answer:?}");
            let location = answer.header("location").expect("where to");
            assert!(location.starts_with("https://store.example.com/b/roadstead/v1/objects/"));
            assert!(location.ends_with("&signed=a%2Fb"), "{location}");
            assert_eq!(
                answer.header("docker-content-digest"),
                Some(digest.as_str())
            );
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("content-length"), Some("0"));
            assert!(answer.body.is_empty());
        }
        assert_eq!(site.store.calls(Action::Read), 0);
        // Nobody is sent anywhere to hear that a blob is there, or that it has not changed.
        let answer = site.blob("HEAD", &digest, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-length"), Some("5"));
        let known = format!("If-None-Match: \"{digest}\"");
        let answer = site.blob("GET", &digest, &[&known]).await;
        assert_eq!(answer.status, 304, "{answer:?}");
        assert_eq!(site.store.calls(Action::RedirectUrl), 2);
        let unknown = Algorithm::Sha256.digest(b"nobody pushes this");
        let answer = site.blob("GET", &unknown, &[]).await;
        assert_eq!(answer.status, 404, "{answer:?}");
    });
}

#[test]
fn redirects_can_be_turned_off() {
    let off = [("REGISTRY_STORAGE_REDIRECT_DISABLE", "true")];
    serve(Plan::none(), &off, async |site| {
        let digest = site.push("hello").await;
        let answer = site.blob("GET", &digest, &[]).await;
        assert_eq!((answer.status, &*answer.body), (200, &b"hello"[..]));
        let answer = site.blob("GET", &digest, &["Range: bytes=1-2"]).await;
        assert_eq!((answer.status, &*answer.body), (206, &b"el"[..]));
        assert_eq!(answer.header("content-range"), Some("bytes 1-2/5"));
        let known = format!("If-None-Match: \"{digest}\"");
        let answer = site.blob("GET", &digest, &[&known]).await;
        assert_eq!(answer.status, 304, "{answer:?}");
        assert_eq!(site.store.calls(Action::RedirectUrl), 0);
    });
}

#[test]
fn blob_is_streamed_where_no_url_can_be_made() {
    let fault = Fault::Fail(Failure::Unavailable);
    let plan = Plan::none().on(Action::RedirectUrl, 1, fault);
    serve(plan, &[], async |site| {
        let digest = site.push("hello").await;
        let answer = site.blob("GET", &digest, &[]).await;
        assert_eq!((answer.status, &*answer.body), (200, &b"hello"[..]));
        let answer = site.blob("GET", &digest, &[]).await;
        assert!(valid_for(&answer).is_some(), "{answer:?}");
    });
}

/// The setting is the cluster's: a node that does not redirect may have made it shorter.
#[test]
fn url_is_valid_no_longer_than_collection_leaves_the_object_there() {
    serve(Plan::none(), &[], async |site| {
        let digest = site.push("hello").await;
        for (minutes, expected) in [
            (60.0, Some(1200)),
            (20.0, Some(1200)),
            (5.0, Some(300)),
            (1.0, Some(60)),
            (0.9, None),
            (0.0, None),
        ] {
            site.change(delay(minutes)).await;
            let answer = site.blob("GET", &digest, &[]).await;
            assert_eq!(valid_for(&answer), expected, "{minutes}: {answer:?}");
        }
    });
}

#[test]
fn blob_that_is_known_to_be_damaged_passes_through_the_node() {
    serve(Plan::none(), &[], async |site| {
        let digest = site.push("hello").await;
        let metadata = &site.tools.metadata;
        let found = metadata.read(|view| read::blob(view, "a/b", digest.as_str()));
        let found = found.await.expect("the state can be read");
        let object_key = found.expect("the blob is linked").blob.object_key;
        let key = object_key.parse().expect("a key");
        site.tools.store.delete(&[key]).await;
        let mark = MarkDamaged {
            digest: digest.to_string(),
            object_key,
            sound: false,
        };
        let marked = metadata.propose(Command::MarkDamaged(mark)).await;
        marked.expect("it is marked");
        let answer = site.blob("GET", &digest, &[]).await;
        assert_eq!(answer.status, 500, "{answer:?}");
        let text = String::from_utf8_lossy(&answer.body);
        assert!(text.contains("missing or damaged"), "{text}");
    });
}
