//! Tables, keys and rows.

use std::fmt::Debug;

use expect_test::expect;
use prost::Message;
use roadstead_cluster::metadata::{Key, Table, keys};
use roadstead_proto::rpc::metadata::response::Outcome;
use roadstead_proto::rpc::metadata::{Deletion, Response};
use roadstead_proto::rpc::state::{self, object};

use crate::{encoded, hex};

fn text(text: &str) -> String {
    text.to_owned()
}

/// A key, and the row that lies under it.
fn line<R: Message + Default + PartialEq + Debug>(key: &Key<R>, row: &R) -> String {
    let (table, key) = (key.table().name(), hex(key.bytes()));
    let row = encoded(row);
    let or_empty = |text: String| {
        if text.is_empty() {
            "empty".to_owned()
        } else {
            text
        }
    };
    format!("{table} {} = {}\n", or_empty(key), or_empty(row))
}

fn presence(key: &Key<state::Presence>) -> String {
    line(key, &state::Presence {})
}

/// The samples of a table. A new table does not compile until it has one.
fn samples(table: Table) -> String {
    let (repository, digest) = ("a/b", "sha256:d");
    match table {
        Table::Repositories => repositories(repository),
        Table::Tags => tags(repository),
        Table::TaggedBy => presence(&keys::tagged_by(repository, "sha256:m", "latest")),
        Table::Manifests => manifests(repository),
        Table::ManifestIn => presence(&keys::manifest_in("sha256:m", repository)),
        Table::ManifestBodies => {
            let body = b"{}".to_vec().into();
            line(
                &keys::manifest_body("sha256:m"),
                &state::ManifestBody { body },
            )
        }
        Table::Contents => {
            let digests = vec![text(digest), text("sha256:c")];
            line(
                &keys::contents(repository, "sha256:m"),
                &state::Contents { digests },
            )
        }
        Table::Deletions => deletions(repository),
        Table::Blobs => blobs(digest),
        Table::Committed => {
            let row = state::Committed {
                repository: text(repository),
                expires_at_ms: 3_600_000,
            };
            line(&keys::committed("u", digest), &row)
        }
        Table::Links => {
            let row = state::Link {
                linked_at_unix_ms: 1,
                hold_until_ms: 2,
            };
            line(&keys::link(repository, digest), &row)
        }
        Table::LinkedIn => presence(&keys::linked_in(digest, repository)),
        Table::References => presence(&keys::reference(repository, digest, "sha256:m")),
        Table::Referrers => presence(&keys::referrer(repository, "sha256:s", "sha256:m")),
        Table::Objects => objects(digest),
        Table::Uploads => uploads(repository),
        Table::Candidates => presence(&keys::candidate(258, repository, digest)),
        Table::Reclaimable => presence(&keys::reclaimable(258, "k")),
        // Nothing writes these yet.
        Table::Events | Table::Cursors => String::new(),
        Table::Requests => {
            let deletion = Deletion { is_finished: true };
            let row = Response {
                outcome: Some(Outcome::Deletion(deletion)),
            };
            line(&keys::request(1, 2, 258), &row)
        }
        Table::Members => members(),
        Table::Settings => settings(),
        Table::Clock => line(&keys::clock(), &state::Clock { now_ms: 300 }),
        Table::Unheld => presence(&keys::unheld(258, repository, "sha256:m")),
    }
}

fn repositories(repository: &str) -> String {
    let row = state::Repository {
        created_at_unix_ms: 1,
        deleting: true,
        manifests: 2,
        tags: 3,
        links: 4,
    };
    line(&keys::repository(repository), &row)
}

fn tags(repository: &str) -> String {
    let row = state::Tag {
        digest: text("sha256:m"),
        updated_at_unix_ms: 1,
    };
    line(&keys::tag(repository, "latest"), &row)
}

fn manifests(repository: &str) -> String {
    let row = state::Manifest {
        media_type: text("image"),
        size: 2,
        subject: text("sha256:s"),
        artifact_type: text("signature"),
        annotations: [("y", "2"), ("x", "1")]
            .map(|(name, value)| (text(name), text(value)))
            .into(),
        pushed_at_unix_ms: 1,
        unheld_since_ms: Some(0),
        deleting: true,
    };
    line(&keys::manifest(repository, "sha256:m"), &row)
}

/// A row without a referrer is as those were that an earlier version wrote.
fn deletions(repository: &str) -> String {
    let told = state::Deletion {
        last_referrer: text("sha256:r"),
    };
    let key = keys::deletion(repository, "sha256:m");
    let lines = [
        line(&key, &state::Deletion::default()),
        line(&key, &told),
        line(&keys::deletion(repository, ""), &state::Deletion::default()),
    ];
    lines.concat()
}

fn blobs(digest: &str) -> String {
    let row = state::Blob {
        size: 300,
        object_key: text("k"),
        committed_at_unix_ms: 1,
        damaged: true,
    };
    line(&keys::blob(digest), &row)
}

fn objects(digest: &str) -> String {
    let reclaimed = state::Reclaimed {
        since_ms: 300,
        checkpoint: vec![3, 4].into(),
        size: 0,
    };
    let sized = state::Reclaimed {
        size: 300,
        ..reclaimed.clone()
    };
    let states = [
        object::State::Uploading(text("u")),
        object::State::Live(text(digest)),
        object::State::Reclaimed(reclaimed),
        object::State::Reclaimed(sized),
    ];
    let row = |state| state::Object { state: Some(state) };
    let lines = states.map(|state| line(&keys::object("k"), &row(state)));
    lines.concat()
}

fn uploads(repository: &str) -> String {
    let row = state::Upload {
        repository: text(repository),
        object_key: text("l"),
        algorithm: text("sha256"),
        owner: Some(state::Owner { node: 3, boot: 5 }),
        epoch: 2,
        released: true,
        offset: 300,
        hash_state: vec![1, 2].into(),
        checkpoint: vec![3, 4].into(),
        former_key: text("k"),
        started_at_unix_ms: 7,
        updated_at_ms: 8,
    };
    line(&keys::upload("u"), &row)
}

fn members() -> String {
    let row = state::Member {
        instance: text("instance"),
        address: text("host:7000"),
        boot: 5,
        lowest_serial: 6,
        feature_level_max: 2,
        version: text("0.1.0"),
        removed: true,
        dropped_boot: 4,
        dropped_serial: 3,
    };
    line(&keys::member(258), &row)
}

fn settings() -> String {
    let row = state::Settings {
        cluster_id: text("cluster"),
        incarnation: 2,
        marker_written: true,
        feature_level: 1,
        grace_ms: 86_400_000,
        ..state::Settings::default()
    };
    let later = state::Settings {
        reading_delay_ms: Some(0),
        upload_age_ms: Some(300),
        untagged: Some(state::Untagged {
            age_ms: 300,
            repositories: vec![text("a/.*"), text("b")],
        }),
        collection_paused: true,
        ..row.clone()
    };
    let restored = state::Settings {
        verify_due: true,
        ..row.clone()
    };
    [row, later, restored]
        .map(|row| line(&keys::settings(), &row))
        .concat()
}

#[test]
fn keys_and_rows_are_encoded_as_ever() {
    let lines = Table::ALL.map(samples).concat();
    expect![[r#"
        repositories 612f62 = 08011001180220032804
        tags 612f62006c6174657374 = 0a087368613235363a6d1001
        tagged_by 612f62007368613235363a6d006c6174657374 = empty
        manifests 612f62007368613235363a6d = 0a05696d61676510021a087368613235363a732209736967
            6e61747572652a060a01781201312a060a01791201323001
            38004001
        manifest_in 7368613235363a6d00612f62 = empty
        manifest_bodies 7368613235363a6d = 0a027b7d
        contents 612f62007368613235363a6d = 0a087368613235363a640a087368613235363a63
        deletions 612f62007368613235363a6d = empty
        deletions 612f62007368613235363a6d = 0a087368613235363a72
        deletions 612f6200 = empty
        blobs 7368613235363a64 = 08ac0212016b18012001
        committed 75007368613235363a64 = 0a03612f621080dddb01
        links 612f62007368613235363a64 = 08011002
        linked_in 7368613235363a6400612f62 = empty
        references 612f62007368613235363a64007368613235363a6d = empty
        referrers 612f62007368613235363a73007368613235363a6d = empty
        objects 6b = 0a0175
        objects 6b = 12087368613235363a64
        objects 6b = 1a0708ac0212020304
        objects 6b = 1a0a08ac021202030418ac02
        uploads 75 = 0a03612f6212016c1a067368613235362204080310052802
            300138ac02420201024a02030452016b58076008
        candidates 0000000000000102612f62007368613235363a64 = empty
        reclaimable 00000000000001026b = empty
        requests 000000000000000100000000000000020000000000000102 = 2a020801
        members 0000000000000102 = 0a08696e7374616e63651209686f73743a37303030180520
            0628023205302e312e30380140044803
        settings empty = 0a07636c75737465721002180120012880b89929
        settings empty = 0a07636c75737465721002180120012880b89929300038ac
            02420c08ac021204612f2e2a1201624801
        settings empty = 0a07636c75737465721002180120012880b899295001
        clock empty = 08ac02
        unheld 0000000000000102612f62007368613235363a6d = empty
    "#]]
    .assert_eq(&lines);
}

#[test]
fn tables_have_the_names_that_they_ever_had() {
    let names = Table::ALL.map(Table::name).join("\n");
    expect![[r#"
        repositories
        tags
        tagged_by
        manifests
        manifest_in
        manifest_bodies
        contents
        deletions
        blobs
        committed
        links
        linked_in
        references
        referrers
        objects
        uploads
        candidates
        reclaimable
        events
        cursors
        requests
        members
        settings
        clock
        unheld"#]]
    .assert_eq(&names);
}
