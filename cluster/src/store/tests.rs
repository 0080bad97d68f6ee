//! openraft's own suite on our stores.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::log::LogStore;
use super::machine::StateMachine;
use crate::consensus::TypeConfig;

mod bounds;
mod filters;

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
