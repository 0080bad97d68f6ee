//! Random steps, and the commands that they become in a world as it is at that point. A step says
//! "the upload's epoch, or one less": so most commands are meaningful and some are stale.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use crate::universe::Validation;

/// An object key for a command that takes one.
#[derive(Debug, Clone)]
pub(crate) enum KeyChoice {
    Fresh,
    /// One that is in use or reclaimed.
    Used(u8),
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) enum Asker {
    Nobody,
    /// The next serial of the node, `lag` above the lowest outstanding one.
    Next {
        node: u8,
        lag: u64,
    },
    /// An earlier serial of the node's present boot.
    Earlier {
        node: u8,
        back: u64,
    },
    /// An earlier boot of the node, or a node that never started.
    Stale {
        node: u8,
        back: u64,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Begin {
        upload: u8,
        repository: u8,
        key: KeyChoice,
        node: u8,
    },
    Checkpoint {
        upload: u8,
        epoch: i64,
        ahead: i64,
        is_release: bool,
    },
    Claim {
        upload: u8,
        epoch: i64,
        key: KeyChoice,
        node: u8,
    },
    Commit {
        upload: u8,
        epoch: i64,
        digest: u8,
        repository: u8,
    },
    Cancel {
        upload: u8,
        epoch: i64,
    },
    Mount {
        from: u8,
        to: u8,
        digest: u8,
    },
    Unlink {
        repository: u8,
        digest: u8,
    },
    Renew {
        repository: u8,
        blobs: Vec<u8>,
        manifest: u8,
    },
    Damage {
        digest: u8,
        is_current: bool,
    },
    Put {
        repository: u8,
        manifest: u8,
        tags: u8,
        validation: Validation,
    },
    /// A manifest with more tags than one step of its deletion removes.
    PutMany {
        repository: u8,
        manifest: u8,
        tags: usize,
    },
    /// `is_largest`: of the manifests that are there, the one with the most tags.
    Delete {
        repository: u8,
        manifest: u8,
        is_largest: bool,
    },
    /// `is_begun`: a deletion that has begun, if there is one, be it of a repository.
    Continue {
        repository: u8,
        manifest: u8,
        is_begun: bool,
    },
    Untag {
        repository: u8,
        tag: u8,
    },
    Condemn {
        links: u8,
    },
    Forget {
        keys: Vec<u8>,
    },
    Start {
        node: u8,
        is_same: bool,
        level_max: u64,
    },
    Admit {
        number: u8,
        level_max: u64,
    },
    Remove {
        node: u8,
    },
    /// `is_same`: of this cluster.
    Restore {
        is_same: bool,
        incarnation: u64,
    },
    Verified,
    Level {
        level: u64,
    },
    Settings {
        grace_ms: Option<u64>,
        upload_age_ms: Option<u64>,
        untagged_age_ms: Option<u64>,
        is_paused: Option<bool>,
    },
    /// Which uploads, and how far the epoch is moved.
    ExpireUploads {
        uploads: Vec<(u8, i64)>,
    },
    /// Repositories and manifests.
    ExpireManifests {
        manifests: Vec<(u8, u8)>,
    },
    /// `is_largest`: the repository of the manifest with the most tags.
    DeleteRepository {
        repository: u8,
        is_largest: bool,
    },
    Found {
        is_same: bool,
    },
    Marker {
        incarnation: u64,
    },
    /// An earlier command, word for word.
    Repeat {
        back: usize,
    },
}

/// What a command is stamped with.
#[derive(Debug, Clone)]
pub(crate) enum Time {
    /// How far cluster time moves, or how far the stamp lies behind.
    By(i64),
    /// One of the times at which something will be over, or as many milliseconds before.
    Due { number: u8, before_ms: u64 },
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) time: Time,
    pub(crate) asker: Asker,
    pub(crate) kind: Kind,
}

/// Sequences of at most `count` steps.
pub(crate) fn sequences(count: usize) -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..=count)
}

fn step() -> impl Strategy<Value = Step> {
    let kinds = prop_oneof![30 => uploads(), 14 => blobs(), 24 => manifests(), 18 => collection(),
        4 => cluster(), 9 => repeats()];
    (time(), asker(), kinds).prop_map(|(time, asker, kind)| Step { time, asker, kind })
}

/// In steps of ten, as holds are, so that time often is exactly the end of one.
fn time() -> impl Strategy<Value = Time> {
    let tens = prop_oneof![
        60 => Just(0),
        30 => 1..15_i64,
        6 => 15..50_i64,
        4 => -30..0_i64,
        1 => 359_990..360_010_i64,
    ];
    let before = prop_oneof![6 => Just(0), 1 => Just(1)];
    prop_oneof![
        9 => tens.prop_map(|tens| Time::By(tens * 10)),
        1 => (any::<u8>(), before).prop_map(|(number, before_ms)| Time::Due { number, before_ms }),
    ]
}

fn asker() -> impl Strategy<Value = Asker> {
    let (node, back) = (any::<u8>(), 0..6_u64);
    prop_oneof![
        20 => Just(Asker::Nobody),
        10 => (node, 0..5_u64).prop_map(|(node, lag)| Asker::Next { node, lag }),
        2 => (node, back.clone()).prop_map(|(node, back)| Asker::Earlier { node, back }),
        1 => (node, back).prop_map(|(node, back)| Asker::Stale { node, back }),
    ]
}

fn key() -> impl Strategy<Value = KeyChoice> {
    prop_oneof![8 => Just(KeyChoice::Fresh), 1 => any::<u8>().prop_map(KeyChoice::Used)]
}

/// The present epoch, or one beside it.
fn epoch() -> impl Strategy<Value = i64> {
    prop_oneof![12 => Just(0), 1 => Just(-1), 1 => Just(1)]
}

fn uploads() -> impl Strategy<Value = Kind> {
    let byte = any::<u8>;
    let ahead = prop_oneof![5 => Just(-1), 3 => Just(0), 8 => 1..20_i64];
    let begin = (byte(), byte(), key(), byte());
    let checkpoint = (byte(), epoch(), ahead, any::<bool>());
    let claim = (byte(), epoch(), key(), byte());
    let commit = (byte(), epoch(), byte(), byte());
    prop_oneof![
        12 => begin.prop_map(|(upload, repository, key, node)| Kind::Begin {
            upload, repository, key, node
        }),
        9 => checkpoint.prop_map(|(upload, epoch, ahead, is_release)| Kind::Checkpoint {
            upload, epoch, ahead, is_release
        }),
        7 => claim.prop_map(|(upload, epoch, key, node)| Kind::Claim { upload, epoch, key, node }),
        10 => commit.prop_map(|(upload, epoch, digest, repository)| Kind::Commit {
            upload, epoch, digest, repository
        }),
        3 => (byte(), epoch()).prop_map(|(upload, epoch)| Kind::Cancel { upload, epoch }),
    ]
}

fn blobs() -> impl Strategy<Value = Kind> {
    let byte = any::<u8>;
    let renew = (byte(), vec(byte(), 0..3), byte());
    prop_oneof![
        5 => (byte(), byte(), byte()).prop_map(|(from, to, digest)| Kind::Mount {
            from, to, digest
        }),
        3 => (byte(), byte()).prop_map(|(repository, digest)| Kind::Unlink { repository, digest }),
        3 => renew.prop_map(|(repository, blobs, manifest)| Kind::Renew {
            repository, blobs, manifest
        }),
        4 => (byte(), prop_oneof![4 => Just(true), 1 => Just(false)])
            .prop_map(|(digest, is_current)| Kind::Damage { digest, is_current }),
    ]
}

fn manifests() -> impl Strategy<Value = Kind> {
    let byte = any::<u8>;
    let validation = prop_oneof![
        2 => Just(Validation::Full),
        1 => Just(Validation::BlobsOnly),
        1 => Just(Validation::Off),
    ];
    // Around one step's tags, and around two.
    let many = prop_oneof![255..258_usize, 511..530_usize];
    let put = (byte(), byte(), byte(), validation);
    prop_oneof![
        40 => put.prop_map(|(repository, manifest, tags, validation)| Kind::Put {
            repository, manifest, tags, validation
        }),
        3 => (byte(), byte(), many).prop_map(|(repository, manifest, tags)| {
            Kind::PutMany { repository, manifest, tags }
        }),
        20 => (byte(), byte(), any::<bool>()).prop_map(|(repository, manifest, is_largest)| {
            Kind::Delete { repository, manifest, is_largest }
        }),
        10 => (byte(), byte(), any::<bool>()).prop_map(|(repository, manifest, is_begun)| {
            Kind::Continue { repository, manifest, is_begun }
        }),
        10 => (byte(), byte()).prop_map(|(repository, tag)| Kind::Untag { repository, tag }),
    ]
}

fn collection() -> impl Strategy<Value = Kind> {
    let byte = any::<u8>;
    prop_oneof![
        16 => byte().prop_map(|links| Kind::Condemn { links }),
        8 => vec(byte(), 0..6).prop_map(|keys| Kind::Forget { keys }),
        6 => vec((byte(), epoch()), 0..5).prop_map(|uploads| Kind::ExpireUploads { uploads }),
        20 => vec((byte(), byte()), 0..9).prop_map(|manifests| {
            Kind::ExpireManifests { manifests }
        }),
        2 => (byte(), any::<bool>()).prop_map(|(repository, is_largest)| {
            Kind::DeleteRepository { repository, is_largest }
        }),
    ]
}

fn age() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        4 => Just(None),
        1 => Just(Some(0)),
        2 => Just(Some(50)),
        2 => Just(Some(150)),
        1 => Just(Some(1000)),
    ]
}

fn cluster() -> impl Strategy<Value = Kind> {
    let grace = prop_oneof![Just(None), Just(Some(100)), Just(Some(30)), Just(Some(0))];
    prop_oneof![
        16 => (any::<u8>(), any::<bool>(), 0..4_u64).prop_map(|(node, is_same, level_max)| {
            Kind::Start { node, is_same, level_max }
        }),
        8 => (any::<u8>(), 0..4_u64).prop_map(|(number, level_max)| {
            Kind::Admit { number, level_max }
        }),
        8 => (0..4_u64).prop_map(|level| Kind::Level { level }),
        1 => (0..6_u8).prop_map(|node| Kind::Remove { node }),
        1 => (any::<bool>(), 0..4_u64).prop_map(|(is_same, incarnation)| {
            Kind::Restore { is_same, incarnation }
        }),
        1 => Just(Kind::Verified),
        8 => (grace, age(), age(), any::<Option<bool>>()).prop_map(
            |(grace_ms, upload_age_ms, untagged_age_ms, is_paused)| Kind::Settings {
                grace_ms, upload_age_ms, untagged_age_ms, is_paused
            }
        ),
        4 => any::<bool>().prop_map(|is_same| Kind::Found { is_same }),
        4 => (0..3_u64).prop_map(|incarnation| Kind::Marker { incarnation }),
    ]
}

fn repeats() -> impl Strategy<Value = Kind> {
    (0..12_usize).prop_map(|back| Kind::Repeat { back })
}
