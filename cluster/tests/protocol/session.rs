//! Upload sessions: owners of uploads, of which each writes to the key that it was given, and may
//! be slow, or stop for ever, between any two steps.

use super::client::Client;
use super::command::Command;
use super::facts::Upload;
use super::mistake::Mistake;
use super::scenario::{Plan, Start};
use super::world::{Action, Harm, Protocol, Stored, World};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Phase {
    #[default]
    Waiting,
    /// It has read the epoch of an upload that it is going to claim.
    Looked,
    /// It was given a fresh key, to which the bytes under `former` have to be copied.
    Claimed {
        former: u8,
    },
    /// It was given a key under which it has not written yet.
    Begun,
    Writing,
    Finished,
    /// The client heard 201, and pushes a manifest next.
    Committed(Client),
    Ended,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Session {
    phase: Phase,
    epoch: u8,
    key: u8,
    /// An attempt to write is on its way to the store.
    is_attempting: bool,
}

impl Session {
    pub(super) fn grow_older(&mut self, grace: u8) {
        if let Phase::Committed(client) = &mut self.phase {
            client.grow_older(grace);
        }
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.epoch = 0;
        if !self.is_attempting {
            self.key = 0;
        }
    }
}

impl Protocol {
    fn plan(&self, session: u8) -> &Plan {
        &self.scenario.sessions[usize::from(session)]
    }

    pub(super) fn session_actions(&self, world: &World, actions: &mut Vec<Action>) {
        for number in 0..self.scenario.sessions.len() as u8 {
            self.actions_of(world, number, actions);
        }
        if self.scenario.cancels {
            let uploads = (0..).zip(&world.metadata.facts.uploads);
            let present = uploads.filter(|(_, upload)| upload.is_some());
            actions.extend(present.map(|(number, _)| Action::CancelUpload(number)));
        }
    }

    fn actions_of(&self, world: &World, number: u8, actions: &mut Vec<Action>) {
        let plan = self.plan(number);
        let session = &world.sessions[usize::from(number)];
        let mut can_attempt = false;
        match session.phase {
            Phase::Waiting if plan.start == Start::Begin => {
                actions.push(Action::BeginUpload(number));
            }
            Phase::Waiting => {
                if world.metadata.facts.uploads[usize::from(plan.upload)].is_some() {
                    actions.push(Action::LookAtUpload(number));
                }
            }
            Phase::Looked => {
                actions.push(Action::ClaimUpload(number));
                if self.scenario.loses_answers {
                    actions.push(Action::ClaimUploadUnanswered(number));
                }
            }
            Phase::Claimed { .. } => actions.push(Action::TakeOver(number)),
            Phase::Begun => {
                actions.push(Action::Write(number));
                can_attempt = true;
            }
            Phase::Writing => {
                actions.push(Action::Finish(number));
                can_attempt = true;
                if plan.checkpoints {
                    actions.push(Action::CheckpointUpload(number));
                    let is_mistaken = self.scenario.mistake == Some(Mistake::ReleaseUnanswered);
                    if !session.is_attempting || is_mistaken {
                        actions.push(Action::ReleaseUpload(number));
                    }
                }
            }
            Phase::Finished => {
                actions.push(Action::CommitUpload(number));
                if self.scenario.loses_answers {
                    actions.push(Action::CommitUploadUnanswered(number));
                }
            }
            Phase::Committed(_) => actions.push(Action::PutManifest(number)),
            Phase::Ended => {}
        }
        if session.is_attempting {
            actions.push(Action::AttemptArrives(number));
        } else if can_attempt && plan.leaves_attempts {
            actions.push(Action::Attempt(number));
        }
    }

    pub(super) fn session_step(&self, world: &mut World, action: Action) {
        match action {
            Action::BeginUpload(number) => self.begin(world, number),
            Action::Write(number) => {
                let session = &mut world.sessions[usize::from(number)];
                session.phase = Phase::Writing;
                let key = session.key;
                world.write(number, key, Stored::Part);
            }
            Action::Attempt(number) => {
                world.sessions[usize::from(number)].is_attempting = true;
            }
            Action::AttemptArrives(number) => {
                let session = &mut world.sessions[usize::from(number)];
                session.is_attempting = false;
                let key = session.key;
                if session.phase == Phase::Ended {
                    session.end();
                }
                world.write(number, key, Stored::Part);
            }
            Action::CheckpointUpload(number) => self.checkpoint(world, number),
            Action::ReleaseUpload(number) => self.release(world, number),
            Action::LookAtUpload(number) => {
                let upload = self.row(world, number).expect("an upload to look at");
                let session = &mut world.sessions[usize::from(number)];
                (session.phase, session.epoch) = (Phase::Looked, upload.epoch);
            }
            Action::ClaimUpload(number) => self.claim(world, number),
            Action::ClaimUploadUnanswered(number) => {
                self.propose(world, self.claim_command(world, number));
            }
            Action::TakeOver(number) => self.take_over(world, number),
            Action::Finish(number) => {
                let session = &mut world.sessions[usize::from(number)];
                session.phase = Phase::Finished;
                let key = session.key;
                world.write(number, key, Stored::Whole);
            }
            Action::CommitUpload(number) => {
                let is_done = self.propose(world, self.commit_command(world, number));
                let session = &mut world.sessions[usize::from(number)];
                session.end();
                if is_done {
                    session.phase = Phase::Committed(Client::told());
                }
            }
            Action::CommitUploadUnanswered(number) => {
                self.propose(world, self.commit_command(world, number));
            }
            Action::CancelUpload(upload) => self.cancel(world, upload),
            Action::PutManifest(number) => {
                let session = &mut world.sessions[usize::from(number)];
                if let Phase::Committed(client) = session.phase {
                    session.end();
                    self.put_manifest(world, client, self.plan(number).manifest);
                }
            }
            other => unreachable!("{other:?} is no step of a session"),
        }
    }

    /// The upload's row as it is now.
    fn row(&self, world: &World, session: u8) -> Option<Upload> {
        world.metadata.facts.uploads[usize::from(self.plan(session).upload)]
    }

    fn begin(&self, world: &mut World, number: u8) {
        let plan = self.plan(number);
        let is_mistaken = self.scenario.mistake == Some(Mistake::ReusedKey);
        let key = if is_mistaken { 0 } else { plan.key };
        let command = Command::BeginUpload {
            upload: plan.upload,
            repository: plan.repository,
            key,
            owner: number,
        };
        if self.propose(world, command) {
            world.writers[usize::from(key)] = Some(number);
            world.sessions[usize::from(number)] = Session {
                phase: Phase::Begun,
                epoch: 1,
                key,
                is_attempting: false,
            };
        }
    }

    fn checkpoint(&self, world: &mut World, number: u8) {
        let command = Command::CheckpointUpload {
            upload: self.plan(number).upload,
            epoch: world.sessions[usize::from(number)].epoch,
        };
        if !self.propose(world, command) {
            world.sessions[usize::from(number)].end();
        }
    }

    /// Done or refused, it does not write again: what of its writes is on its way was answered.
    fn release(&self, world: &mut World, number: u8) {
        let command = Command::ReleaseUpload {
            upload: self.plan(number).upload,
            epoch: world.sessions[usize::from(number)].epoch,
        };
        self.propose(world, command);
        world.sessions[usize::from(number)].end();
    }

    fn claim_command(&self, world: &World, number: u8) -> Command {
        let plan = self.plan(number);
        let epoch_seen = world.sessions[usize::from(number)].epoch;
        if self.scenario.mistake == Some(Mistake::ClaimKeepsKey) {
            return Command::ClaimKeepingKey {
                upload: plan.upload,
                epoch_seen,
                owner: number,
            };
        }
        Command::ClaimUpload {
            upload: plan.upload,
            epoch_seen,
            owner: number,
            fresh_key: plan.key,
        }
    }

    fn claim(&self, world: &mut World, number: u8) {
        if !self.propose(world, self.claim_command(world, number)) {
            world.sessions[usize::from(number)].end();
            return;
        }
        let row = self.row(world, number).expect("an upload that was claimed");
        world.writers[usize::from(row.key)] = Some(number);
        let has_former = row.has_checkpoint.then_some(row.former).flatten();
        let phase = match (has_former, row.has_checkpoint) {
            (Some(former), _) => Phase::Claimed { former },
            (None, true) => Phase::Writing,
            (None, false) => Phase::Begun,
        };
        if phase == Phase::Writing && world.store[usize::from(row.key)] == Stored::Nothing {
            world.harm(Harm::BytesLost);
        }
        let session = &mut world.sessions[usize::from(number)];
        (session.phase, session.epoch, session.key) = (phase, row.epoch, row.key);
    }

    fn take_over(&self, world: &mut World, number: u8) {
        let session = world.sessions[usize::from(number)];
        let Phase::Claimed { former } = session.phase else {
            return;
        };
        if world.store[usize::from(former)] == Stored::Nothing {
            // A claimer that was itself claimed from may come too late; the present owner may not.
            if self
                .row(world, number)
                .is_some_and(|row| row.epoch == session.epoch)
            {
                world.harm(Harm::BytesLost);
            }
            world.sessions[usize::from(number)].end();
            return;
        }
        world.sessions[usize::from(number)].phase = Phase::Writing;
        world.write(number, session.key, Stored::Part);
    }

    fn commit_command(&self, world: &World, number: u8) -> Command {
        let plan = self.plan(number);
        Command::CommitUpload {
            upload: plan.upload,
            epoch: world.sessions[usize::from(number)].epoch,
            repository: plan.repository,
        }
    }

    pub(super) fn cancel(&self, world: &mut World, upload: u8) {
        if let Some(row) = world.metadata.facts.uploads[usize::from(upload)] {
            let epoch = row.epoch;
            self.propose(world, Command::CancelUpload { upload, epoch });
        }
    }
}
