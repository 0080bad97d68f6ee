//! A registry on a folder or volume, its clients, and the ways in which it ends.

use std::any::Any;
use std::fs;
use std::process::ExitStatus;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use roadstead_tests::wait::{self, Over};
use roadstead_tests::{Chance, Registry, Setup, Volume};

use super::checks;
use super::clients::Worker;
use super::record::Record;

const CLIENTS: u64 = 8;

/// A registry that is killed, and what its clients know.
#[derive(Debug)]
pub(super) struct Stage {
    // Dropped in this order: nobody may use a volume that is unmounted.
    pub(super) registry: Registry,
    pub(super) volume: Option<Volume>,
    records: Vec<Record>,
    pub(super) chance: Chance,
    // How many of a hundred losses of power take everything that was not fsynced.
    whole_losses: usize,
    loses_state: bool,
}

impl Stage {
    /// On an ordinary folder, where what was written before the kill stays.
    pub(super) fn on_folder(chance: Chance) -> Self {
        Self::new(None, chance)
    }

    /// On a volume that loses with each kill what was not fsynced.
    pub(super) fn on_volume(chance: Chance) -> Self {
        Self::new(Some(Volume::mount()), chance)
    }

    fn new(volume: Option<Volume>, mut chance: Chance) -> Self {
        let root = match &volume {
            // Below the volume, so that the root of the store has to be made durable too.
            Some(volume) => volume.path().join("root").display().to_string(),
            None => "{folder}/data".to_owned(),
        };
        let setup = Setup::empty()
            .with_data_in(&root)
            .with("storage", "delete:\n  enabled: true")
            .with("http", "addr: 127.0.0.1:{port}");
        let records = (0..CLIENTS).map(|client| {
            // Apart from each other, and from the layers that they share.
            let serial = chance.number() | 1 << 40;
            Record::new(format!("crash/{client}"), serial)
        });
        Self {
            records: records.collect(),
            registry: Registry::prepare(setup),
            volume,
            chance,
            whole_losses: 60,
            loses_state: false,
        }
    }

    /// Has snapshots taken and logs purged all the time.
    pub(super) fn with_many_snapshots(mut self) -> Self {
        self.registry.variable("ROADSTEAD_SNAPSHOT_AFTER", "300");
        self.registry.variable("ROADSTEAD_LOG_KEPT", "20");
        self
    }

    /// Has each kill take everything that was not fsynced, never only a part of it.
    pub(super) fn merciless(mut self) -> Self {
        self.whole_losses = 100;
        self
    }

    /// Has each kill take only a part.
    pub(super) fn merciful(mut self) -> Self {
        self.whole_losses = 0;
        self
    }

    /// Has the state go with each loss of power, all of it: log and snapshot are enough.
    pub(super) fn losing_the_state(mut self) -> Self {
        self.loses_state = true;
        self
    }

    /// Starts the registry on what is there and looks at everything.
    pub(super) fn start_and_check(&mut self) -> Result<(), String> {
        self.registry.try_run()?;
        self.check()
    }

    /// Starts the registry, which may end before it is ready, and returns how, if it has.
    pub(super) fn spawn_until_ready_or_ended(&mut self) -> Option<ExitStatus> {
        self.registry.spawn();
        let client = self.registry.client();
        wait::until("it ended or is ready", wait::LONG, || {
            match self.registry.try_wait() {
                Some(status) => Some(Some(status)),
                None => client.is_ready().then_some(None),
            }
        })
    }

    /// Looks at everything that the clients know of.
    pub(super) fn check(&mut self) -> Result<(), String> {
        let registry = &self.registry;
        let complaints: Vec<_> = thread::scope(|scope| {
            let looks: Vec<_> = self
                .records
                .iter_mut()
                .map(|record| {
                    let repository = registry.repository(&record.name);
                    scope.spawn(move || checks::check(record, &repository))
                })
                .collect();
            let found = looks.into_iter().map(|look| look.join());
            let found = found.map(|look| look.unwrap_or_else(|panic| vec![told(&*panic)]));
            found.flatten().collect()
        });
        if complaints.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{}\n{}",
            complaints.join("\n"),
            self.registry.logs()
        ))
    }

    /// Has the clients work until `end` returns, after which the registry is gone.
    pub(super) fn work<T>(
        &mut self,
        end: impl FnOnce(&mut Registry, &mut Chance) -> T,
    ) -> Result<T, String> {
        let is_over = AtomicBool::new(false);
        let (registry, chance) = (&mut self.registry, &mut self.chance);
        let mut workers = Vec::new();
        for record in &mut self.records {
            workers.push(Worker {
                repository: registry.repository(&record.name),
                record,
                chance: Chance::new(chance.number()),
            });
        }
        thread::scope(|scope| {
            let at_work: Vec<_> = workers
                .iter_mut()
                .map(|worker| scope.spawn(|| worker.work(&is_over)))
                .collect();
            let over = Over(&is_over);
            let result = end(registry, chance);
            registry.kill();
            drop(over);
            for worker in at_work {
                let worked = worker.join().unwrap_or_else(|panic| Err(told(&*panic)));
                worked.map_err(|answer| format!("{answer}\n{}", registry.logs()))?;
            }
            Ok(result)
        })
    }

    /// The power goes: nothing runs any more, and what was not fsynced is lost.
    pub(super) fn lose_power(&mut self) {
        self.registry.kill();
        let Some(volume) = &mut self.volume else {
            return;
        };
        if self.chance.percent(self.whole_losses) {
            volume.lose_everything();
        } else {
            volume.lose_some(self.chance.number());
        }
        let state = volume.path().join("root/roadstead/metadata/state");
        if self.loses_state && state.exists() {
            fs::remove_dir_all(state).expect("the state can be removed");
        }
    }

    /// Writes that clients were told of.
    pub(super) fn acknowledged(&self) -> usize {
        self.records.iter().map(|record| record.acknowledged).sum()
    }
}

/// What a panic says: a client panics at an answer that no registry may give.
fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>();
    text.map_or_else(|| "a client has panicked".to_owned(), String::clone)
}

/// Lets a random time pass.
pub(super) fn pass(chance: &mut Chance, most: Duration) {
    let most = usize::try_from(most.as_micros()).unwrap_or(usize::MAX);
    let limit = Duration::from_micros(chance.below(most) as u64);
    let _ = wait::poll(limit, || None::<()>);
}
