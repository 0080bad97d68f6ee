//! The names in a folder, twice: as processes see them, and as a loss of power leaves them.
//!
//! A change of names is one step, a rename too: a loss of power undoes it whole or not at all.
//! Not here: what the names lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use crate::chance::Chance;
use crate::disk::Number;

/// What each name of one step leads to afterwards; `None` removes it.
pub(crate) type Step = Vec<(OsString, Option<Number>)>;

/// What a folder holds.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    visible: BTreeMap<OsString, Number>,
    durable: BTreeMap<OsString, Number>,
    // The steps from the one to the other.
    pending: Vec<Step>,
    /// Folders that a pending rename leads to or from: they become durable together.
    pub(crate) joined: BTreeSet<Number>,
}

impl Folder {
    pub(crate) fn get(&self, name: &OsStr) -> Option<Number> {
        self.visible.get(name).copied()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = (&OsString, Number)> {
        self.visible.iter().map(|(name, number)| (name, *number))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.visible.is_empty()
    }

    /// Changes names in one step.
    pub(crate) fn change(&mut self, step: Step) {
        apply(&mut self.visible, &step);
        self.pending.push(step);
    }

    /// fsync of the folder: the names that are visible now stay.
    pub(crate) fn sync(&mut self) {
        for step in self.pending.drain(..) {
            apply(&mut self.durable, &step);
        }
        self.joined.clear();
    }

    /// A loss of power that takes every step that was not synced.
    pub(crate) fn lose_everything(&mut self) {
        self.pending.clear();
        self.joined.clear();
        self.visible = self.durable.clone();
    }

    /// A loss of power that found some of them on disk already: the first ones, in their order.
    pub(crate) fn lose_some(&mut self, chance: &mut Chance) {
        if self.joined.is_empty() {
            let kept = chance.below(self.pending.len() + 1);
            self.pending.truncate(kept);
            self.sync();
        }
        self.lose_everything();
    }
}

fn apply(names: &mut BTreeMap<OsString, Number>, step: &Step) {
    for (name, number) in step {
        match number {
            Some(number) => names.insert(name.clone(), *number),
            None => names.remove(name),
        };
    }
}
