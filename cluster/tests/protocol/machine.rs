//! The state machine of the model: the real tables and the real `apply`, and what they come to.
//!
//! Every state of the tables is kept once and every command is applied to it once, whatever the
//! rest of the model's world: so the model's states are small, and real rows are affordable.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use roadstead_cluster::metadata::view::Memory;
use roadstead_cluster::metadata::{Transaction, apply};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{self as rpc, FoundCluster};

use super::command::Command;
use super::facts::Facts;
use super::mistake::{condemn_unchecked, pretended_release};
use super::relative;
use super::universe::{NOW_MS, TICK_MS};

/// One state of the tables. Two with the same number are the same.
pub(super) struct Metadata {
    number: u32,
    pub(super) rows: relative::Rows,
    pub(super) facts: Facts,
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Metadata {}

impl Hash for Metadata {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.number.hash(hasher);
    }
}

impl std::fmt::Debug for Metadata {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.facts.fmt(formatter)
    }
}

impl Metadata {
    pub(super) fn number(&self) -> u32 {
        self.number
    }
}

/// Where a command led, and whether it was done rather than refused.
type Applied = (Arc<Metadata>, bool);

/// Two threads take locks: with so many shards they rarely meet.
const SHARDS: usize = 64;

pub(super) struct Machine {
    grace_ms: u64,
    states: Mutex<HashMap<u64, Vec<Arc<Metadata>>>>,
    count: AtomicU32,
    applied: [RwLock<HashMap<(u32, Command), Applied>>; SHARDS],
}

impl Machine {
    /// A cluster whose grace is so many ticks.
    pub(super) fn new(grace: u8) -> Self {
        Self {
            grace_ms: u64::from(grace) * TICK_MS,
            states: Mutex::default(),
            count: AtomicU32::new(0),
            applied: std::array::from_fn(|_| RwLock::default()),
        }
    }

    /// How many states of the tables were met.
    pub(super) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// The state after founding, as production has it.
    pub(super) fn founding(&self) -> Memory {
        let mut state = Memory::default();
        let found = Action::FoundCluster(FoundCluster {
            cluster_id: "cluster".to_owned(),
            grace_ms: self.grace_ms,
            feature_level: 1,
        });
        execute(&mut state, NOW_MS, found);
        state
    }

    /// The state after founding.
    pub(super) fn founded(&self) -> Arc<Metadata> {
        self.known(&self.founding())
    }

    /// Applies a command.
    pub(super) fn apply(&self, before: &Arc<Metadata>, command: Command) -> Applied {
        let shard = &self.applied[before.number as usize % SHARDS];
        let key = (before.number, command);
        if let Some(applied) = shard.read().expect("no panic").get(&key) {
            return applied.clone();
        }
        let mut state = relative::state(&before.rows);
        let is_done = execute_or_mistake(&mut state, command);
        let applied = (self.known(&state), is_done);
        shard
            .write()
            .expect("no panic")
            .insert(key, applied.clone());
        applied
    }

    /// The one that stands for all states that are equal seen from now.
    fn known(&self, state: &Memory) -> Arc<Metadata> {
        let rows = relative::rows(state);
        let mut hasher = DefaultHasher::new();
        rows.hash(&mut hasher);
        let mut states = self.states.lock().expect("no panic");
        let alike = states.entry(hasher.finish()).or_default();
        if let Some(known) = alike.iter().find(|known| known.rows == rows) {
            return Arc::clone(known);
        }
        let facts = Facts::of(&relative::state(&rows));
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let metadata = Arc::new(Metadata {
            number,
            rows,
            facts,
        });
        alike.push(Arc::clone(&metadata));
        metadata
    }
}

fn execute_or_mistake(state: &mut Memory, command: Command) -> bool {
    match (command, command.action()) {
        (Command::CondemnUnchecked { .. }, Action::Condemn(condemn)) => {
            let mut transaction = Transaction::new(state);
            condemn_unchecked(&mut transaction, &condemn);
            let changes = transaction.into_changes();
            state.write(changes);
            true
        }
        (Command::ClaimKeepingKey { .. }, Action::ClaimUpload(claim)) => {
            let release = pretended_release(state, &claim);
            execute(state, NOW_MS, release) && execute(state, NOW_MS, Action::ClaimUpload(claim))
        }
        (Command::Advance, action) => execute(state, NOW_MS + TICK_MS, action),
        (_, action) => execute(state, NOW_MS, action),
    }
}

/// As production does it, without Raft. Whether it was done rather than refused.
pub(super) fn execute(state: &mut Memory, now_ms: u64, action: Action) -> bool {
    let command = rpc::Command {
        now_ms,
        action: Some(action),
        ..rpc::Command::default()
    };
    let mut transaction = Transaction::new(state);
    let response = apply(&mut transaction, &command).expect("no fault");
    let changes = transaction.into_changes();
    state.write(changes);
    !matches!(response.outcome, Some(Outcome::Refusal(_)) | None)
}
