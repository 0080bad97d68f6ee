//! Pushes: images, indexes and referrers, blobs that `HEAD` says are there, mounts, tags.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roadstead_proto::Digest;
use roadstead_tests::wait;

use super::super::content::Manifest;
use super::super::record::{GRACE, HOLD, MARGIN};
use super::{Cut, Seen, Worker, count};

/// Tags that a repository has.
const TAGS: usize = 3;
/// Layers of an image at most.
const LAYERS: usize = 3;

impl Worker<'_> {
    fn any_tag(&mut self) -> String {
        format!("tag-{}", self.chance.below(TAGS))
    }

    fn any_blob(&mut self) -> Digest {
        let contents = &self.common.contents;
        if self.chance.percent(20) {
            contents.config(&mut self.chance)
        } else {
            contents.layer(&mut self.chance, self.steps)
        }
    }

    /// Configuration and layers, each once.
    fn any_blobs(&mut self) -> Vec<Digest> {
        let contents = &self.common.contents;
        let mut blobs = vec![contents.config(&mut self.chance)];
        for _ in 0..=self.chance.below(LAYERS) {
            let layer = contents.layer(&mut self.chance, self.steps);
            if !blobs.contains(&layer) {
                blobs.push(layer);
            }
        }
        blobs
    }

    pub(super) fn push_image(&mut self, which: usize) -> Result<(), Cut> {
        let blobs = self.any_blobs();
        for blob in &blobs {
            if !self.head(which, blob)? {
                self.bring(which, blob)?;
            }
        }
        let manifest = self.common.contents.image(blobs, None);
        let tag = self.chance.percent(70).then(|| self.any_tag());
        self.put_manifest(which, &manifest, tag)
    }

    /// Whether the blob is there. Who is told so may use it for a grace.
    pub(super) fn head(&mut self, which: usize, blob: &Digest) -> Result<bool, Cut> {
        let until = self.records[which].blob_until(blob);
        let request = self.request(which, "HEAD", &format!("blobs/{blob}"));
        let seen = self.ask(which, "HEAD of the blob", (blob, Vec::new()), request)?;
        match seen.status() {
            200 => {
                self.records[which].promise(blob, seen.sent + GRACE);
                count(&self.common.counts.found);
                Ok(true)
            }
            404 if !seen.is_before(until) => {
                self.records[which].take_back(blob);
                Ok(false)
            }
            404 => Err(self.wrong(
                which,
                "a blob was collected early",
                &seen,
                std::slice::from_ref(blob),
            )),
            _ => Err(self.unexpected(which, &seen, std::slice::from_ref(blob))),
        }
    }

    /// Pushes the blob, or mounts it from another repository if that has it.
    fn bring(&mut self, which: usize, blob: &Digest) -> Result<(), Cut> {
        if self.chance.percent(20) {
            return self.mount_or_push(which, blob);
        }
        self.push(which, blob)
    }

    /// Pushes the blob, whether it is there or not.
    fn push(&mut self, which: usize, blob: &Digest) -> Result<(), Cut> {
        let content = self.common.contents.bytes(blob);
        let about = || (blob, Vec::new());
        let style = self.chance.below(3);
        let seen = if style == 0 {
            let path = format!("blobs/uploads/?digest={blob}");
            let request = self.request(which, "POST", &path).body(content);
            self.ask(which, "POST of the blob", about(), request)?
        } else {
            let request = self.request(which, "POST", "blobs/uploads/");
            let begun = self.ask(which, "POST of an upload", about(), request)?;
            if begun.status() != 202 {
                return Err(self.unexpected(which, &begun, std::slice::from_ref(blob)));
            }
            let mut upload = self.repository(which).upload(&begun.answer);
            let half = content.len() / 2 * (style - 1);
            let (first, last) = content.split_at(half);
            if !first.is_empty() {
                let request = upload.request("PATCH").body(first);
                let taken = self.ask(which, "PATCH of half", about(), request)?;
                if taken.status() != 202 {
                    return Err(self.unexpected(which, &taken, std::slice::from_ref(blob)));
                }
                upload = self.repository(which).upload(&taken.answer);
            }
            let request = upload.closing(blob.as_str()).body(last);
            self.ask(which, "PUT of the blob", about(), request)?
        };
        if seen.status() != 201 {
            return Err(self.unexpected(which, &seen, std::slice::from_ref(blob)));
        }
        // The hold began when the last request was applied.
        self.records[which].promise(blob, seen.sent + HOLD);
        count(&self.common.counts.pushed);
        Ok(())
    }

    /// Begins an upload that it does not go on with; some are cancelled.
    pub(super) fn abandon(&mut self, which: usize) -> Result<(), Cut> {
        let blob = self.any_blob();
        let request = self.request(which, "POST", "blobs/uploads/");
        let about = || (&blob, Vec::new());
        let begun = self.ask(which, "POST of an upload", about(), request)?;
        if begun.status() != 202 {
            return Err(self.unexpected(which, &begun, &[blob]));
        }
        let mut upload = self.repository(which).upload(&begun.answer);
        if self.chance.percent(80) {
            let content = self.common.contents.bytes(&blob);
            let request = upload.request("PATCH").body(content);
            let taken = self.ask(which, "PATCH of all", about(), request)?;
            if taken.status() != 202 {
                return Err(self.unexpected(which, &taken, &[blob]));
            }
            upload = self.repository(which).upload(&taken.answer);
        }
        if self.chance.percent(40) {
            let request = upload.request("DELETE");
            let gone = self.ask(which, "DELETE of the upload", about(), request)?;
            if gone.status() != 204 {
                return Err(self.unexpected(which, &gone, &[blob]));
            }
        }
        Ok(())
    }

    pub(super) fn mount(&mut self, which: usize) -> Result<(), Cut> {
        let blob = self.any_blob();
        self.mount_or_push(which, &blob)
    }

    /// Mounts the blob from another repository; if that does not have it, it is pushed.
    fn mount_or_push(&mut self, which: usize, blob: &Digest) -> Result<(), Cut> {
        // One of its own, of which it knows what it has, or anybody's.
        let own = self.chance.below(self.records.len());
        let (from, until) = if own != which && self.chance.percent(50) {
            let record = &self.records[own];
            (record.name.clone(), Some(record.blob_until(blob)))
        } else {
            let names = &self.common.names;
            (names[self.chance.below(names.len())].clone(), None)
        };
        let path = format!("blobs/uploads/?mount={blob}&from={from}");
        let request = self.request(which, "POST", &path);
        let seen = self.ask(which, "mount of the blob", (blob, Vec::new()), request)?;
        match seen.status() {
            201 => {
                self.records[which].promise(blob, seen.sent + HOLD);
                count(&self.common.counts.mounted);
                Ok(())
            }
            202 if until.is_some_and(|until| seen.is_before(until)) => {
                let what = format!("a blob was not mounted from {from}, which has it");
                Err(self.wrong(which, &what, &seen, std::slice::from_ref(blob)))
            }
            202 => {
                let upload = self.repository(which).upload(&seen.answer);
                let content = self.common.contents.bytes(blob);
                let request = upload.closing(blob.as_str()).body(content);
                let put = self.ask(which, "PUT of the blob", (blob, Vec::new()), request)?;
                if put.status() != 201 {
                    return Err(self.unexpected(which, &put, std::slice::from_ref(blob)));
                }
                self.records[which].promise(blob, put.sent + HOLD);
                Ok(())
            }
            _ => Err(self.unexpected(which, &seen, std::slice::from_ref(blob))),
        }
    }

    /// Asks for blobs whose time is nearly over, or just was, and uses those that are there:
    /// at once, or when the grace after the answer is nearly over.
    pub(super) fn head_then_manifest(&mut self, which: usize, late: bool) -> Result<(), Cut> {
        const NEAR: Duration = Duration::from_millis(700);
        const OVER: Duration = Duration::from_millis(1500);
        const SPARE: Duration = Duration::from_millis(120);
        let now = Instant::now();
        let near = |(blob, until): (&Digest, &Instant)| {
            let is_near = *until < now + NEAR && now < *until + OVER;
            is_near.then(|| blob.clone())
        };
        let mut near: Vec<_> = self.records[which].promised().filter_map(near).collect();
        let asked = 1 + self.chance.below(2);
        let mut blobs = Vec::new();
        for _ in 0..asked {
            if near.is_empty() {
                break;
            }
            let blob = near.swap_remove(self.chance.below(near.len()));
            if self.head(which, &blob)? {
                count(&self.common.counts.found_late);
                blobs.push(blob);
            } else {
                count(&self.common.counts.missed_late);
            }
        }
        if blobs.is_empty() {
            return Ok(());
        }
        if late {
            let _ = wait::poll(GRACE.saturating_sub(now.elapsed() + SPARE), || None::<()>);
        }
        let manifest = self.common.contents.image(blobs, None);
        let tag = self.chance.percent(40).then(|| self.any_tag());
        self.put_manifest(which, &manifest, tag)
    }

    /// Uses a blob without asking when its time ends, so that the manifest and the collector meet.
    /// Either may be first; if that is the manifest, its blob stays.
    pub(super) fn use_at_the_end(&mut self, which: usize) -> Result<(), Cut> {
        const NEAR: Duration = Duration::from_millis(300);
        const AROUND: usize = 40_000;
        let now = Instant::now();
        let record = &self.records[which];
        let ends = record.promised().filter(|(blob, until)| {
            (now..now + NEAR).contains(until) && record.blob_until(blob) == **until
        });
        let Some((blob, until)) = ends.min_by_key(|(_, until)| **until) else {
            return Ok(());
        };
        let (blob, until) = (blob.clone(), *until);
        let around = Duration::from_micros(self.chance.below(AROUND) as u64);
        let left = (until + around).saturating_duration_since(now);
        let _ = wait::poll(left.saturating_sub(MARGIN), || None::<()>);
        let manifest = self.common.contents.image(vec![blob], None);
        let tag = self.chance.percent(70).then(|| self.any_tag());
        self.put_manifest(which, &manifest, tag)?;
        if self.records[which].manifest(&manifest.digest).is_none() {
            return Ok(());
        }
        count(&self.common.counts.met);
        self.pull(which, &manifest, None)
    }

    /// Pushes something that was there before, with all of its blobs, without asking.
    pub(super) fn push_again(&mut self, which: usize) -> Result<(), Cut> {
        let record = &self.records[which];
        let unsure: Vec<_> = record.unsure.values().cloned().collect();
        let gone: Vec<_> = record.gone.iter().cloned().collect();
        let from = if self.chance.percent(50) {
            &unsure
        } else {
            &gone
        };
        let Some(manifest) = self.chance.pick(from).cloned() else {
            return self.push_image(which);
        };
        if !manifest.children.is_empty() {
            return Ok(());
        }
        for blob in &manifest.blobs {
            self.bring(which, blob)?;
        }
        let tag = self.chance.percent(50).then(|| self.any_tag());
        self.put_manifest(which, &manifest, tag)
    }

    /// Points a tag at a manifest that is there.
    pub(super) fn move_tag(&mut self, which: usize) -> Result<(), Cut> {
        let Some(manifest) = self.some_manifest(which) else {
            return Ok(());
        };
        let tag = self.any_tag();
        self.put_manifest(which, &manifest, Some(tag))
    }

    /// An index over images that are there.
    pub(super) fn push_index(&mut self, which: usize) -> Result<(), Cut> {
        let mut children: Vec<Arc<Manifest>> = Vec::new();
        for _ in 0..=self.chance.below(3) {
            let Some(child) = self.some_manifest(which) else {
                continue;
            };
            let is_image = !child.blobs.is_empty() && child.subject.is_none();
            if is_image && children.iter().all(|other| other.digest != child.digest) {
                children.push(child);
            }
        }
        if children.is_empty() {
            return Ok(());
        }
        let number = self.chance.below(1000) as u64;
        let index = self.common.contents.index(&children, number);
        let tag = self.chance.percent(70).then(|| self.any_tag());
        self.put_manifest(which, &index, tag)
    }

    /// An artifact that refers to a manifest, without a tag: the subject holds it.
    pub(super) fn push_referrer(&mut self, which: usize) -> Result<(), Cut> {
        let Some(subject) = self.some_manifest(which) else {
            return Ok(());
        };
        if subject.subject.is_some() {
            return Ok(());
        }
        let blob = self.common.contents.config(&mut self.chance);
        if !self.head(which, &blob)? {
            self.bring(which, &blob)?;
        }
        let referrer = self.common.contents.image(vec![blob], Some(&subject));
        self.put_manifest(which, &referrer, None)
    }

    /// Pushes a manifest whose contents should be there.
    pub(super) fn put_manifest(
        &mut self,
        which: usize,
        manifest: &Arc<Manifest>,
        tag: Option<String>,
    ) -> Result<(), Cut> {
        let digest = &manifest.digest;
        let reference = tag.clone().unwrap_or_else(|| digest.to_string());
        let request = self.request(which, "PUT", &format!("manifests/{reference}"));
        let request = request.header("content-type", &manifest.document.media_type);
        let request = request.body(manifest.document.bytes());
        let was_known = self.records[which].manifest(digest).is_some();
        let must_be_taken_until = self.contents_until(which, manifest);
        let record = &mut self.records[which];
        record.may_come(manifest);
        let former = tag.as_ref().map(|tag| record.loosen(tag, Instant::now()));
        let seen = self.ask(
            which,
            "PUT of the manifest",
            (digest, manifest.about()),
            request,
        )?;
        let record = &mut self.records[which];
        match seen.status() {
            201 => {
                record.found(manifest, seen.sent);
                if let Some(tag) = &tag {
                    record.fasten(tag, Some(digest.clone()));
                }
                count(&self.common.counts.manifests);
                Ok(())
            }
            404 if !seen.is_before(must_be_taken_until) => {
                if let (Some(tag), Some(former)) = (&tag, former) {
                    record.fasten(tag, former);
                }
                if !was_known {
                    record.went(digest);
                }
                Ok(())
            }
            404 => {
                let mut about = manifest.about();
                about.push(digest.clone());
                let what = "a manifest was refused though all that it names was promised";
                Err(self.wrong(which, what, &seen, &about))
            }
            _ => Err(self.unexpected(which, &seen, std::slice::from_ref(digest))),
        }
    }

    /// Until when everything is there that the manifest needs.
    fn contents_until(&self, which: usize, manifest: &Manifest) -> Instant {
        let record = &self.records[which];
        let blobs = manifest.blobs.iter().map(|blob| record.blob_until(blob));
        let children = manifest.children.iter();
        let children = children.map(|child| record.lives_until(child));
        let least = blobs.chain(children).min();
        least.map_or_else(Instant::now, |least| least - MARGIN)
    }

    /// The status as an error of this step.
    pub(super) fn expect(
        &self,
        which: usize,
        seen: Seen,
        status: u16,
        about: &[Digest],
    ) -> Result<Seen, Cut> {
        if seen.status() == status {
            Ok(seen)
        } else {
            Err(self.unexpected(which, &seen, about))
        }
    }
}
