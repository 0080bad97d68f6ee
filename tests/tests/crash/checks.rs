//! What must hold after a restart, whatever happened before, and what is learned by looking.

use std::collections::BTreeSet;

use roadstead_proto::Digest;
use roadstead_tests::{Answer, Repository};

use super::record::{Ending, OpenUpload, Record};

/// A look at one client's repository: complaints are collected, so that a failure shows them all.
#[derive(Debug)]
struct Look<'a> {
    repository: &'a Repository,
    complaints: Vec<String>,
}

/// Looks at everything that a client knows of, and settles what was unknown.
pub(super) fn check(record: &mut Record, repository: &Repository) -> Vec<String> {
    let mut look = Look {
        repository,
        complaints: Vec::new(),
    };
    look.blobs(record);
    look.manifests(record);
    look.tags(record);
    look.uploads(record);
    record.tidy();
    look.complaints
}

impl Look<'_> {
    fn complain(&mut self, text: String) {
        self.complaints
            .push(format!("{}: {text}", self.repository.name()));
    }

    fn ask(&mut self, method: &str, path: &str) -> Option<Answer> {
        match self.repository.request(method, path).try_send() {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.complain(error);
                None
            }
        }
    }

    /// Whether it is there, with these bytes.
    fn is_there(&mut self, path: &str, expected: &[u8]) -> Option<bool> {
        let answer = self.ask("GET", path)?;
        match answer.status {
            200 if answer.body == expected => Some(true),
            200 => {
                self.complain(format!("{path} has {} wrong bytes", answer.body.len()));
                None
            }
            404 => Some(false),
            _ => {
                self.complain(answer.to_string());
                None
            }
        }
    }

    fn blobs(&mut self, record: &mut Record) {
        for (digest, blob) in &mut record.blobs {
            let Some(found) = self.is_there(&format!("blobs/{digest}"), &blob.content) else {
                continue;
            };
            if !blob.is_there.admits(&found) {
                self.complain(format!("blob {digest} is there: {found}"));
            }
            blob.is_there.settle(found);
        }
    }

    fn manifests(&mut self, record: &mut Record) {
        for (digest, manifest) in &mut record.manifests {
            let path = format!("manifests/{digest}");
            let Some(found) = self.is_there(&path, &manifest.document.bytes()) else {
                continue;
            };
            if !manifest.is_there.admits(&found) {
                self.complain(format!("manifest {digest} is there: {found}"));
            }
            manifest.is_there.settle(found);
            let is_readable = |digest: &Digest| {
                let blob = record.blobs.get(digest);
                blob.is_some_and(|blob| blob.is_there.is(&true))
            };
            for named in manifest.blobs.iter().filter(|_| found) {
                if !is_readable(named) {
                    self.complain(format!(
                        "manifest {digest} names {named}, which cannot be read"
                    ));
                }
            }
        }
    }

    fn tags(&mut self, record: &mut Record) {
        for (tag, target) in &mut record.tags {
            let Some(answer) = self.ask("GET", &format!("manifests/{tag}")) else {
                continue;
            };
            let found = match answer.status {
                200 => answer.header("docker-content-digest").parse().ok(),
                404 => None,
                _ => {
                    self.complain(answer.to_string());
                    continue;
                }
            };
            if !target.admits(&found) {
                self.complain(format!(
                    "{tag} leads to {found:?}, which is none of {target:?}"
                ));
            }
            let manifest = found
                .as_ref()
                .and_then(|digest| record.manifests.get(digest));
            if found.is_some() && manifest.is_none_or(|there| there.is_there.is(&false)) {
                self.complain(format!(
                    "{tag} leads to {found:?}, which cannot be read by digest"
                ));
            }
            target.settle(found);
        }
        let Some(answer) = self.ask("GET", "tags/list") else {
            return;
        };
        let listed: BTreeSet<String> = match answer.status {
            200 => {
                let names = answer.json()["tags"].as_array().cloned();
                let names = names.unwrap_or_default().into_iter();
                names
                    .filter_map(|name| name.as_str().map(str::to_owned))
                    .collect()
            }
            404 => BTreeSet::new(),
            _ => return self.complain(answer.to_string()),
        };
        let known = record.set_tags().into_iter().map(|(tag, _)| tag).collect();
        if listed != known {
            self.complain(format!("lists the tags {listed:?} and has {known:?}"));
        }
    }

    /// An upload goes on from what was acknowledged, unless it may have ended. One that was
    /// cancelled is gone.
    fn uploads(&mut self, record: &mut Record) {
        for upload in &record.cancelled {
            match upload.request("GET").try_send() {
                Ok(answer) if answer.status == 404 => {}
                Ok(answer) => self.complain(format!("a cancelled upload: {answer}")),
                Err(error) => self.complain(error),
            }
        }
        let open = std::mem::take(&mut record.uploads);
        for mut upload in open {
            if self.upload(record, &mut upload) == Some(true) {
                record.uploads.push(upload);
            }
        }
    }

    /// Whether it is still open.
    fn upload(&mut self, record: &Record, open: &mut OpenUpload) -> Option<bool> {
        let answer = match open.upload.request("GET").try_send() {
            Ok(answer) => answer,
            Err(error) => {
                self.complain(error);
                return None;
            }
        };
        match (answer.status, open.ending) {
            (204, _) => {}
            (404, Some(Ending::Cancel)) => return Some(false),
            (404, Some(Ending::Commit)) => {
                let digest = roadstead_tests::fixture::digest(&open.content);
                let blob = record.blobs.get(&digest);
                if !blob.is_some_and(|blob| blob.is_there.is(&true)) {
                    self.complain(format!("an upload ended, and its blob {digest} is absent"));
                }
                return Some(false);
            }
            _ => {
                let (has, of) = (open.acknowledged, open.content.len());
                self.complain(format!("an upload with {has} of {of} bytes: {answer}"));
                return None;
            }
        }
        let end: usize = answer.header("range").strip_prefix("0-")?.parse().ok()?;
        // Nothing and one byte look the same.
        let offset = if end == 0 { 0 } else { end + 1 };
        if !(open.acknowledged..=open.sent).contains(&offset) {
            let (least, most) = (open.acknowledged, open.sent);
            self.complain(format!(
                "an upload is at {offset}, and not between {least} and {most}"
            ));
        }
        open.upload = self.repository.upload(&answer);
        open.acknowledged = offset;
        open.sent = offset;
        open.ending = None;
        Some(true)
    }
}
