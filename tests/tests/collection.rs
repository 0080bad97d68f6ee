//! Garbage collection beside clients that push the same things again and again: nothing that was
//! promised goes, and in the end nothing else is left.
//!
//! `make collect` runs it; `make test` does not, because it takes minutes.
//! `ROADSTEAD_COLLECT_SEED` repeats the choices of a run; `ROADSTEAD_COLLECT_OPERATIONS` and
//! `ROADSTEAD_COLLECT_KILLS` say how long it goes on.

mod collection {
    mod clock;
    mod content;
    mod deleter;
    mod end;
    mod head;
    mod history;
    mod marker;
    mod measured;
    mod read_only;
    mod record;
    mod seed;
    mod stress;
    mod worker;
}
