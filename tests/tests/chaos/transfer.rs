//! Pushes of blobs, in one request or in chunks, each request of which goes to another node.

use std::time::{Duration, Instant};

use roadstead_tests::{Upload, fixture};

use super::caller::{Caller, Wrong, count};
use super::stage::{GRACE, UPLOAD_AGE};

/// The registry counts in milliseconds, and cuts off the rest.
const MARGIN: Duration = Duration::from_millis(5);
const CHUNK: usize = 40_000;
/// Far more than a blob needs, even where everything is asked for twice.
const ROUNDS_MAX: usize = 200;

/// A blob that is in a repository, at least until its grace is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    // When the answered request was sent: it was not promised before.
    since: Instant,
}

impl Promise {
    /// Whether it must still be there, for an answer that comes now.
    pub(super) fn holds(&self) -> bool {
        self.since.elapsed() + MARGIN < GRACE
    }
}

/// What came of an upload.
enum Sent {
    Taken(Promise),
    /// It is unknown by now, and was left alone for too long: it has to begin anew.
    Expired,
}

impl Caller<'_> {
    /// Pushes a blob as clients do: unless it is there.
    pub(super) fn push(&mut self, repository: &str, content: &[u8]) -> Result<Promise, Wrong> {
        let digest = fixture::digest(content);
        let about = repository;
        for _ in 0..ROUNDS_MAX {
            let path = format!("blobs/{digest}");
            let looked = self.persist(
                about,
                &format!("HEAD {path}"),
                |client| client.repository(repository).request("HEAD", &path),
                |status, _| matches!(status, 200 | 404),
            )?;
            if looked.answer.status == 200 {
                return Ok(Promise { since: looked.sent });
            }
            if let Sent::Taken(promise) = self.upload(repository, content)? {
                return Ok(promise);
            }
        }
        let complaint = format!("{digest} cannot be pushed in {ROUNDS_MAX} attempts");
        Err(self.wrong(about, &complaint))
    }

    fn upload(&mut self, repository: &str, content: &[u8]) -> Result<Sent, Wrong> {
        let begun = self.persist(
            repository,
            "POST",
            |client| {
                client
                    .repository(repository)
                    .request("POST", "blobs/uploads/")
            },
            |status, _| status == 202,
        )?;
        let client = self.common.clients[0].repository(repository);
        let mut upload = client.upload(&begun.answer);
        let about = upload.path();
        let mut heard = begun.sent;
        let digest = fixture::digest(content);
        let in_chunks = content.len() > CHUNK;
        if in_chunks && !self.chunks(&about, &mut upload, content, &mut heard)? {
            return Ok(Sent::Expired);
        }
        let rest = if in_chunks { &[] } else { content };
        let closed = self.persist(
            &about,
            &format!("PUT {digest}"),
            |client| upload.through(client).closing(digest.as_str()).body(rest),
            // What a former attempt has committed may have been collected since.
            |status, is_first| {
                status == 201 || status == 404 && (!is_first || heard.elapsed() > UPLOAD_AGE)
            },
        )?;
        Ok(match closed.answer.status {
            201 => Sent::Taken(Promise { since: closed.sent }),
            _ => Sent::Expired,
        })
    }

    /// Sends everything in chunks; whether the upload was still there.
    fn chunks(
        &mut self,
        about: &str,
        upload: &mut Upload,
        content: &[u8],
        heard: &mut Instant,
    ) -> Result<bool, Wrong> {
        let mut offset = 0;
        for _ in 0..ROUNDS_MAX {
            if offset == content.len() {
                return Ok(true);
            }
            let end = content.len().min(offset + CHUNK);
            let (node, sent) = (self.next(), Instant::now());
            let answer = self.once(node, about, |client| {
                let request = upload.through(client).request("PATCH");
                let request = request.header("content-range", &format!("{offset}-{}", end - 1));
                let what = format!("PATCH from {offset} to {end}");
                (what, request.body(&content[offset..end]))
            });
            count(&self.common.counts.chunks);
            match answer.as_ref().map(|answer| answer.status) {
                Some(202) => {
                    offset = end;
                    *heard = sent;
                    continue;
                }
                Some(404) if heard.elapsed() > UPLOAD_AGE => return Ok(false),
                // A former attempt of this chunk may have come further than was told.
                None | Some(416) => {}
                Some(_) => {
                    let answer = answer.map(|answer| answer.to_string());
                    let complaint = format!("not expected: {}", answer.unwrap_or_default());
                    return Err(self.wrong(about, &complaint));
                }
            }
            let Some(told) = self.offset(about, upload, heard)? else {
                return Ok(false);
            };
            // Nothing and one byte look the same.
            let told = if told == 0 { 0 } else { told + 1 };
            if told < offset || told > end {
                let complaint =
                    format!("it is at {told}; {offset} were acknowledged, {end} were sent");
                return Err(self.wrong(about, &complaint));
            }
            offset = told;
        }
        let complaint = format!("it does not come to its end in {ROUNDS_MAX} requests");
        Err(self.wrong(about, &complaint))
    }

    /// The number of the last byte that the registry says it has, if it still has the upload.
    fn offset(
        &mut self,
        about: &str,
        upload: &Upload,
        heard: &mut Instant,
    ) -> Result<Option<usize>, Wrong> {
        let asked = self.persist(
            about,
            "GET of the offset",
            |client| upload.through(client).request("GET"),
            |status, _| status == 204 || status == 404 && heard.elapsed() > UPLOAD_AGE,
        )?;
        if asked.answer.status == 404 {
            return Ok(None);
        }
        let range = asked.answer.header("range");
        let last = range.strip_prefix("0-").and_then(|last| last.parse().ok());
        let complaint = || self.wrong(about, &format!("no offset: {}", asked.answer));
        last.map(Some).ok_or_else(complaint)
    }
}
