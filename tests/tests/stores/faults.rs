//! Pushes and pulls of every size through a store that fails at random: what was acknowledged is
//! there, what was refused was refused clearly, nothing hangs, and nothing stays behind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use roadstead_proto::Digest;
use roadstead_tests::fixture::{self, digest, random};
use roadstead_tests::proxy::{Fault, Planned, Seen};
use roadstead_tests::{Answer, Chance, Place, Proxy, Registry, Repository};

use super::seed;
use super::stage::{Stage, collect_quickly, purge_quickly};

/// Pushes and pulls together.
const OPERATIONS: usize = 200;
const CLIENTS: usize = 4;
/// Of a hundred requests to the store.
const SPOILED: usize = 8;
const STALL: Duration = Duration::from_millis(400);

const CONFIG: &[u8] = b"{}";

const KIB: usize = 1 << 10;
/// 1 KiB doubled so often is more than 100 MiB.
const DOUBLINGS: usize = 17;
const SIZE_MAX: usize = 100 << 20;

/// The longest that one request may take, time-outs and repetitions included.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// A blob that was acknowledged.
#[derive(Debug, Clone)]
struct Blob {
    digest: Digest,
    size: usize,
}

/// What all clients came to.
#[derive(Debug, Default)]
struct Counts {
    pushed: usize,
    refused: usize,
    pulled: usize,
    pulls_refused: usize,
    pulls_broken: usize,
    longest: Duration,
}

struct Worker<'a> {
    repository: Repository,
    chance: Chance,
    left: &'a AtomicUsize,
    blobs: Vec<Blob>,
    counts: Counts,
}

impl Worker<'_> {
    fn work(mut self) -> (Vec<Blob>, Counts) {
        let take = |left: usize| left.checked_sub(1);
        while self
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .is_ok()
        {
            let blob = self.chance.pick(&self.blobs).cloned();
            match blob {
                Some(blob) if self.chance.percent(40) => self.pull(&blob),
                _ => self.push(),
            }
        }
        (self.blobs, self.counts)
    }

    /// As likely small as large.
    fn size(&mut self) -> usize {
        let base = KIB << self.chance.below(DOUBLINGS);
        (base + self.chance.below(base)).min(SIZE_MAX)
    }

    fn push(&mut self) {
        let size = self.size();
        let content = random(self.chance.number(), size);
        let digest = digest(&content);
        let chunks = match self.chance.below(3) {
            0 => Vec::new(),
            1 => vec![content.len()],
            _ => {
                let first = self.chance.below(size);
                vec![first, size - first]
            }
        };
        if self.send(&content, &digest, &chunks).is_none() {
            self.counts.refused += 1;
            return;
        }
        self.counts.pushed += 1;
        self.blobs.push(Blob { digest, size });
    }

    /// Pushes with these chunks by `PATCH` and the rest by `PUT`; `None` when that was refused.
    fn send(&mut self, content: &[u8], digest: &Digest, chunks: &[usize]) -> Option<()> {
        let repository = self.repository.clone();
        let begin = || repository.request("POST", "blobs/uploads/").send();
        let answer = self.timed(begin).taken(202)?;
        let mut upload = repository.upload(&answer);
        let mut start = 0;
        for size in chunks {
            let chunk = &content[start..start + size];
            // A chunk of nothing has no range.
            if !chunk.is_empty() {
                self.timed(|| upload.chunk(start, chunk)).taken(202)?;
            }
            start += size;
        }
        self.timed(|| upload.put(digest.as_str(), &content[start..]))
            .taken(201)?;
        Some(())
    }

    fn pull(&mut self, blob: &Blob) {
        let request = self
            .repository
            .request("GET", &format!("blobs/{}", blob.digest));
        let began = Instant::now();
        let answer = request.try_send();
        self.took(began.elapsed());
        match answer {
            // It came in part and was broken off: the client has seen that.
            Err(_) => self.counts.pulls_broken += 1,
            Ok(answer) if answer.status == 200 => {
                assert_eq!(digest(&answer.body), blob.digest, "other bytes came back");
                self.counts.pulled += 1;
            }
            Ok(answer) => {
                answer.refused(503, "UNAVAILABLE");
                self.counts.pulls_refused += 1;
            }
        }
    }

    fn timed(&mut self, ask: impl FnOnce() -> Answer) -> Answer {
        let began = Instant::now();
        let answer = ask();
        self.took(began.elapsed());
        answer
    }

    fn took(&mut self, time: Duration) {
        assert!(time < ANSWERED_WITHIN, "a request took {time:?}");
        self.counts.longest = self.counts.longest.max(time);
    }
}

trait Taken {
    /// The answer, if it is this status; `None` if it is a clear refusal for the time being.
    fn taken(self, status: u16) -> Option<Answer>;
}

impl Taken for Answer {
    #[track_caller]
    fn taken(self, status: u16) -> Option<Answer> {
        if self.status == status {
            return Some(self);
        }
        let refusal = self.refused(503, "UNAVAILABLE");
        assert!(!refusal.message.is_empty(), "{refusal}");
        None
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a run says how much it has tried: `make stores` shows it"
)]
fn tell(counts: &Counts, seen: &[Seen]) {
    let spoiled = seen.iter().filter(|one| one.fault.is_some()).count();
    eprintln!(
        "stores: {spoiled} of {} requests spoiled: {counts:?}",
        seen.len()
    );
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.pushed += other.pushed;
        self.refused += other.refused;
        self.pulled += other.pulled;
        self.pulls_refused += other.pulls_refused;
        self.pulls_broken += other.pulls_broken;
        self.longest = self.longest.max(other.longest);
    }
}

fn repository(registry: &Registry, client: usize) -> Repository {
    registry.repository(&format!("faults/{client}"))
}

/// Has the clients work. Returns what each was promised, and what they came to together.
fn work(registry: &Registry, chance: &mut Chance) -> (Vec<Vec<Blob>>, Counts) {
    let left = AtomicUsize::new(OPERATIONS);
    let mut counts = Counts::default();
    let mut promised = Vec::new();
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for client in 0..CLIENTS {
            let worker = Worker {
                repository: repository(registry, client),
                chance: Chance::new(chance.number()),
                left: &left,
                blobs: Vec::new(),
                counts: Counts::default(),
            };
            workers.push(scope.spawn(|| worker.work()));
        }
        for worker in workers {
            let (blobs, counted) = worker.join().expect("a worker");
            counts.add(&counted);
            promised.push(blobs);
        }
    });
    (promised, counts)
}

/// Reads everything back, and names it in a manifest, so that it stays.
fn keep(repository: &Repository, blobs: &[Blob]) {
    let mut layers = Vec::new();
    for blob in blobs {
        let answer = repository.get_blob(&blob.digest).expect(200);
        assert_eq!(digest(&answer.body), blob.digest, "other bytes came back");
        layers.push(fixture::describe(fixture::LAYER, &blob.digest, blob.size));
    }
    repository.push_blob(CONFIG);
    let config = fixture::descriptor(fixture::CONFIG, CONFIG);
    let manifest = fixture::image(&config, &layers);
    repository.put_manifest("kept", &manifest).expect(201);
}

#[test]
fn acknowledged_blobs_survive_a_store_that_fails_at_random() {
    let seed = seed::take();
    let mut chance = seed.chance();
    let place = Place::fresh();
    let proxy = Proxy::before(place.bucket.address());
    let mut registry = Registry::start(place.setup_behind(&proxy));
    let mut plan = Planned::anything(Chance::new(chance.number()), SPOILED, STALL);
    proxy.spoil(move |seen| plan.choose(seen));
    let (promised, counts) = work(&registry, &mut chance);
    proxy.heal();
    tell(&counts, &proxy.seen());
    for (client, blobs) in promised.iter().enumerate() {
        keep(&repository(&registry, client), blobs);
    }
    // A store that fails now and then is no reason to fail as often.
    assert!(counts.pushed > 2 * counts.refused, "{counts:?}");
    assert!(
        counts.pulled > 2 * (counts.pulls_refused + counts.pulls_broken),
        "{counts:?}"
    );
    for fault in [Fault::Error, Fault::Reset, Fault::AnswerLost] {
        let times = proxy.count(|one| one.fault == Some(fault));
        assert!(times > 0, "{fault:?} was never tried");
    }

    // The collector flat out from here on: uploads that failed, and what their ends left.
    collect_quickly(&mut registry);
    purge_quickly(&mut registry);
    registry.restart();
    let blobs = promised.iter().flatten().map(|blob| blob.digest.clone());
    let kept: Vec<_> = blobs.chain([digest(CONFIG)]).collect();
    place.holds_exactly(&kept);
}
