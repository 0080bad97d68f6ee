//! A crash loses nothing that was acknowledged: kills at random moments and at every crash point,
//! with what was not fsynced kept or lost, and fsyncs left out to see that these tests notice.
//!
//! `make crash` runs it; `make test` does not, because it takes minutes and needs FUSE.
//! `ROADSTEAD_CRASH_SEED` repeats the choices of a run, and `ROADSTEAD_CRASH_KILLS` says how many
//! random kills there are on each file system.

mod crash {
    mod checks;
    mod clients;
    mod deletions;
    mod first_start;
    mod kills;
    mod mistakes;
    mod points;
    mod record;
    mod seed;
    mod stage;
}
