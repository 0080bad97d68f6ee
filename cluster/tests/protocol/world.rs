//! The model: every state of the world, the steps that lead on from it, and what each changes.

use std::sync::Arc;

use stateright::{Model, Property};

use super::client::Client;
use super::collector::{Collector, Sweep};
use super::command::Command;
use super::facts::Object;
use super::machine::{Machine, Metadata};
use super::properties;
use super::scenario::Scenario;
use super::session::Session;
use super::universe::{KEYS, Set};

/// As many as a scenario can have.
pub(super) const SESSIONS: usize = 3;
pub(super) const COLLECTORS: usize = 2;

/// What lies under a key in the object store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Stored {
    #[default]
    Nothing,
    /// Unfinished: it cannot be read, but it can be gone on from.
    Part,
    Whole,
}

/// What must never happen, noted when it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// A session wrote to a key that was given to another after it.
    WrittenByAnother,
    /// An object was deleted that an upload or a blob still had.
    DeletedInUse,
    /// Bytes that a client was told of are gone.
    BytesLost,
    /// A manifest was refused less than a grace after its blob was seen.
    PromiseBroken,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) metadata: Arc<Metadata>,
    pub(super) store: [Stored; KEYS.len()],
    /// Which session was given the key last: the only one that may write to it.
    pub(super) writers: [Option<u8>; KEYS.len()],
    pub(super) sessions: [Session; SESSIONS],
    pub(super) head: Client,
    pub(super) mounter: Client,
    pub(super) collectors: [Collector; COLLECTORS],
    pub(super) sweep: Sweep,
    /// Manifests that a client heard 201 of, and nobody deleted since.
    pub(super) acknowledged: Set,
    pub(super) harms: Set,
}

/// Those of commands are named after them; a number is a session, collector, upload or manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    BeginUpload(u8),
    /// The first bytes go to the store.
    Write(u8),
    /// Bytes go to the store, and no answer comes.
    Attempt(u8),
    /// They arrive.
    AttemptArrives(u8),
    CheckpointUpload(u8),
    ReleaseUpload(u8),
    /// Another owner reads the upload's epoch.
    LookAtUpload(u8),
    ClaimUpload(u8),
    ClaimUploadUnanswered(u8),
    /// The bytes up to the checkpoint are copied to the fresh key.
    TakeOver(u8),
    /// The object is whole.
    Finish(u8),
    CommitUpload(u8),
    CommitUploadUnanswered(u8),
    CancelUpload(u8),
    /// By a session.
    PutManifest(u8),

    Head,
    RenewHold,
    PutManifestAfterHead,
    MountBlob,
    PutManifestAfterMount,
    DeleteManifest(u8),

    ReadCandidates(u8),
    Condemn(u8),
    ReadReclaimable(u8),
    DeleteObject(u8),
    Forget(u8),
    CollectorCrashes(u8),

    List,
    LookUp,
    DeleteOrphan,
    SweepCrashes,

    /// A tick of cluster time passes.
    Advance,
}

impl World {
    pub(super) fn harm(&mut self, harm: Harm) {
        self.harms.insert(harm as u8);
    }

    pub(super) fn is_harmed(&self, harm: Harm) -> bool {
        self.harms.contains(harm as u8)
    }

    /// A session's bytes arrive at the store.
    pub(super) fn write(&mut self, session: u8, key: u8, stored: Stored) {
        if self.writers[usize::from(key)] != Some(session) {
            self.harm(Harm::WrittenByAnother);
        }
        let object = &mut self.store[usize::from(key)];
        *object = stored.max(*object);
    }

    /// Somebody deletes whatever lies under the key.
    pub(super) fn delete(&mut self, key: u8) {
        match self.metadata.facts.objects[usize::from(key)] {
            Some(Object::Uploading | Object::Live) => self.harm(Harm::DeletedInUse),
            Some(Object::Reclaimed) | None => {}
        }
        self.store[usize::from(key)] = Stored::Nothing;
    }

    /// The keys under which anything lies.
    pub(super) fn stored(&self) -> Set {
        let keys = (0..).zip(self.store);
        keys.filter(|(_, stored)| *stored != Stored::Nothing)
            .map(|(key, _)| key)
            .collect()
    }
}

/// A scenario and the state machine that its worlds share.
pub(super) struct Protocol {
    pub(super) scenario: Scenario,
    pub(super) machine: Machine,
    pub(super) endings: properties::Endings,
}

impl Protocol {
    pub(super) fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            machine: Machine::new(scenario.grace),
            endings: properties::Endings::default(),
        }
    }

    /// Proposes a command and waits until it is applied. Whether it was done.
    pub(super) fn propose(&self, world: &mut World, command: Command) -> bool {
        let (metadata, is_done) = self.machine.apply(&world.metadata, command);
        world.metadata = metadata;
        is_done
    }

    /// Nobody has done anything yet.
    pub(super) fn beginning(&self, metadata: Arc<Metadata>) -> World {
        World {
            metadata,
            store: Default::default(),
            writers: Default::default(),
            sessions: Default::default(),
            head: Client::default(),
            mounter: Client::default(),
            collectors: Default::default(),
            sweep: Sweep::default(),
            acknowledged: Set::default(),
            harms: Set::default(),
        }
    }

    fn advance(&self, world: &mut World) {
        self.propose(world, Command::Advance);
        let grace = self.scenario.grace;
        for session in &mut world.sessions {
            session.grow_older(grace);
        }
        world.head.grow_older(grace);
        world.mounter.grow_older(grace);
    }

    /// The world after a step.
    pub(super) fn step(&self, world: &World, action: Action) -> World {
        let mut world = world.clone();
        match action {
            Action::BeginUpload(_)
            | Action::Write(_)
            | Action::Attempt(_)
            | Action::AttemptArrives(_)
            | Action::CheckpointUpload(_)
            | Action::ReleaseUpload(_)
            | Action::LookAtUpload(_)
            | Action::ClaimUpload(_)
            | Action::ClaimUploadUnanswered(_)
            | Action::TakeOver(_)
            | Action::Finish(_)
            | Action::CommitUpload(_)
            | Action::CommitUploadUnanswered(_)
            | Action::CancelUpload(_)
            | Action::PutManifest(_) => self.session_step(&mut world, action),

            Action::Head
            | Action::RenewHold
            | Action::PutManifestAfterHead
            | Action::MountBlob
            | Action::PutManifestAfterMount
            | Action::DeleteManifest(_) => self.client_step(&mut world, action),

            Action::ReadCandidates(_)
            | Action::Condemn(_)
            | Action::ReadReclaimable(_)
            | Action::DeleteObject(_)
            | Action::Forget(_)
            | Action::CollectorCrashes(_) => self.collector_step(&mut world, action),

            Action::List | Action::LookUp | Action::DeleteOrphan | Action::SweepCrashes => {
                self.sweep_step(&mut world, action);
            }

            Action::Advance => self.advance(&mut world),
        }
        // It does not matter which of the collectors it is that sleeps. Idle ones come last, so
        // that a single one stays the first.
        world
            .collectors
            .sort_unstable_by(|one, other| other.cmp(one));
        world
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![self.beginning(self.machine.founded())]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.session_actions(world, actions);
        self.client_actions(world, actions);
        for collector in 0..self.scenario.collectors {
            self.collector_actions(world, collector as u8, actions);
        }
        self.sweep_actions(world, actions);
        actions.push(Action::Advance);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let next = self.step(world, action);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.scenario)
    }
}
