//! The protocol of uploads, manifests and garbage collection, checked by a model checker.
//!
//! The model (`protocol/world.rs`) is a world of uploaders, claimers, a mounter, a client that
//! relies on a `HEAD`, collectors that crash or sleep, and a sweep, around the real tables, the
//! real `apply` and an object store. `stateright` goes through every interleaving of each scenario
//! (`protocol/scenario.rs`) and looks at every state (`protocol/properties.rs`). Time has no end:
//! `protocol/relative.rs`. For each seeded mistake (`protocol/mistake.rs`) a property must fail.
//!
//! Not here: that `apply` does what it says, which `model.rs` and `apply.rs` test, and that nodes
//! do what the model's actors do, which only tests with real processes can show.
//!
//! `cargo test ... --test protocol -- --nocapture` prints how many states there were, and how each
//! mistake comes to harm.

mod protocol {
    mod cases;
    mod checks;
    mod client;
    mod collector;
    mod command;
    mod facts;
    mod machine;
    mod mistake;
    mod properties;
    mod relative;
    mod scenario;
    mod session;
    mod universe;
    mod world;
}
