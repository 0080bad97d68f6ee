//! Looks: pulls with every hash checked, blobs and manifests that were promised, and everything
//! after a kill.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use roadstead_proto::Digest;
use roadstead_tests::fixture;
use roadstead_tests::wait::{self, LONG};

use super::super::content::Manifest;
use super::super::record::{AGE, GRACE};
use super::{Cut, Worker, count};

/// Manifests that may be there or not, beyond which a client looks at one before anything else.
const UNSURE_MAX: usize = 40;

impl Worker<'_> {
    /// Pulls something that is there, by a tag or by its digest.
    pub(super) fn pull_any(&mut self, which: usize) -> Result<(), Cut> {
        let present = self.records[which].present(Instant::now());
        let Some(manifest) = self.chance.pick(&present).cloned() else {
            return Ok(());
        };
        let tags: Vec<_> = self.records[which].tags_of(&manifest.digest).collect();
        let tag = self.chance.pick(&tags).cloned();
        self.pull(which, &manifest, tag)?;
        self.look_at_referrers(which, &manifest.digest)
    }

    /// Pulls the manifest with everything that it points at; all of it must be right, and there as
    /// long as it must be.
    pub(super) fn pull(
        &self,
        which: usize,
        manifest: &Arc<Manifest>,
        tag: Option<String>,
    ) -> Result<(), Cut> {
        let digest = &manifest.digest;
        let until = self.records[which].lives_until(digest);
        let reference = tag.unwrap_or_else(|| digest.to_string());
        let request = self.request(which, "GET", &format!("manifests/{reference}"));
        let seen = self.ask(which, "GET of the manifest", (digest, Vec::new()), request)?;
        let about = std::slice::from_ref(digest);
        match seen.status() {
            200 if seen.answer.body == manifest.document.bytes() => {}
            200 => return Err(self.wrong(which, "a manifest has other bytes", &seen, about)),
            404 if !seen.is_before(until) => return Ok(()),
            404 => return Err(self.wrong(which, "a manifest was collected early", &seen, about)),
            _ => return Err(self.unexpected(which, &seen, about)),
        }
        for blob in &manifest.blobs {
            self.get(which, blob)?;
        }
        for child in &manifest.children {
            if let Some(child) = self.records[which].manifest(child) {
                self.pull(which, &child, None)?;
            }
        }
        count(&self.common.counts.pulled);
        Ok(())
    }

    fn get(&self, which: usize, blob: &Digest) -> Result<(), Cut> {
        let until = self.records[which].blob_until(blob);
        let request = self.request(which, "GET", &format!("blobs/{blob}"));
        let seen = self.ask(which, "GET of the blob", (blob, Vec::new()), request)?;
        let about = std::slice::from_ref(blob);
        match seen.status() {
            200 if fixture::digest(&seen.answer.body) == *blob => Ok(()),
            200 => Err(self.wrong(which, "a blob has other bytes", &seen, about)),
            404 if !seen.is_before(until) => Ok(()),
            404 => Err(self.wrong(which, "a blob was collected early", &seen, about)),
            _ => Err(self.unexpected(which, &seen, about)),
        }
    }

    /// Those that must be there are listed.
    fn look_at_referrers(&self, which: usize, subject: &Digest) -> Result<(), Cut> {
        let record = &self.records[which];
        let all = record.present(Instant::now()).into_iter();
        let referrers: Vec<_> = all
            .filter(|manifest| manifest.subject.as_ref() == Some(subject))
            .map(|manifest| (record.lives_until(&manifest.digest), manifest))
            .collect();
        if referrers.is_empty() {
            return Ok(());
        }
        let request = self.request(which, "GET", &format!("referrers/{subject}"));
        let seen = self.ask(
            which,
            "GET of the referrers",
            (subject, Vec::new()),
            request,
        )?;
        if seen.status() != 200 {
            return Err(self.unexpected(which, &seen, std::slice::from_ref(subject)));
        }
        let listed = seen.answer.json().to_string();
        for (until, referrer) in referrers {
            let digest = &referrer.digest;
            if seen.is_before(until) && !listed.contains(digest.as_str()) {
                let about = [subject.clone(), digest.clone()];
                return Err(self.wrong(which, "a referrer is not listed", &seen, &about));
            }
        }
        Ok(())
    }

    /// Pulls a blob that was promised, or asks for it.
    pub(super) fn look_at_promised(&mut self, which: usize) -> Result<(), Cut> {
        let known = self.records[which].promised();
        let known: Vec<_> = known.map(|(blob, _)| blob.clone()).collect();
        let Some(blob) = self.chance.pick(&known) else {
            return Ok(());
        };
        if self.chance.percent(50) {
            return self.get(which, blob);
        }
        self.head(which, blob).map(|_is_there| ())
    }

    /// Looks whether a manifest is there whose age is over, or nearly.
    pub(super) fn look_at_unsure(&mut self, which: usize) -> Result<(), Cut> {
        let unsure: Vec<_> = self.records[which].unsure.values().cloned().collect();
        let present = self.records[which].present(Instant::now());
        let is_full = unsure.len() > UNSURE_MAX;
        let from = if is_full || self.chance.percent(60) {
            &unsure
        } else {
            &present
        };
        match self.chance.pick(from) {
            Some(manifest) => self.look_at(which, manifest),
            None => Ok(()),
        }
    }

    /// `HEAD` of a manifest by its digest, which lets it stay for a grace.
    fn look_at(&mut self, which: usize, manifest: &Arc<Manifest>) -> Result<(), Cut> {
        let digest = &manifest.digest;
        let until = self.records[which].lives_until(digest);
        let request = self.request(which, "HEAD", &format!("manifests/{digest}"));
        let about = (digest, Vec::new());
        let seen = self.ask(which, "HEAD of the manifest", about, request)?;
        match seen.status() {
            200 => {
                let since = seen.sent - (AGE - GRACE);
                self.records[which].found(manifest, since);
                Ok(())
            }
            404 if !seen.is_before(until) => {
                self.records[which].may_go(digest, until);
                self.records[which].went(digest);
                count(&self.common.counts.expired);
                Ok(())
            }
            404 => {
                let about = std::slice::from_ref(digest);
                Err(self.wrong(which, "a manifest was collected early", &seen, about))
            }
            _ => Err(self.unexpected(which, &seen, std::slice::from_ref(digest))),
        }
    }

    /// Settles what an answer that did not come has left open, and pulls everything that has a
    /// tag.
    pub(super) fn look_at_all(&mut self) -> Result<(), Cut> {
        for which in 0..self.records.len() {
            self.records[which].lapse(Instant::now());
            self.wait_for_deletion(which)?;
            self.settle_tags(which)?;
            let unsure: Vec<_> = self.records[which].unsure.values().cloned().collect();
            for manifest in unsure {
                self.look_at(which, &manifest)?;
            }
            let tags = self.records[which].tags.clone();
            for (tag, digest) in tags {
                if let Some(manifest) = self.records[which].manifest(&digest) {
                    self.pull(which, &manifest, Some(tag))?;
                }
            }
        }
        Ok(())
    }

    /// A repository that is being deleted reads as absent and takes no writes until it is gone.
    fn wait_for_deletion(&mut self, which: usize) -> Result<(), Cut> {
        let begun = wait::poll(LONG, || {
            let answer = self.request(which, "POST", "blobs/uploads/").try_send();
            match answer {
                Ok(answer) if answer.status == 503 => None,
                answer => Some(answer),
            }
        });
        match begun {
            Some(Ok(answer)) if answer.status == 202 => {
                let upload = self.repository(which).upload(&answer);
                upload.request("DELETE").try_send().map_err(Cut::Gone)?;
                Ok(())
            }
            Some(Ok(answer)) => Err(Cut::Wrong(answer.to_string())),
            Some(Err(reason)) => Err(Cut::Gone(reason)),
            None => Err(Cut::Wrong(
                "a repository is being deleted for ever".to_owned(),
            )),
        }
    }

    fn settle_tags(&mut self, which: usize) -> Result<(), Cut> {
        let unsure = self.records[which].unsure_tags.clone();
        for tag in unsure {
            let request = self.request(which, "GET", &format!("manifests/{tag}"));
            let sent = Instant::now();
            let answer = request.try_send().map_err(Cut::Gone)?;
            let target = match answer.status {
                200 => Some(fixture::digest(&answer.body)),
                404 => None,
                _ => return Err(Cut::Wrong(answer.to_string())),
            };
            if let Some(digest) = &target {
                let Some(manifest) = self.records[which].manifest(digest) else {
                    let history = self.common.history.of(std::slice::from_ref(digest));
                    let text = format!("{tag} leads to what nobody pushed: {answer}\n{history}");
                    return Err(Cut::Wrong(text));
                };
                self.records[which].found(&manifest, sent);
            }
            self.records[which].fasten(&tag, target);
        }
        self.check_tags(which)
    }

    /// The list of tags is what is known.
    pub(super) fn check_tags(&self, which: usize) -> Result<(), Cut> {
        let request = self.request(which, "GET", "tags/list");
        let answer = request.try_send().map_err(Cut::Gone)?;
        let listed: BTreeSet<String> = match answer.status {
            200 => {
                let tags = answer.json()["tags"].as_array().cloned();
                let tags = tags.unwrap_or_default().into_iter();
                tags.filter_map(|tag| tag.as_str().map(str::to_owned))
                    .collect()
            }
            404 => BTreeSet::new(),
            _ => return Err(Cut::Wrong(answer.to_string())),
        };
        let known: BTreeSet<_> = self.records[which].tags.keys().cloned().collect();
        if listed == known {
            return Ok(());
        }
        let name = &self.records[which].name;
        Err(Cut::Wrong(format!(
            "{name} lists the tags {listed:?} and has {known:?}"
        )))
    }
}

/// When nobody pushes any more.
impl Worker<'_> {
    /// Whether every manifest is either there for ever or gone, as a look shows.
    pub(in super::super) fn settle_manifests(&mut self) -> Result<bool, Cut> {
        let now = Instant::now();
        let mut is_settled = true;
        for which in 0..self.records.len() {
            let record = &mut self.records[which];
            record.lapse(now);
            let for_ever = now + LONG;
            let present = record.present(now).len();
            is_settled &= present == record.present(for_ever).len();
            let unsure: Vec<_> = record.unsure.values().cloned().collect();
            for manifest in unsure {
                is_settled &= self.is_settled(which, &manifest)?;
            }
        }
        Ok(is_settled)
    }

    /// A manifest of which nothing is known is gone, or held by one that is there: then it is
    /// known from now on.
    fn is_settled(&mut self, which: usize, manifest: &Arc<Manifest>) -> Result<bool, Cut> {
        let digest = &manifest.digest;
        // Not `HEAD`, which would let it stay.
        let request = self.request(which, "GET", &format!("manifests/{digest}"));
        let about = (digest, Vec::new());
        let seen = self.ask(which, "GET of the manifest", about, request)?;
        let record = &mut self.records[which];
        match seen.status() {
            404 => {
                record.went(digest);
                Ok(true)
            }
            200 => {
                let for_ever = Instant::now() + LONG;
                let subject = manifest.subject.as_ref();
                let is_held = subject.is_some_and(|of| record.lives_until(of) > for_ever)
                    || record
                        .present(for_ever)
                        .iter()
                        .any(|parent| parent.children.contains(digest));
                if is_held {
                    record.found(manifest, seen.sent);
                }
                Ok(is_held)
            }
            _ => Err(self.unexpected(which, &seen, std::slice::from_ref(digest))),
        }
    }

    /// Pulls everything that is there; answers how many manifests that are.
    pub(in super::super) fn pull_all(&mut self) -> Result<usize, Cut> {
        let mut count = 0;
        for which in 0..self.records.len() {
            self.check_tags(which)?;
            for manifest in self.records[which].present(Instant::now()) {
                self.pull(which, &manifest, None)?;
                count += 1;
            }
        }
        Ok(count)
    }
}
