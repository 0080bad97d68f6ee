//! The hard cases of the protocol. Some state of a scenario must show each that it is said to meet,
//! so that a scenario that has become harmless is noticed.

use super::client::Client;
use super::collector::{Collector, Sweep};
use super::facts::Hold;
use super::universe::Set;
use super::world::{Protocol, World};

#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) is_met: fn(&Protocol, &World) -> bool,
}

pub(super) const TWO_COLLECTORS: Case = Case {
    name: "two collectors are about to delete the same object",
    is_met: |_, world| match world.collectors {
        [
            Collector::Deleting { left, .. },
            Collector::Deleting { left: other, .. },
        ] => left.overlaps(other),
        _ => false,
    },
};

pub(super) const REFERENCED_MEANWHILE: Case = Case {
    name: "a collector is about to condemn what a manifest references by now",
    is_met: |_, world| is_condemning(world, |hold| hold == Hold::Referenced),
};

pub(super) const RENEWED_MEANWHILE: Case = Case {
    name: "a collector is about to condemn what is held again by now",
    is_met: |_, world| {
        is_condemning(
            world,
            |hold| matches!(hold, Hold::Remaining(ticks) if ticks > 0),
        )
    },
};

pub(super) const DELETES_FORGOTTEN: Case = Case {
    name: "a collector is about to delete the object of a key that is forgotten",
    is_met: |_, world| {
        let is_forgotten = |key| world.metadata.facts.objects[usize::from(key)].is_none();
        deleting(world).any(|left| left.iter().any(is_forgotten))
    },
};

pub(super) const MOVED_MEANWHILE: Case = Case {
    name: "a collector is about to delete an object whose digest is stored again",
    is_met: |_, world| {
        let is_stored = world.metadata.facts.blob.is_some();
        is_stored && deleting(world).any(|left| !left.is_empty())
    },
};

pub(super) const ORPHAN: Case = Case {
    name: "the sweep is about to delete an object that has no row",
    is_met: |_, world| matches!(world.sweep, Sweep::Deleting { .. }),
};

pub(super) const RENEWAL: Case = Case {
    name: "HEAD is about to renew a hold",
    is_met: |_, world| world.head == Client::Renewing,
};

pub(super) const FORMER_KEY: Case = Case {
    name: "an upload keeps a former key, because its bytes are there",
    is_met: |_, world| {
        let mut uploads = world.metadata.facts.uploads.iter().flatten();
        uploads.any(|row| row.former.is_some() && row.has_checkpoint)
    },
};

pub(super) const RESUMED: Case = Case {
    name: "a session goes on under the key that another released",
    is_met: |_, world| matches!(world.writers[0], Some(session) if session > 0),
};

pub(super) const EMPTIED: Case = Case {
    name: "everything that was there has gone",
    is_met: |_, world| {
        let facts = &world.metadata.facts;
        let was_written = world.writers.iter().any(Option::is_some);
        let has_rows = facts.objects.iter().any(Option::is_some);
        was_written && !has_rows && world.stored().is_empty()
    },
};

fn is_condemning(world: &World, is_sought: impl Fn(Hold) -> bool) -> bool {
    let links = world.metadata.facts.links;
    let is_hit = |repository| links[usize::from(repository)].is_some_and(&is_sought);
    world.collectors.iter().any(|collector| match collector {
        Collector::Condemning { links } => links.iter().any(is_hit),
        Collector::Idle | Collector::Deleting { .. } => false,
    })
}

/// What the collectors have still to delete.
fn deleting(world: &World) -> impl Iterator<Item = Set> {
    let collectors = world.collectors.into_iter();
    collectors.filter_map(|collector| match collector {
        Collector::Deleting { left, .. } => Some(left),
        Collector::Idle | Collector::Condemning { .. } => None,
    })
}
