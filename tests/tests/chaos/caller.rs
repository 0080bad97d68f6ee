//! A client as real ones are: it goes round the nodes, and asks again when one cannot answer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use roadstead_tests::client::Request;
use roadstead_tests::wait::{self, LONG};
use roadstead_tests::{Answer, Client};

use super::journal::{Event, Journal};

/// How long a client waits before it asks the next node.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a client with a load balancer does without a node that has not answered.
const AVOIDED: Duration = Duration::from_millis(1_500);

/// What all clients share.
#[derive(Debug)]
pub(super) struct Common {
    /// One for each node.
    pub(super) clients: Vec<Client>,
    // When each has not answered last.
    missed: Vec<Mutex<Option<Instant>>>,
    pub(super) journal: Journal,
    /// There are no more faults: clients end their step, and end.
    pub(super) is_over: AtomicBool,
    /// Somebody has found something wrong: nobody needs to go on.
    pub(super) has_failed: AtomicBool,
    pub(super) counts: Counts,
}

/// What happened how often, so that a run shows what it tried.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) answered: AtomicU64,
    /// Requests that were not answered, or with 502, 503 or 504.
    pub(super) unknown: AtomicU64,
    pub(super) pushed: AtomicU64,
    pub(super) pulled: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) chunks: AtomicU64,
    pub(super) moves: AtomicU64,
}

/// What no registry may answer, with the history of what it is about.
#[derive(Debug)]
pub(super) struct Wrong(pub(super) String);

/// An answer that came in the end.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) answer: Answer,
    /// It came to the first attempt. Otherwise former ones may still be at work somewhere.
    pub(super) is_sure: bool,
    /// When the attempt that was answered was sent.
    pub(super) sent: Instant,
}

/// A client at work.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub(super) common: &'a Common,
    turn: usize,
    // Whether it has a load balancer, which learns from others' requests who does not answer.
    is_balanced: bool,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Common {
    pub(super) fn new(clients: Vec<Client>) -> Self {
        Self {
            missed: clients.iter().map(|_| Mutex::default()).collect(),
            clients,
            journal: Journal::new(),
            is_over: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    fn missed(&self, node: usize) {
        let mut missed = self.missed[node]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *missed = Some(Instant::now());
    }

    fn is_avoided(&self, node: usize) -> bool {
        let missed = self.missed[node]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        missed.is_some_and(|at| at.elapsed() < AVOIDED)
    }

    pub(super) fn wrong(&self, about: &str, complaint: &str) -> Wrong {
        Wrong(format!("{complaint}\n{}", self.journal.of(about)))
    }
}

impl<'a> Caller<'a> {
    pub(super) fn new(common: &'a Common, first: usize) -> Self {
        Self {
            common,
            turn: first,
            is_balanced: !first.is_multiple_of(3),
        }
    }

    /// Whose turn it is.
    pub(super) fn next(&mut self) -> usize {
        let nodes = self.common.clients.len();
        for _ in 0..nodes {
            self.turn += 1;
            if !(self.is_balanced && self.common.is_avoided(self.turn % nodes)) {
                break;
            }
        }
        self.turn % nodes
    }

    /// One attempt. Nothing when it is unknown what came of it.
    pub(super) fn once(
        &self,
        node: usize,
        about: &str,
        make: impl FnOnce(&Client) -> (String, Request),
    ) -> Option<Answer> {
        let (what, request) = make(&self.common.clients[node]);
        let sent = Instant::now();
        let came = request.try_send();
        let told = match &came {
            Ok(answer) => answer.status.to_string(),
            Err(reason) if reason.contains("TimedOut") => "no answer in time".to_owned(),
            Err(_) => "broken".to_owned(),
        };
        self.common.journal.note(Event {
            sent,
            answered: Instant::now(),
            node,
            about: about.to_owned(),
            what,
            came: told,
        });
        let answer = came
            .ok()
            .filter(|answer| !matches!(answer.status, 502..=504));
        let counts = &self.common.counts;
        if answer.is_some() {
            count(&counts.answered);
        } else {
            count(&counts.unknown);
            self.common.missed(node);
        }
        answer
    }

    /// Asks one node after the other until there is an answer, which must be expected.
    /// `is_expected` is told the status, and whether it is the answer to the first attempt.
    pub(super) fn persist(
        &mut self,
        about: &str,
        what: &str,
        make: impl Fn(&Client) -> Request,
        is_expected: impl Fn(u16, bool) -> bool,
    ) -> Result<Settled, Wrong> {
        let mut is_sure = true;
        let settled = wait::poll(LONG, || {
            let (node, sent) = (self.next(), Instant::now());
            let answer = self.once(node, about, |client| (what.to_owned(), make(client)));
            if let Some(answer) = answer {
                return Some(Ok(Settled {
                    answer,
                    is_sure,
                    sent,
                }));
            }
            is_sure = false;
            let has_failed = || self.common.has_failed.load(Ordering::Acquire);
            if !wait::last(PAUSE, has_failed) {
                return Some(Err(Wrong("somebody else has found something".to_owned())));
            }
            None
        });
        let Some(settled) = settled else {
            let complaint = format!("{what}: nobody has answered for {LONG:?}");
            return Err(self.common.wrong(about, &complaint));
        };
        let settled = settled?;
        if !is_expected(settled.answer.status, settled.is_sure) {
            let complaint = format!("{what}: not expected: {}", settled.answer);
            return Err(self.common.wrong(about, &complaint));
        }
        Ok(settled)
    }

    pub(super) fn wrong(&self, about: &str, complaint: &str) -> Wrong {
        self.common.wrong(about, complaint)
    }
}
