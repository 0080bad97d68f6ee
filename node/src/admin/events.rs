//! Streams of events: from a task that works, to a client that reads as fast as it likes.

use std::pin::Pin;

use futures::stream::{self, Stream};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use crate::error::RegistryError;
use crate::limits::EVENTS_WAITING;

/// What a client of a streaming call gets.
pub(super) type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Where the task says what it is at. It fails when the client has gone.
pub(super) type Teller<T> = mpsc::Sender<Result<T, Status>>;

/// A stream of what `work` tells. The work goes on when the client has gone, unless it looks; and
/// the stream ends when the node stops, whatever the work is at.
pub(super) fn events<T, F>(
    stopped: &watch::Receiver<bool>,
    work: impl FnOnce(Teller<T>) -> F,
) -> Events<T>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (teller, told) = mpsc::channel(EVENTS_WAITING);
    tokio::spawn(work(teller));
    let state = Some((told, stopped.clone()));
    Box::pin(stream::unfold(state, |state| async move {
        let (mut told, mut stopped) = state?;
        let event = tokio::select! {
            event = told.recv() => event?,
            _ = stopped.wait_for(|is_stopping| *is_stopping) => {
                let error = super::status::of(&RegistryError::Draining);
                return Some((Err(error), None));
            }
        };
        Some((event, Some((told, stopped))))
    }))
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn events_come_in_order_and_end_with_the_work() {
        let (_stopping, stopped) = watch::channel(false);
        let told = events(&stopped, |teller| async move {
            for number in 0..20 {
                teller.send(Ok(number)).await.expect("somebody reads");
            }
        });
        let told: Vec<u32> = told.map(|event| event.expect("a number")).collect().await;
        assert_eq!(told, (0..20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_stream_ends_when_the_node_stops() {
        let (stopping, stopped) = watch::channel(false);
        let mut told = events(&stopped, |teller| async move {
            teller.send(Ok(1)).await.expect("somebody reads");
            std::future::pending::<()>().await;
        });
        assert_eq!(told.next().await.expect("an event").expect("a number"), 1);
        stopping.send_replace(true);
        let error = told.next().await.expect("an event").expect_err("the end");
        assert_eq!(error.code(), tonic::Code::Unavailable);
        assert!(told.next().await.is_none());
    }
}
