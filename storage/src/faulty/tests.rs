//! The disturbing decorator: without a plan it keeps the contract, with one it does as told.

use super::*;
use crate::contract::{self, Differences};
use crate::memory::Memory;

fn key() -> ObjectKey {
    ObjectKey::parse("a").unwrap()
}

async fn stored() -> Arc<dyn BlobStore> {
    let memory = Memory::new();
    let mut writer = memory.create(&key()).await.unwrap();
    writer
        .write(Bytes::from(vec![7; 600 * 1024]))
        .await
        .unwrap();
    writer.finish().await.unwrap();
    Arc::new(memory)
}

const UNAVAILABLE: Fault = Fault::Fail(Failure::Unavailable);
const ANSWER_LOST: Fault = Fault::FailAfter(Failure::Unavailable);

#[tokio::test]
async fn store_without_faults_keeps_the_contract() {
    let table: [(fn() -> Memory, Differences); 2] = [
        (Memory::new, Differences::NONE),
        (|| Memory::sealing(1_500), Differences::SEALING),
    ];
    for (memory, differences) in table {
        contract::run_all(
            || async move {
                Arc::new(Faulty::new(Arc::new(memory()), Plan::none())) as Arc<dyn BlobStore>
            },
            &differences,
        )
        .await;
    }
}

#[tokio::test]
async fn only_the_scripted_call_fails() {
    let store = Faulty::new(
        stored().await,
        Plan::none().on(Action::Size, 2, UNAVAILABLE),
    );
    assert!(store.size(&key()).await.is_ok());
    assert_eq!(store.size(&key()).await.unwrap_err().kind(), "unavailable");
    assert!(store.size(&key()).await.is_ok());
    assert_eq!((store.calls(Action::Size), store.injected()), (3, 1));
}

#[tokio::test]
async fn lost_answer_leaves_the_work_done() {
    let inner = stored().await;
    let plan = Plan::none()
        .on(Action::Delete, 1, ANSWER_LOST)
        .on(Action::Finish, 1, ANSWER_LOST)
        .on(Action::DiscardUnfinished, 1, UNAVAILABLE)
        .on(Action::DiscardUnfinished, 2, ANSWER_LOST);
    let store = Faulty::new(Arc::clone(&inner), plan);
    let unfinished = ObjectKey::parse("b").unwrap();
    drop(store.create(&unfinished).await.unwrap());
    for left in [1, 0] {
        let keys = std::slice::from_ref(&unfinished);
        assert!(store.discard_unfinished(keys).await[0].is_err());
        assert_eq!(inner.list("b").count().await, left);
    }
    assert!(store.delete(&[key()]).await[0].is_err());
    assert_eq!(inner.size(&key()).await.unwrap_err().kind(), "not_found");
    let writer = store.create(&key()).await.unwrap();
    assert_eq!(writer.finish().await.unwrap_err().kind(), "unavailable");
    assert_eq!(inner.size(&key()).await.unwrap(), 0);
}

#[tokio::test]
async fn failed_chunk_ends_the_body() {
    let store = Faulty::new(
        stored().await,
        Plan::none().on(Action::ReadBody, 2, UNAVAILABLE),
    );
    let chunks: Vec<_> = store
        .read(&key(), None)
        .await
        .unwrap()
        .into_chunks()
        .collect()
        .await;
    assert_eq!(
        chunks.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false]
    );
}

#[tokio::test]
async fn failed_listing_is_never_a_clean_end() {
    let plan = Plan::none()
        .on(Action::List, 1, UNAVAILABLE)
        .on(Action::List, 2, ANSWER_LOST)
        .on(Action::List, 3, Fault::Delay(Duration::ZERO));
    let store = Faulty::new(stored().await, plan);
    let mut listings = Vec::new();
    for _ in 0..3 {
        let entries: Vec<_> = store.list("").collect().await;
        listings.push(entries.iter().map(Result::is_ok).collect::<Vec<_>>());
    }
    assert_eq!(listings, [vec![false], vec![true, false], vec![true]]);
}

#[tokio::test]
async fn delayed_call_is_made() {
    let delay = Duration::from_millis(2);
    let store = Faulty::new(
        stored().await,
        Plan::none().always(Action::Size, Fault::Delay(delay)),
    );
    let before = std::time::Instant::now();
    assert!(store.size(&key()).await.is_ok());
    assert!(before.elapsed() >= delay);
}
