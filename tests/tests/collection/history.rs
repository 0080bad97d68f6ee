//! What was asked and answered about each digest, for a failure to show.

use std::time::Instant;

use roadstead_proto::Digest;
use roadstead_tests::Recent;

/// Events that are kept: minutes of a run.
const KEPT: usize = 200_000;
/// Events of a failure's digests that are shown.
const SHOWN: usize = 60;
/// Characters of a digest, with its algorithm.
const LENGTH: usize = 71;

/// One request and its answer.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) sent: Instant,
    pub(super) answered: Instant,
    pub(super) repository: String,
    pub(super) what: &'static str,
    pub(super) digest: Digest,
    /// Others that it is about, such as the blobs of a manifest.
    pub(super) about: Vec<Digest>,
    /// The status, or 0 where no answer came.
    pub(super) status: u16,
}

/// The last events of all clients.
#[derive(Debug)]
pub(super) struct History(Recent<Event>);

impl History {
    pub(super) fn new() -> Self {
        Self(Recent::new(KEPT))
    }

    pub(super) fn began(&self) -> Instant {
        self.0.began()
    }

    pub(super) fn note(&self, event: Event) {
        self.0.note(event);
    }

    /// The last of what happened to the digests that a text names.
    pub(super) fn of_text(&self, text: &str) -> String {
        let begins = text.match_indices("sha256:");
        let named = begins.filter_map(|(start, _)| text.get(start..start + LENGTH)?.parse().ok());
        let mut digests: Vec<Digest> = named.collect();
        digests.sort();
        digests.dedup();
        self.of(&digests)
    }

    /// The last of what happened to these digests, in any repository.
    pub(super) fn of(&self, digests: &[Digest]) -> String {
        let is_about = |event: &Event| {
            digests.contains(&event.digest) || event.about.iter().any(|of| digests.contains(of))
        };
        let lines = self.0.last(SHOWN, |event| {
            if !is_about(event) {
                return None;
            }
            let [sent, answered] = [event.sent, event.answered].map(|at| self.0.milliseconds(at));
            let (repository, what, digest) = (&event.repository, event.what, short(&event.digest));
            let about: Vec<_> = event.about.iter().map(short).collect();
            Some(format!(
                "{sent:>8} to {answered:>8} {repository} {what} {digest} {}: {}\n",
                about.join(" "),
                event.status
            ))
        });
        let heading = "the history of what it is about, in milliseconds:\n";
        format!("{heading}{}", lines.concat())
    }
}

/// Enough of a digest to tell it from others.
pub(super) fn short(digest: &Digest) -> String {
    digest.as_str().chars().skip(7).take(8).collect()
}
