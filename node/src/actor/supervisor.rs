//! `Supervisor`: knows the children of the node, drains them, and says how they are.
//!
//! It does not restart anything after a panic: a panic aborts the process, and Raft and the
//! service manager recover (decision 0004).

use actix::{Actor, Context, Handler, Message, ResponseFuture};

use super::{Collector, Repositories, Uploads};

/// The root of the node's actors.
#[derive(Debug)]
pub struct Supervisor {
    uploads: Uploads,
    repositories: Repositories,
    collector: Collector,
}

/// Let go of everything that another life of the node can go on with.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Drain;

/// How many children there are.
#[derive(Debug, Message)]
#[rtype(result = "SupervisorHealth")]
pub struct GetHealth;

/// What the children are at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupervisorHealth {
    /// Open upload sessions.
    pub uploads: usize,
    /// Active repositories.
    pub repositories: usize,
}

impl Supervisor {
    /// The supervisor of these.
    pub fn new(uploads: Uploads, repositories: Repositories, collector: Collector) -> Self {
        Self {
            uploads,
            repositories,
            collector,
        }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;
}

impl Handler<Drain> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _drain: Drain, _context: &mut Context<Self>) -> Self::Result {
        self.collector.stop();
        let uploads = self.uploads.clone();
        // Repositories hold nothing: a manifest write is in the log or it is not.
        Box::pin(async move { uploads.release_all().await })
    }
}

impl Handler<GetHealth> for Supervisor {
    type Result = ResponseFuture<SupervisorHealth>;

    fn handle(&mut self, _health: GetHealth, _context: &mut Context<Self>) -> Self::Result {
        let (uploads, repositories) = (self.uploads.clone(), self.repositories.clone());
        Box::pin(async move {
            SupervisorHealth {
                uploads: uploads.count().await,
                repositories: repositories.count(),
            }
        })
    }
}
