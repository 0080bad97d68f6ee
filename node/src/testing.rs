//! What tests of several modules share.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Far longer than anything takes: reaching it means that something hangs.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Waits until it is so, by looking again and again.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(LONG, waiting).await.is_ok(), "never: {what}");
}
