//! The one way to the blocking pool.

use crate::error::{Error, Result};

/// Runs work that blocks on the blocking pool.
///
/// # Cancel safety
///
/// Work that has begun goes on to its end; work that has not may still begin.
pub(super) async fn run<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    joined(action, tokio::task::spawn_blocking(work).await)
}

/// What the work answered, or that it could not run.
pub(super) fn joined<T>(
    action: &'static str,
    result: Result<Result<T>, tokio::task::JoinError>,
) -> Result<T> {
    match result {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Err(error) => Err(Error::Unavailable {
            subject: action.to_owned(),
            source: error.into(),
        }),
    }
}
