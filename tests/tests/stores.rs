//! The S3 driver on real object stores: its contract, uploads in chunks, faults between node and
//! store, requests counted, and what is wrong when a node starts.
//!
//! `make stores` runs it beside Garage and versitygw; `make test` does not, because it needs them.
//! Without a store it fails. `ROADSTEAD_STORES_SEED` repeats the choices of a run.

mod stores {
    mod chunks;
    mod contract;
    mod damage;
    mod down;
    mod faults;
    mod hand;
    mod requests;
    mod seed;
    mod stage;
    mod start;
}
