//! `verify`: compares the object store with the metadata while everything runs.
//!
//! It finds what the registry's own rules cannot prevent: objects that the store lost or changed,
//! and objects that nothing names. It marks damaged blobs, so that the next push of the digest
//! heals them; it deletes nothing. Each finding is checked against the metadata again before it
//! counts, since blobs are pushed and collected meanwhile.

use std::time::Duration;

use futures::{StreamExt, stream};
use roadstead_cluster::metadata::View;
use roadstead_cluster::{garbage, read};
use roadstead_proto::Digest;
use roadstead_proto::digest::Hasher;
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::{ConfirmVerified, MarkDamaged};
use roadstead_proto::rpc::state::Blob;
use roadstead_storage::{Error as StoreError, ObjectInfo, ObjectKey, path};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::collection::{self, Tools};
use crate::error::outcome;
use crate::limits::{
    VERIFIED_AT_ONCE, VERIFIED_PER_STEP, VERIFY_BYTES_PER_SECOND, VERIFY_REPOSITORIES_NAMED,
};
use crate::store_guard::GuardError;

/// What compares the store with the metadata.
#[derive(Debug, Clone)]
pub struct Verifier {
    tools: Tools,
    // Whether the store is the cluster's: its marker is looked at, and a restored cluster may
    // delete again once the store was looked through.
    is_owned: bool,
}

/// What to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Read every object and compare its digest; otherwise only that it is there in its size.
    pub hash: bool,
    /// How many bytes are read for that in a second at most.
    pub bytes_per_second: u64,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            hash: false,
            bytes_per_second: VERIFY_BYTES_PER_SECOND,
        }
    }
}

/// What was looked at and found so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Blobs that were looked at.
    pub blobs: u64,
    /// Their bytes: those that were read, or those that the records name.
    pub bytes: u64,
    /// Objects and unfinished writes that the store listed.
    pub objects: u64,
    /// Blobs without an object.
    pub missing: u64,
    /// Blobs whose object has another size.
    pub wrong_size: u64,
    /// Blobs whose object has another digest.
    pub wrong_hash: u64,
    /// Blobs that the store could not answer for.
    pub unreadable: u64,
    /// Blobs that were marked damaged before, though nothing is wrong with them now. Where their
    /// bytes were read, the mark is taken back.
    pub damaged: u64,
    /// Objects that nothing names.
    pub orphans: u64,
    /// Blobs that were marked damaged now.
    pub marked: u64,
}

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says it")]
pub enum Kind {
    Missing,
    WrongSize,
    WrongHash,
    Unreadable,
    /// It was marked damaged before, and nothing is wrong now.
    Marked,
    Orphan,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// The blob; empty for an orphan.
    pub digest: String,
    /// The object.
    pub object_key: String,
    /// More of it, for people.
    pub detail: String,
    /// The first few repositories that hold the blob.
    pub repositories: Vec<String>,
}

/// What whoever asked is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// How far it is.
    Progress(&'static str, Report),
    /// Something is wrong.
    Finding(Finding),
    /// It has come to its end.
    Report(Report),
}

/// Why it did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Nobody listens any more.
    #[error("nobody waits for the report any more")]
    Abandoned,
    /// The store is not the cluster's.
    #[error("{0}")]
    Alarm(String),
    /// The metadata did not answer.
    #[error("the metadata cannot be used: {0}")]
    Metadata(#[from] roadstead_cluster::Error),
    /// The store did not answer.
    #[error("the object store cannot be used: {0}")]
    Store(#[from] StoreError),
}

impl From<GuardError> for VerifyError {
    fn from(error: GuardError) -> Self {
        match error {
            GuardError::Alarm(reason) => Self::Alarm(reason),
            GuardError::Metadata(error) => Self::Metadata(error),
            GuardError::Store(error) => Self::Store(error),
        }
    }
}

/// What one blob came to.
struct Checked {
    bytes: u64,
    finding: Option<Finding>,
    is_marked: bool,
}

impl Verifier {
    /// Compares what collection works with.
    pub fn new(tools: Tools) -> Self {
        let is_owned = true;
        Self { tools, is_owned }
    }

    /// For metadata that are being restored, beside a store that is not theirs yet: its marker says
    /// something else, and an operator has not seen yet what is found.
    pub fn for_restore(tools: Tools) -> Self {
        let is_owned = false;
        Self { tools, is_owned }
    }

    /// Looks at every blob, then at every object, and tells what it finds as it goes.
    ///
    /// # Errors
    /// [`VerifyError`]; what was told before is true.
    pub async fn run(
        &self,
        wanted: Wanted,
        events: &mpsc::Sender<Event>,
    ) -> Result<(), VerifyError> {
        self.look_at_marker().await?;
        let mut report = Report::default();
        self.blobs(wanted, &mut report, events).await?;
        self.objects(&mut report, events).await?;
        self.confirm(&report).await?;
        tell(events, Event::Report(report)).await
    }

    async fn look_at_marker(&self) -> Result<(), GuardError> {
        if self.is_owned {
            self.tools.guard.look().await?;
        }
        Ok(())
    }

    /// What a restored cluster waits for before it deletes anything. What could not be read was not
    /// compared.
    async fn confirm(&self, report: &Report) -> Result<(), VerifyError> {
        let metadata = &self.tools.metadata;
        let settings = metadata.read(|view| read::settings(view)).await?;
        let is_due = settings.unwrap_or_default().verify_due;
        if is_due && report.unreadable == 0 && self.is_owned {
            let confirm = Action::ConfirmVerified(ConfirmVerified {});
            metadata.propose(confirm).await?;
            tracing::info!("the store was compared with what was restored: collection goes on");
        }
        Ok(())
    }

    async fn blobs(
        &self,
        wanted: Wanted,
        report: &mut Report,
        events: &mpsc::Sender<Event>,
    ) -> Result<(), VerifyError> {
        let pace = BytePace::new(wanted.bytes_per_second);
        let mut from = Vec::new();
        loop {
            let look = |view: &dyn View| garbage::blobs(view, &from, VERIFIED_PER_STEP);
            let found = self.tools.metadata.read(look).await?;
            let mut checked = stream::iter(found.items)
                .map(|(digest, blob)| self.check(digest, blob, wanted, &pace))
                .buffer_unordered(VERIFIED_AT_ONCE);
            while let Some(checked) = checked.next().await {
                let checked = checked?;
                report.blobs += 1;
                report.bytes += checked.bytes;
                report.marked += u64::from(checked.is_marked);
                if let Some(finding) = checked.finding {
                    report.count(finding.kind);
                    tell(events, Event::Finding(finding)).await?;
                }
            }
            tell(events, Event::Progress("blobs", *report)).await?;
            match found.next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// Compares one blob with its object.
    async fn check(
        &self,
        digest: String,
        blob: Blob,
        wanted: Wanted,
        pace: &BytePace,
    ) -> Result<Checked, VerifyError> {
        let (bytes, wrong) = match blob.object_key.parse::<ObjectKey>() {
            Ok(key) => self.look(&digest, &blob, &key, wanted, pace).await,
            Err(error) => (0, Some((Kind::Missing, error.to_string()))),
        };
        let right = Checked {
            bytes,
            finding: None,
            is_marked: false,
        };
        let marked = || {
            let detail = if wanted.hash {
                "right again, so that the mark is taken back"
            } else {
                "there in its size; verify with --hash, or push it again"
            };
            (Kind::Marked, detail.to_owned())
        };
        let Some((kind, detail)) = wrong.or_else(|| blob.damaged.then(marked)) else {
            return Ok(right);
        };
        let look = |view: &dyn View| {
            let again = garbage::blob(view, &digest)?;
            let holders = read::holders_of_blob(view, &digest, VERIFY_REPOSITORIES_NAMED)?;
            Ok((again, holders))
        };
        let (again, repositories) = self.tools.metadata.read(look).await?;
        // Collected, or pushed again, since the record was read: it was right then.
        let Some(again) = again.filter(|again| again.object_key == blob.object_key) else {
            return Ok(right);
        };
        let is_damage = !matches!(kind, Kind::Unreadable | Kind::Marked);
        if is_damage {
            // An unmounted store holds nothing, and is no reason to mark everything.
            self.look_at_marker().await?;
        }
        if kind == Kind::Marked && wanted.hash {
            self.mark(&digest, &blob, true).await?;
        }
        let is_marked = is_damage && !again.damaged && self.mark(&digest, &blob, false).await?;
        Ok(Checked {
            bytes,
            finding: Some(Finding {
                kind,
                digest,
                object_key: blob.object_key,
                detail,
                repositories,
            }),
            is_marked,
        })
    }

    async fn look(
        &self,
        digest: &str,
        blob: &Blob,
        key: &ObjectKey,
        wanted: Wanted,
        pace: &BytePace,
    ) -> (u64, Option<(Kind, String)>) {
        let size = match self.tools.store.size(key).await {
            Ok(size) => size,
            Err(error) => return (0, Some(wrong(&error))),
        };
        if size != blob.size {
            let detail = format!("{size} bytes instead of {}", blob.size);
            return (0, Some((Kind::WrongSize, detail)));
        }
        if !wanted.hash {
            return (size, None);
        }
        match self.hash(digest, key, pace).await {
            Ok(found) if found.as_deref() == Some(digest) => (size, None),
            Ok(Some(found)) => (size, Some((Kind::WrongHash, format!("hashes to {found}")))),
            Ok(None) => {
                let detail = "the digest's algorithm is not known to this version".to_owned();
                (size, Some((Kind::Unreadable, detail)))
            }
            Err(error) => (0, Some(wrong(&error))),
        }
    }

    /// What the object hashes to, by the algorithm of the digest.
    async fn hash(
        &self,
        digest: &str,
        key: &ObjectKey,
        pace: &BytePace,
    ) -> Result<Option<String>, StoreError> {
        let Ok(expected) = digest.parse::<Digest>() else {
            return Ok(None);
        };
        let mut hasher = Hasher::new(expected.algorithm());
        let mut chunks = self.tools.store.read(key, None).await?.into_chunks();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            pace.take(chunk.len()).await;
            hasher.update(&chunk);
        }
        Ok(Some(hasher.finish().to_string()))
    }

    /// Marks the blob damaged, or takes the mark back from a sound one. `false` if its record
    /// changed meanwhile.
    async fn mark(&self, digest: &str, blob: &Blob, sound: bool) -> Result<bool, VerifyError> {
        let mark = MarkDamaged {
            digest: digest.to_owned(),
            object_key: blob.object_key.clone(),
            sound,
        };
        let response = self
            .tools
            .metadata
            .propose(Action::MarkDamaged(mark))
            .await?;
        Ok(outcome(response).is_ok())
    }

    /// Looks for objects that nothing names. They are told of only; the sweep deletes them.
    async fn objects(
        &self,
        report: &mut Report,
        events: &mpsc::Sender<Event>,
    ) -> Result<(), VerifyError> {
        let mut listed = self.tools.store.list(path::OBJECTS_PREFIX);
        let mut step: Vec<ObjectInfo> = Vec::with_capacity(VERIFIED_PER_STEP);
        loop {
            let entry = listed.next().await;
            let is_end = entry.is_none();
            match entry {
                Some(Ok(info)) if info.key.is_of_upload() => step.push(info),
                // Not an object of ours; the sweep counts them.
                Some(Ok(_)) => {}
                Some(Err(StoreError::InvalidKey { .. })) => {}
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
            if step.len() < VERIFIED_PER_STEP && !is_end {
                continue;
            }
            report.objects += step.len() as u64;
            for orphan in collection::orphans(&self.tools.metadata, &step).await? {
                report.count(Kind::Orphan);
                let is_whole = if orphan.unfinished {
                    "unfinished, "
                } else {
                    ""
                };
                let finding = Finding {
                    kind: Kind::Orphan,
                    digest: String::new(),
                    object_key: orphan.key.to_string(),
                    detail: format!("{is_whole}{} bytes", orphan.size),
                    repositories: Vec::new(),
                };
                tell(events, Event::Finding(finding)).await?;
            }
            step.clear();
            tell(events, Event::Progress("objects", *report)).await?;
            if is_end {
                return Ok(());
            }
        }
    }
}

impl Report {
    fn count(&mut self, kind: Kind) {
        *match kind {
            Kind::Missing => &mut self.missing,
            Kind::WrongSize => &mut self.wrong_size,
            Kind::WrongHash => &mut self.wrong_hash,
            Kind::Unreadable => &mut self.unreadable,
            Kind::Marked => &mut self.damaged,
            Kind::Orphan => &mut self.orphans,
        } += 1;
    }
}

/// What an error of the store says about a blob: damage only if it is no passing trouble.
fn wrong(error: &StoreError) -> (Kind, String) {
    let kind = match error {
        StoreError::NotFound { .. } => Kind::Missing,
        StoreError::Corrupt { .. } => Kind::WrongSize,
        _ => Kind::Unreadable,
    };
    (kind, error.to_string())
}

async fn tell(events: &mpsc::Sender<Event>, event: Event) -> Result<(), VerifyError> {
    let told = events.send(event).await;
    told.map_err(|_closed| VerifyError::Abandoned)
}

/// So many bytes per second, over all readers.
struct BytePace {
    per_second: u64,
    free_at: Mutex<Instant>,
}

impl BytePace {
    fn new(per_second: u64) -> Self {
        Self {
            per_second: per_second.max(1),
            free_at: Mutex::new(Instant::now()),
        }
    }

    async fn take(&self, bytes: usize) {
        let cost = Duration::from_secs_f64(bytes as f64 / self.per_second as f64);
        let mut free_at = self.free_at.lock().await;
        *free_at = (*free_at).max(Instant::now()) + cost;
        let until = *free_at;
        drop(free_at);
        sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_readers_together_read_so_many_bytes_a_second() {
        let pace = BytePace::new(1_000);
        let began = Instant::now();
        for _ in 0..10 {
            tokio::join!(pace.take(300), pace.take(200));
        }
        assert_eq!(began.elapsed().as_secs(), 5);
        // What was not used is not saved up.
        tokio::time::advance(Duration::from_secs(60)).await;
        let began = Instant::now();
        pace.take(1_000).await;
        pace.take(1_000).await;
        assert_eq!(began.elapsed().as_secs(), 2);
    }
}
