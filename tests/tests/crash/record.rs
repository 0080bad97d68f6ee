//! What one client knows of its repository, in which nobody else writes.
//!
//! A request without an answer may have happened or not: from then on two things are possible,
//! until somebody looks. Everything else is known.

use std::collections::BTreeMap;

use roadstead_proto::Digest;
use roadstead_tests::Upload;
use roadstead_tests::fixture::Document;

/// What may be the case: one thing if it is known.
#[derive(Debug, Clone)]
pub(super) struct Possible<T>(Vec<T>);

impl<T: Clone + PartialEq> Possible<T> {
    pub(super) fn known(value: T) -> Self {
        Self(vec![value])
    }

    /// From now on this is possible too.
    pub(super) fn or(&mut self, value: T) {
        if !self.admits(&value) {
            self.0.push(value);
        }
    }

    /// It is this.
    pub(super) fn settle(&mut self, value: T) {
        self.0 = vec![value];
    }

    pub(super) fn admits(&self, value: &T) -> bool {
        self.0.contains(value)
    }

    pub(super) fn is(&self, value: &T) -> bool {
        self.0.len() == 1 && self.admits(value)
    }
}

/// A blob that was pushed, or may have been.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) content: Vec<u8>,
    pub(super) is_there: Possible<bool>,
}

/// A manifest that was pushed, or may have been.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) document: Document,
    pub(super) blobs: Vec<Digest>,
    pub(super) is_there: Possible<bool>,
}

/// How an upload was to end when the answer did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Commit,
    Cancel,
}

/// An upload that is not finished.
#[derive(Debug)]
pub(super) struct OpenUpload {
    pub(super) upload: Upload,
    pub(super) content: Vec<u8>,
    /// What the registry has said that it has.
    pub(super) acknowledged: usize,
    /// What it may have.
    pub(super) sent: usize,
    pub(super) ending: Option<Ending>,
}

/// One client's knowledge.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) tags: BTreeMap<String, Possible<Option<Digest>>>,
    pub(super) manifests: BTreeMap<Digest, Manifest>,
    pub(super) blobs: BTreeMap<Digest, Blob>,
    pub(super) uploads: Vec<OpenUpload>,
    /// Uploads whose cancellation was acknowledged since the last look.
    pub(super) cancelled: Vec<Upload>,
    /// Writes that were acknowledged.
    pub(super) acknowledged: usize,
    // Makes content new.
    serial: u64,
}

impl Record {
    pub(super) fn new(name: String, serial: u64) -> Self {
        Self {
            name,
            serial,
            ..Self::default()
        }
    }

    /// A number that this client has not had.
    pub(super) fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn tag(&mut self, tag: &str) -> &mut Possible<Option<Digest>> {
        let unset = || Possible::known(None);
        self.tags.entry(tag.to_owned()).or_insert_with(unset)
    }

    /// The blob of this content, which need not be there.
    pub(super) fn blob(&mut self, digest: &Digest, content: &[u8]) -> &mut Possible<bool> {
        let entry = self.blobs.entry(digest.clone());
        let blob = entry.or_insert_with(|| Blob {
            content: content.to_vec(),
            is_there: Possible::known(false),
        });
        &mut blob.is_there
    }

    /// Manifests that are there.
    pub(super) fn present(&self) -> Vec<Digest> {
        let manifests = self.manifests.iter();
        let present = manifests.filter(|(_, manifest)| manifest.is_there.is(&true));
        present.map(|(digest, _)| digest.clone()).collect()
    }

    /// Blobs that are there and that no manifest names, nor may name.
    pub(super) fn unreferenced(&self) -> Vec<Digest> {
        let is_named = |digest: &Digest| {
            let mut manifests = self.manifests.values();
            manifests
                .any(|manifest| manifest.is_there.admits(&true) && manifest.blobs.contains(digest))
        };
        let blobs = self.blobs.iter();
        let free = blobs.filter(|(digest, blob)| blob.is_there.is(&true) && !is_named(digest));
        free.map(|(digest, _)| digest.clone()).collect()
    }

    /// Tags that lead somewhere.
    pub(super) fn set_tags(&self) -> Vec<(String, Digest)> {
        let tags = self.tags.iter();
        let set = tags.filter_map(|(tag, target)| match target.0.as_slice() {
            [Some(digest)] => Some((tag.clone(), digest.clone())),
            _ => None,
        });
        set.collect()
    }

    /// Forgets what is known to be absent: somebody has looked since it was deleted.
    pub(super) fn tidy(&mut self) {
        self.cancelled.clear();
        self.tags.retain(|_, target| !target.is(&None));
        self.manifests
            .retain(|_, manifest| !manifest.is_there.is(&false));
        self.blobs.retain(|_, blob| !blob.is_there.is(&false));
    }
}
