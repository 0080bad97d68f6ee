//! The collector and the sweep. Both may crash or sleep between any two steps; of a collector that
//! sleeps there is a successor at work, until both are.

use super::command::Command;
use super::facts::Object;
use super::mistake::Mistake;
use super::universe::Set;
use super::world::{Action, Protocol, World};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Collector {
    #[default]
    Idle,
    /// It has read which links are due.
    Condemning { links: Set },
    /// It has read which keys are reclaimed for long enough, and has still to delete some.
    Deleting { keys: Set, left: Set },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) enum Sweep {
    #[default]
    Idle,
    Listed {
        keys: Set,
    },
    /// It has looked up what it listed: these have no row.
    Deleting {
        left: Set,
    },
    /// Seeded mistake: it looked first, and these had a row.
    LookedUp {
        known: Set,
    },
}

impl Protocol {
    /// What a collector can do next, its crash last.
    pub(super) fn collector_actions(&self, world: &World, number: u8, actions: &mut Vec<Action>) {
        let facts = &world.metadata.facts;
        match world.collectors[usize::from(number)] {
            Collector::Idle => {
                if !facts.due.is_empty() {
                    actions.push(Action::ReadCandidates(number));
                }
                if !facts.reclaimable.is_empty() {
                    actions.push(Action::ReadReclaimable(number));
                }
                return;
            }
            Collector::Condemning { .. } => actions.push(Action::Condemn(number)),
            Collector::Deleting { left, .. } if left.is_empty() => {
                actions.push(Action::Forget(number));
            }
            Collector::Deleting { .. } => actions.push(Action::DeleteObject(number)),
        }
        actions.push(Action::CollectorCrashes(number));
    }

    pub(super) fn collector_step(&self, world: &mut World, action: Action) {
        let (number, next) = match action {
            Action::ReadCandidates(number) => {
                let links = world.metadata.facts.due;
                (number, Collector::Condemning { links })
            }
            Action::ReadReclaimable(number) => {
                let keys = world.metadata.facts.reclaimable;
                (number, Collector::Deleting { keys, left: keys })
            }
            Action::Condemn(number) | Action::DeleteObject(number) | Action::Forget(number) => {
                (number, self.collect(world, number))
            }
            Action::CollectorCrashes(number) => (number, Collector::Idle),
            other => unreachable!("{other:?} is no step of a collector"),
        };
        world.collectors[usize::from(number)] = next;
    }

    fn collect(&self, world: &mut World, number: u8) -> Collector {
        match world.collectors[usize::from(number)] {
            Collector::Idle => Collector::Idle,
            Collector::Condemning { links } => {
                let is_mistaken = self.scenario.mistake == Some(Mistake::NoSecondCheck);
                let command = if is_mistaken {
                    Command::CondemnUnchecked { links }
                } else {
                    Command::Condemn { links }
                };
                self.propose(world, command);
                Collector::Idle
            }
            Collector::Deleting { keys, mut left } => match left.iter().next() {
                Some(key) => {
                    world.delete(key);
                    left.remove(key);
                    Collector::Deleting { keys, left }
                }
                None => {
                    self.propose(world, Command::Forget { keys });
                    Collector::Idle
                }
            },
        }
    }

    /// What the sweep can do next, its crash last.
    pub(super) fn sweep_actions(&self, world: &World, actions: &mut Vec<Action>) {
        let begins_with_look = self.scenario.mistake == Some(Mistake::LookUpBeforeList);
        match world.sweep {
            Sweep::Idle if self.scenario.mistake == Some(Mistake::NoSweep) => return,
            Sweep::Idle if world.stored().is_empty() && !begins_with_look => return,
            Sweep::Idle if begins_with_look => {
                actions.push(Action::LookUp);
                return;
            }
            Sweep::Idle => {
                actions.push(Action::List);
                return;
            }
            Sweep::Listed { .. } => actions.push(Action::LookUp),
            Sweep::LookedUp { .. } => actions.push(Action::List),
            Sweep::Deleting { .. } => actions.push(Action::DeleteOrphan),
        }
        actions.push(Action::SweepCrashes);
    }

    pub(super) fn sweep_step(&self, world: &mut World, action: Action) {
        world.sweep = match (action, world.sweep) {
            (Action::List, Sweep::LookedUp { known }) => orphans(world.stored().without(known)),
            (Action::List, _) => Sweep::Listed {
                keys: world.stored(),
            },
            (Action::LookUp, Sweep::Listed { keys }) => orphans(keys.without(self.known(world))),
            (Action::LookUp, _) => Sweep::LookedUp {
                known: self.known(world),
            },
            (Action::DeleteOrphan, Sweep::Deleting { mut left }) => {
                let key = left.iter().next().expect("an orphan");
                world.delete(key);
                left.remove(key);
                orphans(left)
            }
            (_, _) => Sweep::Idle,
        };
    }

    /// The keys that are not the sweep's affair: an upload's, a blob's, and those that are left to
    /// collection.
    fn known(&self, world: &World) -> Set {
        let facts = &world.metadata.facts;
        let is_mistaken = self.scenario.mistake == Some(Mistake::SweepTakesFormerKey);
        let is_current = |key| facts.uploads.iter().flatten().any(|row| row.key == key);
        let is_known = |(key, object): &(u8, Option<Object>)| match object {
            Some(Object::Uploading) => !is_mistaken || is_current(*key),
            Some(Object::Live | Object::Reclaimed) => true,
            None => false,
        };
        let objects = (0..).zip(facts.objects);
        objects.filter(is_known).map(|(key, _)| key).collect()
    }
}

fn orphans(left: Set) -> Sweep {
    if left.is_empty() {
        Sweep::Idle
    } else {
        Sweep::Deleting { left }
    }
}
