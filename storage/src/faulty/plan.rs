//! Which call meets which fault. Pure: the answer depends on the plan, the action and the count.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::action::Action;
use crate::error::Error;

/// The error that an injected failure answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// [`Error::Unavailable`]
    Unavailable,
    /// [`Error::NoSpace`]
    NoSpace,
    /// [`Error::PermissionDenied`]
    PermissionDenied,
    /// [`Error::NotFound`]
    NotFound,
    /// [`Error::Corrupt`]
    Corrupt,
}

impl Failure {
    pub(super) fn error(self, action: Action) -> Error {
        let system = |kind: io::ErrorKind| {
            let injected = io::Error::new(kind, "an injected fault");
            Error::from_io(action.as_str(), Path::new("a faulty store"), injected)
        };
        match self {
            Self::Unavailable => system(io::ErrorKind::TimedOut),
            Self::NoSpace => system(io::ErrorKind::StorageFull),
            Self::PermissionDenied => system(io::ErrorKind::PermissionDenied),
            Self::NotFound => system(io::ErrorKind::NotFound),
            Self::Corrupt => Error::corrupt(action.as_str(), "an injected fault"),
        }
    }
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The call is not made and answers an error.
    Fail(Failure),
    /// The call is made, and its answer is lost.
    FailAfter(Failure),
    /// The call is made after this time.
    Delay(Duration),
}

/// Which calls meet which faults.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    scripted: BTreeMap<(Action, u64), Fault>,
    always: BTreeMap<Action, Fault>,
    seeded: Option<Seeded>,
}

#[derive(Clone, Debug)]
struct Seeded {
    seed: u64,
    per_thousand: u64,
    faults: Vec<Fault>,
}

impl Plan {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// Faults at random, but the same for the same seed: `per_thousand` of the calls of every
    /// action meet one of `faults`.
    pub fn seeded(seed: u64, per_thousand: u64, faults: &[Fault]) -> Self {
        let seeded = Seeded {
            seed,
            per_thousand,
            faults: faults.to_vec(),
        };
        Self {
            seeded: Some(seeded),
            ..Self::default()
        }
    }

    /// The same plan, with this fault at the `nth` call of the action. The first call is 1.
    #[must_use]
    pub fn on(mut self, action: Action, nth: u64, fault: Fault) -> Self {
        self.scripted.insert((action, nth), fault);
        self
    }

    /// The same plan, with this fault at every call of the action that has no other in the script.
    #[must_use]
    pub fn always(mut self, action: Action, fault: Fault) -> Self {
        self.always.insert(action, fault);
        self
    }

    pub(super) fn fault(&self, action: Action, nth: u64) -> Option<Fault> {
        let scripted = self
            .scripted
            .get(&(action, nth))
            .or_else(|| self.always.get(&action));
        scripted
            .copied()
            .or_else(|| self.seeded.as_ref()?.fault(action, nth))
    }
}

impl Seeded {
    fn fault(&self, action: Action, nth: u64) -> Option<Fault> {
        let mut state = self.seed;
        for byte in action.as_str().bytes() {
            state = mixed(state ^ u64::from(byte));
        }
        let drawn = mixed(state ^ nth);
        if drawn % 1000 >= self.per_thousand || self.faults.is_empty() {
            return None;
        }
        let chosen = mixed(drawn) % self.faults.len() as u64;
        self.faults.get(usize::try_from(chosen).ok()?).copied()
    }
}

/// Spreads every bit of the input over the output: the finalizer of the splitmix64 generator.
fn mixed(input: u64) -> u64 {
    let mut value = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// How often each action was called, and how many faults there were.
#[derive(Debug, Default)]
pub(super) struct Calls {
    counted: BTreeMap<Action, u64>,
    pub(super) injected: u64,
}

impl Calls {
    pub(super) fn count(&mut self, action: Action) -> u64 {
        let count = self.counted.entry(action).or_default();
        *count += 1;
        *count
    }

    pub(super) fn of(&self, action: Action) -> u64 {
        self.counted.get(&action).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULTS: [Fault; 2] = [
        Fault::Fail(Failure::Unavailable),
        Fault::FailAfter(Failure::Unavailable),
    ];

    fn drawn(plan: &Plan) -> Vec<Option<Fault>> {
        (1..=10_000)
            .map(|nth| plan.fault(Action::Write, nth))
            .collect()
    }

    #[test]
    fn same_seed_gives_the_same_faults() {
        let faults = drawn(&Plan::seeded(7, 100, &FAULTS));
        assert_eq!(faults, drawn(&Plan::seeded(7, 100, &FAULTS)));
        assert_ne!(faults, drawn(&Plan::seeded(8, 100, &FAULTS)));
    }

    #[test]
    fn rate_is_about_what_was_asked_for_and_every_fault_occurs() {
        let faults: Vec<_> = drawn(&Plan::seeded(7, 100, &FAULTS))
            .into_iter()
            .flatten()
            .collect();
        assert!((800..1200).contains(&faults.len()), "{}", faults.len());
        assert!(FAULTS.iter().all(|fault| faults.contains(fault)));
        assert!(
            drawn(&Plan::seeded(7, 0, &FAULTS))
                .iter()
                .all(Option::is_none)
        );
        assert!(
            drawn(&Plan::seeded(7, 1000, &FAULTS))
                .iter()
                .all(Option::is_some)
        );
        assert!(
            drawn(&Plan::seeded(7, 1000, &[]))
                .iter()
                .all(Option::is_none)
        );
    }

    #[test]
    fn script_comes_before_always_before_seed() {
        let [first, second] = FAULTS;
        let third = Fault::Delay(Duration::ZERO);
        let plan = Plan::seeded(1, 1000, &[third])
            .always(Action::Write, second)
            .on(Action::Write, 2, first);
        assert_eq!(plan.fault(Action::Write, 1), Some(second));
        assert_eq!(plan.fault(Action::Write, 2), Some(first));
        assert_eq!(plan.fault(Action::Read, 2), Some(third));
    }

    #[test]
    fn failures_answer_the_error_they_name() {
        let table = [
            (Failure::Unavailable, "unavailable"),
            (Failure::NoSpace, "no_space"),
            (Failure::PermissionDenied, "permission_denied"),
            (Failure::NotFound, "not_found"),
            (Failure::Corrupt, "corrupt"),
        ];
        for (failure, expected) in table {
            assert_eq!(failure.error(Action::Read).kind(), expected);
        }
    }
}
