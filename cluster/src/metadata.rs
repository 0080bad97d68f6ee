//! The replicated state machine: what the registry knows, as a pure function.
//!
//! Architecture invariant: `apply` depends on the state and the command alone. Nothing below this
//! module reads a clock, draws a random number, does I/O of its own, awaits, iterates a hash map
//! or looks at local configuration. A test holds this (`tests/tests/tidy.rs`).
//!
//! In reading order: which tables there are (`keys`), how they are read and changed (`view`,
//! `transaction`), what a command does (`apply` and one file per group of commands), what must
//! hold afterwards (`invariant`), and what is asked of the state (`read`, and `garbage` for the
//! collector).

pub mod keys;
pub mod transaction;
pub mod view;

pub mod apply;

mod blob;
mod collection;
mod deletion;
mod hold;
mod manifest;
mod membership;
mod refusal;
mod repository;
mod request;
mod upload;

pub mod garbage;
pub mod invariant;
pub mod limits;
pub mod read;

pub use apply::apply;
pub use collection::untagged_age_ms;
pub use keys::{Key, Table};
pub use transaction::Transaction;
pub use view::{Fault, View};
