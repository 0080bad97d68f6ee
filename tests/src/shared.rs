//! One registry for many tests: those that need no setup of their own, and only their own names.
//!
//! It lives as long as some test holds it, so that it ends with the last of them.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::{Registry, Repository, Setup};

static CURRENT: Mutex<Weak<Registry>> = Mutex::new(Weak::new());

/// The registry that tests share, with deletes enabled and everything else by default.
#[derive(Debug)]
pub struct Shared(Arc<Registry>);

/// The shared registry; started if no other test holds it now.
pub fn registry() -> Shared {
    // A failure to start is a failure of the test that holds the lock, and of the next as well.
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    let registry = current.upgrade().unwrap_or_else(|| {
        let registry = Arc::new(Registry::start(Setup::default()));
        *current = Arc::downgrade(&registry);
        registry
    });
    Shared(registry)
}

/// A repository of the shared registry, which must be the test's own, and what keeps it running.
pub fn repository(name: &str) -> (Repository, Shared) {
    let registry = registry();
    (registry.repository(name), registry)
}

impl Deref for Shared {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.0.show_if_failing();
    }
}
