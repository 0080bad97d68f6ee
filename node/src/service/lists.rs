//! Lists: tags, repositories, referrers.

use roadstead_cluster::metadata::View;
use roadstead_cluster::read::{self, NamedManifest, Page};
use roadstead_proto::{Digest, RepositoryName};

use super::Registry;
use crate::error::RegistryError;

impl Registry {
    /// end-8: at most `limit` tags after `last`.
    pub async fn tags(
        &self,
        repository: &RepositoryName,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, RegistryError> {
        let name = repository.as_str();
        let look = |view: &dyn View| {
            if read::repository(view, name)?.is_none() {
                return Ok(None);
            }
            read::tags(view, name, last, limit).map(Some)
        };
        let found = self
            .metadata
            .read(look)
            .await
            .map_err(RegistryError::metadata)?;
        found.ok_or_else(|| RegistryError::NameUnknown(repository.clone()))
    }

    /// At most `limit` repositories after `last`.
    pub async fn catalog(
        &self,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Page<String>, RegistryError> {
        let look = |view: &dyn View| read::repositories(view, last, limit);
        self.metadata
            .read(look)
            .await
            .map_err(RegistryError::metadata)
    }

    /// end-12: at most `limit` manifests after `last` whose subject is `subject`.
    pub async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Page<NamedManifest>, RegistryError> {
        let (name, subject) = (repository.as_str(), subject.as_str());
        let look = |view: &dyn View| read::referrers(view, name, subject, last, limit);
        self.metadata
            .read(look)
            .await
            .map_err(RegistryError::metadata)
    }
}
