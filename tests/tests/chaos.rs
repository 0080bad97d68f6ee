//! A cluster of real processes under kills, pauses, cut networks and bad disks: clients go on, no
//! answer is wrong, the histories of tags are linearizable, and nothing acknowledged is lost.
//!
//! `make chaos SECONDS=60 SEED=1` runs it; `make test` does not, because it takes minutes and needs
//! root: each node is on a host of a network of the test's own (`tests/src/network.rs`), and has
//! its metadata on a disk of its own.
//!
//! `chaos/fault.rs` is what goes wrong, and `chaos/run.rs` has it happen beside the clients, which
//! are `chaos/mover.rs` and `chaos/owner.rs`; `chaos/register.rs` is the checker of histories,
//! `chaos/finish.rs` what is looked at in the end, and `chaos/mistake.rs` shows that both find what
//! they are for.

mod chaos {
    mod behind;
    mod caller;
    mod fault;
    mod finish;
    mod journal;
    mod late_owner;
    mod membership;
    mod mistake;
    mod mover;
    mod named;
    mod owner;
    mod random;
    mod register;
    mod run;
    mod stage;
    mod transfer;
    mod wiped;
}
