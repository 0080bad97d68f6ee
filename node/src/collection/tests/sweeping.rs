//! The collector as an actor: a sweep goes on beside everything else.

use actix_rt::{Arbiter, System};
use tokio::runtime::Builder;

use super::*;
use crate::actor::{Arbiters, Collector, CollectorOptions};
use crate::config::UploadPurging;

/// Of what is not to come about here.
const NEVER: Duration = Duration::from_secs(1_000_000);

#[test]
fn a_sweep_that_comes_to_no_end_holds_nothing_up() {
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("the system gives threads");
    let handle = runtime.handle().clone();
    System::new().block_on(async {
        let node = handle.spawn(node()).await.expect("a node");
        node.store.list_for_ever();
        let arbiter = Arbiter::new();
        let options = CollectorOptions {
            rate: 100_000,
            sweep: Duration::from_millis(1),
            untagged_look: NEVER,
            purging: UploadPurging {
                is_enabled: false,
                age: NEVER,
                interval: NEVER,
                is_dry_run: false,
                is_given: false,
            },
            is_read_only: false,
        };
        let collector = Collector::start(
            node.pass.tools.clone(),
            options,
            Arc::new(Metrics::new()),
            &Arbiters::new(vec![arbiter.handle()]),
            handle.clone(),
        );
        let watched = collector.clone();
        until("a sweep begins", async || {
            watched.progress().phase() == Phase::Sweep
        })
        .await;

        let digest = node.push(b"let go of").await;
        node.drop_blob(&digest).await;
        until("it is collected", async || {
            let looked = collector.collect(Run::default()).ended.await;
            looked.expect("it does not panic").expect("a look");
            watched.progress().counts().objects > 0
        })
        .await;
        assert_eq!(node.rows_of_reclaimed().await, 0);
        assert_eq!(node.store.listings(), 1, "it goes on");

        // Whoever wants another sweep waits for the end of this one, and is told so.
        let another = collector.collect(Run {
            sweep: true,
            ..Run::default()
        });
        until("it waits", async || {
            another.progress.phase() == Phase::AwaitSweep
        })
        .await;
        assert_eq!(another.progress.swept(), None, "that one is not its own");
    });
    runtime.shutdown_background();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_not_listed_while_collection_is_paused() {
    let mut node = node().await;
    node.change(ChangeSettings {
        collection_paused: Some(true),
        ..ChangeSettings::default()
    })
    .await;
    let run = Run {
        sweep: true,
        ..Run::default()
    };
    let ended = node.pass.sweep(run, &node.progress).await;
    assert!(matches!(ended, Err(CollectionError::Paused)), "{ended:?}");
    assert_eq!(node.store.listings(), 0);
    assert_eq!(node.progress.swept(), None, "nothing is told of it");
}
