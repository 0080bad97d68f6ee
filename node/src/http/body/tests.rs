//! Bodies that come slowly, endlessly or not at all, on a clock that passes by itself.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix_web::dev;
use actix_web::error::PayloadError;
use actix_web::test::TestRequest;
use actix_web::{FromRequest, web};
use futures::{Stream, stream};
use tokio::time::Instant;

use super::*;
use crate::config::Reserve;

const PIECE: usize = 64 * 1024;

type Taken = Result<Bytes, PayloadError>;

async fn payload(pieces: impl Stream<Item = Taken> + 'static) -> Payload {
    let request = TestRequest::default().to_http_request();
    let payload = pieces.boxed_local();
    let mut payload = dev::Payload::Stream { payload };
    let taken = web::Payload::from_request(&request, &mut payload).await;
    taken.expect("a payload can be taken")
}

/// A body without an end: a piece after each pause. Counts the pieces that were taken.
fn endless(pause: Duration) -> (impl Stream<Item = Taken>, Rc<Cell<usize>>) {
    let taken = Rc::new(Cell::new(0));
    let counter = Rc::clone(&taken);
    let pieces = stream::unfold(counter, move |counter| async move {
        if !pause.is_zero() {
            // On the paused clock.
            let _ = timeout(pause, std::future::pending::<()>()).await;
        }
        counter.set(counter.get() + 1);
        Some((Ok(Bytes::from_static(&[b'x'; PIECE])), counter))
    });
    (pieces, taken)
}

fn space() -> Space {
    Space::watch(Vec::new(), Reserve::Bytes(0)).expect("it watches nothing")
}

/// Takes in a body to its end.
async fn take_in(mut chunk: Chunk) -> Result<usize, RegistryError> {
    let mut bytes = 0;
    loop {
        match chunk.body.recv().await {
            Some(Piece::Data(data)) => bytes += data.len(),
            Some(Piece::End) => return Ok(bytes),
            None => return Err(RegistryError::BodyBroken),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_has_its_time_as_a_whole() {
    let (slow, _) = endless(Duration::from_secs(20));
    for mut payload in [payload(slow).await, payload(stream::pending()).await] {
        let began = Instant::now();
        let result = read_manifest(&mut payload).await;
        assert!(matches!(result, Err(RegistryError::ManifestSlow)));
        assert_eq!(began.elapsed(), MANIFEST_BODY_TIME);
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_without_an_end_is_not_read_on() {
    let (fast, taken) = endless(Duration::ZERO);
    let result = read_manifest(&mut payload(fast).await).await;
    assert!(matches!(result, Err(RegistryError::ManifestTooLarge)));
    assert_eq!(taken.get(), MANIFEST_BYTES_MAX / PIECE + 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stands_still_is_given_up() {
    let space = space();
    let began = Instant::now();
    let mut payload = payload(stream::pending()).await;
    let result = pumped(&space, &mut payload, None, None, take_in).await;
    assert!(matches!(result, Err(RegistryError::BodySlow)));
    assert_eq!(began.elapsed(), BODY_IDLE);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_moves_may_take_its_time() {
    const PIECES: usize = 100;
    let space = space();
    let (slow, _) = endless(BODY_IDLE / 2);
    let mut payload = payload(slow.take(PIECES)).await;
    let result = pumped(&space, &mut payload, None, None, take_in).await;
    assert_eq!(result.expect("it came whole"), PIECES * PIECE);
}

#[tokio::test(start_paused = true)]
async fn few_pieces_wait_for_who_takes_none() {
    let space = space();
    let (fast, taken) = endless(Duration::ZERO);
    let mut payload = payload(fast).await;
    let result = pumped(&space, &mut payload, None, None, |chunk| async move {
        // Longer than the body needs for all that it may.
        let _ = timeout(BODY_IDLE / 2, std::future::pending::<()>()).await;
        drop(chunk);
        Ok(())
    });
    result.await.expect("nobody wanted it");
    // One more is in the hand of who brings them.
    assert_eq!(taken.get(), BODY_PIECES_WAITING + 1);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_is_drained_for_a_while() {
    let began = Instant::now();
    drain(&mut payload(stream::pending()).await).await;
    assert_eq!(began.elapsed(), DRAINED_TIME);

    let (fast, taken) = endless(Duration::ZERO);
    drain(&mut payload(fast).await).await;
    assert_eq!(taken.get(), DRAINED_BYTES_MAX / PIECE + 1);
}
