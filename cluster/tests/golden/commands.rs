//! Commands and answers.

use expect_test::expect;
use roadstead_proto::rpc::metadata::command::Action;
use roadstead_proto::rpc::metadata::refusal::Reason;
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{
    self as rpc, Command, Content, LinkName, ManifestName, Origin, Response, UploadName,
};
use roadstead_proto::rpc::state::{Owner, Untagged, Upload};

use crate::encoded;

/// The place of an action in the list of samples, and how many there are. A new variant gets the
/// next number and a sample.
fn place(action: &Action) -> usize {
    match action {
        Action::FoundCluster(_) => 0,
        Action::StartNode(_) => 1,
        Action::ConfirmMarker(_) => 2,
        Action::ChangeSettings(_) => 3,
        Action::RaiseFeatureLevel(_) => 4,
        Action::BeginUpload(_) => 5,
        Action::CheckpointUpload(_) => 6,
        Action::ReleaseUpload(_) => 7,
        Action::ClaimUpload(_) => 8,
        Action::CommitUpload(_) => 9,
        Action::CancelUpload(_) => 10,
        Action::MountBlob(_) => 11,
        Action::DeleteBlob(_) => 12,
        Action::RenewHold(_) => 13,
        Action::MarkDamaged(_) => 14,
        Action::PutManifest(_) => 15,
        Action::DeleteManifest(_) => 16,
        Action::ContinueDeletion(_) => 17,
        Action::DeleteTag(_) => 18,
        Action::Condemn(_) => 19,
        Action::Forget(_) => 20,
        Action::DeleteRepository(_) => 21,
        Action::ExpireUploads(_) => 22,
        Action::ExpireManifests(_) => 23,
        Action::AdmitNode(_) => 24,
        Action::RemoveNode(_) => 25,
        Action::RestoreCluster(_) => 26,
        Action::ConfirmVerified(_) => ACTIONS - 1,
    }
}

const ACTIONS: usize = 28;

fn owner() -> Option<Owner> {
    Some(Owner { node: 3, boot: 5 })
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn cluster_actions() -> Vec<Action> {
    vec![
        Action::FoundCluster(rpc::FoundCluster {
            cluster_id: text("cluster"),
            grace_ms: 86_400_000,
            feature_level: 1,
        }),
        Action::StartNode(rpc::StartNode {
            node: 3,
            instance: text("instance"),
            address: text("host:7000"),
            feature_level_max: 2,
            version: text("0.1.0"),
        }),
        Action::ConfirmMarker(rpc::ConfirmMarker {
            cluster_id: text("cluster"),
            incarnation: 2,
        }),
        Action::ChangeSettings(rpc::ChangeSettings {
            grace_ms: Some(0),
            ..rpc::ChangeSettings::default()
        }),
        Action::RaiseFeatureLevel(rpc::RaiseFeatureLevel { level: 2 }),
    ]
}

fn upload_actions() -> Vec<Action> {
    vec![
        Action::BeginUpload(rpc::BeginUpload {
            upload: text("u"),
            repository: text("a/b"),
            object_key: text("k"),
            algorithm: text("sha256"),
            owner: owner(),
        }),
        Action::CheckpointUpload(rpc::CheckpointUpload {
            upload: text("u"),
            epoch: 2,
            offset: 300,
            hash_state: vec![1, 2].into(),
            checkpoint: vec![3, 4].into(),
        }),
        Action::ReleaseUpload(rpc::ReleaseUpload {
            upload: text("u"),
            epoch: 2,
            offset: 300,
            hash_state: vec![1, 2].into(),
            checkpoint: vec![3, 4].into(),
        }),
        Action::ClaimUpload(rpc::ClaimUpload {
            upload: text("u"),
            epoch_seen: 2,
            owner: owner(),
            fresh_key: text("l"),
        }),
        Action::CommitUpload(rpc::CommitUpload {
            upload: text("u"),
            epoch: 2,
            digest: text("sha256:d"),
            size: 300,
            repository: text("a/b"),
        }),
        Action::CancelUpload(rpc::CancelUpload {
            upload: text("u"),
            epoch: 2,
        }),
    ]
}

fn blob_actions() -> Vec<Action> {
    vec![
        Action::MountBlob(rpc::MountBlob {
            repository: text("a/b"),
            from: text("c"),
            digest: text("sha256:d"),
        }),
        Action::DeleteBlob(rpc::DeleteBlob {
            repository: text("a/b"),
            digest: text("sha256:d"),
        }),
        Action::RenewHold(rpc::RenewHold {
            repository: text("a/b"),
            digests: vec![text("sha256:d"), text("sha256:e")],
        }),
        Action::MarkDamaged(rpc::MarkDamaged {
            digest: text("sha256:d"),
            object_key: text("k"),
            sound: false,
        }),
    ]
}

fn manifest_actions() -> Vec<Action> {
    let content = |digest, is_manifest, is_required| Content {
        digest: text(digest),
        is_manifest,
        is_required,
    };
    vec![
        Action::PutManifest(rpc::PutManifest {
            repository: text("a/b"),
            digest: text("sha256:m"),
            media_type: text("image"),
            body: b"{}".to_vec().into(),
            subject: text("sha256:s"),
            artifact_type: text("signature"),
            annotations: [("y", "2"), ("x", "1")]
                .map(|(name, value)| (text(name), text(value)))
                .into(),
            contents: vec![
                content("sha256:d", false, true),
                content("sha256:c", true, false),
            ],
            tags: vec![text("latest"), text("1")],
        }),
        Action::DeleteManifest(rpc::DeleteManifest {
            repository: text("a/b"),
            digest: text("sha256:m"),
        }),
        Action::ContinueDeletion(rpc::ContinueDeletion {
            repository: text("a/b"),
            digest: text("sha256:m"),
        }),
        Action::DeleteTag(rpc::DeleteTag {
            repository: text("a/b"),
            tag: text("latest"),
        }),
        Action::Condemn(rpc::Condemn {
            links: vec![LinkName {
                repository: text("a/b"),
                digest: text("sha256:d"),
            }],
        }),
        Action::Forget(rpc::Forget {
            object_keys: vec![text("k"), text("l")],
        }),
        Action::DeleteRepository(rpc::DeleteRepository {
            repository: text("a/b"),
        }),
    ]
}

fn expiry_actions() -> Vec<Action> {
    vec![
        Action::ExpireUploads(rpc::ExpireUploads {
            uploads: vec![UploadName {
                upload: text("u"),
                epoch: 2,
            }],
        }),
        Action::ExpireManifests(rpc::ExpireManifests {
            manifests: vec![ManifestName {
                repository: text("a/b"),
                digest: text("sha256:m"),
            }],
        }),
    ]
}

fn joining_actions() -> Vec<Action> {
    vec![Action::AdmitNode(rpc::AdmitNode {
        instance: text("instance"),
        address: text("host:7400"),
        feature_level_max: 2,
        version: text("0.1.0"),
    })]
}

fn leaving_actions() -> Vec<Action> {
    vec![
        Action::RemoveNode(rpc::RemoveNode { node: 3 }),
        Action::RestoreCluster(rpc::RestoreCluster {
            cluster_id: text("cluster"),
            incarnation: 4,
            node: 5,
            instance: text("instance"),
            address: text("host:7400"),
        }),
        Action::ConfirmVerified(rpc::ConfirmVerified {}),
    ]
}

fn samples() -> Vec<Action> {
    [
        cluster_actions(),
        upload_actions(),
        blob_actions(),
        manifest_actions(),
        expiry_actions(),
        joining_actions(),
        leaving_actions(),
    ]
    .concat()
}

#[test]
fn every_action_has_a_sample() {
    let places: Vec<_> = samples().iter().map(place).collect();
    assert_eq!(places, Vec::from_iter(0..ACTIONS));
}

#[test]
fn commands_are_encoded_as_ever() {
    let mut lines = String::new();
    for action in samples() {
        let debug = format!("{action:?}");
        let command = Command {
            action: Some(action),
            ..Command::default()
        };
        let name = debug.split('(').next().unwrap_or_default();
        lines += &format!("{name} {}\n", encoded(&command));
    }
    expect![[r#"
        FoundCluster 52100a07636c75737465721080b899291801
        StartNode 5a2008031208696e7374616e63651a09686f73743a373030
            3020022a05302e312e30
        ConfirmMarker 620b0a07636c75737465721002
        ChangeSettings 6a020800
        RaiseFeatureLevel 72020802
        BeginUpload a201190a01751203612f621a016b22067368613235362a04
            08031005
        CheckpointUpload aa01100a0175100218ac02220201022a020304
        ReleaseUpload b201100a0175100218ac02220201022a020304
        ClaimUpload ba010e0a017510021a040803100522016c
        CommitUpload c201170a017510021a087368613235363a6420ac022a0361
            2f62
        CancelUpload ca01050a01751002
        MountBlob f201120a03612f621201631a087368613235363a64
        DeleteBlob fa010f0a03612f6212087368613235363a64
        RenewHold 8202190a03612f6212087368613235363a64120873686132
            35363a65
        MarkDamaged 8a020d0a087368613235363a6412016b
        PutManifest c202660a03612f6212087368613235363a6d1a05696d6167
            6522027b7d2a087368613235363a7332097369676e617475
            72653a060a01781201313a060a0179120132420c0a087368
            613235363a641801420c0a087368613235363a6310014a06
            6c61746573744a0131
        DeleteManifest ca020f0a03612f6212087368613235363a6d
        ContinueDeletion d2020f0a03612f6212087368613235363a6d
        DeleteTag da020d0a03612f6212066c6174657374
        Condemn 9203110a0f0a03612f6212087368613235363a64
        Forget 9a03060a016b0a016c
        DeleteRepository e202050a03612f62
        ExpireUploads a203070a050a01751002
        ExpireManifests aa03110a0f0a03612f6212087368613235363a6d
        AdmitNode 7a1e0a08696e7374616e63651209686f73743a3734303018
            022205302e312e30
        RemoveNode 8201020803
        RestoreCluster 8a01220a07636c7573746572100418052208696e7374616e
            63652a09686f73743a37343030
        ConfirmVerified 920100
    "#]]
    .assert_eq(&lines);
}

/// What was added to a command later: without it, the command is encoded as before.
#[test]
fn settings_that_came_later_are_encoded_as_ever() {
    let change = rpc::ChangeSettings {
        grace_ms: Some(0),
        reading_delay_ms: Some(0),
        upload_age_ms: Some(300),
        untagged: Some(Untagged {
            age_ms: 300,
            repositories: vec![text("a/.*"), text("b")],
        }),
        collection_paused: Some(false),
    };
    let command = Command {
        action: Some(Action::ChangeSettings(change)),
        ..Command::default()
    };
    expect![[r#"
        6a170800100018ac02220c08ac021204612f2e2a12016228
            00"#]]
    .assert_eq(&encoded(&command));
    let nothing_held = rpc::ChangeSettings {
        untagged: Some(Untagged::default()),
        ..rpc::ChangeSettings::default()
    };
    expect!["2200"].assert_eq(&encoded(&nothing_held));
}

/// The deletion of a repository goes on by the command that a manifest's goes on by.
#[test]
fn the_next_step_of_a_repository_is_encoded_as_ever() {
    let step = rpc::ContinueDeletion {
        repository: text("a/b"),
        digest: String::new(),
    };
    let command = Command {
        action: Some(Action::ContinueDeletion(step)),
        ..Command::default()
    };
    expect!["d202050a03612f62"].assert_eq(&encoded(&command));
}

#[test]
fn the_frame_of_a_command_is_encoded_as_ever() {
    let command = Command {
        now_ms: 1,
        unix_ms: 2,
        origin: Some(Origin {
            node: 3,
            boot: 4,
            serial: 5,
            lowest_outstanding: 6,
        }),
        action: Some(Action::ChangeSettings(rpc::ChangeSettings::default())),
    };
    expect!["080110021a0808031004180520066a00"].assert_eq(&encoded(&command));
}

fn upload() -> Upload {
    Upload {
        repository: text("a/b"),
        object_key: text("l"),
        algorithm: text("sha256"),
        owner: owner(),
        epoch: 2,
        released: true,
        offset: 300,
        hash_state: vec![1, 2].into(),
        checkpoint: vec![3, 4].into(),
        former_key: text("k"),
        started_at_unix_ms: 7,
        updated_at_ms: 8,
    }
}

/// As `place`, of answers.
fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Refusal(_) => "Refusal",
        Outcome::Done(_) => "Done",
        Outcome::Started(_) => "Started",
        Outcome::Claimed(_) => "Claimed",
        Outcome::Deletion(_) => "Deletion",
        Outcome::Condemned(_) => "Condemned",
        Outcome::Expired(_) => "Expired",
        Outcome::Admitted(_) => "Admitted",
    }
}

#[test]
fn answers_are_encoded_as_ever() {
    let samples = [
        Outcome::Refusal(rpc::Refusal {
            reason: Reason::BlobUnknown.into(),
            digests: vec![text("sha256:d"), text("sha256:e")],
        }),
        Outcome::Done(rpc::Done {}),
        Outcome::Started(rpc::Started { boot: 5 }),
        Outcome::Claimed(rpc::Claimed {
            upload: Some(upload()),
        }),
        Outcome::Deletion(rpc::Deletion { is_finished: true }),
        Outcome::Condemned(rpc::Condemned {
            links: 2,
            objects: 1,
        }),
        Outcome::Expired(rpc::Expired { count: 3 }),
        Outcome::Admitted(rpc::Admitted { node: 4 }),
    ];
    let mut lines = String::new();
    for outcome in samples {
        let name = outcome_name(&outcome);
        let response = Response {
            outcome: Some(outcome),
        };
        lines += &format!("{name} {}\n", encoded(&response));
    }
    expect![[r#"
        Refusal 0a16080212087368613235363a6412087368613235363a65
        Done 1200
        Started 1a020805
        Claimed 222e0a2c0a03612f6212016c1a0673686132353622040803
            10052802300138ac02420201024a02030452016b58076008
        Deletion 2a020801
        Condemned 320408021001
        Expired 3a020803
        Admitted 42020804
    "#]]
    .assert_eq(&lines);
}

#[test]
fn reasons_have_the_numbers_that_they_ever_had() {
    let mut lines = String::new();
    for number in 0..100 {
        if let Ok(reason) = Reason::try_from(number) {
            lines += &format!("{number} {}\n", reason.as_str_name());
        }
    }
    expect![[r#"
        0 UNSPECIFIED
        1 REPOSITORY_UNKNOWN
        2 BLOB_UNKNOWN
        3 MANIFEST_UNKNOWN
        4 TAG_UNKNOWN
        5 UPLOAD_UNKNOWN
        6 EPOCH_STALE
        7 OFFSET_BEHIND
        8 STILL_REFERENCED
        9 DELETING
        10 BOOT_STALE
        11 SERIAL_FORGOTTEN
        12 KEY_USED
        13 IDENTITY_MISMATCH
        14 FEATURE_LEVEL
    "#]]
    .assert_eq(&lines);
}
