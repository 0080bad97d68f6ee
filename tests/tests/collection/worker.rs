//! A client of the stress: it owns repositories, works in them, and knows what must be there.

mod deletes;
mod looks;
mod pushes;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use roadstead_proto::Digest;
use roadstead_tests::client::Request;
use roadstead_tests::wait::{self, LONG};
use roadstead_tests::{Answer, Chance, Client, Repository};

use super::content::{Contents, Manifest};
use super::deleter::Deleter;
use super::history::{Event, History};
use super::record::{MARGIN, Record};

/// How often a client may be cut off while it looks at what is left after a kill.
const RETURNS_MAX: usize = 50;
/// Steps of a client between two deletions of a repository, about.
const STEPS_PER_REPOSITORY: usize = 400;

/// What all clients share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) contents: Contents,
    pub(super) history: History,
    pub(super) client: Client,
    pub(super) deleter: Deleter,
    /// The names of all repositories, from which anybody may mount.
    pub(super) names: Vec<String>,
    pub(super) operations: AtomicU64,
    pub(super) operations_max: u64,
    pub(super) requests: AtomicU64,
    /// Raised before each kill, and again when the registry is back: odd while it may be down.
    pub(super) downs: AtomicU64,
    pub(super) is_over: AtomicBool,
    pub(super) counts: Counts,
}

/// What happened how often, so that a run shows what it tried.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// A blob was asked for with `HEAD` and not there, and was pushed.
    pub(super) pushed: AtomicU64,
    /// It was there.
    pub(super) found: AtomicU64,
    /// A blob was there in the last part of its hold, or beyond.
    pub(super) found_late: AtomicU64,
    /// It was gone by then.
    pub(super) missed_late: AtomicU64,
    /// A manifest was taken that named a blob whose time ended just then.
    pub(super) met: AtomicU64,
    pub(super) mounted: AtomicU64,
    pub(super) manifests: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) pulled: AtomicU64,
    pub(super) repositories: AtomicU64,
}

impl Counts {
    /// Panics if a run that was long enough has not tried everything.
    pub(super) fn have_all(&self, operations: u64) {
        const ENOUGH: u64 = 10_000;
        let tried = [
            &self.pushed,
            &self.found,
            &self.found_late,
            &self.missed_late,
            &self.met,
            &self.mounted,
            &self.manifests,
            &self.expired,
            &self.pulled,
            &self.repositories,
        ];
        let has_all = tried.iter().all(|count| count.load(Ordering::Acquire) > 0);
        assert!(
            has_all || operations < ENOUGH,
            "not all was tried: {self:?}"
        );
    }
}

/// Why a step did not come to its end.
#[derive(Debug)]
pub(super) enum Cut {
    /// The registry did not answer.
    Gone(String),
    /// It answered what it must not.
    Wrong(String),
}

/// An answer, and when it was asked for and had come.
#[derive(Debug)]
pub(super) struct Seen {
    answer: Answer,
    sent: Instant,
    answered: Instant,
}

impl Seen {
    fn status(&self) -> u16 {
        self.answer.status
    }

    /// Whether the answer came while what must hold until then still had to hold.
    fn is_before(&self, until: Instant) -> bool {
        self.answered + MARGIN < until
    }
}

/// A client at work.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    pub(super) common: &'a Common,
    pub(super) records: Vec<Record>,
    pub(super) chance: Chance,
    steps: usize,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl<'a> Worker<'a> {
    pub(super) fn new(common: &'a Common, names: &[String], chance: Chance) -> Self {
        let began = common.history.began();
        let records = names.iter().map(|name| Record::new(name.clone(), began));
        Self {
            common,
            records: records.collect(),
            chance,
            steps: 0,
        }
    }

    /// Works until all clients together have done enough.
    pub(super) fn work(&mut self) -> Result<(), String> {
        let common = self.common;
        while !common.is_over.load(Ordering::Acquire)
            && common.operations.fetch_add(1, Ordering::AcqRel) < common.operations_max
        {
            let downs = common.downs.load(Ordering::Acquire);
            match self.step() {
                Ok(()) => {}
                Err(Cut::Gone(reason)) => {
                    let was_up = downs.is_multiple_of(2);
                    if was_up && common.downs.load(Ordering::Acquire) == downs {
                        return Err(format!("nobody has killed it: {reason}"));
                    }
                    self.come_back()?;
                }
                Err(Cut::Wrong(complaint)) => return Err(complaint),
            }
        }
        Ok(())
    }

    /// Waits until the registry is back, and looks at everything.
    pub(super) fn come_back(&mut self) -> Result<(), String> {
        let common = self.common;
        for _ in 0..RETURNS_MAX {
            let ready = wait::poll(LONG, || {
                let is_over = common.is_over.load(Ordering::Acquire);
                (is_over || common.client.is_ready()).then_some(is_over)
            });
            match ready {
                // Somebody else has found something wrong.
                Some(true) => return Ok(()),
                Some(false) => {}
                None => return Err(format!("not ready after {LONG:?}")),
            }
            match self.look_at_all() {
                Ok(()) => return Ok(()),
                Err(Cut::Gone(_)) => {}
                Err(Cut::Wrong(complaint)) => return Err(complaint),
            }
        }
        Err("it was never there for long enough to look at it".to_owned())
    }

    /// One operation.
    fn step(&mut self) -> Result<(), Cut> {
        self.steps += 1;
        let now = Instant::now();
        for record in &mut self.records {
            record.lapse(now);
        }
        let which = self.chance.below(self.records.len());
        if self.chance.below(STEPS_PER_REPOSITORY) == 0 {
            return self.delete_repository(which);
        }
        match self.chance.below(100) {
            0..21 => self.push_image(which),
            21..33 => self.head_then_manifest(which, false),
            33..34 => self.head_then_manifest(which, true),
            34..41 => self.push_again(which),
            41..49 => self.mount(which),
            49..57 => self.move_tag(which),
            57..61 => self.delete_tag(which),
            61..67 => self.delete_manifest(which),
            67..73 => self.delete_blob(which),
            73..75 => self.abandon(which),
            75..78 => self.push_index(which),
            78..82 => self.push_referrer(which),
            82..86 => self.look_at_promised(which),
            86..90 => self.look_at_unsure(which),
            90..93 => self.use_at_the_end(which),
            _ => self.pull_any(which),
        }
    }

    fn repository(&self, which: usize) -> Repository {
        self.common.client.repository(&self.records[which].name)
    }

    /// A request for a path below the repository.
    fn request(&self, which: usize, method: &str, path: &str) -> Request {
        self.repository(which).request(method, path)
    }

    /// Sends a request and notes it in the history.
    fn ask(
        &self,
        which: usize,
        what: &'static str,
        (digest, about): (&Digest, Vec<Digest>),
        request: Request,
    ) -> Result<Seen, Cut> {
        let sent = Instant::now();
        let answer = request.try_send();
        let answered = Instant::now();
        count(&self.common.requests);
        self.common.history.note(Event {
            sent,
            answered,
            repository: self.records[which].name.clone(),
            what,
            digest: digest.clone(),
            about,
            status: answer.as_ref().map_or(0, |answer| answer.status),
        });
        let answer = answer.map_err(Cut::Gone)?;
        Ok(Seen {
            answer,
            sent,
            answered,
        })
    }

    /// What is wrong, with everything that happened to what it is about.
    fn wrong(&self, which: usize, what: &str, seen: &Seen, about: &[Digest]) -> Cut {
        let record = &self.records[which];
        let now = seen.answered;
        let times: String = about
            .iter()
            .map(|digest| {
                let until = record.lives_until(digest).max(record.blob_until(digest));
                let left = until.saturating_duration_since(now);
                let over = now.saturating_duration_since(until);
                format!("  {digest}: promised for {left:?} more, or over for {over:?}\n")
            })
            .collect();
        let at = now.duration_since(self.common.history.began()).as_millis();
        let history = self.common.history.of(about);
        Cut::Wrong(format!(
            "{what}, in {} at {at} ms: {}\n{times}{history}",
            record.name, seen.answer
        ))
    }

    fn unexpected(&self, which: usize, seen: &Seen, about: &[Digest]) -> Cut {
        self.wrong(which, "an answer that nobody expects", seen, about)
    }

    /// A manifest that is there for half a second more at least.
    fn some_manifest(&mut self, which: usize) -> Option<std::sync::Arc<Manifest>> {
        const ENOUGH: Duration = Duration::from_millis(500);
        let present = self.records[which].present(Instant::now() + ENOUGH);
        self.chance.pick(&present).cloned()
    }
}
