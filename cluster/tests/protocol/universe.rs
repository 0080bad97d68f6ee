//! The small world of the model: one digest in two repositories, and the names of all that is
//! around it. Numbers stand for names in the model's states, so that these are small.

/// What can be linked to, and pushed to. A mount goes from the first to the second.
pub(super) const REPOSITORIES: [&str; 2] = ["a", "b"];
/// The one blob: every upload has the same bytes.
pub(super) const DIGEST: &str = "d";
pub(super) const UPLOADS: [&str; 2] = ["u0", "u1"];
/// Object keys; who is given which is the scenario's choice.
pub(super) const KEYS: [&str; 3] = ["k0", "k1", "k2"];
/// Manifests that contain the blob, each with its repository.
pub(super) const MANIFESTS: [(u8, &str); 4] = [(0, "m0"), (1, "m1"), (1, "m2"), (0, "m3")];

/// How far cluster time moves at once: a day, so that a commit is forgotten after one step.
pub(super) const TICK_MS: u64 = 24 * 60 * 60 * 1000;
/// Cluster time in every state of the model: see `relative.rs`.
pub(super) const NOW_MS: u64 = 100 * TICK_MS;
/// How long a reclaimed object stays, in ticks.
pub(super) const READING_DELAY: u64 = 1;

/// A set of small numbers: of keys, repositories or manifests.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Set(u8);

impl Set {
    pub(super) fn contains(self, number: u8) -> bool {
        self.0 >> number & 1 == 1
    }

    pub(super) fn insert(&mut self, number: u8) {
        self.0 |= 1 << number;
    }

    pub(super) fn remove(&mut self, number: u8) {
        self.0 &= !(1 << number);
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |number| self.contains(*number))
    }
}

impl FromIterator<u8> for Set {
    fn from_iter<I: IntoIterator<Item = u8>>(numbers: I) -> Self {
        let mut set = Self::default();
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }
}

impl std::fmt::Debug for Set {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

/// Where a name is in its list.
pub(super) fn number_of(names: &[&str], name: &str) -> u8 {
    let position = names.iter().position(|known| *known == name);
    position.expect("a name of this world") as u8
}
