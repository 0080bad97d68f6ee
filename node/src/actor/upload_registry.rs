//! `UploadRegistry`: which uploads this node has a session for; and `Uploads`, the handle.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, AtomicResponse, Context, Handler, Message, MessageResult};
use roadstead_cluster::read;
use roadstead_proto::rpc::state;
use roadstead_proto::{Algorithm, Digest, RepositoryName, UploadId};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::Arbiters;
use super::mailbox::{Mailbox, Undelivered};
use super::upload_session::{Append, Cancel, Commit, GetStatus, Release, UploadSession};
use crate::error::RegistryError;
use crate::limits::{CANCEL_WAIT, CLAIM_LOCKS, CLAIM_TRIES, REGISTRY_MAILBOX, UPLOAD_MAILBOX};
use crate::upload::{Chunk, Tools, Upload};

/// The actor.
pub(super) struct UploadRegistry {
    sessions: HashMap<UploadId, Session>,
    // Sessions that were ever opened.
    opened: u64,
    // Sessions that may be open at once.
    capacity: usize,
    arbiters: Arbiters,
}

/// An open session and where it was begun.
#[derive(Clone)]
struct Session {
    number: u64,
    repository: RepositoryName,
    mailbox: Mailbox<UploadSession>,
}

/// Starts a session for an upload that this node owns.
#[derive(Message)]
#[rtype(result = "Result<Session, RegistryError>")]
struct Open(Upload);

/// Looks a session up.
#[derive(Message)]
#[rtype(result = "Option<Session>")]
struct Find(UploadId);

/// Whether another session may be opened.
#[derive(Message)]
#[rtype(result = "bool")]
struct HasRoom;

/// A session has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Closed {
    pub(super) id: UploadId,
    pub(super) number: u64,
}

/// All sessions that are open now.
#[derive(Message)]
#[rtype(result = "Vec<Session>")]
struct List;

impl Actor for UploadRegistry {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.set_mailbox_capacity(REGISTRY_MAILBOX);
    }
}

impl Handler<Open> for UploadRegistry {
    type Result = MessageResult<Open>;

    fn handle(&mut self, Open(upload): Open, context: &mut Context<Self>) -> Self::Result {
        if self.sessions.len() >= self.capacity {
            return MessageResult(Err(RegistryError::TooMany("uploads")));
        }
        let (id, repository, registry) =
            (upload.id(), upload.repository().clone(), context.address());
        self.opened += 1;
        let number = self.opened;
        let address = UploadSession::start_in_arbiter(self.arbiters.pick(), move |_context| {
            UploadSession::new(upload, number, registry)
        });
        let session = Session {
            number,
            repository,
            mailbox: Mailbox::new(address, UPLOAD_MAILBOX),
        };
        self.sessions.insert(id, session.clone());
        MessageResult(Ok(session))
    }
}

impl Handler<Find> for UploadRegistry {
    type Result = MessageResult<Find>;

    fn handle(&mut self, Find(id): Find, _context: &mut Context<Self>) -> Self::Result {
        let session = self.sessions.get(&id);
        MessageResult(session.filter(|session| session.mailbox.is_open()).cloned())
    }
}

impl Handler<HasRoom> for UploadRegistry {
    type Result = MessageResult<HasRoom>;

    fn handle(&mut self, _room: HasRoom, _context: &mut Context<Self>) -> Self::Result {
        MessageResult(self.sessions.len() < self.capacity)
    }
}

impl Handler<Closed> for UploadRegistry {
    type Result = ();

    fn handle(&mut self, closed: Closed, _context: &mut Context<Self>) {
        // A newer session of the same upload may stand here by now.
        let is_same = |session: &Session| session.number == closed.number;
        if self.sessions.get(&closed.id).is_some_and(is_same) {
            self.sessions.remove(&closed.id);
        }
    }
}

impl Handler<List> for UploadRegistry {
    type Result = MessageResult<List>;

    fn handle(&mut self, _list: List, _context: &mut Context<Self>) -> Self::Result {
        MessageResult(self.sessions.values().cloned().collect())
    }
}

/// The uploads that clients work on, whichever actor has them.
#[derive(Clone)]
pub struct Uploads {
    tools: Tools,
    registry: Mailbox<UploadRegistry>,
    // Claims of one upload by two requests at once would only take it from each other.
    claims: Arc<[Mutex<()>]>,
}

impl std::fmt::Debug for Uploads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploads").finish_non_exhaustive()
    }
}

fn registry_error(undelivered: Undelivered) -> RegistryError {
    match undelivered {
        Undelivered::Full => RegistryError::TooMany("uploads"),
        Undelivered::Closed => RegistryError::UploadMoving,
    }
}

fn unknown(id: UploadId) -> RegistryError {
    RegistryError::UploadUnknown(id.to_string())
}

fn session_error(undelivered: Undelivered) -> RegistryError {
    match undelivered {
        Undelivered::Full => RegistryError::TooMany("requests for this upload"),
        Undelivered::Closed => RegistryError::UploadMoving,
    }
}

impl Uploads {
    /// Starts the registry, for at most `capacity` open sessions.
    pub fn start(tools: Tools, arbiters: Arbiters, capacity: usize) -> Self {
        let own = arbiters.pick().clone();
        let registry: Addr<UploadRegistry> =
            UploadRegistry::start_in_arbiter(&own, move |_context| UploadRegistry {
                sessions: HashMap::new(),
                opened: 0,
                capacity,
                arbiters,
            });
        let claims = (0..CLAIM_LOCKS).map(|_| Mutex::new(())).collect();
        Self {
            tools,
            registry: Mailbox::new(registry, REGISTRY_MAILBOX),
            claims,
        }
    }

    /// end-4: begins an upload.
    pub async fn begin(
        &self,
        repository: &RepositoryName,
        algorithm: Algorithm,
    ) -> Result<UploadId, RegistryError> {
        // Before anything is recorded: an upload without a session would only wait for its expiry.
        if !self.registry.ask(HasRoom).await.map_err(registry_error)? {
            return Err(RegistryError::TooMany("uploads"));
        }
        let upload = Upload::begin(&self.tools, repository, algorithm).await?;
        let id = upload.id();
        self.registry
            .ask(Open(upload))
            .await
            .map_err(registry_error)??;
        Ok(id)
    }

    /// end-5: takes in a chunk and returns the acknowledged offset.
    pub async fn append(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        chunk: Chunk,
    ) -> Result<u64, RegistryError> {
        let session = self.session(repository, id).await?;
        session
            .mailbox
            .ask(Append(chunk))
            .await
            .map_err(session_error)?
    }

    /// end-4b: the whole blob in one request. The client never learns the upload's id, so that a
    /// failure ends the upload too.
    pub async fn commit_at_once(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        chunk: Chunk,
    ) -> Result<(), RegistryError> {
        let id = self.begin(repository, digest.algorithm()).await?;
        let session = self.session(repository, id).await?;
        let commit = Commit {
            digest: digest.clone(),
            chunk,
        };
        let committed = session.mailbox.ask(commit).await;
        let committed = committed.unwrap_or_else(|undelivered| Err(session_error(undelivered)));
        if committed.is_err()
            && let Err(error) = self.cancel_any(id).await
            && !matches!(error, RegistryError::UploadUnknown(_))
        {
            tracing::warn!(%error, upload = %id, "an upload that nobody knows of stays behind");
        }
        committed
    }

    /// end-6: takes in a last chunk and makes the upload a blob.
    pub async fn commit(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        digest: &Digest,
        chunk: Chunk,
    ) -> Result<(), RegistryError> {
        let session = match self.session(repository, id).await {
            Err(RegistryError::UploadUnknown(_)) => {
                return self.tools.repeat_commit(id, repository, digest).await;
            }
            session => session?,
        };
        let commit = Commit {
            digest: digest.clone(),
            chunk,
        };
        match session.mailbox.ask(commit).await {
            Ok(Err(RegistryError::UploadMoving)) | Err(Undelivered::Closed) => {
                // Another request for the same upload has ended it, perhaps with this very commit.
                let repeated = self.tools.repeat_commit(id, repository, digest).await;
                repeated.map_err(|_| RegistryError::UploadMoving)
            }
            Ok(answer) => answer,
            Err(undelivered) => Err(session_error(undelivered)),
        }
    }

    /// end-13: the acknowledged offset.
    pub async fn status(
        &self,
        repository: &RepositoryName,
        id: UploadId,
    ) -> Result<u64, RegistryError> {
        self.ask_again(repository, id, || GetStatus).await
    }

    /// end-14: forgets the upload.
    pub async fn cancel(
        &self,
        repository: &RepositoryName,
        id: UploadId,
    ) -> Result<(), RegistryError> {
        self.ask_again(repository, id, || Cancel).await
    }

    /// Ends an upload of whichever repository. It is not claimed for that: to claim may mean to
    /// copy gigabytes. A session that does not answer soon, since a request is at work on it, ends
    /// when it next has something to record.
    pub async fn cancel_any(&self, id: UploadId) -> Result<(), RegistryError> {
        for _ in 0..CLAIM_TRIES {
            let asked = match self.registry.ask(Find(id)).await.map_err(registry_error)? {
                Some(session) => timeout(CANCEL_WAIT, session.mailbox.ask(Cancel)).await.ok(),
                None => None,
            };
            let answer = match asked {
                Some(Ok(answer)) => answer,
                Some(Err(Undelivered::Closed)) => Err(RegistryError::UploadMoving),
                Some(Err(Undelivered::Full)) | None => self.tools.cancel(id).await,
            };
            if !matches!(answer, Err(RegistryError::UploadMoving)) {
                return answer;
            }
        }
        Err(RegistryError::UploadMoving)
    }

    /// Asks the session of an upload. One that ends meanwhile is looked for again: then the upload
    /// is gone, or somebody has to claim it.
    async fn ask_again<M, T>(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        message: impl Fn() -> M,
    ) -> Result<T, RegistryError>
    where
        M: Message<Result = Result<T, RegistryError>> + Send + 'static,
        T: Send + 'static,
        UploadSession: Handler<M, Result = AtomicResponse<UploadSession, Result<T, RegistryError>>>,
    {
        for _ in 0..CLAIM_TRIES {
            match self
                .session(repository, id)
                .await?
                .mailbox
                .ask(message())
                .await
            {
                Ok(Err(RegistryError::UploadMoving)) | Err(Undelivered::Closed) => {}
                Ok(answer) => return answer,
                Err(undelivered) => return Err(session_error(undelivered)),
            }
        }
        Err(RegistryError::UploadMoving)
    }

    /// The open session of an upload, if this node has one.
    async fn find(
        &self,
        repository: &RepositoryName,
        id: UploadId,
    ) -> Result<Option<Session>, RegistryError> {
        match self.registry.ask(Find(id)).await.map_err(registry_error)? {
            Some(session) if session.repository != *repository => Err(unknown(id)),
            found => Ok(found),
        }
    }

    /// The session of an upload; claims the upload if this node has none.
    async fn session(
        &self,
        repository: &RepositoryName,
        id: UploadId,
    ) -> Result<Session, RegistryError> {
        if let Some(session) = self.find(repository, id).await? {
            return Ok(session);
        }
        // To take over may mean to copy gigabytes. A client that loses its patience finds the
        // upload further on when it comes again, so the claim goes on without it.
        let (uploads, repository) = (self.clone(), repository.clone());
        let claimed = actix_rt::spawn(async move { uploads.claim(&repository, id).await });
        claimed.await.unwrap_or(Err(RegistryError::UploadMoving))
    }

    async fn claim(
        &self,
        repository: &RepositoryName,
        id: UploadId,
    ) -> Result<Session, RegistryError> {
        let mut hash = DefaultHasher::new();
        id.hash(&mut hash);
        let lock = usize::try_from(hash.finish() % CLAIM_LOCKS as u64).unwrap_or_default();
        let _claiming = self.claims[lock].lock().await;
        for _ in 0..CLAIM_TRIES {
            if let Some(session) = self.find(repository, id).await? {
                return Ok(session);
            }
            let name = id.to_string();
            let row = self
                .tools
                .metadata
                .read(|view| read::upload(view, &name))
                .await;
            let row = row
                .map_err(RegistryError::metadata)?
                .ok_or_else(|| unknown(id))?;
            if row.repository != repository.as_str() {
                return Err(unknown(id));
            }
            let row = self.released(id, row).await?;
            match Upload::claim(&self.tools, id, repository, &row).await {
                Err(RegistryError::UploadMoving) => {}
                upload => {
                    return self
                        .registry
                        .ask(Open(upload?))
                        .await
                        .map_err(registry_error)?;
                }
            }
        }
        Err(RegistryError::UploadMoving)
    }

    /// The row of an upload after its owner, if that is another node, was asked to let go.
    async fn released(
        &self,
        id: UploadId,
        row: state::Upload,
    ) -> Result<state::Upload, RegistryError> {
        let own = self.tools.metadata.identity().node;
        let owner = row.owner.map_or(own, |owner| owner.node);
        if row.released || owner == own {
            return Ok(row);
        }
        let name = id.to_string();
        self.tools.metadata.ask_release(owner, &name).await;
        let row = self
            .tools
            .metadata
            .read(|view| read::upload(view, &name))
            .await;
        row.map_err(RegistryError::metadata)?
            .ok_or_else(|| unknown(id))
    }

    /// Lets go of an upload that another node has a request for.
    pub async fn release(&self, id: UploadId) {
        let Ok(Some(session)) = self.registry.ask(Find(id)).await else {
            return;
        };
        match session.mailbox.ask(Release).await {
            Ok(Ok(())) | Err(Undelivered::Closed) => {}
            Ok(Err(error)) => tracing::warn!(%error, upload = %id, "an upload was not released"),
            Err(Undelivered::Full) => tracing::debug!(upload = %id, "an upload is busy"),
        }
    }

    /// Lets go of every upload, so that the next life of the node goes on without copying.
    pub(super) async fn release_all(&self) {
        let Ok(sessions) = self.registry.ask(List).await else {
            return;
        };
        let releases = sessions.iter().map(|session| session.mailbox.ask(Release));
        for released in futures::future::join_all(releases).await {
            if let Ok(Err(error)) = released {
                tracing::warn!(%error, "an upload was not released; the next request copies it");
            }
        }
    }

    /// How many sessions are open.
    pub(super) async fn count(&self) -> usize {
        self.registry
            .ask(List)
            .await
            .map_or(0, |sessions| sessions.len())
    }
}
