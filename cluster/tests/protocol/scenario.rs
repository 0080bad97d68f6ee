//! Who takes part in a check. All of a scenario's interleavings are looked at, so that each has as
//! many actors as can be afforded, and no more.

use super::cases::{
    Case, DELETES_FORGOTTEN, EMPTIED, FORMER_KEY, MOVED_MEANWHILE, ORPHAN, REFERENCED_MEANWHILE,
    RENEWAL, RENEWED_MEANWHILE, RESUMED, TWO_COLLECTORS,
};
use super::mistake::Mistake;

/// How a session comes to its upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Begin,
    /// It takes an upload that another session began.
    Claim,
}

/// What one session may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) start: Start,
    pub(super) upload: u8,
    pub(super) repository: u8,
    /// The key that it brings along.
    pub(super) key: u8,
    /// The manifest that it pushes after the blob.
    pub(super) manifest: u8,
    /// Whether it makes checkpoints, after which it may release the upload.
    pub(super) checkpoints: bool,
    /// Whether an attempt to write may stay unanswered, and reach the store at any later time.
    pub(super) leaves_attempts: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// In ticks.
    pub(super) grace: u8,
    pub(super) sessions: &'static [Plan],
    /// The manifest that is pushed after a `HEAD` of the blob in the first repository.
    pub(super) head: Option<u8>,
    /// The manifest that is pushed after a mount from the first repository to the second.
    pub(super) mount: Option<u8>,
    /// Whether clients delete manifests.
    pub(super) deletes: bool,
    /// Whether uploads may be cancelled at any time, by their client or for their age.
    pub(super) cancels: bool,
    /// Whether the answer to a claim or a commit may be lost, so that it is proposed again.
    pub(super) loses_answers: bool,
    /// Collectors at work at once: one that sleeps is replaced, and wakes up.
    pub(super) collectors: usize,
    pub(super) mistake: Option<Mistake>,
    /// The hard cases that are in it.
    pub(super) meets: &'static [Case],
    /// States that there are at least: a model that shrinks unnoticed proves nothing.
    pub(super) states_min: usize,
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

const fn claim(fresh_key: u8) -> Plan {
    Plan {
        start: Start::Claim,
        leaves_attempts: false,
        key: fresh_key,
        ..OWNER
    }
}

/// Two uploaders of one digest in two repositories, a mounter from one to the other, a `HEAD` and
/// then a manifest, manifests deleted, uploads cancelled, answers lost, attempts that come late, a
/// collector and another that woke up late, and the sweep.
pub(super) const PUSHES: Scenario = Scenario {
    name: "pushes",
    grace: 1,
    sessions: &[
        Plan {
            leaves_attempts: true,
            ..push(0, 0, 0, 0)
        },
        push(1, 1, 1, 1),
    ],
    head: Some(3),
    mount: Some(2),
    deletes: true,
    cancels: true,
    loses_answers: true,
    collectors: 2,
    mistake: None,
    meets: &[
        DELETES_FORGOTTEN,
        EMPTIED,
        MOVED_MEANWHILE,
        ORPHAN,
        REFERENCED_MEANWHILE,
        RENEWAL,
        RENEWED_MEANWHILE,
        TWO_COLLECTORS,
    ],
    states_min: 4_000_000,
};

/// The same with nothing lost or cancelled, but a grace of two ticks: so a client may use what it
/// saw in an earlier one, and a hold may be renewed when it is not over.
pub(super) const GRACE: Scenario = Scenario {
    name: "grace",
    grace: 2,
    sessions: &[push(0, 0, 0, 0), push(1, 1, 1, 1)],
    cancels: false,
    loses_answers: false,
    meets: &[
        DELETES_FORGOTTEN,
        EMPTIED,
        MOVED_MEANWHILE,
        REFERENCED_MEANWHILE,
        RENEWAL,
        RENEWED_MEANWHILE,
        TWO_COLLECTORS,
    ],
    states_min: 1_700_000,
    ..PUSHES
};

/// An upload that two others claim one after the other, released or not; it may be cancelled, and
/// an attempt to write may come late.
pub(super) const CLAIMS: Scenario = Scenario {
    name: "claims",
    sessions: &[OWNER, claim(1), claim(2)],
    head: None,
    mount: None,
    deletes: false,
    loses_answers: false,
    collectors: 1,
    meets: &[EMPTIED, FORMER_KEY, ORPHAN, RESUMED],
    states_min: 3_200_000,
    ..PUSHES
};

/// The same with answers lost, so that claims and commits are proposed again, but none cancelled.
pub(super) const CLAIMS_AGAIN: Scenario = Scenario {
    name: "claims again",
    cancels: false,
    loses_answers: true,
    states_min: 2_800_000,
    ..CLAIMS
};

/// An upload that is claimed while another of the same digest is pushed, a mount between their
/// repositories, and manifests deleted.
pub(super) const CLAIM_AND_PUSH: Scenario = Scenario {
    name: "claim and push",
    sessions: &[OWNER, claim(1), push(1, 1, 2, 1)],
    mount: Some(2),
    deletes: true,
    cancels: false,
    meets: &[
        EMPTIED,
        FORMER_KEY,
        MOVED_MEANWHILE,
        ORPHAN,
        REFERENCED_MEANWHILE,
        RESUMED,
    ],
    states_min: 6_400_000,
    ..CLAIMS
};
