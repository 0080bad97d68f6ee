//! Who takes part in a check. All of a scenario's interleavings are looked at, so that each has as
//! many actors as can be afforded, and no more.

use crate::cases::{
    Case, DELETES_FORGOTTEN, EMPTIED, FORMER_KEY, MOVED_MEANWHILE, ORPHAN, REFERENCED_MEANWHILE,
    RENEWAL, RENEWED_MEANWHILE, RESUMED, TWO_COLLECTORS,
};
use crate::mistake::Mistake;

/// How a session comes to its upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Begin,
    /// It takes an upload that another session began.
    Claim,
}

/// What one session may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) start: Start,
    pub(crate) upload: u8,
    pub(crate) repository: u8,
    /// The key that it brings along.
    pub(crate) key: u8,
    /// The manifest that it pushes after the blob.
    pub(crate) manifest: u8,
    /// Whether it makes checkpoints, after which it may release the upload.
    pub(crate) checkpoints: bool,
    /// Whether an attempt to write may stay unanswered, and reach the store at any later time.
    pub(crate) leaves_attempts: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// In ticks.
    pub(crate) grace: u8,
    pub(crate) sessions: &'static [Plan],
    /// The manifest that is pushed after a `HEAD` of the blob in the first repository.
    pub(crate) head: Option<u8>,
    /// The manifest that is pushed after a mount from the first repository to the second.
    pub(crate) mount: Option<u8>,
    /// Whether clients delete manifests.
    pub(crate) deletes: bool,
    /// Whether uploads may be cancelled at any time, by their client or for their age.
    pub(crate) cancels: bool,
    /// Whether the answer to a claim or a commit may be lost, so that it is proposed again.
    pub(crate) loses_answers: bool,
    /// Collectors at work at once: one that sleeps is replaced, and wakes up.
    pub(crate) collectors: usize,
    pub(crate) mistake: Option<Mistake>,
    /// The hard cases that are in it.
    pub(crate) meets: &'static [Case],
    /// States that there are at least: a model that shrinks unnoticed proves nothing.
    pub(crate) states_min: usize,
}

const fn push(upload: u8, repository: u8, key: u8, manifest: u8) -> Plan {
    Plan {
        start: Start::Begin,
        upload,
        repository,
        key,
        manifest,
        checkpoints: false,
        leaves_attempts: false,
    }
}

const OWNER: Plan = Plan {
    checkpoints: true,
    leaves_attempts: true,
    ..push(0, 0, 0, 0)
};

const fn claim(key: u8) -> Plan {
    Plan {
        start: Start::Claim,
        leaves_attempts: false,
        key,
        ..OWNER
    }
}

/// Two uploaders of one digest in two repositories, a mounter from one to the other, a `HEAD` and
/// then a manifest, manifests deleted, a collector and one that woke up late, and the sweep.
pub(crate) const PUSHES: Scenario = Scenario {
    name: "pushes",
    grace: 1,
    sessions: &[push(0, 0, 0, 0), push(1, 1, 1, 1)],
    head: Some(3),
    mount: Some(2),
    deletes: true,
    cancels: false,
    loses_answers: false,
    collectors: 2,
    mistake: None,
    meets: &[
        TWO_COLLECTORS,
        REFERENCED_MEANWHILE,
        RENEWED_MEANWHILE,
        DELETES_FORGOTTEN,
        MOVED_MEANWHILE,
        RENEWAL,
        EMPTIED,
    ],
    states_min: 1,
};

/// An upload that two others claim one after the other, released or not; it may be cancelled,
/// answers and attempts to write may be lost or late.
pub(crate) const CLAIMS: Scenario = Scenario {
    name: "claims",
    sessions: &[OWNER, claim(1), claim(2)],
    head: None,
    mount: None,
    cancels: true,
    loses_answers: true,
    meets: &[FORMER_KEY, RESUMED, ORPHAN, EMPTIED],
    ..PUSHES
};

/// An upload that is claimed while another of the same digest is pushed.
pub(crate) const CLAIM_AND_PUSH: Scenario = Scenario {
    name: "claim and push",
    sessions: &[OWNER, claim(1), push(1, 1, 2, 1)],
    head: None,
    mount: None,
    loses_answers: true,
    collectors: 1,
    meets: &[FORMER_KEY, RESUMED, MOVED_MEANWHILE, EMPTIED],
    ..PUSHES
};

/// A grace of two ticks, so that a client may use what it saw in a later one.
pub(crate) const GRACE: Scenario = Scenario {
    name: "grace",
    grace: 2,
    sessions: &[push(0, 0, 0, 0)],
    meets: &[REFERENCED_MEANWHILE, RENEWED_MEANWHILE, RENEWAL, EMPTIED],
    ..PUSHES
};
