//! Deletes: tags, manifests, blobs, repositories.

use std::time::Instant;

use roadstead_tests::wait::LONG;

use super::super::deleter::Deletion;
use super::{Cut, Worker, count};

impl Worker<'_> {
    pub(super) fn delete_tag(&mut self, which: usize) -> Result<(), Cut> {
        let tags: Vec<_> = self.records[which].tags.clone().into_iter().collect();
        let Some((tag, target)) = self.chance.pick(&tags) else {
            return Ok(());
        };
        self.records[which].loosen(tag, Instant::now());
        let request = self.request(which, "DELETE", &format!("manifests/{tag}"));
        let about = (target, Vec::new());
        let seen = self.ask(which, "DELETE of a tag of the manifest", about, request)?;
        self.expect(which, seen, 202, std::slice::from_ref(target))?;
        self.records[which].fasten(tag, None);
        Ok(())
    }

    /// Deletes a manifest by its digest, and its tags with it. What an index contains stays, so
    /// that every image that is there is whole.
    pub(super) fn delete_manifest(&mut self, which: usize) -> Result<(), Cut> {
        let Some(manifest) = self.some_manifest(which) else {
            return Ok(());
        };
        let digest = &manifest.digest;
        if self.records[which].is_child(digest) {
            return Ok(());
        }
        let record = &mut self.records[which];
        let until = record.lives_until(digest);
        let tags: Vec<_> = record.tags_of(digest).collect();
        record.may_go(digest, Instant::now());
        let request = self.request(which, "DELETE", &format!("manifests/{digest}"));
        let about = (digest, manifest.about());
        let seen = self.ask(which, "DELETE of the manifest", about, request)?;
        let is_gone_already = seen.status() == 404 && !seen.is_before(until);
        if !is_gone_already && seen.status() != 202 {
            return Err(self.unexpected(which, &seen, std::slice::from_ref(digest)));
        }
        let record = &mut self.records[which];
        record.went(digest);
        for tag in tags {
            record.fasten(&tag, None);
        }
        Ok(())
    }

    /// Deletes a blob, which is refused while a manifest needs it.
    pub(super) fn delete_blob(&mut self, which: usize) -> Result<(), Cut> {
        let now = Instant::now();
        self.records[which].lapse(now);
        let known: Vec<_> = self.records[which].promised().collect();
        let Some((blob, _)) = self.chance.pick(&known) else {
            return Ok(());
        };
        let blob = (*blob).clone();
        let record = &mut self.records[which];
        let until = record.blob_until(&blob);
        // For longer than any request takes.
        let is_referenced = record.is_referenced(&blob, now + LONG);
        if is_referenced != Some(true) {
            if record.is_referenced(&blob, now) == Some(true) {
                // For a moment more: nobody knows what the answer will be.
                return Ok(());
            }
            record.take_back(&blob);
        }
        let request = self.request(which, "DELETE", &format!("blobs/{blob}"));
        let seen = self.ask(which, "DELETE of the blob", (&blob, Vec::new()), request)?;
        let about = std::slice::from_ref(&blob);
        match (seen.status(), is_referenced) {
            (405, Some(true) | None) | (202, Some(false) | None) => Ok(()),
            (404, Some(false) | None) if !seen.is_before(until) => Ok(()),
            (404, _) => Err(self.wrong(which, "a blob was collected early", &seen, about)),
            (202, Some(true)) => {
                let what = "a blob was deleted that a manifest needs";
                Err(self.wrong(which, what, &seen, about))
            }
            _ => Err(self.unexpected(which, &seen, about)),
        }
    }

    /// Deletes a whole repository, as an operator does.
    pub(super) fn delete_repository(&mut self, which: usize) -> Result<(), Cut> {
        let name = self.records[which].name.clone();
        self.records[which].may_vanish(Instant::now());
        match self.common.deleter.delete(&name) {
            Deletion::Done => {
                self.records[which].vanished();
                count(&self.common.counts.repositories);
                Ok(())
            }
            Deletion::Unanswered(reason) => Err(Cut::Gone(reason)),
            Deletion::Refused(reason) => Err(Cut::Wrong(format!("{name}: {reason}"))),
        }
    }
}
