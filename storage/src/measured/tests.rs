//! The measuring decorator: it keeps the contract, and its observer hears what happened.

use std::sync::Mutex;

use super::*;
use crate::contract::{self, Differences};
use crate::faulty::{Failure, Fault, Faulty, Plan};
use crate::memory::Memory;

#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<(&'static str, Action, Outcome)>>);

impl Observer for Recorder {
    fn observe(&self, driver: &'static str, action: Action, _: Duration, outcome: Outcome) {
        self.0.lock().unwrap().push((driver, action, outcome));
    }
}

impl Recorder {
    fn take(&self) -> Vec<(Action, Outcome)> {
        let heard = std::mem::take(&mut *self.0.lock().unwrap());
        heard
            .into_iter()
            .map(|(_, action, outcome)| (action, outcome))
            .collect()
    }
}

fn measured(inner: impl BlobStore) -> (Measured, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let observer: Arc<dyn Observer> = Arc::<Recorder>::clone(&recorder);
    (Measured::new(Arc::new(inner), observer), recorder)
}

async fn put(store: &dyn BlobStore, key: &ObjectKey) {
    let mut writer = store.create(key).await.unwrap();
    writer.write(Bytes::from_static(b"bytes")).await.unwrap();
    writer.checkpoint().await.unwrap();
    writer.finish().await.unwrap();
}

#[tokio::test]
async fn measured_store_keeps_the_contract() {
    contract::run_all(
        || async { Arc::new(measured(Memory::new()).0) as Arc<dyn BlobStore> },
        &Differences::NONE,
    )
    .await;
    contract::run_all(
        || async { Arc::new(measured(Memory::sealing(1_500)).0) as Arc<dyn BlobStore> },
        &Differences::SEALING,
    )
    .await;
}

#[tokio::test]
async fn each_action_is_observed_once_with_its_outcome() {
    let (store, recorder) = measured(Memory::new());
    let key = ObjectKey::parse("a").unwrap();
    put(&store, &key).await;
    store
        .read(&key, None)
        .await
        .unwrap()
        .collect(100)
        .await
        .unwrap();
    store.create(&key).await.unwrap_err();
    let _: Vec<_> = store.list("").collect().await;
    store.discard_unfinished(&[key]).await;
    assert_eq!(
        recorder.take(),
        [
            (Action::Create, Outcome::Succeeded),
            (Action::Write, Outcome::Succeeded),
            (Action::Checkpoint, Outcome::Succeeded),
            (Action::Finish, Outcome::Succeeded),
            (Action::Read, Outcome::Succeeded),
            (Action::ReadBody, Outcome::Succeeded),
            (Action::Create, Outcome::Failed("already_exists")),
            (Action::List, Outcome::Succeeded),
            (Action::DiscardUnfinished, Outcome::Succeeded),
        ]
    );
}

#[tokio::test]
async fn driver_keeps_its_name() {
    let (store, recorder) = measured(Memory::new());
    store.check().await.unwrap();
    assert_eq!(store.name(), "inmemory");
    assert_eq!(recorder.0.lock().unwrap()[0].0, "inmemory");
}

#[tokio::test]
async fn dropped_stream_is_abandoned_and_unpolled_one_is_silent() {
    let (store, recorder) = measured(Memory::new());
    let key = ObjectKey::parse("a").unwrap();
    put(&store, &key).await;
    recorder.take();
    drop(store.read(&key, None).await.unwrap());
    let mut chunks = store.read(&key, None).await.unwrap().into_chunks();
    chunks.next().await.unwrap().unwrap();
    drop(chunks);
    assert_eq!(
        recorder.take(),
        [
            (Action::Read, Outcome::Succeeded),
            (Action::Read, Outcome::Succeeded),
            (Action::ReadBody, Outcome::Abandoned),
        ]
    );
}

#[tokio::test]
async fn failure_within_a_stream_is_observed() {
    let memory = Memory::new();
    let key = ObjectKey::parse("a").unwrap();
    put(&memory, &key).await;
    let plan = Plan::none().on(Action::ReadBody, 1, Fault::Fail(Failure::Unavailable));
    let (store, recorder) = measured(Faulty::new(Arc::new(memory), plan));
    store
        .read(&key, None)
        .await
        .unwrap()
        .collect(100)
        .await
        .unwrap_err();
    assert_eq!(
        recorder.take(),
        [
            (Action::Read, Outcome::Succeeded),
            (Action::ReadBody, Outcome::Failed("unavailable")),
        ]
    );
}
