//! What clients hear of a store that is in trouble: 503 and when to come back, never 404, and never
//! a body that looks whole and is not.

use roadstead_storage::Action;
use roadstead_storage::faulty::{Failure, Fault};

use super::*;

const STREAMED: (&str, &str) = ("REGISTRY_STORAGE_REDIRECT_DISABLE", "true");

fn always(action: Action, failure: Failure) -> Plan {
    Plan::none().always(action, Fault::Fail(failure))
}

#[test]
fn store_in_trouble_is_503_and_never_404() {
    for (failure, words) in [
        (Failure::Unavailable, "cannot be reached"),
        (Failure::PermissionDenied, "refuses this registry"),
        // The object is there when it is asked for in another way: the answer was wrong.
        (Failure::NotFound, "cannot be reached"),
        (Failure::Corrupt, "cannot be reached"),
    ] {
        serve(always(Action::Read, failure), &[STREAMED], async |site| {
            let digest = site.push("hello").await;
            for headers in [&[][..], &["Range: bytes=1-2"]] {
                let answer = site.blob("GET", &digest, headers).await;
                assert_eq!(answer.status, 503, "{failure:?}: {answer:?}");
                assert!(answer.header("retry-after").is_some(), "{answer:?}");
                let text = String::from_utf8_lossy(&answer.body);
                assert!(text.contains("\"UNAVAILABLE\""), "{text}");
                assert!(text.contains(words), "{failure:?}: {text}");
                assert!(
                    !text.contains("injected"),
                    "a cause is not for clients: {text}"
                );
            }
            // What needs no object goes on.
            assert_eq!(site.blob("HEAD", &digest, &[]).await.status, 200);
        });
    }
}

#[test]
fn blob_counts_as_damaged_when_the_store_says_so_twice() {
    let plan = always(Action::Size, Failure::NotFound)
        .always(Action::Read, Fault::Fail(Failure::NotFound));
    serve(plan, &[STREAMED], async |site| {
        let digest = site.push("hello").await;
        let answer = site.blob("GET", &digest, &[]).await;
        assert_eq!(answer.status, 500, "{answer:?}");
        // So that clients push it again.
        assert_eq!(site.blob("HEAD", &digest, &[]).await.status, 404);
    });
}

#[test]
fn pushes_to_a_store_that_is_down_are_503() {
    for action in [Action::Create, Action::Write, Action::Finish] {
        serve(always(action, Failure::Unavailable), &[], async |site| {
            let digest = Algorithm::Sha256.digest(b"hello");
            let path = format!("/v2/a/b/blobs/uploads/?digest={digest}");
            let headers = ["Connection: close", "Content-Length: 5\r\n\r\nhello"];
            let answer = site.ask("POST", &path, &headers).await;
            assert_eq!(answer.status, 503, "{action}: {answer:?}");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
        });
    }
}

#[test]
fn readiness_says_that_the_store_is_down_and_that_it_is_back() {
    let watched = [
        ("REGISTRY_HEALTH_STORAGEDRIVER_ENABLED", "true"),
        ("REGISTRY_HEALTH_STORAGEDRIVER_INTERVAL", "20ms"),
    ];
    let fault = Fault::Fail(Failure::Unavailable);
    const FAULTS: u64 = 150;
    let plan = (1..=FAULTS).fold(Plan::none(), |plan, nth| plan.on(Action::Check, nth, fault));
    serve(plan, &watched, async |site| {
        site.becomes("/readyz", 503).await;
        site.becomes("/readyz", 200).await;
        assert_eq!(site.store.injected(), FAULTS);
    });
}

/// The connection is one that would be kept: only a broken one ends.
#[test]
fn body_that_breaks_off_ends_the_connection() {
    const LENGTH: usize = 3 << 20;
    for (nth, failure) in [
        (1, Failure::Unavailable),
        (2, Failure::Unavailable),
        (5, Failure::Corrupt),
    ] {
        let plan = Plan::none().on(Action::ReadBody, nth, Fault::Fail(failure));
        serve(plan, &[STREAMED], async |site| {
            let digest = site.push(vec![7; LENGTH]).await;
            let path = format!("/v2/a/b/blobs/{digest}");
            let bytes = site.bytes("GET", &path, &[]).await;
            assert_eq!(site.store.injected(), 1, "{nth}");
            // Before its first byte the head of the answer has not left either.
            if nth == 1 {
                assert_eq!(bytes.len(), 0);
            } else {
                let Answer { status, body, .. } = &Answer::of(&bytes);
                assert!(*status == 200 && body.len() < LENGTH, "{nth}");
                let promised = format!("content-length: {LENGTH}\r\n");
                assert!(String::from_utf8_lossy(&bytes).contains(&promised), "{nth}");
            }
            let whole = site.blob("GET", &digest, &[]).await;
            assert!(whole.body == [7; LENGTH], "{nth}: {}", whole.body.len());
        });
    }
}
