//! What must hold in every state of the model.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use stateright::{Model, Property};

use super::collector::Sweep;
use super::facts::{Hold, Object};
use super::machine::Metadata;
use super::scenario::Scenario;
use super::universe::{KEYS, MANIFESTS, Set};
use super::world::{Harm, Protocol, Stored, World};

/// The properties, by name; the last one is of liveness.
pub(super) const MANIFESTS_HAVE_BYTES: &str = "no acknowledged manifest names bytes that are gone";
pub(super) const WRITTEN_BEFORE_LINKED: &str = "written before linked, unlinked before deleted";
pub(super) const ONE_WRITER: &str = "no key that is in use is written by another";
pub(super) const NOT_DELETED_IN_USE: &str = "no key that is in use is deleted";
pub(super) const BYTES_KEPT: &str = "no bytes are lost that a client was told of";
pub(super) const GRACE_KEPT: &str = "what a client has seen can be used for a grace";
pub(super) const SOUND: &str = "the state machine's own invariants hold";
pub(super) const GARBAGE_ENDS: &str = "garbage is gone in the end";

pub(super) fn all(scenario: &Scenario) -> Vec<Property<Protocol>> {
    let mut properties = vec![
        Property::always(MANIFESTS_HAVE_BYTES, manifests_have_bytes),
        Property::always(WRITTEN_BEFORE_LINKED, |_, world: &World| {
            blob_has_bytes(world)
        }),
        Property::always(ONE_WRITER, |_, world: &World| {
            !world.is_harmed(Harm::WrittenByAnother)
        }),
        Property::always(NOT_DELETED_IN_USE, |_, world: &World| {
            !world.is_harmed(Harm::DeletedInUse)
        }),
        Property::always(BYTES_KEPT, |_, world: &World| {
            !world.is_harmed(Harm::BytesLost)
        }),
        Property::always(GRACE_KEPT, |_, world: &World| {
            !world.is_harmed(Harm::PromiseBroken)
        }),
        Property::always(SOUND, |_, world: &World| {
            world.metadata.facts.broken.is_empty()
        }),
        Property::always(GARBAGE_ENDS, garbage_ends),
    ];
    let cases = scenario.meets.iter();
    properties.extend(cases.map(|case| Property::sometimes(case.name, case.is_met)));
    properties
}

fn blob_has_bytes(world: &World) -> bool {
    let blob = world.metadata.facts.blob;
    blob.is_none_or(|key| world.store[usize::from(key)] == Stored::Whole)
}

fn manifests_have_bytes(_: &Protocol, world: &World) -> bool {
    let facts = &world.metadata.facts;
    let has_bytes = |manifest: u8| {
        let (repository, _) = MANIFESTS[usize::from(manifest)];
        facts.is_referenced(repository) && facts.blob.is_some() && blob_has_bytes(world)
    };
    world.acknowledged.without(facts.manifests).is_empty() && facts.manifests.iter().all(has_bytes)
}

/// Whether all garbage went, from tables and a store in which everybody stopped. It depends on
/// nothing else, so that it is found out once for each pair of these.
#[derive(Default)]
pub(super) struct Endings(RwLock<HashMap<(u32, [Stored; KEYS.len()]), bool>>);

/// Liveness, as a property of single states: if at this moment every client and every collector
/// died for ever, one new collector, which nothing disturbs, would leave what manifests name and
/// nothing else. It holds in every state, so that there is none from which garbage is kept.
fn garbage_ends(protocol: &Protocol, world: &World) -> bool {
    let key = (world.metadata.number(), world.store);
    let known = protocol
        .endings
        .0
        .read()
        .expect("no panic")
        .get(&key)
        .copied();
    known.unwrap_or_else(|| {
        let is_clean = is_clean(&protocol.ending(Arc::clone(&world.metadata), world.store));
        let mut endings = protocol.endings.0.write().expect("no panic");
        endings.insert(key, is_clean);
        is_clean
    })
}

impl Protocol {
    /// The world long after everybody stopped.
    fn ending(&self, metadata: Arc<Metadata>, store: [Stored; KEYS.len()]) -> World {
        let mut world = self.beginning(metadata);
        world.store = store;
        for upload in 0..world.metadata.facts.uploads.len() as u8 {
            self.cancel(&mut world, upload);
        }
        // Holds run out, then reading delays, with some ticks to spare.
        let ticks = 2 * self.scenario.grace + 4;
        for _ in 0..ticks {
            world = self.exhausted(world, |world, actions| {
                self.collector_actions(world, 0, actions);
            });
            // Once: it lists whatever there is, for ever.
            let is_first = std::cell::Cell::new(true);
            world = self.exhausted(world, |world, actions| {
                if is_first.replace(false) || world.sweep != Sweep::Idle {
                    self.sweep_actions(world, actions);
                }
            });
            world = self.step(&world, super::world::Action::Advance);
        }
        world
    }

    /// Takes the first of the steps that there are until there is none.
    fn exhausted(
        &self,
        mut world: World,
        steps: impl Fn(&World, &mut Vec<<Self as Model>::Action>),
    ) -> World {
        // Far more than any of them takes: one that goes on for ever leaves garbage.
        for _ in 0..100 {
            let mut actions = Vec::new();
            steps(&world, &mut actions);
            let Some(action) = actions.first() else {
                break;
            };
            world = self.step(&world, *action);
        }
        world
    }
}

/// What manifests name is there, and nothing else.
fn is_clean(world: &World) -> bool {
    let facts = &world.metadata.facts;
    let is_needed = !facts.manifests.is_empty();
    let links = facts.links.iter().flatten();
    let are_referenced = links.clone().all(|hold| *hold == Hold::Referenced);
    let needed: Set = facts.blob.into_iter().collect();
    let only_live = |object: &Object| *object == Object::Live;
    is_needed == facts.blob.is_some()
        && are_referenced
        && world.stored() == needed
        && facts.objects.iter().flatten().all(only_live)
        && facts.uploads.iter().all(Option::is_none)
}
