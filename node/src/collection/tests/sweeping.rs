//! The collector as an actor: a sweep goes on beside everything else.

use actix_rt::{Arbiter, System};
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::*;
use crate::actor::{Arbiters, Collector, CollectorOptions};
use crate::config::UploadPurging;

/// Far longer than anything takes: reaching it means that something hangs.
const LONG: Duration = Duration::from_secs(20);

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
            untagged_look: LONG,
            purging: UploadPurging {
                is_enabled: false,
                age: LONG,
                interval: LONG,
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
        let sweeping = async {
            while watched.progress().phase() != Phase::Sweep {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, sweeping).await.expect("a sweep begins");

        let digest = node.push(b"let go of").await;
        node.drop_blob(&digest).await;
        let collected = async {
            while watched.progress().counts().objects == 0 {
                let looked = collector.collect(Run::default()).ended.await;
                looked.expect("it does not panic").expect("a look");
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, collected).await.expect("it is collected");
        assert_eq!(node.rows_of_reclaimed().await, 0);
        assert_eq!(watched.progress().phase(), Phase::Sweep, "it goes on");
    });
    runtime.shutdown_background();
}
