//! One registry for many tests: those that need no setup of their own, and only their own names.
//!
//! It lives as long as some test holds it, so that it ends with the last of them.
//! `ROADSTEAD_SUITE_NODES=3` makes it a cluster of so many nodes behind a load balancer, which has
//! to answer the same; `ROADSTEAD_SUITE_STORE` says where blobs are (`Place`).

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::balancer::Balancer;
use crate::seed::number;
use crate::{Client, Group, Registry, Repository, Setup};

const NODES: &str = "ROADSTEAD_SUITE_NODES";

static CURRENT: Mutex<Weak<Kind>> = Mutex::new(Weak::new());

/// The registry that tests share, with deletes enabled and everything else by default.
#[derive(Debug)]
pub struct Shared(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    One(Box<Registry>),
    Several(Box<(Balancer, Group)>),
}

impl Kind {
    #[track_caller]
    fn start() -> Self {
        match number(NODES).unwrap_or(1) {
            1 => {
                let setup = Setup::empty()
                    .with("http", "addr: 127.0.0.1:{port}")
                    .with("storage", "delete:\n  enabled: true")
                    .with_data_in("{folder}/data");
                Self::One(Box::new(Registry::start(setup)))
            }
            nodes => {
                let nodes = usize::try_from(nodes).expect("a handful of nodes");
                let group = Group::start(nodes);
                let addresses: Vec<_> = group.nodes.iter().map(Registry::address).collect();
                let balancer = Balancer::start(&addresses);
                balancer.sees_all();
                Self::Several(Box::new((balancer, group)))
            }
        }
    }
}

/// The shared registry; started if no other test holds it now.
#[track_caller]
pub fn registry() -> Shared {
    // A failure to start is a failure of the test that holds the lock, and of the next as well.
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    let registry = current.upgrade().unwrap_or_else(|| {
        let registry = Arc::new(Kind::start());
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

impl Shared {
    /// Where it serves, as `host:port`.
    pub fn address(&self) -> String {
        match &*self.0 {
            Kind::One(registry) => registry.address(),
            Kind::Several(several) => several.0.address(),
        }
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(&self.address())
    }

    /// A client of one of its repositories.
    pub fn repository(&self, name: &str) -> Repository {
        self.client().repository(name)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        match &*self.0 {
            Kind::One(registry) => registry.show_if_failing(),
            Kind::Several(several) => {
                several.1.nodes.iter().for_each(Registry::show_if_failing);
            }
        }
    }
}
