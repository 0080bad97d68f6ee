//! Blobs that are stored: look, open, mount, delete.

use std::ops::Range;
use std::time::Duration;

use roadstead_cluster::Seen;
use roadstead_cluster::metadata::View;
use roadstead_cluster::read::{self, LinkedBlob};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::{DeleteBlob, MarkDamaged, MountBlob, RenewHold};
use roadstead_proto::{Digest, RepositoryName};
use roadstead_storage::{BlobReader, Error as StorageError, ObjectKey};
use url::Url;

use super::{Registry, found_or, outage};
use crate::error::{RegistryError, outcome};
use crate::limits::{MOUNT_SOURCES_MAX, READING_DELAY, REDIRECT_VALID, REDIRECT_VALID_MIN};

/// A blob that was asked for.
#[derive(Debug)]
pub enum OpenBlob {
    /// The store serves it itself, to whoever has this URL.
    Elsewhere(Url),
    /// It is being read here.
    Here {
        /// Its size, whatever part is read.
        size: u64,
        /// The bytes.
        reader: BlobReader,
    },
}

impl Registry {
    /// The blob of a repository, as the metadata have it.
    async fn linked_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Seen<LinkedBlob>, RegistryError> {
        let (name, text) = (repository.as_str(), digest.as_str());
        let look = |view: &dyn View| read::blob(view, name, text);
        let seen = self.read_settled(look).await?;
        found_or(seen, || RegistryError::BlobUnknown(digest.clone()))
    }

    /// end-2, `HEAD`: the size of a blob. Who was told that it is there may rely on it for a
    /// grace, so that its hold is renewed when less remains.
    pub async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<u64, RegistryError> {
        let Seen { found, is_local } = self.linked_blob(repository, digest).await?;
        if found.blob.damaged && is_local {
            // It may have been healed since.
            return Err(outage());
        }
        if found.blob.damaged {
            // So that clients push it again.
            return Err(RegistryError::BlobUnknown(digest.clone()));
        }
        if let Some(hold_until_ms) = found.hold_until_ms {
            if is_local {
                return Err(outage());
            }
            self.renew_if_due(repository, digest, hold_until_ms).await?;
        }
        Ok(found.blob.size)
    }

    /// Renews a hold of which less than one grace remains.
    async fn renew_if_due(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        hold_until_ms: u64,
    ) -> Result<(), RegistryError> {
        let (now_ms, grace_ms) = self.now_and_grace().await?;
        if hold_until_ms.saturating_sub(now_ms) >= grace_ms {
            return Ok(());
        }
        if self.renew_hold(repository, digest).await? {
            Ok(())
        } else {
            Err(RegistryError::BlobUnknown(digest.clone()))
        }
    }

    /// Renews the hold of a blob, or the age of an unheld manifest. `false` when it is gone.
    pub(super) async fn renew_hold(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let digests = vec![digest.to_string()];
        let renew = RenewHold {
            repository: repository.to_string(),
            digests,
        };
        let response = self.metadata.propose(Action::RenewHold(renew)).await;
        match outcome(response.map_err(RegistryError::metadata)?) {
            Ok(_) => Ok(true),
            Err(refused) if refused.reason == Reason::BlobUnknown => Ok(false),
            Err(refused) => Err(refused.other()),
        }
    }

    /// end-2, `GET`: opens a blob, or the part of it that `range` picks once the size is known.
    ///
    /// Where the client can be sent to the store, the object is not looked at and the range is the
    /// store's affair.
    pub async fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        range: impl Fn(u64) -> Result<Option<Range<u64>>, RegistryError>,
    ) -> Result<OpenBlob, RegistryError> {
        let (seen, valid_for) = self.blob_to_open(repository, digest).await?;
        let Seen {
            mut found,
            mut is_local,
        } = seen;
        loop {
            if found.blob.damaged && is_local {
                return Err(outage());
            }
            if found.blob.damaged {
                // Its bytes may be there and wrong: nobody is served what is known to be that.
                let source = "it was marked damaged before; `roadstead verify --hash` takes the \
                              mark back if the object is right";
                let digest = digest.clone();
                let source = source.into();
                return Err(RegistryError::BlobDamaged { digest, source });
            }
            let key = found
                .blob
                .object_key
                .parse()
                .map_err(RegistryError::store)?;
            if let Some(url) = self.redirect(digest, &key, valid_for).await {
                return Ok(OpenBlob::Elsewhere(url));
            }
            let range = range(found.blob.size)?;
            match self.store.read(&key, range).await {
                Ok(reader) if reader.size() == found.blob.size => {
                    let size = found.blob.size;
                    return Ok(OpenBlob::Here { size, reader });
                }
                Ok(reader) => {
                    let (size, actual) = (found.blob.size, reader.size());
                    let source = format!("the object {key} has {actual} bytes, not {size}");
                    return Err(self.wrong(digest, &found, &key, source.into()).await);
                }
                // It may have been collected since this node was cut off.
                Err(StorageError::NotFound { .. }) if is_local => return Err(outage()),
                Err(error @ StorageError::NotFound { .. }) => {
                    // It may have been collected and pushed again since the record was read: the
                    // client hears of it only if the record still says the same.
                    let again = self.linked_blob(repository, digest).await?;
                    if again.is_local {
                        return Err(outage());
                    }
                    if again.found.blob.object_key == found.blob.object_key {
                        return Err(self.wrong(digest, &found, &key, error.into()).await);
                    }
                    Seen { found, is_local } = again;
                }
                // The range lies within the size that was recorded, so the object is shorter.
                Err(
                    error
                    @ (StorageError::Corrupt { .. } | StorageError::RangeUnsatisfiable { .. }),
                ) => return Err(self.wrong(digest, &found, &key, error.into()).await),
                Err(error) => return Err(RegistryError::store(error)),
            }
        }
    }

    /// A blob, and how long a URL may be valid that a client is sent to for it; `None` where it
    /// passes through the node.
    async fn blob_to_open(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(Seen<LinkedBlob>, Option<Duration>), RegistryError> {
        if !self.policy.may_redirect() {
            return Ok((self.linked_blob(repository, digest).await?, None));
        }
        let (name, text) = (repository.as_str(), digest.as_str());
        let look = |view: &dyn View| Ok((read::blob(view, name, text)?, read::settings(view)?));
        let Seen {
            found: (found, settings),
            is_local,
        } = self.read_settled(look).await?;
        let seen = Seen { found, is_local };
        let seen = found_or(seen, || RegistryError::BlobUnknown(digest.clone()))?;
        // While the URL is valid, collection must leave the object there.
        let delay = settings.unwrap_or_default().reading_delay_ms;
        let delay = delay.map_or(READING_DELAY, Duration::from_millis);
        let valid_for = delay.min(REDIRECT_VALID);
        // The store would say that an object is not there, which may be wrong in an outage.
        let is_sent = valid_for >= REDIRECT_VALID_MIN && !seen.is_local;
        Ok((seen, is_sent.then_some(valid_for)))
    }

    /// Where the store serves an object to clients, if it does.
    async fn redirect(
        &self,
        digest: &Digest,
        key: &ObjectKey,
        valid_for: Option<Duration>,
    ) -> Option<Url> {
        match self.store.redirect_url(key, valid_for?).await {
            Ok(url) => url,
            Err(error) => {
                // If the store is down the client hears of it next, when the blob is opened.
                tracing::warn!(%digest, %error, "a client is not redirected: the blob is streamed");
                None
            }
        }
    }

    /// What the store answered to a read does not fit the record. It is asked once more, in another
    /// way, before the blob counts as damaged: an answer may be wrong where the object is right.
    async fn wrong(
        &self,
        digest: &Digest,
        found: &LinkedBlob,
        key: &ObjectKey,
        source: crate::error::Source,
    ) -> RegistryError {
        match self.store.size(key).await {
            Ok(size) if size == found.blob.size => RegistryError::Unavailable {
                what: "the object store",
                source,
            },
            Ok(_) | Err(StorageError::NotFound { .. } | StorageError::Corrupt { .. }) => {
                self.damaged(digest, found, source).await
            }
            Err(error) => RegistryError::store(error),
        }
    }

    /// Records that a blob's object is not what it should be: from now on it reads as absent to
    /// those who ask before they push, and the next push of the digest heals it.
    async fn damaged(
        &self,
        digest: &Digest,
        found: &LinkedBlob,
        source: crate::error::Source,
    ) -> RegistryError {
        let object_key = found.blob.object_key.clone();
        let mark = MarkDamaged {
            digest: digest.to_string(),
            object_key,
            sound: false,
        };
        // An unmounted store holds nothing, and is no reason to mark what is asked for meanwhile.
        if let Err(error) = self.guard.look().await {
            tracing::error!(%digest, %error, "a blob that cannot be read was not marked damaged");
        } else if let Err(error) = self.metadata.propose(Action::MarkDamaged(mark)).await {
            tracing::error!(%digest, %error, "a damaged blob was not marked");
        }
        RegistryError::BlobDamaged {
            digest: digest.clone(),
            source,
        }
    }

    /// end-11: links a blob of another repository. `false` when there is none to link: then the
    /// client uploads.
    pub async fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<bool, RegistryError> {
        let sources = match from {
            Some(from) => vec![from.to_string()],
            None => {
                let text = digest.as_str();
                let look = |view: &dyn View| read::holders_of_blob(view, text, MOUNT_SOURCES_MAX);
                self.metadata
                    .read(look)
                    .await
                    .map_err(RegistryError::metadata)?
            }
        };
        for from in sources {
            let mount = MountBlob {
                repository: repository.to_string(),
                from,
                digest: digest.to_string(),
            };
            let response = self.metadata.propose(Action::MountBlob(mount)).await;
            match outcome(response.map_err(RegistryError::metadata)?) {
                Ok(_) => return Ok(true),
                Err(refused) if refused.reason == Reason::BlobUnknown => {}
                Err(refused) => return Err(refused.other()),
            }
        }
        Ok(false)
    }

    /// end-10: removes a blob from a repository.
    pub async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let delete = DeleteBlob {
            repository: repository.to_string(),
            digest: digest.to_string(),
        };
        let response = self.metadata.propose(Action::DeleteBlob(delete)).await;
        match outcome(response.map_err(RegistryError::metadata)?) {
            Ok(_) => Ok(()),
            Err(refused) => Err(match refused.reason {
                Reason::BlobUnknown => RegistryError::BlobUnknown(digest.clone()),
                Reason::StillReferenced => RegistryError::StillReferenced {
                    digest: digest.clone(),
                    manifests: refused.digests,
                },
                _ => refused.other(),
            }),
        }
    }
}
