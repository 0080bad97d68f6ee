//! What a client does until its registry is gone: it pushes, tags, deletes and uploads in pieces.
//!
//! Before each request it notes what may happen, after the answer what did.

use std::sync::atomic::{AtomicBool, Ordering};

use roadstead_proto::Digest;
use roadstead_tests::client::Request;
use roadstead_tests::fixture::{self, CONFIG, LAYER};
use roadstead_tests::{Answer, Chance, Repository};

use super::record::{Ending, Manifest, OpenUpload, Possible, Record};

/// Manifests that one client has before it rather deletes.
const MANIFESTS_MAX: usize = 5;
/// Tags that one client uses.
const TAGS: usize = 6;
/// Uploads that one client has open.
const UPLOADS_MAX: usize = 2;
/// Layers that all clients share, so that several push the same one.
const SHARED_LAYERS: usize = 6;
/// Parts that an upload is sent in.
const PARTS: usize = 3;

/// Why a client has ended.
#[derive(Debug)]
pub(super) enum Cut {
    /// The registry did not answer.
    Gone,
    /// It answered what it must not.
    Wrong(String),
}

/// A client at work.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    pub(super) repository: Repository,
    pub(super) record: &'a mut Record,
    pub(super) chance: Chance,
}

fn send(request: Request, expected: u16) -> Result<Answer, Cut> {
    let answer = request.try_send().map_err(|_| Cut::Gone)?;
    if answer.status == expected {
        Ok(answer)
    } else {
        Err(Cut::Wrong(answer.to_string()))
    }
}

impl Worker<'_> {
    /// Works until the registry is gone, or nobody wants more.
    pub(super) fn work(&mut self, is_over: &AtomicBool) -> Result<(), String> {
        while !is_over.load(Ordering::Acquire) {
            match self.step() {
                Ok(()) => {}
                Err(Cut::Gone) => return Ok(()),
                Err(Cut::Wrong(answer)) => return Err(answer),
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Cut> {
        if self.record.present().len() >= MANIFESTS_MAX && self.chance.percent(50) {
            return self.delete_manifest();
        }
        match self.chance.below(100) {
            0..35 => self.push_image(),
            35..50 => self.retag(),
            50..58 => self.delete_tag(),
            58..66 => self.delete_manifest(),
            66..76 => self.delete_blob(),
            _ => self.upload(),
        }
    }

    fn layer(&mut self) -> Vec<u8> {
        if self.chance.percent(30) {
            let which = self.chance.below(SHARED_LAYERS) as u64;
            return fixture::random(which, 3_000 * (which as usize + 1));
        }
        let length = match self.chance.below(20) {
            0 => 300_000,
            1..6 => 20_000,
            _ => 1_500,
        };
        fixture::random(self.record.serial(), length)
    }

    fn push_image(&mut self) -> Result<(), Cut> {
        let config = format!(r#"{{"serial":{}}}"#, self.record.serial()).into_bytes();
        let layers: Vec<_> = (0..=self.chance.below(2)).map(|_| self.layer()).collect();
        for content in layers.iter().chain([&config]) {
            self.push_blob(content)?;
        }
        let described: Vec<_> = layers
            .iter()
            .map(|layer| fixture::descriptor(LAYER, layer))
            .collect();
        let document = fixture::image(&fixture::descriptor(CONFIG, &config), &described);
        let digest = document.digest();
        let blobs = layers.iter().chain([&config]);
        let manifest = Manifest {
            document,
            blobs: blobs.map(|content| fixture::digest(content)).collect(),
            is_there: Possible::known(false),
        };
        self.record.manifests.insert(digest.clone(), manifest);
        self.put_manifest(&digest)
    }

    fn push_blob(&mut self, content: &[u8]) -> Result<(), Cut> {
        let digest = fixture::digest(content);
        if self.record.blob(&digest, content).is(&true) && self.chance.percent(50) {
            return Ok(());
        }
        let style = self.chance.below(3);
        self.record.blob(&digest, content).or(true);
        if style == 0 {
            let path = format!("blobs/uploads/?digest={digest}");
            let request = self.repository.request("POST", &path);
            send(request.body(content), 201)?;
        } else {
            let begun = send(self.repository.request("POST", "blobs/uploads/"), 202)?;
            let mut upload = self.repository.upload(&begun);
            let (first, last) = match style {
                1 => content.split_at(0),
                _ => content.split_at(content.len() / 2),
            };
            if !first.is_empty() {
                let taken = send(upload.request("PATCH").body(first), 202)?;
                upload = self.repository.upload(&taken);
            }
            send(upload.closing(digest.as_str()).body(last), 201)?;
        }
        self.record.blob(&digest, content).settle(true);
        self.record.acknowledged += 1;
        Ok(())
    }

    fn any_tag(&mut self) -> String {
        format!("tag-{}", self.chance.below(TAGS))
    }

    /// Puts a manifest that the record has under some tag.
    fn put_manifest(&mut self, digest: &Digest) -> Result<(), Cut> {
        let tag = self.any_tag();
        self.record.tag(&tag).or(Some(digest.clone()));
        let Some(manifest) = self.record.manifests.get_mut(digest) else {
            return Ok(());
        };
        manifest.is_there.or(true);
        let request = self.repository.request("PUT", &format!("manifests/{tag}"));
        let request = request.header("content-type", &manifest.document.media_type);
        send(request.body(manifest.document.bytes()), 201)?;
        manifest.is_there.settle(true);
        self.record.tag(&tag).settle(Some(digest.clone()));
        self.record.acknowledged += 1;
        Ok(())
    }

    fn retag(&mut self) -> Result<(), Cut> {
        let present = self.record.present();
        match self.chance.pick(&present) {
            Some(digest) => self.put_manifest(digest),
            None => Ok(()),
        }
    }

    fn delete_tag(&mut self) -> Result<(), Cut> {
        let set = self.record.set_tags();
        let Some((tag, _)) = self.chance.pick(&set) else {
            return Ok(());
        };
        self.record.tag(tag).or(None);
        let path = format!("manifests/{tag}");
        send(self.repository.request("DELETE", &path), 202)?;
        self.record.tag(tag).settle(None);
        self.record.acknowledged += 1;
        Ok(())
    }

    fn delete_manifest(&mut self) -> Result<(), Cut> {
        let present = self.record.present();
        let Some(digest) = self.chance.pick(&present) else {
            return Ok(());
        };
        let tags: Vec<_> = self.record.set_tags();
        let tags = tags.iter().filter(|(_, target)| target == digest);
        for (tag, _) in tags.clone() {
            self.record.tag(tag).or(None);
        }
        if let Some(manifest) = self.record.manifests.get_mut(digest) {
            manifest.is_there.or(false);
        }
        let path = format!("manifests/{digest}");
        send(self.repository.request("DELETE", &path), 202)?;
        for (tag, _) in tags {
            self.record.tag(tag).settle(None);
        }
        if let Some(manifest) = self.record.manifests.get_mut(digest) {
            manifest.is_there.settle(false);
        }
        self.record.acknowledged += 1;
        Ok(())
    }

    fn delete_blob(&mut self) -> Result<(), Cut> {
        let free = self.record.unreferenced();
        let Some(digest) = self.chance.pick(&free) else {
            return Ok(());
        };
        let Some(blob) = self.record.blobs.get_mut(digest) else {
            return Ok(());
        };
        blob.is_there.or(false);
        let path = format!("blobs/{digest}");
        send(self.repository.request("DELETE", &path), 202)?;
        blob.is_there.settle(false);
        self.record.acknowledged += 1;
        Ok(())
    }

    /// Begins an upload, or goes on with one.
    fn upload(&mut self) -> Result<(), Cut> {
        if self.record.uploads.len() < UPLOADS_MAX {
            let begun = send(self.repository.request("POST", "blobs/uploads/"), 202)?;
            let upload = self.repository.upload(&begun);
            let length = 4_000 + self.chance.below(200_000);
            let content = fixture::random(self.record.serial(), length);
            self.record.uploads.push(OpenUpload {
                upload,
                content,
                acknowledged: 0,
                sent: 0,
                ending: None,
            });
            self.record.acknowledged += 1;
            return Ok(());
        }
        let which = self.chance.below(self.record.uploads.len());
        if self.chance.percent(10) {
            self.cancel(which)
        } else {
            self.go_on(which)
        }
    }

    fn cancel(&mut self, which: usize) -> Result<(), Cut> {
        let open = &mut self.record.uploads[which];
        open.ending = Some(Ending::Cancel);
        send(open.upload.request("DELETE"), 204)?;
        let cancelled = self.record.uploads.remove(which);
        self.record.cancelled.push(cancelled.upload);
        self.record.acknowledged += 1;
        Ok(())
    }

    /// Sends the next part, or closes the upload.
    fn go_on(&mut self, which: usize) -> Result<(), Cut> {
        let open = &mut self.record.uploads[which];
        let (begin, whole) = (open.acknowledged, open.content.len());
        if begin < whole {
            let end = whole.min(begin + whole.div_ceil(PARTS));
            open.sent = end;
            let request = open.upload.request("PATCH");
            let request = request.header("content-range", &format!("{begin}-{}", end - 1));
            let taken = send(request.body(&open.content[begin..end]), 202)?;
            open.upload = self.repository.upload(&taken);
            open.acknowledged = end;
            self.record.acknowledged += 1;
            return Ok(());
        }
        open.ending = Some(Ending::Commit);
        let digest = fixture::digest(&open.content);
        let content = open.content.clone();
        let request = open.upload.closing(digest.as_str());
        self.record.blob(&digest, &content).or(true);
        send(request.body(Vec::new()), 201)?;
        self.record.uploads.remove(which);
        self.record.blob(&digest, &content).settle(true);
        self.record.acknowledged += 1;
        Ok(())
    }
}
