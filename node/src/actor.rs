//! Actors: one thing at a time for each upload and each repository.
//!
//! Architecture invariant: an actor is a concurrency device, never a correctness device. A rule
//! that must hold across nodes is decided in `apply`. Bytes do not travel through mailboxes.
//!
//! A handle (`Uploads`, `Repositories`, `Collector`) hides the addresses, so that services know no
//! actor.

mod garbage_collector;
mod mailbox;
mod repository;
mod supervisor;
mod upload_registry;
mod upload_session;

pub use garbage_collector::{Collector, Options as CollectorOptions, Running, Status};
pub use repository::{Repositories, finish_deletion};
pub use supervisor::{Drain, GetHealth, Supervisor, SupervisorHealth};
pub use upload_registry::Uploads;

use actix_rt::ArbiterHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The threads that actors live on.
#[derive(Debug, Clone)]
pub struct Arbiters {
    handles: Arc<[ArbiterHandle]>,
    next: Arc<AtomicUsize>,
}

impl Arbiters {
    /// These threads; there must be at least one.
    pub fn new(handles: Vec<ArbiterHandle>) -> Self {
        assert!(!handles.is_empty(), "actors need a thread to live on");
        Self {
            handles: handles.into(),
            next: Arc::default(),
        }
    }

    /// The next one in turn.
    pub(crate) fn pick(&self) -> &ArbiterHandle {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.handles[turn % self.handles.len()]
    }
}
