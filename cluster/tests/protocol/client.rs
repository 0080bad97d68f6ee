//! Clients that rely on what they were told: that a blob is there, by `HEAD`, by a mount or by a
//! commit, and that a manifest may name it within a grace.

use super::command::Command;
use super::facts::Hold;
use super::mistake::Mistake;
use super::world::{Action, Harm, Protocol, World};

/// Where the repository of `HEAD` is in the list: mounts are from it too.
const FIRST: u8 = 0;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum Client {
    #[default]
    Waiting,
    /// Its node saw that the hold has less than a grace left, and is going to renew it.
    Renewing,
    /// It was told, so many ticks ago, that the blob is there.
    Told { ago: u8 },
}

impl Client {
    pub(super) fn told() -> Self {
        Self::Told { ago: 0 }
    }

    /// After a grace it does not matter how long ago it was.
    pub(super) fn grow_older(&mut self, grace: u8) {
        if let Self::Told { ago } = self {
            *ago = grace.min(*ago + 1);
        }
    }
}

impl Protocol {
    pub(super) fn client_actions(&self, world: &World, actions: &mut Vec<Action>) {
        let facts = &world.metadata.facts;
        let is_linked = facts.links[usize::from(FIRST)].is_some();
        if self.scenario.head.is_some() {
            match world.head {
                Client::Waiting if is_linked => actions.push(Action::Head),
                // 404: it asks again, or for ever.
                Client::Waiting => {}
                Client::Renewing => actions.push(Action::RenewHold),
                Client::Told { .. } => actions.push(Action::PutManifestAfterHead),
            }
        }
        if self.scenario.mount.is_some() {
            match world.mounter {
                Client::Waiting if is_linked => actions.push(Action::MountBlob),
                Client::Waiting | Client::Renewing => {}
                Client::Told { .. } => actions.push(Action::PutManifestAfterMount),
            }
        }
        if self.scenario.deletes {
            actions.extend(facts.manifests.iter().map(Action::DeleteManifest));
        }
    }

    pub(super) fn client_step(&self, world: &mut World, action: Action) {
        match action {
            Action::Head => world.head = self.head(world),
            Action::RenewHold => {
                let is_done = self.propose(world, Command::RenewHold { repository: FIRST });
                world.head = if is_done {
                    Client::told()
                } else {
                    Client::Waiting
                };
            }
            Action::PutManifestAfterHead => {
                let client = std::mem::take(&mut world.head);
                let manifest = self.scenario.head.expect("a manifest");
                self.put_manifest(world, client, manifest);
            }
            Action::MountBlob => {
                if self.propose(world, Command::MountBlob) {
                    world.mounter = Client::told();
                }
            }
            Action::PutManifestAfterMount => {
                let client = std::mem::take(&mut world.mounter);
                let manifest = self.scenario.mount.expect("a manifest");
                self.put_manifest(world, client, manifest);
            }
            Action::DeleteManifest(manifest) => {
                self.propose(world, Command::DeleteManifest { manifest });
                world.acknowledged.remove(manifest);
            }
            other => unreachable!("{other:?} is no step of a client"),
        }
    }

    /// What the node does that is asked: it looks, and renews a hold that is short.
    fn head(&self, world: &World) -> Client {
        let renews = self.scenario.mistake != Some(Mistake::HeadRenewsNothing);
        match world.metadata.facts.links[usize::from(FIRST)] {
            None => Client::Waiting,
            Some(Hold::Remaining(ticks)) if renews && ticks < self.scenario.grace.into() => {
                Client::Renewing
            }
            Some(Hold::Remaining(_) | Hold::Referenced) => Client::told(),
        }
    }

    /// A client pushes a manifest that names the blob; the next time it begins anew.
    pub(super) fn put_manifest(&self, world: &mut World, client: Client, manifest: u8) {
        if self.propose(world, Command::PutManifest { manifest }) {
            world.acknowledged.insert(manifest);
        } else if matches!(client, Client::Told { ago } if ago < self.scenario.grace) {
            world.harm(Harm::PromiseBroken);
        }
    }
}
