//! Blobs that are stored: look, open, mount, delete.

use std::ops::Range;

use roadstead_cluster::read::{self, LinkedBlob};
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::{DeleteBlob, MarkDamaged, MountBlob, RenewHold};
use roadstead_proto::{Digest, RepositoryName};
use roadstead_storage::BlobReader;

use super::Registry;
use crate::error::{RegistryError, outcome};
use crate::limits::MOUNT_SOURCES_MAX;

/// A blob that is being read.
#[derive(Debug)]
pub struct OpenBlob {
    /// Its size, whatever part is read.
    pub size: u64,
    /// The bytes.
    pub reader: BlobReader,
}

impl Registry {
    /// The blob of a repository, as the metadata have it.
    async fn linked_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<LinkedBlob, RegistryError> {
        let (name, text) = (repository.as_str(), digest.as_str());
        let found = self
            .metadata
            .read(|view| read::blob(view, name, text))
            .await;
        let found = found.map_err(RegistryError::metadata)?;
        found.ok_or_else(|| RegistryError::BlobUnknown(digest.clone()))
    }

    /// end-2, `HEAD`: the size of a blob. Who was told that it is there may rely on it for a
    /// grace, so that its hold is renewed when less remains.
    pub async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<u64, RegistryError> {
        let found = self.linked_blob(repository, digest).await?;
        if found.blob.damaged {
            // So that clients push it again.
            return Err(RegistryError::BlobUnknown(digest.clone()));
        }
        if let Some(hold_until_ms) = found.hold_until_ms {
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
    pub async fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        range: impl Fn(u64) -> Result<Option<Range<u64>>, RegistryError>,
    ) -> Result<OpenBlob, RegistryError> {
        let mut found = self.linked_blob(repository, digest).await?;
        loop {
            let range = range(found.blob.size)?;
            let key = found
                .blob
                .object_key
                .parse()
                .map_err(RegistryError::store)?;
            match self.store.read(&key, range).await {
                Ok(reader) if reader.size() == found.blob.size => {
                    return Ok(OpenBlob {
                        size: found.blob.size,
                        reader,
                    });
                }
                Ok(reader) => {
                    let (size, actual) = (found.blob.size, reader.size());
                    let source = format!("the object {key} has {actual} bytes, not {size}");
                    return Err(self.damaged(digest, &found, source.into()).await);
                }
                Err(error) if matches!(error, roadstead_storage::Error::NotFound { .. }) => {
                    // It may have been collected and pushed again since the record was read: the
                    // client hears of it only if the record still says the same.
                    let again = self.linked_blob(repository, digest).await?;
                    if again.blob.object_key == found.blob.object_key {
                        return Err(self.damaged(digest, &found, error.into()).await);
                    }
                    found = again;
                }
                Err(error) => return Err(RegistryError::store(error)),
            }
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
                let look = |view: &dyn roadstead_cluster::metadata::View| {
                    read::holders_of_blob(view, text, MOUNT_SOURCES_MAX)
                };
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
