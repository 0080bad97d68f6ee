//! Mailboxes of the sizes that the node's actors have, before an actor that never answers.

use actix::{Context, ResponseFuture};
use actix_rt::System;
use futures::FutureExt;

use super::*;
use crate::limits::{REGISTRY_MAILBOX, REPOSITORY_MAILBOX, UPLOAD_MAILBOX};

struct Silent;

#[derive(Message)]
#[rtype(result = "()")]
struct Question;

impl Actor for Silent {
    type Context = Context<Self>;
}

impl Handler<Question> for Silent {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _question: Question, _context: &mut Context<Self>) -> Self::Result {
        Box::pin(std::future::pending())
    }
}

#[test]
fn who_finds_no_place_hears_so_at_once() {
    System::new().block_on(async {
        for capacity in [UPLOAD_MAILBOX, REPOSITORY_MAILBOX, REGISTRY_MAILBOX] {
            let mailbox = Mailbox::new(Silent.start(), capacity);
            assert!(mailbox.is_idle() && mailbox.is_open());
            let mut asking: Vec<_> = (0..capacity)
                .map(|_| Box::pin(mailbox.ask(Question)))
                .collect();
            for question in &mut asking {
                assert_eq!(question.now_or_never(), None);
            }
            let refused = mailbox.ask(Question).now_or_never();
            assert_eq!(refused, Some(Err(Undelivered::Full)));
            // Who goes away leaves a place.
            asking.pop();
            assert_eq!(mailbox.ask(Question).now_or_never(), None);
        }
    });
}
