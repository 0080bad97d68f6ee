//! Checks against real files and ports, and their pace on a clock that only tests can wind.

use std::net::Ipv4Addr;
use std::path::Path;

use roadstead_storage::faulty::{Failure, Fault, Plan};
use roadstead_storage::{Action, Faulty, Memory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

use super::*;
use crate::config::{Address, FileCheck, Header, HttpCheck, StorageDriver, TcpCheck};
use crate::testing::until;

const SECOND: Duration = Duration::from_secs(1);
const FAILED: Fault = Fault::Fail(Failure::Unavailable);
const STORE: &str = "storagedriver_inmemory";

fn pace(seconds: u64, threshold: u32) -> Pace {
    Pace {
        interval: Duration::from_secs(seconds),
        threshold,
    }
}

/// A configuration that checks the store, or nothing.
fn config(store: Option<Pace>) -> config::Health {
    config::Health {
        storage_driver: StorageDriver {
            is_enabled: store.is_some(),
            pace: store.unwrap_or(pace(10, 1)),
        },
        files: Vec::new(),
        http: Vec::new(),
        tcp: Vec::new(),
    }
}

fn start(config: &config::Health, store: &Faulty) -> Health {
    Health::start(config, Arc::new(store.clone()), &Handle::current())
}

fn faulty(plan: Plan) -> Faulty {
    Faulty::new(Arc::new(Memory::new()), plan)
}

/// Lets the paused clock run to half a second past this second.
async fn at(second: u64, began: tokio::time::Instant) {
    tokio::time::sleep_until(began + SECOND * u32::try_from(second).unwrap() + SECOND / 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_fails_after_its_threshold_and_passes_again_at_once() {
    let plan = (2..=4).fold(Plan::none(), |plan, nth| {
        plan.on(Action::Check, nth, FAILED)
    });
    let store = faulty(plan.on(Action::Check, 6, FAILED));
    let began = tokio::time::Instant::now();
    let health = start(&config(Some(pace(10, 2))), &store);
    // Looked at in seconds 0, 10, 20 and so on.
    let table = [
        (0, true),
        (10, true),
        (20, false),
        (30, false),
        (40, true),
        (50, true),
        (60, true),
    ];
    for (second, is_healthy) in table {
        at(second, began).await;
        assert_eq!(store.calls(Action::Check), second / 10 + 1);
        assert_eq!(health.is_healthy(), is_healthy, "{second}");
        assert_eq!(health.failures().is_empty(), is_healthy, "{second}");
        if !is_healthy {
            let expected = "check a faulty store: the store is unavailable: an injected fault";
            assert_eq!(health.failures(), [(STORE.to_owned(), expected.to_owned())]);
            assert_eq!(
                health.report_json(),
                format!("{{\"{STORE}\":\"{expected}\"}}")
            );
        } else {
            assert_eq!(health.report_json(), "{}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_has_failed_and_is_not_asked_again_meanwhile() {
    let plan = Plan::none().on(Action::Check, 1, Fault::Delay(35 * SECOND));
    let store = faulty(plan);
    let began = tokio::time::Instant::now();
    // The limit of 10 s passes, then each interval of 5 s counts: failures in 10, 15, 20 ...
    let health = start(&config(Some(pace(5, 3))), &store);
    for (second, is_healthy) in [(10, true), (15, true), (20, false), (30, false), (35, true)] {
        at(second, began).await;
        assert_eq!(health.is_healthy(), is_healthy, "{second}");
        assert_eq!(store.calls(Action::Check), 1, "{second}");
        if !is_healthy {
            let expected = "the check did not end within 10s";
            assert_eq!(health.failures(), [(STORE.to_owned(), expected.to_owned())]);
        }
    }
    at(40, began).await;
    assert_eq!(store.calls(Action::Check), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_checked_after_the_end() {
    let stores = [faulty(Plan::none()), faulty(Plan::none())];
    let began = tokio::time::Instant::now();
    let [stopped, dropped] = stores
        .each_ref()
        .map(|store| start(&config(Some(pace(1, 1))), store));
    at(2, began).await;
    stopped.stop();
    drop(dropped);
    at(60, began).await;
    for store in &stores {
        assert_eq!(store.calls(Action::Check), 3);
    }
    assert!(stopped.is_healthy());
}

#[tokio::test(start_paused = true)]
async fn a_node_without_checks_is_healthy() {
    let store = faulty(Plan::none().always(Action::Check, FAILED));
    let began = tokio::time::Instant::now();
    let health = start(&config(None), &store);
    at(60, began).await;
    assert!(health.is_healthy());
    assert_eq!(store.calls(Action::Check), 0);
}

/// Waits until the health is as wanted; fails when that takes longer than any machine needs.
async fn becomes(health: &Health, is_healthy: bool) {
    let what = format!("healthy: {is_healthy}");
    until(&what, async || health.is_healthy() == is_healthy).await;
}

#[tokio::test]
async fn a_file_takes_the_node_out_of_service_while_it_exists() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("offline");
    let mut config = config(None);
    let pace = Pace {
        interval: Duration::from_millis(1),
        threshold: 1,
    };
    config.files = vec![FileCheck {
        file: file.clone(),
        pace,
    }];
    let health = start(&config, &faulty(Plan::none()));
    std::fs::write(&file, "").unwrap();
    becomes(&health, false).await;
    let expected = "the file exists, which takes this node out of service";
    assert_eq!(
        health.failures(),
        [(file.display().to_string(), expected.to_owned())]
    );
    std::fs::remove_file(&file).unwrap();
    becomes(&health, true).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_looked_for_fails() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let reason = Check::File(file.join("below")).run().await.unwrap_err();
    assert!(
        reason.starts_with("nobody can tell whether the file exists: "),
        "{reason}"
    );
    assert_eq!(
        Check::File(Path::new("/nowhere/at/all").into()).run().await,
        Ok(())
    );
}

fn tcp_check(addr: Address) -> Check {
    Check::tcp(&TcpCheck {
        addr,
        timeout: SECOND,
        pace: pace(10, 1),
    })
}

/// Only a configuration makes addresses, so one is loaded.
fn address(text: &str) -> Address {
    let variables = [("REGISTRY_HTTP_ADDR".to_owned(), text.to_owned())];
    let loaded = config::Config::load(None, variables.into_iter()).unwrap();
    loaded.config.http.addr
}

#[tokio::test]
async fn a_port_must_accept_connections() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let check = tcp_check(address(&format!("127.0.0.1:{port}")));
    assert_eq!(check.name(), format!("127.0.0.1:{port}"));
    assert_eq!(check.run().await, Ok(()));
    assert_eq!(tcp_check(address(&format!(":{port}"))).run().await, Ok(()));
    drop(listener);
    let reason = check.run().await.unwrap_err();
    assert!(reason.starts_with("the connection failed: "), "{reason}");
}

/// A server that answers one request in this way and returns what it was asked.
async fn server(answer: &'static str) -> (Url, JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let uri = format!("http://{}/health", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0);
        }
        connection.write_all(answer.as_bytes()).await.unwrap();
        if answer.is_empty() {
            // The client ends it.
            let _ = connection.read_buf(&mut Vec::new()).await;
        }
        String::from_utf8(request).unwrap()
    });
    (Url::parse(&uri).unwrap(), served)
}

fn http_config(uri: Url, status_code: u16) -> HttpCheck {
    HttpCheck {
        uri,
        headers: Vec::new(),
        status_code,
        timeout: 30 * SECOND,
        pace: pace(10, 1),
    }
}

#[tokio::test]
async fn an_address_must_answer_with_the_right_status() {
    let (uri, served) = server("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut config = http_config(uri, 204);
    config.headers = vec![Header {
        name: "X-Probe".to_owned(),
        values: vec!["one".to_owned(), "two".to_owned()],
    }];
    let check = Check::http(&config);
    assert_eq!(check.name(), config.uri.as_str());
    assert_eq!(check.run().await, Ok(()));
    let request = served.await.unwrap().to_lowercase();
    assert!(
        request.starts_with("head /health http/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("x-probe: one\r\nx-probe: two\r\n"),
        "{request}"
    );
    // Nobody listens there any more.
    let reason = check.run().await.unwrap_err();
    assert!(reason.starts_with("there is no answer: "), "{reason}");
    assert!(reason.contains("refused"), "{reason}");
    assert!(!reason.contains("http://"), "{reason}");

    let (uri, _served) = server("HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
    let expected = "the answer has status 503 instead of 200".to_owned();
    assert_eq!(
        Check::http(&http_config(uri, 200)).run().await,
        Err(expected)
    );
}

#[tokio::test]
async fn an_address_that_never_answers_fails_after_its_limit() {
    let (uri, _served) = server("").await;
    let mut config = config(None);
    config.http = vec![HttpCheck {
        timeout: Duration::from_millis(20),
        ..http_config(uri.clone(), 200)
    }];
    let health = start(&config, &faulty(Plan::none()));
    becomes(&health, false).await;
    let expected = "the check did not end within 20ms".to_owned();
    assert_eq!(health.failures(), [(uri.to_string(), expected)]);
}

#[test]
fn names_are_distinct_and_hold_no_password() {
    let uri = Url::parse("http://user:secret@example.com/").unwrap();
    let http = || (Check::http(&http_config(uri.clone(), 200)), pace(10, 1));
    let names: Vec<_> = named(vec![http(), http(), http()]).into_keys().collect();
    let plain = "http://user@example.com/";
    let expected = [
        plain.to_owned(),
        format!("{plain} (2)"),
        format!("{plain} (3)"),
    ];
    assert_eq!(names, expected);
}
