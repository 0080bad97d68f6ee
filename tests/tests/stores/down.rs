//! A store that is down, or that hangs: 503 with `Retry-After`, never 404, and the node says so.

use std::time::{Duration, Instant};

use roadstead_tests::fixture::{digest, random};
use roadstead_tests::proxy::{Fault, Kind, Seen};
use roadstead_tests::wait::{self, LONG};
use roadstead_tests::{Place, Proxy, Registry, Repository};

use super::stage::{PART_BYTES, Stage};

/// The longest that anybody waits for an answer while the store gives none.
const ANSWERED_WITHIN: Duration = Duration::from_secs(55);

fn check_refused(repository: &Repository, stored: &roadstead_proto::Digest, seed: u64) {
    let began = Instant::now();
    let content = random(seed, PART_BYTES / 2);
    // Metadata alone, or refused already: both are right.
    let begun = repository.request("POST", "blobs/uploads/").send();
    if begun.status == 202 {
        let upload = repository.upload(&begun);
        let answer = upload.put(digest(&content).as_str(), &content);
        answer.refused(503, "UNAVAILABLE");
    } else {
        begun.refused(503, "UNAVAILABLE");
    }
    repository.get_blob(stored).refused(503, "UNAVAILABLE");
    let took = began.elapsed();
    assert!(took < 2 * ANSWERED_WITHIN, "refused after {took:?}");
}

#[track_caller]
fn store_under(fault: Fault) {
    let place = Place::fresh();
    let proxy = Proxy::before(place.bucket.address());
    let registry = Registry::start(place.setup_behind(&proxy).with_debug());
    let repository = registry.repository("down/app");
    let content = random(1, 100_000);
    let stored = repository.push_blob(&content);
    proxy.spoil(move |_| Some(fault));
    check_refused(&repository, &stored, 2);
    let client = registry.client();
    wait::until("the node is not ready", LONG, || {
        (client.get("/readyz").status == 503).then_some(())
    });
    // It lives all the same: nobody should restart it for that.
    client.get("/livez").expect(200);
    proxy.heal();
    wait::until("the node is ready again", LONG, || {
        client.is_ready().then_some(())
    });
    assert_eq!(repository.get_blob(&stored).expect(200).body, content);
    registry.serves();
}

#[test]
fn store_that_answers_500() {
    store_under(Fault::Error);
}

#[test]
fn store_that_says_slow_down() {
    store_under(Fault::SlowDown);
}

#[test]
fn store_that_resets_connections() {
    store_under(Fault::Reset);
}

#[test]
fn store_that_hangs() {
    store_under(Fault::Hang);
}

/// Looks at the store's health go on: a node that calls itself unhealthy refuses everything.
fn is_of_blob(seen: &Seen) -> bool {
    seen.kind == Kind::Get && seen.path.contains("/objects/")
}

/// A pull whose bytes stop coming is broken off, not ended: the client sees that some are missing.
#[test]
fn pull_that_stops_in_the_middle_is_broken_off() {
    let place = Place::fresh();
    let proxy = Proxy::before(place.bucket.address());
    let registry = Registry::start(place.setup_behind(&proxy));
    let repository = registry.repository("down/middle");
    let content = random(5, 4 * PART_BYTES);
    let stored = repository.push_blob(&content);
    for fault in [Fault::AnswerTruncated, Fault::AnswerShort] {
        // Once: the driver goes on at the offset.
        let mut left = 1;
        proxy.spoil(move |seen| {
            (is_of_blob(seen) && std::mem::replace(&mut left, 0) == 1).then_some(fault)
        });
        let answer = repository.get_blob(&stored);
        if fault == Fault::AnswerShort && answer.status == 503 {
            // That the length is wrong can be known before the first byte.
            answer.refused(503, "UNAVAILABLE");
        } else {
            let answer = answer.expect(200);
            assert!(answer.body == content, "other bytes came back");
        }
        // Again and again, from the second request on: what was begun cannot be ended.
        let mut number = 0;
        proxy.spoil(move |seen| {
            number += usize::from(is_of_blob(seen));
            is_of_blob(seen).then_some(if number == 1 { fault } else { Fault::Error })
        });
        let request = repository.request("GET", &format!("blobs/{stored}"));
        if let Ok(answer) = request.try_send() {
            assert_ne!(answer.status, 200, "half of it came as all of it");
        }
        proxy.heal();
    }
}
