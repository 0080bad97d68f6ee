//! What follows from what is there, worked out for everything after every command.

use crate::facts::Life;
use crate::naive::{Naive, Object};

impl Naive {
    /// Draws the conclusions of a command; `before` is how it was.
    pub(crate) fn follow(&mut self, before: &Self) {
        self.forget_blobs_without_links();
        self.hold_links_that_lost_their_manifests(before);
        self.note_since_when_manifests_are_unheld();
        self.reclaim_objects_without_names();
    }

    fn forget_blobs_without_links(&mut self) {
        let links = &self.links;
        self.blobs
            .retain(|digest, _| links.keys().any(|(_, linked)| linked == digest));
    }

    fn hold_links_that_lost_their_manifests(&mut self, before: &Self) {
        let hold = self.hold();
        let links: Vec<_> = self.links.keys().cloned().collect();
        for link in links {
            if before.is_referenced(&link) && !self.is_referenced(&link) {
                let told = self.links[&link];
                self.links.insert(link, hold.max(told));
            }
        }
    }

    fn note_since_when_manifests_are_unheld(&mut self) {
        let manifests: Vec<_> = self.manifests.keys().cloned().collect();
        for at in manifests {
            let (is_held, now_ms) = (self.is_held(&at), self.now_ms);
            let manifest = self.manifests.get_mut(&at).expect("a manifest");
            manifest.unheld_since_ms = match manifest.unheld_since_ms {
                _ if is_held => None,
                None => Some(now_ms),
                since => since,
            };
            manifest.is_parked &= !is_held;
        }
    }

    fn reclaim_objects_without_names(&mut self) {
        let mut named = Vec::new();
        for (id, upload) in &self.uploads {
            for key in upload.former.iter().chain([&upload.key]) {
                named.push((key.clone(), Life::Uploading(id.clone())));
            }
        }
        for (digest, blob) in &self.blobs {
            named.push((blob.object_key.clone(), Life::Live(digest.clone())));
        }
        for (key, object) in &mut self.objects {
            let is_named = named.iter().any(|(name, _)| name == key);
            if !is_named && !matches!(object.life, Life::Reclaimed { .. }) {
                object.life = Life::Reclaimed {
                    since_ms: self.now_ms,
                    checkpoint: object.checkpoint.clone(),
                    size: object.size,
                };
            }
        }
        for (key, life) in named {
            let fresh = Object {
                life: life.clone(),
                checkpoint: Vec::new(),
                size: 0,
            };
            self.objects.entry(key).or_insert(fresh).life = life;
        }
    }
}
