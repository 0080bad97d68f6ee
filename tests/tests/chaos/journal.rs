//! What was asked and answered, for a failure to show.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use roadstead_tests::Recent;

/// Events that are kept: minutes of a run.
const KEPT: usize = 100_000;
/// Events of a subject that are shown.
const SHOWN: usize = 60;

/// One request and what came of it.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) sent: Instant,
    pub(super) answered: Instant,
    pub(super) node: usize,
    /// The repository, tag, upload or blob that it is about.
    pub(super) about: String,
    pub(super) what: String,
    /// The status, or why there is none.
    pub(super) came: String,
}

/// The last events of all clients, and the faults between them.
#[derive(Debug)]
pub(super) struct Journal {
    events: Recent<Event>,
    faults: Mutex<Vec<(Instant, String)>>,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self {
            events: Recent::new(KEPT),
            faults: Mutex::default(),
        }
    }

    pub(super) fn began(&self) -> Instant {
        self.events.began()
    }

    pub(super) fn note(&self, event: Event) {
        self.events.note(event);
    }

    pub(super) fn fault(&self, text: String) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push((Instant::now(), text));
    }

    /// The last of what happened to a subject, among the faults.
    pub(super) fn of(&self, about: &str) -> String {
        let after = |at: &Instant| self.events.milliseconds(*at);
        let mut lines = self.events.last(SHOWN, |event| {
            if event.about != about {
                return None;
            }
            let Event {
                node, what, came, ..
            } = event;
            let answered = after(&event.answered);
            let line = format!("to {answered:>7} node {node} {what}: {came}");
            Some((event.sent, line))
        });
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let faults = faults.iter();
        lines.extend(faults.map(|(at, fault)| (*at, format!("--- {fault}"))));
        lines.sort();
        let mut text = format!("what happened to {about}, in milliseconds:\n");
        for (at, line) in &lines {
            let _ = writeln!(text, "{:>7} {line}", after(at));
        }
        text
    }
}
