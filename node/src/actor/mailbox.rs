//! `Mailbox`: an actor's address with a bound that answers at once when it is reached.
//!
//! actix's own bound makes senders wait; a client is better told to come back.

use std::sync::Arc;

use actix::dev::{MessageResponse, ToEnvelope};
use actix::{Actor, Addr, Handler, Message};
use tokio::sync::Semaphore;

#[cfg(test)]
mod tests;

/// An address. Clones share the bound.
#[derive(Debug)]
pub(super) struct Mailbox<A: Actor> {
    address: Addr<A>,
    places: Arc<Semaphore>,
    capacity: usize,
}

/// Why a message was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undelivered {
    /// As many messages wait as may.
    Full,
    /// The actor has ended.
    Closed,
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self {
            address: self.address.clone(),
            places: Arc::clone(&self.places),
            capacity: self.capacity,
        }
    }
}

impl<A: Actor> Mailbox<A> {
    /// The mailbox of `address`, for `capacity` messages at once, those at work included.
    pub(super) fn new(address: Addr<A>, capacity: usize) -> Self {
        Self {
            address,
            places: Arc::new(Semaphore::new(capacity)),
            capacity,
        }
    }

    /// Sends a message and waits for its answer.
    pub(super) async fn ask<M>(&self, message: M) -> Result<M::Result, Undelivered>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message + Send + 'static,
        M::Result: MessageResponse<A, M> + Send,
    {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Undelivered::Full);
        };
        self.address
            .send(message)
            .await
            .map_err(|_closed| Undelivered::Closed)
    }

    /// Tells the actor something that nobody waits for, such as that it is over.
    pub(super) fn tell<M>(&self, message: M)
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        self.address.do_send(message);
    }

    /// Whether no message waits or is at work.
    pub(super) fn is_idle(&self) -> bool {
        self.places.available_permits() == self.capacity
    }

    /// Whether the actor still lives.
    pub(super) fn is_open(&self) -> bool {
        self.address.connected()
    }
}
