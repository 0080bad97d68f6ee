//! What the clients push: few layers and configurations, so that several push the same ones, they
//! fall out of use, and they are pushed again.

use std::collections::BTreeMap;
use std::sync::Arc;

use roadstead_proto::Digest;
use roadstead_tests::fixture::{self, CONFIG, Document, LAYER};
use roadstead_tests::{Chance, fixture::digest};
use serde_json::json;

/// Layers there are.
const LAYERS: usize = 240;
/// Configurations there are.
const CONFIGS: usize = 60;
/// Of the layers, those that are in fashion at once.
const FASHION: usize = 8;
/// Steps of a client after which the fashion changes.
const FASHION_STEPS: usize = 60;
/// Bytes of the largest layer.
const LARGEST: usize = 64 << 10;

/// All content, by its digest.
#[derive(Debug)]
pub(super) struct Contents {
    layers: Vec<Digest>,
    configs: Vec<Digest>,
    bytes: BTreeMap<Digest, Vec<u8>>,
}

/// A manifest or an index, and what it points at.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) document: Document,
    pub(super) digest: Digest,
    pub(super) blobs: Vec<Digest>,
    pub(super) children: Vec<Digest>,
    pub(super) subject: Option<Digest>,
}

impl Contents {
    pub(super) fn new() -> Self {
        let mut bytes = BTreeMap::new();
        let mut keep = |content: Vec<u8>| {
            let digest = digest(&content);
            bytes.insert(digest.clone(), content);
            digest
        };
        let layer = |number: usize| {
            // Most are small, one in 16 is large.
            let length = 1024 + (LARGEST - 1024) / (1 + number % 16).pow(2);
            fixture::random(number as u64, length)
        };
        let layers = (0..LAYERS).map(|number| keep(layer(number))).collect();
        let config = |number| {
            let filler = "x".repeat(1000);
            format!(r#"{{"number":{number},"filler":"{filler}"}}"#).into_bytes()
        };
        let configs = (0..CONFIGS).map(|number| keep(config(number))).collect();
        Self {
            layers,
            configs,
            bytes,
        }
    }

    pub(super) fn bytes(&self, digest: &Digest) -> &[u8] {
        self.bytes.get(digest).expect("it is one of the contents")
    }

    /// A layer, which is one in fashion in half of the cases.
    pub(super) fn layer(&self, chance: &mut Chance, steps: usize) -> Digest {
        let which = if chance.percent(50) {
            (steps / FASHION_STEPS * FASHION + chance.below(FASHION)) % LAYERS
        } else {
            chance.below(LAYERS)
        };
        self.layers[which].clone()
    }

    pub(super) fn config(&self, chance: &mut Chance) -> Digest {
        self.configs[chance.below(CONFIGS)].clone()
    }

    /// An image of these blobs, the first of which is its configuration.
    pub(super) fn image(&self, blobs: Vec<Digest>, subject: Option<&Manifest>) -> Arc<Manifest> {
        let describe = |digest: &Digest, media_type| {
            fixture::describe(media_type, digest, self.bytes(digest).len())
        };
        let layers: Vec<_> = blobs[1..]
            .iter()
            .map(|layer| describe(layer, LAYER))
            .collect();
        let mut document = fixture::image(&describe(&blobs[0], CONFIG), &layers);
        if let Some(subject) = subject {
            document = document.with("subject", subject.document.descriptor());
        }
        Arc::new(Manifest {
            digest: document.digest(),
            document,
            blobs,
            children: Vec::new(),
            subject: subject.map(|subject| subject.digest.clone()),
        })
    }

    /// An index over these images.
    pub(super) fn index(&self, children: &[Arc<Manifest>], number: u64) -> Arc<Manifest> {
        let described: Vec<_> = children
            .iter()
            .map(|child| child.document.descriptor())
            .collect();
        let document = fixture::index(&described);
        let document = document.with("annotations", json!({ "number": number.to_string() }));
        Arc::new(Manifest {
            digest: document.digest(),
            document,
            blobs: Vec::new(),
            children: children.iter().map(|child| child.digest.clone()).collect(),
            subject: None,
        })
    }
}

impl Manifest {
    /// Everything that it points at.
    pub(super) fn about(&self) -> Vec<Digest> {
        let all = self.blobs.iter().chain(&self.children).chain(&self.subject);
        all.cloned().collect()
    }
}
