//! A start with a store that is told wrongly: it fails, and the error names what is wrong.

use std::env;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use roadstead_tests::fixture::random;
use roadstead_tests::process::{Ended, free_port};
use roadstead_tests::{Bucket, Place, Registry, Setup};

use super::stage::Stage;

/// Long enough for retries and time-outs of a first check.
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// Starts with this and expects an end that says these words.
#[track_caller]
fn is_refused(setup: Setup, words: &[&str]) -> Ended {
    let mut registry = Registry::prepare(setup);
    let began = Instant::now();
    let ended = registry.run_to_end();
    ended.failed_saying(words);
    assert!(
        !ended.stderr.contains("secret-that"),
        "a secret is shown: {}",
        ended.stderr
    );
    let took = began.elapsed();
    assert!(took < ENDED_WITHIN, "it ended after {took:?}");
    ended
}

#[track_caller]
fn told(change: impl FnOnce(&mut Bucket)) -> Setup {
    let place = Place::fresh();
    let mut bucket = place.bucket.clone();
    change(&mut bucket);
    place.setup_by(&bucket, &[])
}

fn tls(name: &str) -> String {
    let name = format!("ROADSTEAD_S3_TLS_{name}");
    env::var(&name).unwrap_or_else(|_| panic!("{name} is not set: `make stores` runs these tests"))
}

#[test]
fn right_settings_start() {
    let place = Place::fresh();
    Registry::start(place.setup()).serves();
    // The probe of the first start is gone, and the blob that was deleted goes later.
    let left = place.bucket.objects(&place.root);
    let probes = left.iter().filter(|one| one.key.contains("probe"));
    assert_eq!(probes.count(), 0, "{left:?}");
}

#[test]
fn wrong_secret() {
    let setup = told(|bucket| bucket.secret_key = "secret-that-is-wrong".to_owned());
    is_refused(setup, &["storage.s3.secretkey"]);
}

#[test]
fn wrong_key() {
    let setup = told(|bucket| bucket.access_key = "GK0123456789abcdef01234567".to_owned());
    is_refused(setup, &["storage.s3.accesskey"]);
}

#[test]
fn bucket_that_is_not_there() {
    let setup = told(|bucket| bucket.name = "not-there".to_owned());
    is_refused(setup, &["storage.s3.bucket", "not-there"]);
}

#[test]
fn wrong_region() {
    let setup = told(|bucket| bucket.region = "mars-north-7".to_owned());
    is_refused(setup, &["storage.s3.region"]);
}

#[test]
fn endpoint_that_nobody_listens_on() {
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let setup = told(|bucket| endpoint.clone_into(&mut bucket.endpoint));
    is_refused(setup, &["storage.s3.regionendpoint", &endpoint]);
}

#[test]
fn endpoint_that_never_answers() {
    // It listens, and nobody accepts.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let setup = told(|bucket| endpoint.clone_into(&mut bucket.endpoint));
    is_refused(setup, &["storage.s3.regionendpoint", &endpoint]);
}

#[test]
fn endpoint_that_is_not_s3() {
    // A registry is a server that speaks HTTP, and no S3.
    let other = Registry::start(Setup::default());
    let endpoint = format!("http://{}", other.address());
    let setup = told(|bucket| endpoint.clone_into(&mut bucket.endpoint));
    is_refused(setup, &["storage.s3.regionendpoint", "S3"]);
}

#[test]
fn tls_that_does_not_verify() {
    let endpoint = tls("ENDPOINT");
    let setup = told(|bucket| endpoint.clone_into(&mut bucket.endpoint));
    is_refused(setup, &["certificate", "storage.s3.skipverify"]);
}

#[test]
fn tls_that_is_not_verified() {
    let set = |lines: &[&str]| {
        let place = Place::fresh();
        let mut bucket = place.bucket.clone();
        bucket.endpoint = tls("ENDPOINT");
        place.setup_by(&bucket, lines)
    };
    Registry::start(set(&["skipverify: true"])).serves();
    // Or with the authority among those of the system.
    let authority = tls("AUTHORITY");
    Registry::start(set(&[]).variable("SSL_CERT_FILE", &authority)).serves();
}

/// As seen from the node it is the store's clock that is off; as seen from a third the node's.
///
/// The SDK learns the store's time from its answers, and then everything works, what clients are
/// sent to as well; or the start fails, and says why.
#[test]
fn clock_that_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    // Garage minds no less than a day.
    std::fs::write(&clock, "-2d\n").unwrap();
    let place = Place::fresh();
    let setup = place.redirecting().with_clock(&clock);
    let mut registry = Registry::prepare(setup);
    if let Err(reason) = registry.try_run() {
        assert!(reason.contains("clock"), "{reason}");
        return;
    }
    let repository = registry.repository("clock/app");
    let content = random(1, 1000);
    let digest = repository.push_blob(&content);
    let answer = repository.get_blob(&digest).expect(307);
    let answer = registry
        .client()
        .request_to("GET", answer.header("location"));
    assert_eq!(answer.send().expect(200).body, content);
}
