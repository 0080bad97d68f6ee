//! openraft's own suite on our stores, and what other tests of them share.

use std::sync::Arc;

use openraft::StorageError;
use openraft::storage::RaftLogStorage;
use openraft::testing::log::{StoreBuilder, Suite};
use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
use tempfile::TempDir;

use super::log::LogStore;
use super::machine::StateMachine;
use super::state::StateStore;
use crate::consensus::{Applied, TypeConfig, Vote};
use crate::identity::Identity;

mod bounds;
mod filters;

/// A fresh state, and how far it is.
fn opened() -> (TempDir, StateStore, Applied) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let state = StateStore::open(folder.path()).expect("the state opens");
    let applied = state.applied().expect("it has a position");
    (folder, state, applied)
}

#[tokio::test]
async fn a_vote_that_is_kept_is_said_in_the_identity() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::open(folder.path()).unwrap());
    let log = LogStore::open(&folder.path().join("log")).unwrap();
    let mut log = log.with_votes_said_in(Arc::clone(&identity));
    assert!(!identity.has_begun());
    log.save_vote(&Vote::new(1, 1)).await.unwrap();
    assert!(identity.has_begun());
    drop((log, identity));
    assert!(Identity::open(folder.path()).unwrap().has_begun());
}

/// How often RocksDB did this on behalf of `work`, which stays on this thread.
fn counted(metric: PerfMetric, work: impl FnOnce()) -> u64 {
    set_perf_stats(PerfStatsLevel::EnableCount);
    let mut context = PerfContext::default();
    context.reset();
    work();
    let count = context.metric(metric);
    set_perf_stats(PerfStatsLevel::Disable);
    count
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = LogStore::open(&folder.path().join("log")).expect("the log opens");
        let machine = StateMachine::open(folder.path()).expect("the state opens");
        Ok((folder, log, machine))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openraft_suite_passes() {
    Suite::test_all(Builder)
        .await
        .expect("every case of the suite passes");
}
