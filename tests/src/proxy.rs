//! `Proxy`: between a registry and its object store, to see every request and to spoil some.
//!
//! It speaks HTTP/1.1 with bodies of a length or in chunks, which is all that S3 needs. It changes
//! nothing of what it passes on, the `Host` header included, because that is signed.
//!
//! Invariant: what is spoiled is decided by the plan alone, request by request.

mod exchange;
mod fault;
mod head;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

pub use fault::{Fault, Planned};
pub use head::{Head, Kind};

/// A request as the proxy saw it, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The path, as it was sent.
    pub path: String,
    /// What stands behind the `?`.
    pub query: String,
    /// What it asks of the store.
    pub kind: Kind,
    /// The length of the body, if the head says it.
    pub length: Option<u64>,
    /// What was done to it.
    pub fault: Option<Fault>,
    /// The status that the store answered, if it was asked and has answered.
    pub status: Option<u16>,
}

type Plan = Box<dyn FnMut(&Seen) -> Option<Fault> + Send>;

struct Shared {
    store: SocketAddr,
    plan: Mutex<Plan>,
    seen: Mutex<Log>,
}

/// Requests in the order in which they came.
#[derive(Default)]
struct Log {
    all: Vec<Seen>,
    // Those before this place are forgotten.
    from: usize,
}

/// A running proxy. It ends, and every connection with it, when the value goes.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    // `None` only while it is being dropped.
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Listens on a free port before the store at `host:port`, and spoils nothing yet.
    ///
    /// # Panics
    /// When there is no such address, or no port.
    #[track_caller]
    pub fn before(store: &str) -> Self {
        let store = store.parse().expect("an address of the store");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads can be started");
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)));
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("the port is known");
        let shared = Arc::new(Shared {
            store,
            plan: Mutex::new(Box::new(|_| None)),
            seen: Mutex::default(),
        });
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            runtime: Some(runtime),
        }
    }

    /// Where it listens, as `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// From now on every request is spoiled as this says, once it has come with its whole head.
    pub fn spoil(&self, plan: impl FnMut(&Seen) -> Option<Fault> + Send + 'static) {
        *lock(&self.shared.plan) = Box::new(plan);
    }

    /// From now on nothing is spoiled.
    pub fn heal(&self) {
        self.spoil(|_| None);
    }

    /// Every request since the start, or since they were last forgotten.
    pub fn seen(&self) -> Vec<Seen> {
        let log = lock(&self.shared.seen);
        log.all[log.from..].to_vec()
    }

    /// How many of those fit.
    pub fn count(&self, fits: impl Fn(&Seen) -> bool) -> usize {
        let log = lock(&self.shared.seen);
        log.all[log.from..].iter().filter(|one| fits(one)).count()
    }

    /// Forgets the requests until now, those that are under way as well.
    pub fn forget(&self) {
        let mut log = lock(&self.shared.seen);
        log.from = log.all.len();
    }
}

impl Shared {
    /// Writes a request down with its fault. Returns the fault, and where it was written.
    fn see(&self, head: &Head) -> (Option<Fault>, usize) {
        let mut one = head.seen();
        one.fault = (*lock(&self.plan))(&one).filter(|fault| fault.fits(&one));
        let fault = one.fault;
        let mut log = lock(&self.seen);
        log.all.push(one);
        (fault, log.all.len() - 1)
    }

    fn answered(&self, place: usize, status: u16) {
        lock(&self.seen).all[place].status = Some(status);
    }
}

/// What a test that panics leaves is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        // Too many open files, as a rule: others end meanwhile.
        let Ok((client, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // A client that breaks off, or a store that does, is what is being tested.
            let _: io::Result<()> = serve(client, &shared).await;
        });
    }
}

async fn serve(client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    exchange::Client::new(client).serve(shared).await
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Proxy");
        shown
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            method,
            path,
            query,
            fault,
            status,
            ..
        } = self;
        write!(f, "{method} {path}?{query}")?;
        match status {
            Some(status) => write!(f, " {status}")?,
            None => f.write_str(" unanswered")?,
        }
        match fault {
            Some(fault) => write!(f, " ({fault:?})"),
            None => Ok(()),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Connections that stand still would be waited for otherwise.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests;
