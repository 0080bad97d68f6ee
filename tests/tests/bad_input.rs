//! Bad input: each gets the right status and an error that names the thing, leaves nothing half
//! stored, and the node goes on serving. One test for each item.
//!
//! The items are those of the first core issue: what a client can send, and what an operator can
//! start the node with.

mod bad_input {
    mod chunks;
    mod content;
    mod manifests;
    mod names;
    mod refusal;
    mod requests;
    mod sessions;
    mod slow;
    mod start_config;
    mod start_folder;
    mod start_store;
    mod start_system;
}
