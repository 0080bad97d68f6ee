//! A client that has a repository to itself, and so knows what must be in it.
//!
//! An image gets a tag and content of its own, which nobody pushes there again: what a request that
//! was given up still does somewhere, however late, then changes nothing that is known.

use std::sync::atomic::Ordering;

use roadstead_proto::Digest;
use roadstead_tests::fixture::{self, CONFIG, Document, LAYER};
use roadstead_tests::{Answer, Chance};
use serde_json::json;

use super::caller::{Caller, Common, Wrong, count};
use super::transfer::Promise;

/// Layers that many images have, in all repositories.
const SHARED: usize = 4;
/// Images from which on more are deleted than pushed.
const IMAGES: usize = 12;
/// Far more often than a blob goes between its push and its use.
const ATTEMPTS_MAX: usize = 50;

/// An image that was acknowledged.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) document: Document,
    pub(super) digest: Digest,
    /// `None` when it was deleted.
    pub(super) tag: Option<String>,
    pub(super) blobs: Vec<Vec<u8>>,
    // Whether no former attempt of its push may still happen.
    is_sure: bool,
}

/// A client at work.
#[derive(Debug)]
pub(super) struct Owner<'a> {
    pub(super) caller: Caller<'a>,
    pub(super) repository: String,
    pub(super) images: Vec<Image>,
    /// Digests of what was deleted, and is not there again.
    pub(super) gone: Vec<Digest>,
    number: u64,
    pushed: u64,
    chance: Chance,
}

impl<'a> Owner<'a> {
    pub(super) fn new(common: &'a Common, number: usize, chance: Chance) -> Self {
        Self {
            caller: Caller::new(common, number),
            repository: format!("owned/{number}"),
            images: Vec::new(),
            gone: Vec::new(),
            number: number as u64,
            pushed: 0,
            chance,
        }
    }

    /// Works until there are no more faults.
    pub(super) fn work(&mut self) -> Result<(), Wrong> {
        let common = self.caller.common;
        while !common.is_over() && !common.has_failed.load(Ordering::Acquire) {
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Wrong> {
        let images = self.images.len();
        let pushing = if images < IMAGES { 45 } else { 15 };
        let choice = self.chance.below(100);
        if images == 0 || choice < pushing {
            return self.push_image();
        }
        let which = self.chance.below(images);
        if choice < 80 {
            count(&self.caller.common.counts.pulled);
            return self.pull(which);
        }
        count(&self.caller.common.counts.deleted);
        if choice < 87 {
            self.delete_tag(which)
        } else {
            self.delete(which)
        }
    }

    pub(super) fn push_image(&mut self) -> Result<(), Wrong> {
        self.pushed += 1;
        let seed = (self.number << 32) + self.pushed;
        let config = format!(r#"{{"architecture":"amd64","os":"linux","seed":{seed}}}"#);
        let layer = match self.chance.below(10) {
            0..4 => fixture::random(self.chance.below(SHARED) as u64, 3_000),
            4..7 => fixture::random(seed, 2_000),
            _ => fixture::random(seed, 60_000 + self.chance.below(150_000)),
        };
        let blobs = vec![config.into_bytes(), layer];
        let document = fixture::image(
            &fixture::descriptor(CONFIG, &blobs[0]),
            &[fixture::descriptor(LAYER, &blobs[1])],
        )
        // Shared layers are not enough to tell images apart where their owner began anew.
        .with("annotations", json!({ "owner": self.repository }));
        let tag = format!("t{}", self.pushed);
        let is_sure = self.put(&tag, &document, &blobs)?;
        count(&self.caller.common.counts.pushed);
        self.images.push(Image {
            digest: document.digest(),
            document,
            tag: Some(tag),
            blobs,
            is_sure,
        });
        Ok(())
    }

    /// Pushes blobs and manifest; whether the first attempt for the manifest was answered.
    fn put(&mut self, tag: &str, document: &Document, blobs: &[Vec<u8>]) -> Result<bool, Wrong> {
        let repository = self.repository.clone();
        let mut is_sure = true;
        for _ in 0..ATTEMPTS_MAX {
            let mut promises = Vec::new();
            for content in blobs {
                promises.push(self.caller.push(&repository, content)?);
            }
            let path = format!("manifests/{tag}");
            let put = self.caller.persist(
                &repository,
                &format!("PUT {path}"),
                |client| {
                    let request = client.repository(&repository).request("PUT", &path);
                    let request = request.header("content-type", &document.media_type);
                    request.body(document.bytes())
                },
                |status, _| matches!(status, 201 | 404),
            )?;
            is_sure &= put.is_sure;
            if put.answer.status == 201 {
                return Ok(is_sure);
            }
            if promises.iter().all(Promise::holds) {
                let complaint = format!("a blob went before its grace was over: {}", put.answer);
                return Err(self.caller.wrong(&repository, &complaint));
            }
        }
        let complaint = format!("{tag} cannot be pushed in {ATTEMPTS_MAX} attempts");
        Err(self.caller.wrong(&repository, &complaint))
    }

    /// Pulls an image, by tag or by digest.
    fn pull(&mut self, which: usize) -> Result<(), Wrong> {
        let image = &self.images[which];
        let by_tag = image.tag.clone().filter(|_| self.chance.percent(50));
        let reference = by_tag.unwrap_or_else(|| image.digest.to_string());
        let (expected, blobs) = (image.document.bytes(), image.blobs.clone());
        self.get(&format!("manifests/{reference}"), &expected)?;
        for content in blobs {
            self.get(&format!("blobs/{}", fixture::digest(&content)), &content)?;
        }
        Ok(())
    }

    fn get(&mut self, path: &str, expected: &[u8]) -> Result<(), Wrong> {
        let repository = &self.repository;
        let got = self.caller.persist(
            repository,
            &format!("GET {path}"),
            |client| client.repository(repository).request("GET", path),
            |status, _| status == 200,
        )?;
        if got.answer.body == expected {
            return Ok(());
        }
        let complaint = format!("{path} has other bytes: {}", got.answer);
        Err(self.caller.wrong(repository, &complaint))
    }

    fn ask(
        &mut self,
        method: &str,
        reference: &str,
        is_expected: impl Fn(u16, bool) -> bool,
    ) -> Result<Answer, Wrong> {
        let repository = &self.repository;
        let path = format!("manifests/{reference}");
        let asked = self.caller.persist(
            repository,
            &format!("{method} {path}"),
            |client| client.repository(repository).request(method, &path),
            is_expected,
        )?;
        Ok(asked.answer)
    }

    fn delete_tag(&mut self, which: usize) -> Result<(), Wrong> {
        let Some(tag) = self.images[which].tag.take() else {
            return Ok(());
        };
        let is_sure = self.images[which].is_sure;
        self.ask("DELETE", &tag, |status, is_first| {
            status == 202 || status == 404 && !is_first
        })?;
        self.ask("GET", &tag, |status, _| {
            status == 404 || status == 200 && !is_sure
        })?;
        Ok(())
    }

    fn delete(&mut self, which: usize) -> Result<(), Wrong> {
        let Image {
            digest, is_sure, ..
        } = self.images.swap_remove(which);
        self.ask("DELETE", digest.as_str(), |status, is_first| {
            status == 202 || status == 404 && !is_first
        })?;
        self.ask("GET", digest.as_str(), |status, _| {
            status == 404 || status == 200 && !is_sure
        })?;
        if is_sure {
            self.gone.push(digest);
        }
        Ok(())
    }
}
