//! Uploads in parts against a store in memory that is as strict as S3: what is requested, what is
//! read back, and what becomes of calls that are dropped or fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::limits::{BUFFER_WAIT_TIME, PART_BYTES_MIN};
use crate::path::ObjectKey;
use crate::store::BlobWriter;

const MIB: usize = 1 << 20;

/// Keeps what it is given, and notes what it is asked.
#[derive(Debug, Default)]
struct Strict {
    state: Mutex<State>,
    // With it, every request that writes waits for a permit.
    gate: Option<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    uploads: BTreeMap<String, Upload>,
    requests: Vec<String>,
    failing: Option<&'static str>,
}

#[derive(Debug, Default)]
struct Upload {
    name: String,
    parts: BTreeMap<u32, Bytes>,
}

impl Strict {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    fn object(&self, name: &str) -> Bytes {
        self.state().objects.get(name).cloned().expect("an object")
    }

    async fn ask(&self, request: &str, writes: bool) -> Result<()> {
        if let Some(gate) = self.gate.as_ref().filter(|_| writes) {
            gate.acquire().await.expect("never closed").forget();
        }
        let mut state = self.state();
        state.requests.push(request.to_owned());
        if state
            .failing
            .is_some_and(|failing| request.starts_with(failing))
        {
            let (subject, source) = (request.to_owned(), "a fault".into());
            return Err(Error::Unavailable { subject, source });
        }
        Ok(())
    }
}

fn tag_of(bytes: &Bytes) -> String {
    let sum = bytes
        .iter()
        .fold(0_u64, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte));
    format!("{sum:x}-{}", bytes.len())
}

#[async_trait]
impl PartStore for Strict {
    fn tag(&self) -> &'static [u8] {
        b"strict"
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        let what = if name.contains(".tail-") {
            "put tail"
        } else {
            "put"
        };
        self.ask(what, true).await?;
        let before = self.state().objects.insert(name.to_owned(), bytes.clone());
        assert!(
            before.is_none_or(|before| before == bytes),
            "{name} is written twice"
        );
        Ok(())
    }

    async fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.ask("get", false).await?;
        let state = self.state();
        let object = state
            .objects
            .get(name)
            .ok_or_else(|| Error::not_found(name))?;
        Ok(object.slice(range.start as usize..range.end as usize))
    }

    async fn size(&self, name: &str) -> Result<u64> {
        self.ask("size", false).await?;
        let state = self.state();
        let object = state
            .objects
            .get(name)
            .ok_or_else(|| Error::not_found(name))?;
        Ok(object.len() as u64)
    }

    async fn remove(&self, names: Vec<String>) -> Result<()> {
        self.ask("remove", false).await?;
        for name in names {
            self.state().objects.remove(&name);
        }
        Ok(())
    }

    async fn begin(&self, name: &str) -> Result<String> {
        self.ask("begin", true).await?;
        let mut state = self.state();
        let id = uuid::Uuid::new_v4().to_string();
        let (name, parts) = (name.to_owned(), BTreeMap::new());
        state.uploads.insert(id.clone(), Upload { name, parts });
        Ok(id)
    }

    async fn highest_part(&self, name: &str, upload: &str, after: u32) -> Result<Option<u32>> {
        self.ask("highest_part", false).await?;
        let state = self.state();
        let upload = state
            .uploads
            .get(upload)
            .ok_or_else(|| Error::not_found(name))?;
        Ok(upload
            .parts
            .keys()
            .copied()
            .filter(|number| *number > after)
            .max())
    }

    async fn put_part(
        &self,
        name: &str,
        upload: &str,
        number: u32,
        bytes: Bytes,
    ) -> Result<String> {
        self.ask("put_part", true).await?;
        let mut state = self.state();
        let upload = state
            .uploads
            .get_mut(upload)
            .ok_or_else(|| Error::not_found(name))?;
        assert_eq!(upload.name, name);
        let before = upload.parts.insert(number, bytes.clone());
        assert!(
            before.is_none_or(|before| before == bytes),
            "part {number} is written twice"
        );
        Ok(tag_of(&bytes))
    }

    async fn copy_part(
        &self,
        source: &str,
        range: Range<u64>,
        (name, upload, number): (&str, &str, u32),
    ) -> Result<String> {
        let bytes = self
            .object(source)
            .slice(range.start as usize..range.end as usize);
        self.put_part(name, upload, number, bytes).await
    }

    async fn complete(&self, name: &str, upload: &str, parts: &[Part], size: u64) -> Result<()> {
        self.ask("complete", true).await?;
        let mut state = self.state();
        let stored = state
            .uploads
            .remove(upload)
            .ok_or_else(|| Error::not_found(name))?;
        let mut whole = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            let bytes = &stored.parts[&part.number];
            assert_eq!(tag_of(bytes), part.tag, "part {} has changed", part.number);
            let is_last = place + 1 == parts.len();
            assert!(
                is_last || bytes.len() as u64 >= PART_BYTES_MIN,
                "a part is too small"
            );
            whole.extend_from_slice(bytes);
        }
        assert_eq!(whole.len() as u64, size);
        state.objects.insert(name.to_owned(), whole.into());
        Ok(())
    }
}

struct Bench {
    store: Arc<Strict>,
    opener: Opener,
}

fn bench_with(store: Strict, budget: u64) -> Bench {
    let store = Arc::new(store);
    let shared: Arc<dyn PartStore> = Arc::<Strict>::clone(&store);
    let opener = Opener::new(
        shared,
        Handle::current(),
        Budget::new(budget),
        PART_BYTES_MIN,
    );
    Bench { store, opener }
}

fn bench() -> Bench {
    bench_with(Strict::default(), 64 << 20)
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a key")
}

fn pattern(length: usize) -> Bytes {
    (0..length)
        .map(|place| (place ^ (place >> 8) ^ (place >> 16)) as u8)
        .collect()
}

async fn write(writer: &mut Box<dyn BlobWriter>, mut bytes: Bytes) {
    while !bytes.is_empty() {
        let chunk = bytes.split_to(bytes.len().min(100_000));
        writer.write(chunk).await.expect("write");
    }
}

async fn applied(writer: &mut Box<dyn BlobWriter>) -> Checkpoint {
    let checkpoint = writer.checkpoint().await.expect("checkpoint");
    writer
        .checkpoint_applied()
        .await
        .expect("checkpoint_applied");
    checkpoint
}

#[tokio::test]
async fn small_blob_is_one_request_with_a_checkpoint_and_without() {
    let bench = bench();
    let whole = pattern(3 * MIB);
    let mut writer = bench.opener.create(&key("a")).await.unwrap();
    write(&mut writer, whole.clone()).await;
    applied(&mut writer).await;
    assert!(writer.is_sealed());
    assert_eq!(writer.finish().await.unwrap(), whole.len() as u64);
    assert_eq!(bench.store.requests(), ["put"]);
    assert_eq!(bench.store.object("a"), whole);

    let mut writer = bench.opener.create(&key("b")).await.unwrap();
    write(&mut writer, whole.clone()).await;
    writer.finish().await.unwrap();
    assert_eq!(bench.store.requests(), ["put"]);
    let writer = bench.opener.create(&key("empty")).await.unwrap();
    assert_eq!(writer.finish().await.unwrap(), 0);
    assert_eq!(bench.store.object("empty"), Bytes::new());
}

#[tokio::test]
async fn large_blob_costs_its_parts_and_three() {
    let bench = bench();
    let whole = pattern(17 * MIB);
    let mut writer = bench.opener.create(&key("a")).await.unwrap();
    write(&mut writer, whole.clone()).await;
    applied(&mut writer).await;
    writer.finish().await.unwrap();
    assert_eq!(bench.store.object("a"), whole);
    let mut requests = bench.store.requests();
    requests.retain(|request| request != "remove");
    let parts = requests
        .iter()
        .filter(|request| *request == "put_part")
        .count();
    assert_eq!(parts, 4);
    assert_eq!(requests.len(), parts + 3, "{requests:?}");
}

#[tokio::test]
async fn sealed_writer_takes_no_more_and_its_bytes_move_on() {
    let bench = bench();
    let whole = pattern(2 * MIB);
    let mut writer = bench.opener.create(&key("a")).await.unwrap();
    write(&mut writer, whole.slice(..MIB)).await;
    let checkpoint = applied(&mut writer).await;
    let error = writer.write(whole.slice(MIB..)).await.unwrap_err();
    assert_eq!(error.kind(), "sealed");
    drop(writer);

    let mut writer = bench
        .opener
        .take_over(&key("a"), &checkpoint, &key("b"))
        .await
        .unwrap();
    write(&mut writer, whole.slice(MIB..)).await;
    applied(&mut writer).await;
    assert!(!writer.is_sealed());
    writer.finish().await.unwrap();
    assert_eq!(bench.store.object("b"), whole);
    assert_eq!(bench.store.object("a"), whole.slice(..MIB));
}

#[tokio::test]
async fn upload_goes_on_from_every_checkpoint_under_its_key() {
    let bench = bench();
    let whole = pattern(30 * MIB + 5);
    let mut writer = bench.opener.create(&key("a")).await.unwrap();
    let mut checkpoint = None;
    for end in [
        7 * MIB,
        7 * MIB + 1,
        13 * MIB,
        13 * MIB + 7,
        29 * MIB,
        whole.len(),
    ] {
        let start = writer.offset() as usize;
        write(&mut writer, whole.slice(start..end)).await;
        let at = applied(&mut writer).await;
        // What follows is lost with the writer.
        write(&mut writer, Bytes::from(vec![0xff; 6 * MIB])).await;
        drop(writer);
        writer = bench.opener.resume(&key("a"), &at).await.unwrap();
        assert_eq!(writer.offset(), end as u64);
        checkpoint = Some(at);
    }
    drop(writer);
    let checkpoint = checkpoint.expect("six of them");
    let writer = bench.opener.resume(&key("a"), &checkpoint).await.unwrap();
    writer.finish().await.unwrap();
    assert!(bench.store.object("a") == whole);
    let again = bench.opener.resume(&key("a"), &checkpoint).await;
    assert_eq!(again.unwrap_err().kind(), "already_exists");
}

/// However often it has to wait: a client waits for the whole of its request.
#[tokio::test(start_paused = true)]
async fn writer_waits_for_memory_so_long_in_all_and_can_be_gone_on_with() {
    let bench = bench_with(Strict::default(), 24 << 20);
    let mut holders = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        let mut writer = bench.opener.create(&key(name)).await.unwrap();
        if writer.write(pattern(4 * MIB)).await.is_ok() {
            holders.push(writer);
        }
    }
    let mut writer = bench.opener.create(&key("z")).await.unwrap();
    let began = tokio::time::Instant::now();
    let mut refused = None;
    for _ in 0..3 {
        refused = writer.write(pattern(MIB)).await.err();
    }
    assert_eq!(refused.map(|error| error.kind()), Some("no_memory"));
    assert!(began.elapsed() <= BUFFER_WAIT_TIME + Duration::from_secs(1));
    drop(holders);
    let offset = writer.offset() as usize;
    writer.checkpoint().await.unwrap();
    assert!(offset == 0, "nothing was taken in");
    write(&mut writer, pattern(3 * MIB)).await;
    writer.finish().await.unwrap();
    assert!(bench.store.object("z") == pattern(3 * MIB));
}

#[tokio::test]
async fn nothing_goes_on_from_a_tail_that_is_gone() {
    let bench = bench();
    let mut writer = bench.opener.create(&key("a")).await.unwrap();
    write(&mut writer, pattern(18 * MIB)).await;
    applied(&mut writer).await;
    write(&mut writer, pattern(7)).await;
    let checkpoint = applied(&mut writer).await;
    drop(writer);
    bench.store.state().objects.clear();
    let refused = bench.opener.resume(&key("a"), &checkpoint).await;
    assert_eq!(refused.unwrap_err().kind(), "not_found");
}

#[tokio::test]
async fn taken_over_upload_is_out_of_reach_of_its_former_writer() {
    let bench = bench();
    let whole = pattern(23 * MIB);
    let mut former = bench.opener.create(&key("a")).await.unwrap();
    write(&mut former, whole.slice(..18 * MIB)).await;
    let checkpoint = applied(&mut former).await;
    for to in ["b", "c"] {
        let mut writer = bench
            .opener
            .take_over(&key("a"), &checkpoint, &key(to))
            .await
            .unwrap();
        write(&mut former, Bytes::from(vec![0xff; MIB])).await;
        write(&mut writer, whole.slice(18 * MIB..)).await;
        applied(&mut writer).await;
        writer.finish().await.unwrap();
        assert!(bench.store.object(to) == whole, "{to}");
    }
    assert!(
        former.finish().await.is_err(),
        "its parts are an object already"
    );
}

#[tokio::test]
async fn finished_source_is_taken_over_after_its_tail_went() {
    let bench = bench();
    let whole = pattern(12 * MIB);
    let mut former = bench.opener.create(&key("a")).await.unwrap();
    write(&mut former, whole.slice(..11 * MIB)).await;
    let checkpoint = applied(&mut former).await;
    write(&mut former, Bytes::from(vec![0xff; MIB])).await;
    former.finish().await.unwrap();
    bench.opener.settled(&key("a")).await;
    let tails = |state: &State| {
        state
            .objects
            .keys()
            .filter(|name| name.contains("tail"))
            .count()
    };
    assert_eq!(tails(&bench.store.state()), 0);
    let mut writer = bench
        .opener
        .take_over(&key("a"), &checkpoint, &key("b"))
        .await
        .unwrap();
    write(&mut writer, whole.slice(11 * MIB..)).await;
    writer.finish().await.unwrap();
    assert!(bench.store.object("b") == whole);
}

#[tokio::test]
async fn dropped_calls_lose_nothing() {
    let gate = Some(Semaphore::new(0));
    let bench = bench_with(
        Strict {
            gate,
            ..Strict::default()
        },
        64 << 20,
    );
    let whole = pattern(14 * MIB);
    let mut writer = bench.opener.create(&key("a")).await.unwrap();
    let mut rest = whole.clone();
    let gate = bench.store.gate.as_ref().expect("it has one");
    while !rest.is_empty() {
        let chunk = rest.slice(..rest.len().min(MIB));
        let before = writer.offset();
        match writer.write(chunk.clone()).now_or_never() {
            Some(written) => written.unwrap(),
            None => {
                assert_eq!(writer.offset(), before, "taken whole or not at all");
                gate.add_permits(1);
                tokio::task::yield_now().await;
                continue;
            }
        }
        rest = rest.slice(chunk.len()..);
    }
    for _ in 0..1000 {
        if let Some(made) = writer.checkpoint().now_or_never() {
            made.unwrap();
            break;
        }
        gate.add_permits(1);
        tokio::task::yield_now().await;
    }
    gate.add_permits(100);
    assert_eq!(writer.finish().await.unwrap(), whole.len() as u64);
    assert!(bench.store.object("a") == whole);
}

#[tokio::test]
async fn failed_part_stops_the_writer_and_the_checkpoint_before_serves() {
    let bench = bench();
    let whole = pattern(20 * MIB);
    let mut writer = bench.opener.create(&key("a")).await.unwrap();
    write(&mut writer, whole.slice(..6 * MIB)).await;
    let checkpoint = applied(&mut writer).await;
    bench.store.state().failing = Some("put_part");
    let mut failed = None;
    for _ in 0..20 {
        failed = failed.or(writer.write(whole.slice(..MIB)).await.err());
    }
    failed = failed.or(writer.checkpoint().await.err());
    assert!(
        failed.is_some_and(|error| error.is_transient()),
        "a part was refused"
    );
    assert_eq!(writer.checkpoint().await.unwrap_err().kind(), "stopped");
    drop(writer);
    bench.store.state().failing = None;
    let mut writer = bench.opener.resume(&key("a"), &checkpoint).await.unwrap();
    write(&mut writer, whole.slice(6 * MIB..)).await;
    writer.finish().await.unwrap();
    assert!(bench.store.object("a") == whole);
}

#[tokio::test]
async fn many_uploads_share_little_memory() {
    let bench = Arc::new(bench_with(Strict::default(), 24 << 20));
    let whole = pattern(9 * MIB);
    let uploads = (0..16).map(|number| {
        let (bench, whole) = (Arc::clone(&bench), whole.clone());
        tokio::spawn(async move {
            let name = key(&format!("a{number}"));
            let mut writer = bench.opener.create(&name).await.unwrap();
            write(&mut writer, whole.slice(..4 * MIB)).await;
            write(&mut writer, whole.slice(4 * MIB..)).await;
            applied(&mut writer).await;
            writer.finish().await.unwrap();
        })
    });
    for upload in futures::future::join_all(uploads).await {
        upload.unwrap();
    }
    for number in 0..16 {
        assert!(
            bench.store.object(&format!("a{number}")) == whole,
            "{number}"
        );
    }
}
