//! The log of what the node does: from `tracing` to lines on standard error.
//!
//! It is not the access log, and it keeps nothing. Invariant: who logs never waits. Lines go
//! through a bounded buffer; when standard error stands still they are dropped, and the next line
//! that gets through says how many.

use std::backtrace::Backtrace;
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use tracing::Level;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;

use super::spool::{Dropped, Notice, Spool};
use crate::config;
use crate::limits::LOG_LAST_LINES_TIME;
use record::{Fields, Record};
use style::Style;
use subscriber::Lines;

mod record;
mod style;
mod subscriber;
#[cfg(test)]
mod tests;

/// The variable that refines the level, as in every program that uses `tracing`.
const FILTER_VARIABLE: &str = "RUST_LOG";

/// What is heard of libraries that log every step they take, or every client that does not speak
/// HTTP, unless `RUST_LOG` names them.
const LIBRARIES: &str = "openraft=error,actix_server=error,actix_http=off,h2=off,hyper=off";

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `RUST_LOG` cannot be read.
    #[error("RUST_LOG has {text:?}, which is not a filter such as info,roadstead=debug")]
    Filter {
        /// What it has.
        text: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Nothing is logged by the filter.
    #[error("the log has ended")]
    Gone(#[source] reload::Error),
    /// The system gives no thread.
    #[error("the thread that writes the log cannot be started")]
    Thread(#[source] io::Error),
    /// There is a log already.
    #[error("the log is set up already")]
    Installed(#[source] SetGlobalDefaultError),
}

/// The log of this process. Dropping it waits a little for the last lines.
#[derive(Debug)]
pub struct Logs {
    spool: Arc<Spool>,
    filter: Filter,
}

/// What is logged, which can be changed while the process runs. Clones share it.
#[derive(Debug, Clone)]
pub struct Filter {
    handle: reload::Handle<EnvFilter, Registry>,
}

impl Filter {
    /// Logs by this from now on: a level, or several with targets, as in `RUST_LOG`.
    ///
    /// # Errors
    /// When it is not a filter, or nothing is logged by this.
    pub fn set(&self, text: &str) -> Result<(), Error> {
        let filter = parse(&format!("{LIBRARIES},{text}"), text)?;
        self.handle.reload(filter).map_err(Error::Gone)
    }
}

/// Sends everything that `tracing` hears to standard error, and makes a panic end the process.
///
/// # Errors
/// When `RUST_LOG` is not a filter, and when this was called before.
pub fn install(config: &config::Log) -> Result<Logs, Error> {
    let refinement = std::env::var_os(FILTER_VARIABLE).unwrap_or_default();
    let filter = filter(config.level, &refinement.to_string_lossy())?;
    let style = Arc::new(Style::new(config));
    let spool = spool(&style, Box::new(io::stderr())).map_err(Error::Thread)?;
    let lines = Lines::new(Arc::clone(&spool), Arc::clone(&style), SystemTime::now);
    let (layer, handle) = reload::Layer::new(filter);
    let subscriber = tracing_subscriber::registry().with(layer).with(lines);
    tracing::subscriber::set_global_default(subscriber).map_err(Error::Installed)?;
    let last_words = Arc::clone(&spool);
    panic::set_hook(Box::new(move |panic| abort(panic, &style, &last_words)));
    let filter = Filter { handle };
    Ok(Logs { spool, filter })
}

impl Logs {
    /// Waits until everything was written. False when that took longer.
    pub fn flush(&self, within: Duration) -> bool {
        self.spool.flush(within)
    }

    /// What is logged.
    pub fn filter(&self) -> Filter {
        self.filter.clone()
    }

    /// How many lines were dropped.
    pub fn dropped(&self) -> Dropped {
        self.spool.dropped()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.flush(LOG_LAST_LINES_TIME);
    }
}

fn filter(level: config::Level, refinement: &str) -> Result<EnvFilter, Error> {
    let level = match level {
        config::Level::Error => "error",
        config::Level::Warn => "warn",
        config::Level::Info => "info",
        config::Level::Debug => "debug",
    };
    // What the libraries say of their own inner life is for those who ask for it. Of two directives
    // for the same target the later one holds.
    parse(&format!("{level},{LIBRARIES},{refinement}"), refinement)
}

fn parse(whole: &str, text: &str) -> Result<EnvFilter, Error> {
    let parsed = EnvFilter::builder().parse(whole);
    parsed.map_err(|source| Error::Filter {
        text: text.to_owned(),
        source,
    })
}

fn spool(style: &Arc<Style>, stream: Box<dyn Write + Send>) -> io::Result<Arc<Spool>> {
    let style = Arc::clone(style);
    let notice: Notice = Box::new(move |dropped| {
        let mut fields = Fields::default();
        fields.set("lines", dropped.into());
        style.render(&Record {
            at: SystemTime::now(),
            level: Level::WARN,
            message: "lines of the log were dropped, since standard error was too slow",
            fields: &fields,
            target: module_path!(),
            place: None,
        })
    });
    Ok(Arc::new(Spool::start("log", stream, Some(notice))?))
}

/// Logs a panic and ends the process: a broken invariant is repaired by a restart, not by going on.
///
/// It does not go through `tracing`, since the panic may have come from there.
fn abort(panic: &PanicHookInfo<'_>, style: &Style, spool: &Spool) -> ! {
    let mut fields = Fields::default();
    let thread = thread::current();
    fields.set("thread", thread.name().unwrap_or("unnamed").into());
    if let Some(place) = panic.location() {
        fields.set("place", place.to_string().into());
    }
    let backtrace = Backtrace::force_capture().to_string();
    fields.set(record::BACKTRACE, backtrace.into());
    let reason = panic.payload_as_str().unwrap_or("no message");
    spool.push(&style.render(&Record {
        at: SystemTime::now(),
        level: Level::ERROR,
        message: &format!("panic: {reason}"),
        fields: &fields,
        target: module_path!(),
        place: None,
    }));
    spool.flush(LOG_LAST_LINES_TIME);
    process::abort()
}
