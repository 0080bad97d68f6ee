//! Turns steps into commands, knowing the world from the naive model, never from the state machine.

use std::collections::{BTreeMap, BTreeSet};

use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::{
    self as rpc, Command, ManifestName, Origin, Response, UploadName,
};
use roadstead_proto::rpc::state::{Owner, Untagged};

use crate::facts::Name;
use crate::naive::Naive;
use crate::steps::{Asker, KeyChoice, Kind, Step, Time};
use crate::universe::{self, BLOBS, REPOSITORIES, TAGS, UPLOADS, Validation, pick};

const NODES: [u64; 3] = [1, 2, 3];

/// A wall clock that has nothing to do with cluster time.
const UNIX_MS: u64 = 1_700_000_000_000;

#[derive(Debug, Default)]
pub(crate) struct Scenario {
    pub(crate) naive: Naive,
    pub(crate) commands: Vec<Command>,
    /// The last serial of each node's boot.
    serials: BTreeMap<(u64, u64), u64>,
    /// Every key that a command ever named as fresh.
    drawn: BTreeSet<String>,
}

impl Scenario {
    /// A founded cluster with two nodes, in which uploads and manifests expire.
    pub(crate) fn founding() -> [Action; 4] {
        let start = |node| start(node, true, 3);
        let ages = settings(None, Some(300), Some(150), None);
        [found(true), start(1), start(2), ages]
    }

    /// Notes a command and predicts its answer.
    pub(crate) fn execute(&mut self, command: &Command) -> Response {
        self.commands.push(command.clone());
        self.naive.execute(command)
    }

    pub(crate) fn command(&mut self, step: &Step) -> Command {
        let now_ms = self.time(&step.time);
        let unix_ms = UNIX_MS + self.commands.len() as u64;
        if let Some(repeated) = self.repeated(&step.kind) {
            return Command { now_ms, ..repeated };
        }
        let action = self.action(&step.kind);
        Command {
            now_ms,
            unix_ms,
            origin: self.origin(&step.asker, &action),
            action: Some(action),
        }
    }

    fn time(&self, time: &Time) -> u64 {
        let now_ms = self.naive.now_ms;
        match time {
            Time::By(advance_ms) => now_ms.saturating_add_signed(*advance_ms),
            Time::Due { number, before_ms } => {
                let times = self.naive.due_times();
                let at = usize::from(*number) % times.len().max(1);
                let due_ms = times.get(at).copied().unwrap_or(now_ms);
                due_ms.saturating_sub(*before_ms)
            }
        }
    }

    /// An earlier command, unless it would use a key that was forgotten meanwhile: keys are random
    /// and a reclaimed one is kept for longer than any command is repeated.
    fn repeated(&self, kind: &Kind) -> Option<Command> {
        let Kind::Repeat { back } = kind else {
            return None;
        };
        let command = self.commands.iter().rev().nth(*back)?;
        let is_gone = |key: &String| self.naive.objects().iter().all(|(used, _)| *used != key);
        let key = match command.action.as_ref()? {
            Action::BeginUpload(begin) => Some(&begin.object_key),
            Action::ClaimUpload(claim) => Some(&claim.fresh_key),
            _ => None,
        };
        match key {
            Some(key) if self.drawn.contains(key) && is_gone(key) => None,
            _ => Some(command.clone()),
        }
    }

    fn key(&mut self, choice: &KeyChoice) -> String {
        if let KeyChoice::Used(number) = choice
            && let Some(key) = self.used_key(*number)
        {
            return key;
        }
        let key = format!("k{}", self.drawn.len());
        self.drawn.insert(key.clone());
        key
    }

    fn used_key(&self, number: u8) -> Option<String> {
        let objects = self.naive.objects();
        let at = usize::from(number) % objects.len().max(1);
        objects.get(at).map(|(key, _)| (*key).clone())
    }

    fn owner(&self, node: u8) -> Option<Owner> {
        let node = pick(&NODES, node);
        let boot = self.naive.nodes.get(&node).map_or(1, |node| node.boot);
        Some(Owner { node, boot })
    }

    /// An upload's id, epoch and offset, the epoch moved by `shift`.
    fn upload(&self, number: u8, shift: i64) -> (String, u64, u64) {
        let id = pick(&UPLOADS, number);
        let upload = self.naive.uploads.get(id);
        let (epoch, offset) = upload.map_or((1, 0), |upload| (upload.epoch, upload.offset));
        (id.to_owned(), epoch.saturating_add_signed(shift), offset)
    }

    fn origin(&mut self, asker: &Asker, action: &Action) -> Option<Origin> {
        // These are never sent as requests.
        if matches!(
            action,
            Action::FoundCluster(_)
                | Action::AdmitNode(_)
                | Action::RemoveNode(_)
                | Action::RestoreCluster(_)
                | Action::StartNode(_)
        ) {
            return None;
        }
        let (node, shift) = match asker {
            Asker::Nobody => return None,
            Asker::Next { node, .. } | Asker::Earlier { node, .. } => (node, 0),
            Asker::Stale { node, back } => (node, *back as i64 - 3),
        };
        let owner = self.owner(*node)?;
        let (node, boot) = (owner.node, owner.boot.saturating_add_signed(shift));
        let last = self.serials.entry((node, boot)).or_default();
        let (serial, lowest_outstanding) = match asker {
            Asker::Next { lag, .. } => {
                *last += 1;
                (*last, (*last + 1).saturating_sub(*lag))
            }
            Asker::Earlier { back, .. } | Asker::Stale { back, .. } => {
                (last.saturating_sub(*back), 0)
            }
            Asker::Nobody => return None,
        };
        Some(Origin {
            node,
            boot,
            serial,
            lowest_outstanding,
        })
    }

    fn action(&mut self, kind: &Kind) -> Action {
        match kind {
            Kind::Begin {
                upload,
                repository,
                key,
                node,
            } => Action::BeginUpload(rpc::BeginUpload {
                upload: pick(&UPLOADS, *upload).to_owned(),
                repository: repository_name(*repository),
                object_key: self.key(key),
                algorithm: "sha256".to_owned(),
                owner: self.owner(*node),
            }),
            Kind::Checkpoint {
                upload,
                epoch,
                ahead,
                is_release,
            } => self.checkpoint(*upload, *epoch, *ahead, *is_release),
            Kind::Claim {
                upload,
                epoch,
                key,
                node,
            } => self.claim(*upload, *epoch, key, *node),
            Kind::Commit {
                upload,
                epoch,
                digest,
                repository,
            } => {
                let (upload, epoch, _) = self.upload(*upload, *epoch);
                Action::CommitUpload(rpc::CommitUpload {
                    upload,
                    epoch,
                    digest: pick(&BLOBS, *digest).to_owned(),
                    size: 10 + u64::from(digest % 4),
                    repository: repository_name(*repository),
                })
            }
            Kind::Cancel { upload, epoch } => {
                let (upload, epoch, _) = self.upload(*upload, *epoch);
                Action::CancelUpload(rpc::CancelUpload { upload, epoch })
            }
            other => self.content_action(other),
        }
    }

    fn content_action(&self, kind: &Kind) -> Action {
        match kind {
            Kind::Damage { digest, is_current } => {
                // A draw of its own would change all that follow it.
                let sound = *digest & 0x80 != 0;
                let digest = pick(&BLOBS, *digest).to_owned();
                let current = self.naive.key_of(&digest).filter(|_| *is_current);
                Action::MarkDamaged(rpc::MarkDamaged {
                    digest,
                    object_key: current.unwrap_or_else(|| "another".to_owned()),
                    sound,
                })
            }
            Kind::Forget { keys } => Action::Forget(rpc::Forget {
                object_keys: keys.iter().filter_map(|key| self.used_key(*key)).collect(),
            }),
            Kind::Delete {
                repository,
                manifest,
                is_largest,
            } => {
                let largest = self.naive.largest_manifest().filter(|_| *is_largest);
                let at = largest.unwrap_or_else(|| manifest_name(*repository, *manifest));
                Action::DeleteManifest(rpc::DeleteManifest {
                    repository: at.0,
                    digest: at.1,
                })
            }
            Kind::Continue {
                repository,
                manifest,
                is_begun,
            } => {
                let begun = self.naive.begun_deletions();
                let one = begun.get(usize::from(*manifest) % begun.len().max(1));
                let one = one.filter(|_| *is_begun).cloned();
                let at = one.unwrap_or_else(|| manifest_name(*repository, *manifest));
                Action::ContinueDeletion(rpc::ContinueDeletion {
                    repository: at.0,
                    digest: at.1,
                })
            }
            Kind::DeleteRepository {
                repository,
                is_largest,
            } => {
                let largest = self.naive.largest_manifest().filter(|_| *is_largest);
                Action::DeleteRepository(rpc::DeleteRepository {
                    repository: largest.map_or_else(|| repository_name(*repository), |at| at.0),
                })
            }
            Kind::ExpireUploads { uploads } => {
                let names = uploads.iter().map(|(number, shift)| {
                    let (upload, epoch, _) = self.upload(*number, *shift);
                    UploadName { upload, epoch }
                });
                Action::ExpireUploads(rpc::ExpireUploads {
                    uploads: names.collect(),
                })
            }
            // Nothing to repeat: the collector looks at everything.
            Kind::Repeat { .. } => condemn(u8::MAX),
            other => fixed(other),
        }
    }

    fn claim(&mut self, upload: u8, epoch: i64, key: &KeyChoice, node: u8) -> Action {
        let (upload, epoch_seen, _) = self.upload(upload, epoch);
        // Keys are random: nobody draws the one that the upload has.
        let row = self.naive.uploads.get(&upload);
        let own = row.map(|row| row.key.clone());
        let drawn = Some(self.key(key)).filter(|key| Some(key) != own.as_ref());
        Action::ClaimUpload(rpc::ClaimUpload {
            upload,
            epoch_seen,
            owner: self.owner(node),
            fresh_key: drawn.unwrap_or_else(|| self.key(&KeyChoice::Fresh)),
        })
    }

    fn checkpoint(&self, upload: u8, epoch: i64, ahead: i64, is_release: bool) -> Action {
        let (upload, epoch, offset) = self.upload(upload, epoch);
        let offset = offset.saturating_add_signed(ahead);
        let number = self.commands.len();
        let hash_state = format!("hash {number}").into_bytes().into();
        let checkpoint = format!("checkpoint {number}").into_bytes().into();
        if is_release {
            Action::ReleaseUpload(rpc::ReleaseUpload {
                upload,
                epoch,
                offset,
                hash_state,
                checkpoint,
            })
        } else {
            Action::CheckpointUpload(rpc::CheckpointUpload {
                upload,
                epoch,
                offset,
                hash_state,
                checkpoint,
            })
        }
    }
}

fn repository_name(number: u8) -> String {
    pick(&REPOSITORIES, number).to_owned()
}

fn manifest_name(repository: u8, manifest: u8) -> Name {
    (
        repository_name(repository),
        universe::manifest(manifest).to_owned(),
    )
}

fn condemn(mask: u8) -> Action {
    Action::Condemn(rpc::Condemn {
        links: universe::links(mask),
    })
}

fn found(is_same: bool) -> Action {
    Action::FoundCluster(rpc::FoundCluster {
        cluster_id: if is_same { "cluster" } else { "other" }.to_owned(),
        grace_ms: 100,
        feature_level: 1,
    })
}

fn settings(
    grace_ms: Option<u64>,
    upload_age_ms: Option<u64>,
    untagged_age_ms: Option<u64>,
    collection_paused: Option<bool>,
) -> Action {
    Action::ChangeSettings(rpc::ChangeSettings {
        grace_ms,
        reading_delay_ms: upload_age_ms,
        upload_age_ms,
        untagged: untagged_age_ms.map(|age_ms| Untagged {
            age_ms,
            repositories: Vec::new(),
        }),
        collection_paused,
    })
}

fn start(node: u64, is_same: bool, level_max: u64) -> Action {
    Action::StartNode(rpc::StartNode {
        node,
        instance: if is_same { "same" } else { "other" }.to_owned(),
        address: format!("host{node}"),
        feature_level_max: level_max,
        version: "0.1.0".to_owned(),
    })
}

fn admit(number: u8, level_max: u64) -> Action {
    Action::AdmitNode(rpc::AdmitNode {
        instance: format!("joined{}", number % 3),
        address: "joiner".to_owned(),
        feature_level_max: level_max,
        version: "0.1.0".to_owned(),
    })
}

/// Commands that are the same in every world.
fn fixed(kind: &Kind) -> Action {
    match kind {
        Kind::Mount { from, to, digest } => Action::MountBlob(rpc::MountBlob {
            repository: repository_name(*to),
            from: repository_name(*from),
            digest: pick(&BLOBS, *digest).to_owned(),
        }),
        Kind::Unlink { repository, digest } => Action::DeleteBlob(rpc::DeleteBlob {
            repository: repository_name(*repository),
            digest: pick(&BLOBS, *digest).to_owned(),
        }),
        Kind::Renew {
            repository,
            blobs,
            manifest,
        } => {
            let blobs = blobs.iter().map(|number| pick(&BLOBS, *number));
            let digests = blobs.chain([universe::manifest(*manifest)]);
            Action::RenewHold(rpc::RenewHold {
                repository: repository_name(*repository),
                digests: digests.map(str::to_owned).collect(),
            })
        }
        Kind::Put {
            repository,
            manifest,
            tags,
            validation,
        } => {
            let chosen = (0..3).filter(|bit| tags >> bit & 1 == 1);
            let tags = chosen.map(|bit| pick(&TAGS, bit).to_owned()).collect();
            let name = repository_name(*repository);
            Action::PutManifest(universe::put(&name, *manifest, tags, *validation))
        }
        Kind::PutMany {
            repository,
            manifest,
            tags,
        } => {
            let tags = (0..*tags).map(|number| format!("t{number:03}")).collect();
            let name = repository_name(*repository);
            Action::PutManifest(universe::put(&name, *manifest, tags, Validation::Off))
        }
        Kind::Untag { repository, tag } => Action::DeleteTag(rpc::DeleteTag {
            repository: repository_name(*repository),
            tag: pick(&TAGS, *tag).to_owned(),
        }),
        Kind::Condemn { links } => condemn(*links),
        Kind::Admit { number, level_max } => admit(*number, *level_max),
        Kind::Start {
            node,
            is_same,
            level_max,
        } => start(pick(&NODES, *node), *is_same, *level_max),
        Kind::Remove { node } => Action::RemoveNode(rpc::RemoveNode {
            node: u64::from(*node),
        }),
        Kind::Restore {
            is_same,
            incarnation,
        } => Action::RestoreCluster(rpc::RestoreCluster {
            cluster_id: if *is_same { "cluster" } else { "other" }.to_owned(),
            incarnation: *incarnation,
            node: incarnation + 20,
            instance: "restored".to_owned(),
            address: "restored".to_owned(),
        }),
        Kind::Verified => Action::ConfirmVerified(rpc::ConfirmVerified {}),
        Kind::Level { level } => {
            Action::RaiseFeatureLevel(rpc::RaiseFeatureLevel { level: *level })
        }
        Kind::Settings {
            grace_ms,
            upload_age_ms,
            untagged_age_ms,
            is_paused,
        } => settings(*grace_ms, *upload_age_ms, *untagged_age_ms, *is_paused),
        Kind::ExpireManifests { manifests } => {
            let names = manifests.iter().map(|(repository, manifest)| {
                let (repository, digest) = manifest_name(*repository, *manifest);
                ManifestName { repository, digest }
            });
            Action::ExpireManifests(rpc::ExpireManifests {
                manifests: names.collect(),
            })
        }
        Kind::Found { is_same } => found(*is_same),
        Kind::Marker { incarnation } => Action::ConfirmMarker(rpc::ConfirmMarker {
            cluster_id: "cluster".to_owned(),
            incarnation: *incarnation,
        }),
        other => unreachable!("{other:?} depends on the world"),
    }
}
