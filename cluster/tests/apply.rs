//! Each command of the state machine: what it answers and which rows it changes.
//!
//! A test is data: the commands that came before, the command, and a snapshot of its answer and of
//! every row that it changed, in the notation of `apply/notation.rs`. After every command the
//! invariants are checked as well. `UPDATE_EXPECT=1` rewrites the snapshots: read them, they are
//! the specification.

#[path = "apply/machine.rs"]
mod machine;
#[path = "apply/notation.rs"]
mod notation;
#[path = "apply/render.rs"]
mod render;

#[path = "apply/cluster.rs"]
mod cluster;
#[path = "apply/time.rs"]
mod time;

#[path = "apply/uploads.rs"]
mod uploads;

#[path = "apply/claims.rs"]
mod claims;

#[path = "apply/commits.rs"]
mod commits;

#[path = "apply/blobs.rs"]
mod blobs;

#[path = "apply/manifests.rs"]
mod manifests;

#[path = "apply/tags.rs"]
mod tags;

#[path = "apply/deletions.rs"]
mod deletions;

#[path = "apply/collection.rs"]
mod collection;

#[path = "apply/idle.rs"]
mod idle;

#[path = "apply/expiry.rs"]
mod expiry;

#[path = "apply/subjects.rs"]
mod subjects;

#[path = "apply/repositories.rs"]
mod repositories;

#[path = "apply/leaving.rs"]
mod leaving;

#[path = "apply/requests.rs"]
mod requests;

#[path = "apply/garbage.rs"]
mod garbage;

#[path = "apply/reading.rs"]
mod reading;
