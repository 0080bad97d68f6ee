//! What the node tells its operators: the log, the access log and the metrics.
//!
//! It is not about what clients are told, and it decides nothing: a node whose logs nobody reads
//! behaves the same. Invariant: no request and no actor ever waits for a log or a scrape.

pub mod access_log;
pub mod logs;
pub mod metrics;
mod spool;
mod timestamp;

pub use access_log::AccessLog;
pub use logs::Logs;
pub use metrics::Metrics;
pub use spool::Dropped;
pub(crate) use timestamp::Rfc3339;
