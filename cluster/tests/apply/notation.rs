//! Commands as text. One line is one command:
//!
//! ```text
//! [@now] [node.boot#serial[/lowest]] command
//!
//! found CLUSTER GRACE LEVEL             mount DIGEST from REPOSITORY to REPOSITORY
//! start NODE INSTANCE [LEVEL-MAX]       unlink DIGEST in REPOSITORY
//! marker CLUSTER INCARNATION            renew DIGEST.. in REPOSITORY
//! settings [GRACE] [SETTING..]          damage DIGEST at KEY
//! level LEVEL
//!                                       put MANIFEST in REPOSITORY [of CONTENT..]
//! begin UPLOAD in REPOSITORY at KEY         [subject MANIFEST] [tags TAG..]
//! checkpoint UPLOAD EPOCH OFFSET STATE  delete MANIFEST in REPOSITORY
//! release UPLOAD EPOCH OFFSET STATE     continue MANIFEST in REPOSITORY
//! claim UPLOAD EPOCH by NODE.BOOT at KEY
//! commit UPLOAD EPOCH as DIGEST in REPOSITORY
//! cancel UPLOAD EPOCH                   untag TAG in REPOSITORY
//!                                       delete-repository REPOSITORY
//! condemn REPOSITORY/DIGEST..           continue-repository REPOSITORY
//! forget KEY..
//! expire-upload UPLOAD/EPOCH..          expire REPOSITORY/MANIFEST..
//! ```
//!
//! A setting is `reading MS`, `uploads MS`, `untagged MS`, `only REPOSITORY` (of `untagged`),
//! `paused` or `resumed`.
//!
//! A content is a blob (`d1`) or a child manifest (`m1*`); with `?` it may be absent. A tag `t*300`
//! stands for 300 tags. Without `@now` a command is stamped with the time of the one before it.
//! Wall clocks read 1000 more than cluster time.

use std::collections::VecDeque;

use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::{
    self as rpc, Command, Content, LinkName, ManifestName, Origin, UploadName,
};
use roadstead_proto::rpc::state::{Owner, Untagged};

/// What a wall clock reads when cluster time is zero.
pub(crate) const UNIX_OFFSET_MS: u64 = 1000;

/// The size of every blob that is committed.
pub(crate) const BLOB_SIZE: u64 = 9;

/// Words for the reader only.
const FILLERS: [&str; 7] = ["in", "at", "by", "as", "from", "to", "of"];

/// Reads a command; `now_ms` is the time of the one before.
pub(crate) fn parse(line: &str, now_ms: u64) -> Command {
    let mut words = Words::new(line);
    let now_ms = words.stamp().unwrap_or(now_ms);
    let origin = words.origin();
    let name = words.text();
    let action = cluster_action(&name, &mut words)
        .or_else(|| upload_action(&name, &mut words))
        .or_else(|| content_action(&name, &mut words));
    assert!(action.is_some(), "no command: {line}");
    assert!(words.left.is_empty(), "too many words: {line}");
    Command {
        now_ms,
        unix_ms: now_ms + UNIX_OFFSET_MS,
        origin,
        action,
    }
}

fn cluster_action(name: &str, words: &mut Words) -> Option<Action> {
    Some(match name {
        "found" => Action::FoundCluster(rpc::FoundCluster {
            cluster_id: words.text(),
            grace_ms: words.number(),
            feature_level: words.number(),
        }),
        "start" => {
            let (node, instance) = (words.number(), words.text());
            Action::StartNode(rpc::StartNode {
                node,
                instance,
                address: format!("host{node}"),
                feature_level_max: words.optional_number().unwrap_or(1),
                version: "0.1.0".to_owned(),
            })
        }
        "admit" => {
            let (instance, address) = (words.text(), words.text());
            Action::AdmitNode(rpc::AdmitNode {
                instance,
                address,
                feature_level_max: words.optional_number().unwrap_or(1),
                version: "0.1.0".to_owned(),
            })
        }
        "remove" => Action::RemoveNode(rpc::RemoveNode {
            node: words.number(),
        }),
        "restore" => Action::RestoreCluster(rpc::RestoreCluster {
            cluster_id: words.text(),
            incarnation: words.number(),
            node: words.number(),
            instance: words.text(),
            address: "restored".to_owned(),
        }),
        "verified" => Action::ConfirmVerified(rpc::ConfirmVerified {}),
        "marker" => Action::ConfirmMarker(rpc::ConfirmMarker {
            cluster_id: words.text(),
            incarnation: words.number(),
        }),
        "settings" => Action::ChangeSettings(rpc::ChangeSettings {
            grace_ms: words.leading_number(),
            reading_delay_ms: words.setting("reading").map(|word| number(&word)),
            upload_age_ms: words.setting("uploads").map(|word| number(&word)),
            untagged: words.setting("untagged").map(|word| Untagged {
                age_ms: number(&word),
                repositories: words.setting("only").into_iter().collect(),
            }),
            collection_paused: match words.left.pop_front().as_deref() {
                None => None,
                Some("paused") => Some(true),
                Some("resumed") => Some(false),
                Some(word) => panic!("{word} is no setting"),
            },
        }),
        "level" => Action::RaiseFeatureLevel(rpc::RaiseFeatureLevel {
            level: words.number(),
        }),
        _ => return None,
    })
}

fn upload_action(name: &str, words: &mut Words) -> Option<Action> {
    Some(match name {
        "begin" => Action::BeginUpload(rpc::BeginUpload {
            upload: words.text(),
            repository: words.text(),
            object_key: words.text(),
            algorithm: "sha256".to_owned(),
            owner: Some(Owner { node: 1, boot: 1 }),
        }),
        "checkpoint" | "release" => {
            let (upload, epoch) = (words.text(), words.number());
            let (offset, state) = (words.number(), words.text());
            let hash_state = format!("h-{state}").into_bytes().into();
            let checkpoint = state.into_bytes().into();
            if name == "checkpoint" {
                Action::CheckpointUpload(rpc::CheckpointUpload {
                    upload,
                    epoch,
                    offset,
                    hash_state,
                    checkpoint,
                })
            } else {
                Action::ReleaseUpload(rpc::ReleaseUpload {
                    upload,
                    epoch,
                    offset,
                    hash_state,
                    checkpoint,
                })
            }
        }
        "claim" => Action::ClaimUpload(rpc::ClaimUpload {
            upload: words.text(),
            epoch_seen: words.number(),
            owner: Some(words.owner()),
            fresh_key: words.text(),
        }),
        "commit" => Action::CommitUpload(rpc::CommitUpload {
            upload: words.text(),
            epoch: words.number(),
            digest: words.text(),
            size: BLOB_SIZE,
            repository: words.text(),
        }),
        "cancel" => Action::CancelUpload(rpc::CancelUpload {
            upload: words.text(),
            epoch: words.number(),
        }),
        _ => return None,
    })
}

fn content_action(name: &str, words: &mut Words) -> Option<Action> {
    Some(match name {
        "mount" => Action::MountBlob(rpc::MountBlob {
            digest: words.text(),
            from: words.text(),
            repository: words.text(),
        }),
        "unlink" => Action::DeleteBlob(rpc::DeleteBlob {
            digest: words.text(),
            repository: words.text(),
        }),
        "renew" => {
            let mut digests = words.rest();
            let repository = digests.pop().expect("a repository");
            Action::RenewHold(rpc::RenewHold {
                repository,
                digests,
            })
        }
        word @ ("damage" | "sound") => Action::MarkDamaged(rpc::MarkDamaged {
            digest: words.text(),
            object_key: words.text(),
            sound: word == "sound",
        }),
        "put" => Action::PutManifest(words.put()),
        "delete" => Action::DeleteManifest(rpc::DeleteManifest {
            digest: words.text(),
            repository: words.text(),
        }),
        "continue" => Action::ContinueDeletion(rpc::ContinueDeletion {
            digest: words.text(),
            repository: words.text(),
        }),
        "untag" => Action::DeleteTag(rpc::DeleteTag {
            tag: words.text(),
            repository: words.text(),
        }),
        "delete-repository" => Action::DeleteRepository(rpc::DeleteRepository {
            repository: words.text(),
        }),
        "continue-repository" => Action::ContinueDeletion(rpc::ContinueDeletion {
            repository: words.text(),
            digest: String::new(),
        }),
        "condemn" => Action::Condemn(rpc::Condemn {
            links: words.rest().iter().map(|word| link_name(word)).collect(),
        }),
        "forget" => Action::Forget(rpc::Forget {
            object_keys: words.rest(),
        }),
        "expire-upload" => Action::ExpireUploads(rpc::ExpireUploads {
            uploads: words.rest().iter().map(|word| upload_name(word)).collect(),
        }),
        "expire" => {
            let names = words.rest();
            let manifests = names.iter().map(|word| link_name(word));
            Action::ExpireManifests(rpc::ExpireManifests {
                manifests: manifests
                    .map(|LinkName { repository, digest }| ManifestName { repository, digest })
                    .collect(),
            })
        }
        _ => return None,
    })
}

/// The words of one line that are not read yet.
struct Words {
    left: VecDeque<String>,
}

impl Words {
    fn new(line: &str) -> Self {
        let words = line.split_whitespace();
        Self {
            left: words
                .filter(|word| !FILLERS.contains(word))
                .map(str::to_owned)
                .collect(),
        }
    }

    fn text(&mut self) -> String {
        self.left.pop_front().expect("another word in the line")
    }

    fn number(&mut self) -> u64 {
        number(&self.text())
    }

    fn optional_number(&mut self) -> Option<u64> {
        self.left.pop_front().map(|word| number(&word))
    }

    /// The next word, if it is a number.
    fn leading_number(&mut self) -> Option<u64> {
        let number = self.left.front()?.parse().ok()?;
        self.left.pop_front();
        Some(number)
    }

    /// The word after the next one, if that is `name`.
    fn setting(&mut self, name: &str) -> Option<String> {
        self.left.front().filter(|word| *word == name)?;
        self.left.pop_front();
        Some(self.text())
    }

    fn rest(&mut self) -> Vec<String> {
        self.left.drain(..).collect()
    }

    /// The words up to the next of `ends`.
    fn until(&mut self, ends: &[&str]) -> Vec<String> {
        let is_end = |word: &String| ends.contains(&word.as_str());
        let count = self.left.iter().position(is_end);
        self.left
            .drain(..count.unwrap_or(self.left.len()))
            .collect()
    }

    fn stamp(&mut self) -> Option<u64> {
        let now = self.left.front()?.strip_prefix('@').map(number);
        now.inspect(|_| drop(self.left.pop_front()))
    }

    fn owner(&mut self) -> Owner {
        let word = self.text();
        let (node, boot) = word.split_once('.').expect("node.boot");
        Owner {
            node: number(node),
            boot: number(boot),
        }
    }

    fn origin(&mut self) -> Option<Origin> {
        let word = self.left.front().filter(|word| word.contains('#'))?.clone();
        self.left.pop_front();
        let (life, serials) = word.split_once('#')?;
        let (node, boot) = life.split_once('.').expect("node.boot");
        let (serial, lowest) = serials.split_once('/').unwrap_or((serials, "0"));
        Some(Origin {
            node: number(node),
            boot: number(boot),
            serial: number(serial),
            lowest_outstanding: number(lowest),
        })
    }

    fn put(&mut self) -> rpc::PutManifest {
        let (digest, repository) = (self.text(), self.text());
        let contents = self.until(&["subject", "tags"]);
        let is_next = |words: &Self, name| words.left.front().is_some_and(|word| word == name);
        let mut subject = String::new();
        if is_next(self, "subject") {
            self.text();
            subject = self.text();
        }
        let mut tags = Vec::new();
        if is_next(self, "tags") {
            self.text();
            tags = self.rest().iter().flat_map(|word| tags_of(word)).collect();
        }
        rpc::PutManifest {
            repository,
            media_type: "image".to_owned(),
            body: format!("body of {digest}").into_bytes().into(),
            digest,
            subject,
            artifact_type: String::new(),
            annotations: [].into(),
            contents: contents.iter().map(|word| content(word)).collect(),
            tags,
        }
    }
}

fn number(word: &str) -> u64 {
    word.parse()
        .unwrap_or_else(|_| panic!("{word} is no number"))
}

fn tags_of(word: &str) -> Vec<String> {
    match word.split_once('*') {
        Some((stem, count)) => (0..number(count))
            .map(|index| format!("{stem}{index:03}"))
            .collect(),
        None => vec![word.to_owned()],
    }
}

fn content(word: &str) -> Content {
    let digest = word.trim_end_matches(['*', '?']);
    Content {
        digest: digest.to_owned(),
        is_manifest: word.contains('*'),
        is_required: !word.contains('?'),
    }
}

fn upload_name(word: &str) -> UploadName {
    let (upload, epoch) = word.split_once('/').expect("upload/epoch");
    UploadName {
        upload: upload.to_owned(),
        epoch: number(epoch),
    }
}

fn link_name(word: &str) -> LinkName {
    let (repository, digest) = word.split_once('/').expect("repository/digest");
    LinkName {
        repository: repository.to_owned(),
        digest: digest.to_owned(),
    }
}
