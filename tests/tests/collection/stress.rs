//! Many clients that push the same things, take them away and push them again, while the collector
//! runs flat out and the process is killed now and then.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use roadstead_tests::wait::{self, Over};
use roadstead_tests::{Chance, Registry, Setup, process};

use super::content::Contents;
use super::deleter::Deleter;
use super::end::{self, Counted};
use super::history::History;
use super::seed::{self, kills, operations};
use super::worker::{Common, Counts, Worker};

const CLIENTS: usize = 8;
/// Repositories of each client, in which nobody else writes.
const REPOSITORIES: usize = 2;

/// Longer than all operations take: reaching it means that something hangs.
const RUN_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// The longest time between the operation at which a kill is due and the kill.
const DELAY: Duration = Duration::from_millis(300);
/// The longest time that a process has before it is killed while it starts.
const BIRTH: Duration = Duration::from_millis(200);

const COLLECTION: &str = "\
grace: 1s
readingdelay: 0s
rate: 100000
sweep: 2s
untagged:
  policy: expire
  age: 2s";

const STORAGE: &str = "\
delete:
  enabled: true
maintenance:
  uploadpurging:
    enabled: true
    age: 20s
    interval: 2s";

fn setup(administration: &str) -> Setup {
    Setup::empty()
        .with_data_in("{folder}/data")
        .with("storage", STORAGE)
        .with("http", "addr: 127.0.0.1:{port}")
        .with_debug()
        .with("gc", COLLECTION)
        .variable("REGISTRY_CLUSTER_ADMIN_ADDR", administration)
        .variable("ROADSTEAD_GC_REST_MAX_MS", "0")
}

fn common(registry: &Registry, administration: &str) -> Common {
    let names = (0..CLIENTS)
        .flat_map(|client| (0..REPOSITORIES).map(move |number| name(client, number)))
        .collect();
    Common {
        contents: Contents::new(),
        history: History::new(),
        client: registry.client().keeping_connections(),
        deleter: Deleter {
            address: administration.to_owned(),
        },
        names,
        operations: AtomicU64::new(0),
        operations_max: operations(),
        requests: AtomicU64::new(0),
        downs: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        counts: Counts::default(),
    }
}

fn name(client: usize, number: usize) -> String {
    format!("collect/{client}/{number}")
}

#[test]
fn stress_leaves_exactly_what_manifests_need() {
    let seed = seed::take();
    let mut chance = seed.chance();
    let administration = format!("127.0.0.1:{}", process::free_port());
    let mut registry = Registry::start(setup(&administration));
    let common = common(&registry, &administration);
    let mut workers: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let names: Vec<_> = (0..REPOSITORIES)
                .map(|number| name(client, number))
                .collect();
            Worker::new(&common, &names, Chance::new(chance.number()))
        })
        .collect();
    let began = Instant::now();
    let ended = run(&mut registry, &common, &mut workers, &mut chance)
        .and_then(|()| settle(&mut workers))
        .and_then(|()| {
            let took = began.elapsed();
            let requests = common.requests.load(Ordering::Acquire);
            let counted = end::check(&registry, &mut workers)?;
            Ok((took, requests, counted))
        });
    match ended {
        Ok((took, requests, counted)) => {
            tell(&common, took, requests, &counted);
            common.counts.have_all(common.operations_max);
        }
        Err(complaint) => panic!("{complaint}\n{}", registry.logs()),
    }
}

/// Has the clients work, and kills the registry meanwhile.
fn run(
    registry: &mut Registry,
    common: &Common,
    workers: &mut [Worker<'_>],
    chance: &mut Chance,
) -> Result<(), String> {
    thread::scope(|scope| {
        let at_work: Vec<_> = workers
            .iter_mut()
            .map(|worker| {
                scope.spawn(|| {
                    let over = Over(&common.is_over);
                    let worked = worker.work();
                    if worked.is_ok() {
                        // The others go on.
                        std::mem::forget(over);
                    }
                    worked
                })
            })
            .collect();
        let killed = kill_now_and_then(registry, common, chance);
        if killed.is_err() {
            common.is_over.store(true, Ordering::Release);
        }
        let worked = at_work.into_iter().map(|worker| {
            let joined = worker.join();
            joined.unwrap_or_else(|panic| {
                let text = told(&*panic);
                let history = common.history.of_text(&text);
                Err(format!("{text}\n{history}"))
            })
        });
        let complaints: Vec<_> = worked.filter_map(Result::err).chain(killed.err()).collect();
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(complaints.join("\n\n"))
        }
    })
}

fn kill_now_and_then(
    registry: &mut Registry,
    common: &Common,
    chance: &mut Chance,
) -> Result<(), String> {
    let (kills, most) = (kills(), common.operations_max);
    for kill in 1..=kills {
        let due = most * kill / (kills + 1);
        let come = wait::poll(RUN_MAX, || {
            let is_over = common.is_over.load(Ordering::Acquire);
            let is_due = common.operations.load(Ordering::Acquire) >= due;
            (is_over || is_due).then_some(is_over)
        });
        match come {
            Some(false) => {}
            // A client has found something wrong, and says what.
            Some(true) => return Ok(()),
            None => return Err(format!("after {RUN_MAX:?} there were not {due} operations")),
        }
        pass(chance, DELAY);
        common.downs.fetch_add(1, Ordering::AcqRel);
        registry.kill();
        if chance.percent(30) {
            registry.spawn();
            pass(chance, BIRTH);
            registry.kill();
        }
        registry.try_run()?;
        common.downs.fetch_add(1, Ordering::AcqRel);
    }
    Ok(())
}

/// Lets a random time pass.
fn pass(chance: &mut Chance, most: Duration) {
    let most = usize::try_from(most.as_micros()).unwrap_or(usize::MAX);
    let limit = Duration::from_micros(chance.below(most) as u64);
    let _ = wait::poll(limit, || None::<()>);
}

/// Nothing is unknown after the last kill.
fn settle(workers: &mut [Worker<'_>]) -> Result<(), String> {
    workers.iter_mut().try_for_each(Worker::come_back)
}

/// What a panic says: a client panics at an answer that no registry may give.
fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>();
    text.map_or_else(|| "a client has panicked".to_owned(), String::clone)
}

#[expect(
    clippy::print_stderr,
    reason = "a run says how much it has tried: `make collect` shows it"
)]
fn tell(common: &Common, took: Duration, requests: u64, counted: &Counted) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
    let Counts {
        pushed,
        found,
        found_late,
        missed_late,
        met,
        mounted,
        manifests,
        expired,
        pulled,
        repositories,
    } = &common.counts;
    eprintln!(
        "collect: {} operations, {requests} requests, {} kills in {took:.0?}; in the end \
         {} objects of {} manifests, counted after {:.0?}; the last process \
         deleted {} objects and {} orphans",
        common.operations_max,
        read(&common.downs) / 2,
        counted.objects,
        counted.manifests,
        counted.took,
        counted.deleted,
        counted.orphans,
    );
    eprintln!(
        "collect: blobs pushed {}, mounted {}, found {}; asked for at the end of their time: {} \
         there, {} gone, {} used as it ended; manifests taken {}, found expired {}, \
         pulled {}; repositories deleted {}",
        read(pushed),
        read(mounted),
        read(found),
        read(found_late),
        read(missed_late),
        read(met),
        read(manifests),
        read(expired),
        read(pulled),
        read(repositories),
    );
}
