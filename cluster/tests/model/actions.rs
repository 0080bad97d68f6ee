//! What each command does, in the simplest words.

use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{self as rpc, Response};

use crate::facts::{BlobFacts, Life, Name};
use crate::naive::{Manifest, Naive, Object, Upload, name, no, no_because_of, outcome, yes};

/// As many tags go in one step of a deletion.
const TAGS_PER_STEP: usize = 256;

const HOUR_MS: u64 = 3_600_000;

impl Naive {
    pub(crate) fn act(&mut self, action: &Action, unix_ms: u64) -> Response {
        let before = self.clone();
        let response = match action {
            Action::FoundCluster(found) => self.found(found),
            Action::AdmitNode(admit) => self.admit(admit),
            Action::RemoveNode(remove) => self.remove(remove.node),
            Action::RestoreCluster(restore) => self.restore(restore),
            Action::ConfirmVerified(_) => {
                self.settings().verify_due = false;
                yes()
            }
            Action::StartNode(start) => self.start(start),
            Action::ConfirmMarker(confirm) => self.confirm(confirm),
            Action::ChangeSettings(change) => self.change(change),
            Action::RaiseFeatureLevel(raise) => self.raise(raise.level),
            Action::BeginUpload(begin) => self.begin(begin, unix_ms),
            Action::CheckpointUpload(at) => self.checkpoint(at, false),
            Action::ReleaseUpload(at) => {
                let at = rpc::CheckpointUpload {
                    upload: at.upload.clone(),
                    epoch: at.epoch,
                    offset: at.offset,
                    hash_state: at.hash_state.clone(),
                    checkpoint: at.checkpoint.clone(),
                };
                self.checkpoint(&at, true)
            }
            Action::ClaimUpload(claim) => self.claim(claim),
            Action::CommitUpload(commit) => self.commit(commit),
            Action::CancelUpload(cancel) => self.cancel(cancel),
            Action::MountBlob(mount) => self.mount(mount),
            Action::DeleteBlob(delete) => self.unlink(delete),
            Action::RenewHold(renew) => self.renew_all(renew),
            Action::MarkDamaged(mark) => self.damage(mark),
            Action::PutManifest(put) => self.put(put),
            Action::DeleteManifest(delete) => self.delete(&delete.repository, &delete.digest),
            Action::ContinueDeletion(step) if step.digest.is_empty() => {
                self.empty(&step.repository)
            }
            Action::ContinueDeletion(step) => self.go_on(&step.repository, &step.digest),
            Action::DeleteTag(delete) => self.untag(delete),
            Action::Condemn(condemn) => self.condemn(condemn),
            Action::Forget(forget) => self.forget(forget),
            Action::DeleteRepository(delete) => self.delete_repository(&delete.repository),
            Action::ExpireUploads(expire) => self.expire_uploads(expire),
            Action::ExpireManifests(expire) => self.expire_manifests(expire),
        };
        self.follow(&before);
        match response.outcome {
            // The answer is the row as it is when everything is settled.
            Some(Outcome::Claimed(_)) => self.claimed(action),
            _ => response,
        }
    }

    fn begin(&mut self, begin: &rpc::BeginUpload, unix_ms: u64) -> Response {
        if let Some(upload) = self.uploads.get(&begin.upload) {
            let is_repeat = upload.epoch == 1 && upload.key == begin.object_key;
            return if is_repeat {
                yes()
            } else {
                no(Reason::KeyUsed)
            };
        }
        if self.objects.contains_key(&begin.object_key) {
            return no(Reason::KeyUsed);
        }
        if self.doomed.contains(&begin.repository) {
            return no(Reason::Deleting);
        }
        let upload = Upload {
            repository: begin.repository.clone(),
            algorithm: begin.algorithm.clone(),
            key: begin.object_key.clone(),
            former: None,
            owner: begin.owner,
            epoch: 1,
            is_released: false,
            offset: 0,
            hash_state: Vec::new(),
            started_at_unix_ms: unix_ms,
            updated_at_ms: self.now_ms,
            last_claim: None,
        };
        self.uploads.insert(begin.upload.clone(), upload);
        yes()
    }

    /// Why nobody may do this to the upload, if so.
    fn refusal(&self, upload: &str, epoch: u64) -> Option<Response> {
        match self.uploads.get(upload) {
            None => Some(no(Reason::UploadUnknown)),
            Some(upload) => (upload.epoch != epoch).then(|| no(Reason::EpochStale)),
        }
    }

    fn checkpoint(&mut self, at: &rpc::CheckpointUpload, is_release: bool) -> Response {
        if let Some(refusal) = self.refusal(&at.upload, at.epoch) {
            return refusal;
        }
        let upload = self.uploads.get_mut(&at.upload).expect("an upload");
        if at.offset < upload.offset {
            return no(Reason::OffsetBehind);
        }
        upload.offset = at.offset;
        upload.hash_state = at.hash_state.to_vec();
        upload.former = None;
        upload.is_released |= is_release;
        upload.updated_at_ms = self.now_ms;
        let object = self.objects.get_mut(&upload.key).expect("its object");
        object.checkpoint = at.checkpoint.to_vec();
        object.size = at.offset;
        yes()
    }

    fn claim(&mut self, claim: &rpc::ClaimUpload) -> Response {
        let is_used = self.objects.contains_key(&claim.fresh_key);
        let Some(upload) = self.uploads.get_mut(&claim.upload) else {
            return no(Reason::UploadUnknown);
        };
        let claimed = outcome(Outcome::Claimed(rpc::Claimed { upload: None }));
        if upload.last_claim.as_ref() == Some(claim) && upload.key == claim.fresh_key {
            return claimed;
        }
        if upload.epoch != claim.epoch_seen {
            return no(Reason::EpochStale);
        }
        if !upload.is_released {
            if is_used {
                return no(Reason::KeyUsed);
            }
            let abandoned = std::mem::replace(&mut upload.key, claim.fresh_key.clone());
            // The first key that has a checkpoint, or may have, is what is read from.
            upload.former.get_or_insert(abandoned);
        }
        upload.is_released = false;
        upload.epoch += 1;
        upload.owner = claim.owner;
        upload.updated_at_ms = self.now_ms;
        upload.last_claim = Some(claim.clone());
        claimed
    }

    fn claimed(&self, action: &Action) -> Response {
        let Action::ClaimUpload(claim) = action else {
            unreachable!("only a claim is claimed")
        };
        let upload = Some(self.upload_row(&self.uploads[&claim.upload]));
        outcome(Outcome::Claimed(rpc::Claimed { upload }))
    }

    fn commit(&mut self, commit: &rpc::CommitUpload) -> Response {
        if let Some(refusal) = self.refusal(&commit.upload, commit.epoch) {
            return self.remembered(commit).unwrap_or(refusal);
        }
        if self
            .doomed
            .contains(&self.uploads[&commit.upload].repository)
        {
            return no(Reason::Deleting);
        }
        let upload = self.uploads.remove(&commit.upload).expect("an upload");
        // The object is whole: nothing unfinished is left of it.
        let object = self.objects.get_mut(&upload.key).expect("its object");
        object.checkpoint.clear();
        object.size = commit.size;
        let is_stored = |blob: &BlobFacts| !blob.damaged;
        if !self.blobs.get(&commit.digest).is_some_and(is_stored) {
            let blob = BlobFacts {
                object_key: upload.key,
                size: commit.size,
                damaged: false,
            };
            self.blobs.insert(commit.digest.clone(), blob);
        }
        self.link(&upload.repository, &commit.digest);
        let memory = (upload.repository, self.now_ms);
        self.commits
            .insert(name(&commit.upload, &commit.digest), memory);
        yes()
    }

    fn remembered(&mut self, commit: &rpc::CommitUpload) -> Option<Response> {
        let memory = self.commits.get(&name(&commit.upload, &commit.digest));
        let (repository, at_ms) = memory?.clone();
        if repository != commit.repository || at_ms + HOUR_MS <= self.now_ms {
            return None;
        }
        if !self.is_readable(&name(&repository, &commit.digest)) {
            return Some(no_because_of(
                Reason::BlobUnknown,
                vec![commit.digest.clone()],
            ));
        }
        self.renew(&repository, &commit.digest);
        Some(yes())
    }

    fn cancel(&mut self, cancel: &rpc::CancelUpload) -> Response {
        if let Some(refusal) = self.refusal(&cancel.upload, cancel.epoch) {
            return refusal;
        }
        self.uploads.remove(&cancel.upload);
        yes()
    }

    /// Whether the blob can be read in the repository.
    fn is_readable(&self, link: &Name) -> bool {
        self.links.contains_key(link) && !self.doomed.contains(&link.0)
    }

    fn link(&mut self, repository: &str, digest: &str) {
        let hold = self.hold();
        self.repositories.insert(repository.to_owned());
        self.links.entry(name(repository, digest)).or_insert(hold);
        self.renew(repository, digest);
    }

    fn renew(&mut self, repository: &str, digest: &str) {
        let (link, hold) = (name(repository, digest), self.hold());
        if !self.is_referenced(&link)
            && let Some(until) = self.links.get_mut(&link)
        {
            *until = hold.max(*until);
        }
    }

    fn mount(&mut self, mount: &rpc::MountBlob) -> Response {
        if self.doomed.contains(&mount.repository) {
            return no(Reason::Deleting);
        }
        let is_there = self.is_readable(&name(&mount.from, &mount.digest));
        if !is_there || self.blobs[&mount.digest].damaged {
            return no_because_of(Reason::BlobUnknown, vec![mount.digest.clone()]);
        }
        self.link(&mount.repository, &mount.digest);
        yes()
    }

    fn unlink(&mut self, delete: &rpc::DeleteBlob) -> Response {
        let link = name(&delete.repository, &delete.digest);
        if !self.is_readable(&link) {
            return no_because_of(Reason::BlobUnknown, vec![delete.digest.clone()]);
        }
        let manifests = self.pointing_at(&link.0, &link.1);
        if !manifests.is_empty() {
            return no_because_of(Reason::StillReferenced, manifests);
        }
        self.links.remove(&link);
        yes()
    }

    fn renew_all(&mut self, renew: &rpc::RenewHold) -> Response {
        let mut gone = Vec::new();
        for digest in &renew.digests {
            let at = name(&renew.repository, digest);
            if self.is_readable(&at) {
                self.renew(&renew.repository, digest);
            } else if !self.is_living(&at) {
                gone.push(digest.clone());
            }
            self.renew_unheld(&at);
        }
        if gone.is_empty() {
            yes()
        } else {
            no_because_of(Reason::BlobUnknown, gone)
        }
    }

    /// Somebody saw the manifest: if nothing holds it, that is so from now.
    fn renew_unheld(&mut self, at: &Name) {
        if self.is_living(at)
            && let Some(manifest) = self.manifests.get_mut(at)
            && manifest.unheld_since_ms.is_some()
        {
            manifest.unheld_since_ms = Some(self.now_ms);
            manifest.is_parked = false;
        }
    }

    fn damage(&mut self, mark: &rpc::MarkDamaged) -> Response {
        let blob = self.blobs.get_mut(&mark.digest);
        let Some(blob) = blob.filter(|blob| blob.object_key == mark.object_key) else {
            return no_because_of(Reason::BlobUnknown, vec![mark.digest.clone()]);
        };
        blob.damaged = !mark.sound;
        yes()
    }

    fn is_usable(&self, repository: &str, content: &rpc::Content) -> bool {
        let at = name(repository, &content.digest);
        if content.is_manifest {
            self.is_living(&at)
        } else {
            self.links.contains_key(&at) && !self.blobs[&content.digest].damaged
        }
    }

    fn put(&mut self, put: &rpc::PutManifest) -> Response {
        let at = name(&put.repository, &put.digest);
        let is_doomed = self.manifests.get(&at).is_some_and(|it| it.is_doomed);
        if is_doomed || self.doomed.contains(&put.repository) {
            return no(Reason::Deleting);
        }
        let required = put.contents.iter().filter(|content| content.is_required);
        let missing: Vec<String> = required
            .filter(|content| !self.is_usable(&put.repository, content))
            .map(|content| content.digest.clone())
            .collect();
        if !missing.is_empty() {
            return no_because_of(Reason::BlobUnknown, missing);
        }
        self.repositories.insert(put.repository.clone());
        self.renew_unheld(&at);
        self.manifests.entry(at).or_insert_with(|| Manifest {
            contents: put.contents.clone(),
            subject: put.subject.clone(),
            unheld_since_ms: None,
            is_doomed: false,
            is_parked: false,
        });
        for tag in &put.tags {
            self.tags
                .insert(name(&put.repository, tag), put.digest.clone());
        }
        yes()
    }

    fn delete(&mut self, repository: &str, digest: &str) -> Response {
        let at = name(repository, digest);
        if !self.is_living(&at) {
            return no(Reason::ManifestUnknown);
        }
        self.manifests.get_mut(&at).expect("a manifest").is_doomed = true;
        self.go_on(repository, digest)
    }

    fn go_on(&mut self, repository: &str, digest: &str) -> Response {
        let at = name(repository, digest);
        let mut is_finished = true;
        if self.manifests.get(&at).is_some_and(|it| it.is_doomed) {
            let tags = self
                .tags
                .iter()
                .filter(|(tag, to)| tag.0 == at.0 && **to == at.1);
            let tags: Vec<_> = tags.map(|(tag, _)| tag.clone()).collect();
            is_finished = tags.len() <= TAGS_PER_STEP;
            for tag in tags.iter().take(TAGS_PER_STEP) {
                self.tags.remove(tag);
            }
            if is_finished {
                self.manifests.remove(&at);
                self.tell_referrers(&at);
            }
        }
        outcome(Outcome::Deletion(rpc::Deletion { is_finished }))
    }

    /// What was said about a manifest is worth nothing by itself from now on.
    fn tell_referrers(&mut self, subject: &Name) {
        let all = self.manifests.iter();
        let told = all.filter(|(at, it)| at.0 == subject.0 && it.subject == subject.1);
        let told: Vec<Name> = told.map(|(at, _)| at.clone()).collect();
        for at in told {
            self.renew_unheld(&at);
        }
    }

    fn delete_repository(&mut self, repository: &str) -> Response {
        if !self.repositories.contains(repository) || self.doomed.contains(repository) {
            return no(Reason::RepositoryUnknown);
        }
        self.doomed.insert(repository.to_owned());
        self.empty(repository)
    }

    /// Tags go in steps; there are never enough of other things in this world to need one.
    fn empty(&mut self, repository: &str) -> Response {
        let mut is_finished = true;
        if self.doomed.contains(repository) {
            let tags = self.tags.keys().filter(|tag| tag.0 == repository);
            let tags: Vec<_> = tags.cloned().collect();
            is_finished = tags.len() <= TAGS_PER_STEP;
            for tag in tags.iter().take(TAGS_PER_STEP) {
                self.tags.remove(tag);
            }
        }
        if is_finished && self.doomed.remove(repository) {
            self.manifests.retain(|at, _| at.0 != repository);
            self.links.retain(|at, _| at.0 != repository);
            self.repositories.remove(repository);
        }
        outcome(Outcome::Deletion(rpc::Deletion { is_finished }))
    }

    fn expire_uploads(&mut self, expire: &rpc::ExpireUploads) -> Response {
        let mut count = 0;
        for named in &expire.uploads {
            let Some(upload) = self.uploads.get(&named.upload) else {
                continue;
            };
            let is_due = self
                .upload_due_ms(upload)
                .is_some_and(|due_ms| due_ms <= self.now_ms);
            if is_due && upload.epoch == named.epoch {
                self.uploads.remove(&named.upload);
                count += 1;
            }
        }
        outcome(Outcome::Expired(rpc::Expired { count }))
    }

    /// Many at once are as one after the other.
    fn expire_manifests(&mut self, expire: &rpc::ExpireManifests) -> Response {
        let mut count = 0;
        for named in &expire.manifests {
            let before = self.clone();
            count += u64::from(self.expire(&name(&named.repository, &named.digest)));
            self.follow(&before);
        }
        outcome(Outcome::Expired(rpc::Expired { count }))
    }

    fn expire(&mut self, at: &Name) -> bool {
        if !self.is_living(at) {
            return false;
        }
        let manifest = &self.manifests[at];
        let due_ms = self.manifest_due_ms(manifest);
        if due_ms.is_none_or(|due_ms| due_ms > self.now_ms) {
            return false;
        }
        if self.is_living(&name(&at.0, &manifest.subject)) {
            self.manifests.get_mut(at).expect("a manifest").is_parked = true;
            return false;
        }
        self.delete(&at.0, &at.1);
        true
    }

    fn untag(&mut self, delete: &rpc::DeleteTag) -> Response {
        if self.doomed.contains(&delete.repository) {
            return no(Reason::TagUnknown);
        }
        match self.tags.remove(&name(&delete.repository, &delete.tag)) {
            Some(_) => yes(),
            None => no(Reason::TagUnknown),
        }
    }

    fn condemn(&mut self, condemn: &rpc::Condemn) -> Response {
        let mut counts = rpc::Condemned::default();
        for link in &condemn.links {
            let link = name(&link.repository, &link.digest);
            let is_due = self
                .links
                .get(&link)
                .is_some_and(|until| *until <= self.now_ms);
            if is_due && !self.is_referenced(&link) {
                self.links.remove(&link);
                counts.links += 1;
                let is_last = !self.links.keys().any(|(_, digest)| *digest == link.1);
                counts.objects += u64::from(is_last);
            }
        }
        outcome(Outcome::Condemned(counts))
    }

    fn forget(&mut self, forget: &rpc::Forget) -> Response {
        for key in &forget.object_keys {
            let is_reclaimed = |it: &Object| matches!(it.life, Life::Reclaimed { .. });
            if self.objects.get(key).is_some_and(is_reclaimed) {
                self.objects.remove(key);
            }
        }
        yes()
    }
}
