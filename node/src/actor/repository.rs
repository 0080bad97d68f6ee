//! `RepositoryActor`: the order of manifest writes in one repository on this node; and
//! `Repositories`, the handle.
//!
//! It exists while a repository is active. Writes of different repositories go on side by side,
//! and share the log's group commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix::fut::{ActorFutureExt, WrapFuture};
use actix::{Actor, ActorContext, AsyncContext, AtomicResponse, Context, Handler, Message};
use roadstead_cluster::Metadata;
use roadstead_proto::RepositoryName;
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{self as command, ContinueDeletion, Response};
use tokio::time::Instant;

use super::Arbiters;
use super::mailbox::{Mailbox, Undelivered};
use crate::error::RegistryError;
use crate::limits::{
    REPOSITORIES_ACTIVE_MAX, REPOSITORY_IDLE, REPOSITORY_MAILBOX, REPOSITORY_TRIES,
};

#[cfg(test)]
mod tests;

/// The actor.
struct RepositoryActor {
    metadata: Metadata,
    used: Instant,
}

/// Store a manifest and set tags.
#[derive(Message)]
#[rtype(result = "Result<Response, RegistryError>")]
struct PutManifest(command::PutManifest);

/// Delete a manifest and its tags.
#[derive(Message)]
#[rtype(result = "Result<Response, RegistryError>")]
struct DeleteManifest(command::DeleteManifest);

/// Delete a tag.
#[derive(Message)]
#[rtype(result = "Result<Response, RegistryError>")]
struct DeleteTag(command::DeleteTag);

/// End, to make room for another.
#[derive(Message)]
#[rtype(result = "()")]
struct Retire;

type Answer = AtomicResponse<RepositoryActor, Result<Response, RegistryError>>;

impl RepositoryActor {
    /// Proposes while later messages wait: what came first happens first.
    fn write(&self, action: Action) -> Answer {
        let metadata = self.metadata.clone();
        let proposed = async move { propose(&metadata, action).await };
        AtomicResponse::new(Box::pin(proposed.into_actor(self).map(
            |answer, actor, _context| {
                actor.used = Instant::now();
                answer
            },
        )))
    }
}

async fn propose(metadata: &Metadata, action: Action) -> Result<Response, RegistryError> {
    metadata
        .propose(action)
        .await
        .map_err(RegistryError::metadata)
}

/// Goes on with a deletion until it is finished; one that has ended is.
pub async fn finish_deletion(
    metadata: &Metadata,
    repository: &str,
    digest: &str,
) -> Result<Response, RegistryError> {
    loop {
        let (repository, digest) = (repository.to_owned(), digest.to_owned());
        let step = Action::ContinueDeletion(ContinueDeletion { repository, digest });
        let response = propose(metadata, step).await?;
        match &response.outcome {
            Some(Outcome::Deletion(deletion)) if !deletion.is_finished => {}
            _ => return Ok(response),
        }
    }
}

impl Actor for RepositoryActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.set_mailbox_capacity(REPOSITORY_MAILBOX);
        context.run_interval(REPOSITORY_IDLE / 4, |actor, context| {
            if actor.used.elapsed() >= REPOSITORY_IDLE {
                context.stop();
            }
        });
    }
}

impl Handler<PutManifest> for RepositoryActor {
    type Result = Answer;

    fn handle(&mut self, PutManifest(put): PutManifest, _context: &mut Context<Self>) -> Answer {
        self.write(Action::PutManifest(put))
    }
}

impl Handler<DeleteTag> for RepositoryActor {
    type Result = Answer;

    fn handle(&mut self, DeleteTag(delete): DeleteTag, _context: &mut Context<Self>) -> Answer {
        self.write(Action::DeleteTag(delete))
    }
}

impl Handler<Retire> for RepositoryActor {
    type Result = ();

    fn handle(&mut self, _retire: Retire, context: &mut Context<Self>) {
        context.stop();
    }
}

impl Handler<DeleteManifest> for RepositoryActor {
    type Result = Answer;

    fn handle(&mut self, message: DeleteManifest, _context: &mut Context<Self>) -> Answer {
        let DeleteManifest(delete) = message;
        let metadata = self.metadata.clone();
        let deleted = async move {
            let response = propose(&metadata, Action::DeleteManifest(delete.clone())).await?;
            match &response.outcome {
                Some(Outcome::Deletion(deletion)) if !deletion.is_finished => {
                    finish_deletion(&metadata, &delete.repository, &delete.digest).await
                }
                _ => Ok(response),
            }
        };
        AtomicResponse::new(Box::pin(deleted.into_actor(self).map(
            |answer, actor, _context| {
                actor.used = Instant::now();
                answer
            },
        )))
    }
}

/// The repositories that are written to, whichever actor has them.
#[derive(Clone)]
pub struct Repositories {
    metadata: Metadata,
    arbiters: Arbiters,
    active: Arc<Mutex<HashMap<RepositoryName, Mailbox<RepositoryActor>>>>,
}

impl std::fmt::Debug for Repositories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repositories").finish_non_exhaustive()
    }
}

impl Repositories {
    /// No repository is active yet.
    pub fn new(metadata: Metadata, arbiters: Arbiters) -> Self {
        Self {
            metadata,
            arbiters,
            active: Arc::default(),
        }
    }

    /// Stores a manifest and sets tags.
    pub async fn put_manifest(
        &self,
        repository: &RepositoryName,
        put: command::PutManifest,
    ) -> Result<Response, RegistryError> {
        self.ask(repository, || PutManifest(put.clone())).await
    }

    /// Deletes a manifest and the tags that point at it.
    pub async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        delete: command::DeleteManifest,
    ) -> Result<Response, RegistryError> {
        self.ask(repository, || DeleteManifest(delete.clone()))
            .await
    }

    /// Deletes a tag.
    pub async fn delete_tag(
        &self,
        repository: &RepositoryName,
        delete: command::DeleteTag,
    ) -> Result<Response, RegistryError> {
        self.ask(repository, || DeleteTag(delete.clone())).await
    }

    /// Asks the actor of a repository. One that ended just now, because it was idle, is started
    /// anew: it had not taken the message in.
    async fn ask<M>(
        &self,
        repository: &RepositoryName,
        message: impl Fn() -> M,
    ) -> Result<Response, RegistryError>
    where
        M: Message<Result = Result<Response, RegistryError>> + Send + 'static,
        RepositoryActor: Handler<M, Result = Answer>,
    {
        for _ in 0..REPOSITORY_TRIES {
            match self.mailbox(repository)?.ask(message()).await {
                Ok(answer) => return answer,
                Err(Undelivered::Full) => break,
                Err(Undelivered::Closed) => {}
            }
        }
        Err(RegistryError::TooMany("writes to this repository"))
    }

    /// The actor of a repository, started if there is none.
    fn mailbox(&self, name: &RepositoryName) -> Result<Mailbox<RepositoryActor>, RegistryError> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mailbox) = active.get(name).filter(|mailbox| mailbox.is_open()) {
            return Ok(mailbox.clone());
        }
        if active.len() >= REPOSITORIES_ACTIVE_MAX {
            // Rarely, and then all that have nothing to do, so that each costs little.
            // Whoever was about to ask one of them starts it anew.
            active.retain(|_, mailbox| {
                let stays = mailbox.is_open() && !mailbox.is_idle();
                if !stays {
                    mailbox.tell(Retire);
                }
                stays
            });
        }
        if active.len() >= REPOSITORIES_ACTIVE_MAX {
            return Err(RegistryError::TooMany("repositories"));
        }
        let metadata = self.metadata.clone();
        let address =
            RepositoryActor::start_in_arbiter(self.arbiters.pick(), |_context| RepositoryActor {
                metadata,
                used: Instant::now(),
            });
        let mailbox = Mailbox::new(address, REPOSITORY_MAILBOX);
        active.insert(name.clone(), mailbox.clone());
        Ok(mailbox)
    }

    /// How many repositories are active.
    pub(super) fn count(&self) -> usize {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.values().filter(|mailbox| mailbox.is_open()).count()
    }
}
