//! A run: clients at work while a schedule of faults passes, and a look at everything after it.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use roadstead_tests::wait::{self, Over};
use roadstead_tests::{Chance, seed::Seed};

use super::caller::{Common, Counts, Wrong};
use super::fault::Step;
use super::finish::{self, Judged};
use super::mover::{Mover, Series};
use super::owner::Owner;
use super::stage::{Stage, Staging, with_nodes};

/// Clients that share every tag of a repository.
const MOVERS: usize = 3;

/// Who is at work.
#[derive(Debug)]
pub(super) struct Crew {
    /// Repositories whose tags are moved.
    series: usize,
    owners: usize,
}

impl Crew {
    const ALL: Self = Self {
        series: 3,
        owners: 6,
    };

    /// Those alone of whom only the checker of histories can say that they were told wrong.
    pub(super) const MOVERS: Self = Self {
        series: 3,
        owners: 0,
    };
}

/// Draws the seed of a run: the one that the environment gives, or a new one.
pub(super) fn seed() -> Seed {
    Seed::take("ROADSTEAD_CHAOS_SEED", "chaos")
}

/// What a plot is played with: a cluster that clients are at work on.
#[derive(Debug)]
pub(super) struct Scene<'s, 'n> {
    pub(super) stage: &'s mut Stage<'n>,
    common: &'s Common,
    chance: Chance,
}

impl Scene<'_, '_> {
    /// Whether somebody has found something wrong, so that nobody needs to go on.
    fn has_failed(&self) -> bool {
        self.common.has_failed.load(Ordering::Acquire)
    }

    /// Has what was begun last for a while.
    pub(super) fn last(&self, time: Duration) {
        wait::last(time, || self.has_failed());
    }

    /// Notes what happens, for whoever reads the journal of a failure.
    pub(super) fn tell(&mut self, text: &str) {
        self.stage.faults += 1;
        self.common.journal.fault(text.to_owned());
    }

    /// Has all of these happen, one after the other.
    pub(super) fn suffer(&mut self, steps: &[Step]) {
        let common = self.common;
        let has_failed = || common.has_failed.load(Ordering::Acquire);
        for step in steps {
            if has_failed() {
                return;
            }
            self.stage.tend();
            let tell = |text| common.journal.fault(text);
            self.stage
                .suffer(step, &mut self.chance, &has_failed, &tell);
            wait::last(step.calm, has_failed);
        }
    }
}

/// Starts a cluster, has clients at work while all of this happens to it, and looks at everything.
#[track_caller]
pub(super) fn endure(
    name: &str,
    nodes: usize,
    seed: &Seed,
    draw: impl Fn(&mut Chance) -> Vec<Step> + Sync,
) {
    play(name, &Staging::of(nodes), seed, |mut scene| {
        // By itself: a longer schedule begins as a shorter one.
        let steps = draw(&mut Chance::new(scene.chance.number()));
        scene.suffer(&steps);
    });
}

/// The same, with a plot that is more than faults, and heals what it has done.
#[track_caller]
pub(super) fn play(
    name: &str,
    staging: &Staging<'_>,
    seed: &Seed,
    plot: impl Fn(Scene<'_, '_>) + Sync,
) {
    match attempt(&Crew::ALL, staging, seed, plot) {
        Ok(text) => tell(name, &text),
        Err(Wrong(complaint)) => panic!("{complaint}"),
    }
}

/// The same, where it may be that something is wrong. Otherwise it says how much was tried.
pub(super) fn attempt(
    crew: &Crew,
    staging: &Staging<'_>,
    seed: &Seed,
    plot: impl Fn(Scene<'_, '_>) + Sync,
) -> Result<String, Wrong> {
    with_nodes(staging, |mut stage| {
        let mut chance = seed.chance();
        let drawn = Chance::new(chance.number());
        let common = Common::new(stage.clients());
        let began = Instant::now();
        let series: Vec<_> = (0..crew.series).map(Series::new).collect();
        let mut owners: Vec<_> = (0..crew.owners)
            .map(|number| Owner::new(&common, number, Chance::new(chance.number())))
            .collect();
        let begun = series.iter().try_for_each(|series| series.begin(&common));
        let worked = begun.and_then(|()| {
            work(
                &mut stage,
                &common,
                &series,
                &mut owners,
                &mut chance,
                |stage, common| {
                    plot(Scene {
                        stage,
                        common,
                        chance: drawn.clone(),
                    });
                },
            )
        });
        let took = began.elapsed();
        let judged = worked.and_then(|()| finish::check(&stage, &common, &series, &owners));
        let judged = judged.map_err(|Wrong(complaint)| Wrong(complaint + "\n" + &stage.logs()))?;
        Ok(described(&common.counts, &judged, took, &stage))
    })
}

/// Has the clients work until the schedule is over and everything is healed.
fn work(
    stage: &mut Stage<'_>,
    common: &Common,
    series: &[Series],
    owners: &mut [Owner<'_>],
    chance: &mut Chance,
    plot: impl FnOnce(&mut Stage<'_>, &Common),
) -> Result<(), Wrong> {
    let mut movers = Vec::new();
    for (number, series) in series.iter().enumerate() {
        for client in 0..MOVERS {
            let client = number * MOVERS + client;
            movers.push(Mover::new(
                common,
                series,
                client,
                Chance::new(chance.number()),
            ));
        }
    }
    thread::scope(|scope| {
        let mut at_work = Vec::new();
        for mover in &mut movers {
            at_work.push(scope.spawn(move || watched(common, || mover.work())));
        }
        for owner in owners {
            at_work.push(scope.spawn(move || watched(common, || owner.work())));
        }
        // A failure here, a node that does not start for one, is not to hide what clients say.
        let passed = panic::catch_unwind(AssertUnwindSafe(|| {
            watched(common, || pass(stage, common, plot))
        }));
        let passed = passed.unwrap_or_else(|panic| Err(Wrong(told(&*panic))));
        let joined = at_work.into_iter().map(|client| {
            let joined = client.join();
            joined.unwrap_or_else(|panic| Err(Wrong(told(&*panic))))
        });
        let complaints = joined.filter_map(Result::err).chain(passed.err());
        let complaints: Vec<_> = complaints.map(|wrong| wrong.0).collect();
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(Wrong(complaints.join("\n\n")))
        }
    })
}

/// Has the plot pass, and heals everything, unless somebody finds something wrong meanwhile.
fn pass(
    stage: &mut Stage<'_>,
    common: &Common,
    plot: impl FnOnce(&mut Stage<'_>, &Common),
) -> Result<(), Wrong> {
    plot(stage, common);
    if !common.has_failed.load(Ordering::Acquire) {
        stage.heal();
        common.journal.fault("everything is healed".to_owned());
    }
    common.is_over.store(true, Ordering::Release);
    Ok(())
}

/// Has the others end when this does before its time.
fn watched(common: &Common, work: impl FnOnce() -> Result<(), Wrong>) -> Result<(), Wrong> {
    let failed = Over(&common.has_failed);
    let worked = work();
    if worked.is_ok() {
        std::mem::forget(failed);
    }
    worked
}

/// What a panic says: a client panics at an answer that no registry may give.
pub(super) fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>();
    text.map_or_else(|| "a client has panicked".to_owned(), String::clone)
}

#[expect(
    clippy::print_stderr,
    reason = "a run says how much it has tried: `make chaos` shows it"
)]
fn tell(name: &str, text: &str) {
    eprintln!("chaos: {name}: {text}");
}

fn described(counts: &Counts, judged: &Judged, took: Duration, stage: &Stage<'_>) -> String {
    let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
    let Counts {
        answered,
        unknown,
        pushed,
        pulled,
        deleted,
        chunks,
        moves,
    } = counts;
    let Judged {
        tags,
        open,
        searched,
        manifests,
        emptied,
    } = judged;
    format!(
        "{} faults in {took:.0?}, {} starts in vain, {} nodes ended on full disks; {} requests \
         answered and {} not; {} images pushed, {} pulled, {} deleted, {} chunks; {} calls on \
         {tags} tags, and {open} writes of unknown outcome, all linearizable ({searched:.1?} of \
         search); {manifests} images there in the end, and no object {emptied:.1?} after all was \
         deleted",
        stage.faults,
        stage.given_up,
        stage.ended_full,
        read(answered),
        read(unknown),
        read(pushed),
        read(pulled),
        read(deleted),
        read(chunks),
        read(moves),
    )
}
