//! The commands of the model, small enough to be part of a key, and the real ones that they are.
//! Not their meaning: that is in `apply` alone, and for seeded mistakes in `mistake.rs`.

use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::{
    BeginUpload, CancelUpload, CheckpointUpload, ClaimUpload, CommitUpload, Condemn, Content,
    DeleteManifest, Forget, LinkName, MountBlob, PutManifest, ReleaseUpload, RenewHold,
};
use roadstead_proto::rpc::state::Owner;

use super::universe::{DIGEST, KEYS, MANIFESTS, REPOSITORIES, Set, UPLOADS};

/// Numbers are places in the lists of `universe.rs`; an owner is the number of its session.
#[rustfmt::skip]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Command {
    BeginUpload { upload: u8, repository: u8, key: u8, owner: u8 },
    CheckpointUpload { upload: u8, epoch: u8 },
    ReleaseUpload { upload: u8, epoch: u8 },
    ClaimUpload { upload: u8, epoch_seen: u8, owner: u8, fresh_key: u8 },
    CommitUpload { upload: u8, epoch: u8, repository: u8 },
    CancelUpload { upload: u8, epoch: u8 },
    MountBlob,
    RenewHold { repository: u8 },
    PutManifest { manifest: u8 },
    DeleteManifest { manifest: u8 },
    Condemn { links: Set },
    Forget { keys: Set },
    /// Any command that is stamped a tick later; this one changes nothing else.
    Advance,
    /// Seeded mistake: as `Condemn`, but it believes what the collector saw.
    CondemnUnchecked { links: Set },
    /// Seeded mistake: as `ClaimUpload`, but the key is kept though nobody released it.
    ClaimKeepingKey { upload: u8, epoch_seen: u8, owner: u8 },
}

fn name(names: &[&str], number: u8) -> String {
    names[usize::from(number)].to_owned()
}

fn owner(session: u8) -> Option<Owner> {
    let (node, boot) = (u64::from(session) + 1, 1);
    Some(Owner { node, boot })
}

impl Command {
    /// What lies in the log; of a seeded mistake, the command that it is a mistaken reading of.
    pub(super) fn action(self) -> Action {
        match self {
            Self::BeginUpload {
                upload,
                repository,
                key,
                owner: session,
            } => Action::BeginUpload(BeginUpload {
                upload: name(&UPLOADS, upload),
                repository: name(&REPOSITORIES, repository),
                object_key: name(&KEYS, key),
                algorithm: "sha256".to_owned(),
                owner: owner(session),
            }),
            Self::CheckpointUpload { upload, epoch } => {
                Action::CheckpointUpload(CheckpointUpload {
                    upload: name(&UPLOADS, upload),
                    epoch: epoch.into(),
                    offset: 1,
                    hash_state: b"state".as_slice().into(),
                    checkpoint: b"checkpoint".as_slice().into(),
                })
            }
            Self::ReleaseUpload { upload, epoch } => Action::ReleaseUpload(ReleaseUpload {
                upload: name(&UPLOADS, upload),
                epoch: epoch.into(),
                offset: 1,
                hash_state: b"state".as_slice().into(),
                checkpoint: b"checkpoint".as_slice().into(),
            }),
            Self::ClaimUpload {
                upload,
                epoch_seen,
                owner,
                fresh_key,
            } => claim(upload, epoch_seen, owner, name(&KEYS, fresh_key)),
            Self::ClaimKeepingKey {
                upload,
                epoch_seen,
                owner,
            } => claim(upload, epoch_seen, owner, String::new()),
            Self::CommitUpload {
                upload,
                epoch,
                repository,
            } => Action::CommitUpload(CommitUpload {
                upload: name(&UPLOADS, upload),
                epoch: epoch.into(),
                digest: DIGEST.to_owned(),
                size: 1,
                repository: name(&REPOSITORIES, repository),
            }),
            Self::CancelUpload { upload, epoch } => Action::CancelUpload(CancelUpload {
                upload: name(&UPLOADS, upload),
                epoch: epoch.into(),
            }),
            Self::MountBlob => Action::MountBlob(MountBlob {
                repository: name(&REPOSITORIES, 1),
                from: name(&REPOSITORIES, 0),
                digest: DIGEST.to_owned(),
            }),
            Self::RenewHold { repository } => Action::RenewHold(RenewHold {
                repository: name(&REPOSITORIES, repository),
                digests: vec![DIGEST.to_owned()],
            }),
            Self::PutManifest { manifest } => put(manifest),
            Self::DeleteManifest { manifest } => {
                let (repository, digest) = MANIFESTS[usize::from(manifest)];
                Action::DeleteManifest(DeleteManifest {
                    repository: name(&REPOSITORIES, repository),
                    digest: digest.to_owned(),
                })
            }
            Self::Condemn { links } | Self::CondemnUnchecked { links } => condemn(links),
            Self::Forget { keys } => forget(keys),
            Self::Advance => forget(Set::default()),
        }
    }
}

fn claim(upload: u8, epoch_seen: u8, session: u8, fresh_key: String) -> Action {
    Action::ClaimUpload(ClaimUpload {
        upload: name(&UPLOADS, upload),
        epoch_seen: epoch_seen.into(),
        owner: owner(session),
        fresh_key,
    })
}

fn put(manifest: u8) -> Action {
    let (repository, digest) = MANIFESTS[usize::from(manifest)];
    let content = Content {
        digest: DIGEST.to_owned(),
        is_manifest: false,
        is_required: true,
    };
    Action::PutManifest(PutManifest {
        repository: name(&REPOSITORIES, repository),
        digest: digest.to_owned(),
        media_type: "image".to_owned(),
        body: b"body".as_slice().into(),
        contents: vec![content],
        ..PutManifest::default()
    })
}

fn condemn(links: Set) -> Action {
    let link = |repository| LinkName {
        repository: name(&REPOSITORIES, repository),
        digest: DIGEST.to_owned(),
    };
    Action::Condemn(Condemn {
        links: links.iter().map(link).collect(),
    })
}

fn forget(keys: Set) -> Action {
    Action::Forget(Forget {
        object_keys: keys.iter().map(|key| name(&KEYS, key)).collect(),
    })
}
