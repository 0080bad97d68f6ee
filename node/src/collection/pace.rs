//! How fast collection goes: so many objects per second, fewer while requests are slow, and with
//! rests in between while there are any.
//!
//! Slowness is that of the requests that move few bytes (`Metrics::recent_latency`), since the time
//! of a large blob says nothing. Invariant: the factor stays between `PACE_FACTOR_MIN` and 1.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use roadstead_crash::bound;
use tokio::time::{Instant, sleep_until};

use crate::limits::{PACE_FACTOR_MIN, PACE_LOOK, REST_MAX_MS, REST_PER_WORK, SLOW_REQUEST};
use crate::telemetry::Metrics;

/// The pace. Workers that have clones of it keep to the rate together.
#[derive(Debug, Clone)]
pub struct Pace {
    rate: u32,
    rest_max: Duration,
    metrics: Arc<Metrics>,
    factor: Factor,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug)]
struct Taken {
    looked: Instant,
    // When the objects that were taken so far are paid for.
    free_at: Instant,
    // When the rest after the last step is over.
    rested_at: Instant,
}

/// Work that the pace allows, until it is dropped.
#[derive(Debug)]
#[must_use = "it lasts as long as the work"]
pub(super) struct Step {
    pace: Pace,
    began: Instant,
}

impl Drop for Step {
    fn drop(&mut self) {
        self.pace.rest(self.began.elapsed());
    }
}

/// The part of the rate that is allowed now.
#[derive(Debug, Clone)]
pub struct Factor(Arc<AtomicU64>);

impl Factor {
    /// From `PACE_FACTOR_MIN` to 1.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, factor: f64) {
        self.0.store(factor.to_bits(), Ordering::Relaxed);
    }
}

impl Pace {
    /// At most `rate` objects in a second.
    pub fn new(rate: u32, metrics: Arc<Metrics>) -> Self {
        let now = Instant::now();
        // A stress wants the collector in everybody's way.
        let rest_max_ms = bound("ROADSTEAD_GC_REST_MAX_MS", REST_MAX_MS);
        Self {
            rate: rate.max(1),
            rest_max: Duration::from_millis(rest_max_ms),
            metrics,
            factor: Factor(Arc::new(AtomicU64::new(1.0_f64.to_bits()))),
            taken: Arc::new(Mutex::new(Taken {
                looked: now,
                free_at: now,
                rested_at: now,
            })),
        }
    }

    /// Objects that one step may take: what a tenth of a second allows, but at least one.
    pub(super) fn batch(&self, most: usize) -> usize {
        let allowed = f64::from(self.rate) * self.factor.get() / 10.0;
        (allowed as usize).clamp(1, most)
    }

    /// The part of the rate that is allowed now, for whoever asks later.
    pub fn factor(&self) -> Factor {
        self.factor.clone()
    }

    /// Waits until a step of `count` more objects is allowed.
    pub(super) async fn take(&self, count: usize) -> Step {
        sleep_until(self.free_after(count)).await;
        // Another worker's step may have ended meanwhile.
        while let Some(rested_at) = self.rests_until() {
            sleep_until(rested_at).await;
        }
        Step {
            pace: self.clone(),
            began: Instant::now(),
        }
    }

    /// After work there is rest while requests are served: those that come beside a step wait for
    /// the processor, the disk or the log that it uses, and so they are few.
    fn rest(&self, worked: Duration) {
        if self.metrics.is_serving() {
            let rested_at = Instant::now() + (worked * REST_PER_WORK).min(self.rest_max);
            let mut taken = self.taken();
            taken.rested_at = taken.rested_at.max(rested_at);
        }
    }

    fn rests_until(&self) -> Option<Instant> {
        let rested_at = self.taken().rested_at;
        (rested_at > Instant::now()).then_some(rested_at)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn free_after(&self, count: usize) -> Instant {
        let now = Instant::now();
        let mut taken = self.taken();
        if now.duration_since(taken.looked) >= PACE_LOOK {
            taken.looked = now;
            self.adjust();
        }
        let rate = f64::from(self.rate) * self.factor.get();
        let cost = Duration::from_secs_f64(count as f64 / rate);
        // What was not used while there was nothing to do is not saved up.
        taken.free_at = taken.free_at.max(now) + cost;
        taken.free_at
    }

    /// Half as fast when requests are slow, a little faster when they are not.
    fn adjust(&self) {
        let is_slow = self
            .metrics
            .recent_latency()
            .is_some_and(|latency| latency > SLOW_REQUEST);
        let factor = self.factor.get() * if is_slow { 0.5 } else { 1.25 };
        self.factor.set(factor.clamp(PACE_FACTOR_MIN, 1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_rate_is_taken() {
        let pace = Pace::new(100, Arc::new(Metrics::new()));
        let other = pace.clone();
        let started = Instant::now();
        for _ in 0..25 {
            drop(pace.take(10).await);
            drop(other.take(10).await);
        }
        assert_eq!(started.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_requests_slow_it_down_and_it_recovers() {
        let metrics = Arc::new(Metrics::new());
        let pace = Pace::new(100, Arc::clone(&metrics));
        let factor = pace.factor();
        for _ in 0..20 {
            metrics.note_latency(SLOW_REQUEST * 3);
            tokio::time::advance(PACE_LOOK).await;
            drop(pace.take(1).await);
        }
        assert!((factor.get() - PACE_FACTOR_MIN).abs() < f64::EPSILON);
        for _ in 0..200 {
            metrics.note_latency(Duration::ZERO);
            tokio::time::advance(PACE_LOOK).await;
            drop(pace.take(1).await);
        }
        assert!((factor.get() - 1.0).abs() < f64::EPSILON);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_takes_what_a_tenth_of_a_second_allows() {
        let metrics = Arc::new(Metrics::new());
        for (rate, batch) in [(1, 1), (100, 10), (100_000, 64)] {
            assert_eq!(Pace::new(rate, Arc::clone(&metrics)).batch(64), batch);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_followed_by_rest_while_there_are_requests() {
        const WORK: Duration = Duration::from_millis(10);
        let metrics = Arc::new(Metrics::new());
        let pace = Pace::new(1_000_000, Arc::clone(&metrics));
        let work = async |takes: Duration| {
            let step = pace.take(1).await;
            tokio::time::advance(takes).await;
            drop(step);
            let rests = Instant::now();
            drop(pace.take(1).await);
            rests.elapsed()
        };
        assert!(work(WORK).await < WORK, "nobody asks for anything");
        metrics.note_served();
        assert!(work(WORK).await >= WORK * REST_PER_WORK);
        let rest_max = Duration::from_millis(REST_MAX_MS);
        let rested = work(rest_max * 100).await;
        assert!(
            rested < rest_max * 2,
            "a store that stands still: {rested:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn rest_is_a_part_of_what_the_rate_waits() {
        const WORK: Duration = Duration::from_millis(2);
        let metrics = Arc::new(Metrics::new());
        metrics.note_served();
        // Each step is paid for with longer than its rest.
        let pace = Pace::new(10, metrics);
        let started = Instant::now();
        for _ in 0..10 {
            let step = pace.take(1).await;
            tokio::time::advance(WORK).await;
            drop(step);
        }
        let took = started.elapsed();
        assert!(took < Duration::from_secs(1) + 10 * WORK * 2, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_waits_for_its_turn_rests_after_the_step_of_another() {
        let metrics = Arc::new(Metrics::new());
        metrics.note_served();
        let pace = Pace::new(100, metrics);
        let step = pace.take(1).await;
        let other = pace.clone();
        let waiting = tokio::spawn(async move {
            drop(other.take(1).await);
            Instant::now()
        });
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_millis(9)).await;
        drop(step);
        let ended = Instant::now();
        let began = waiting.await.expect("it does not panic");
        assert!(began - ended >= Duration::from_millis(9) * REST_PER_WORK);
    }
}
