//! A small world in which random commands meet each other: two repositories, four blobs, five
//! manifests whose contents never change, as a digest demands, four uploads, three nodes.

use roadstead_proto::rpc::metadata::{Content, LinkName, PutManifest};

pub(crate) const REPOSITORIES: [&str; 2] = ["a", "b"];
pub(crate) const BLOBS: [&str; 4] = ["d0", "d1", "d2", "d3"];
pub(crate) const UPLOADS: [&str; 4] = ["u0", "u1", "u2", "u3"];
pub(crate) const TAGS: [&str; 3] = ["x", "y", "z"];

/// A manifest, what it points at (`m..` are children), and its subject.
type Pattern = (&'static str, &'static [&'static str], &'static str);

const MANIFESTS: [Pattern; 5] = [
    ("m0", &["d0", "d1"], ""),
    ("m1", &["d1", "d2"], "m0"),
    ("m2", &["m0", "m1"], ""),
    ("m3", &[], "m0"),
    ("m4", &["d3", "m2"], "m9"),
];

/// One of `all`, whatever the number.
pub(crate) fn pick<T: Copy>(all: &[T], number: u8) -> T {
    all[usize::from(number) % all.len()]
}

pub(crate) fn manifest(number: u8) -> &'static str {
    pick(&MANIFESTS, number).0
}

pub(crate) fn body(manifest: &str) -> Vec<u8> {
    format!("body of {manifest}").into_bytes()
}

/// What a registry insists on when a manifest is pushed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Validation {
    Full,
    BlobsOnly,
    Off,
}

pub(crate) fn put(
    repository: &str,
    number: u8,
    tags: Vec<String>,
    validation: Validation,
) -> PutManifest {
    let (digest, contents, subject) = pick(&MANIFESTS, number);
    let content = |digest: &&str| {
        let is_manifest = digest.starts_with('m');
        Content {
            digest: (*digest).to_owned(),
            is_manifest,
            is_required: match validation {
                Validation::Full => true,
                Validation::BlobsOnly => !is_manifest,
                Validation::Off => false,
            },
        }
    };
    PutManifest {
        repository: repository.to_owned(),
        digest: digest.to_owned(),
        media_type: "image".to_owned(),
        body: body(digest).into(),
        subject: subject.to_owned(),
        artifact_type: String::new(),
        annotations: [("name".to_owned(), digest.to_owned())].into(),
        contents: contents.iter().map(content).collect(),
        tags,
    }
}

/// The links that the bits of `mask` choose, all of them existing or not.
pub(crate) fn links(mask: u8) -> Vec<LinkName> {
    let all = REPOSITORIES
        .iter()
        .flat_map(|repository| BLOBS.iter().map(move |digest| (repository, digest)));
    let chosen = all.enumerate().filter(|(bit, _)| mask >> bit & 1 == 1);
    let link = |(_, (repository, digest)): (usize, (&&str, &&str))| LinkName {
        repository: (*repository).to_owned(),
        digest: (*digest).to_owned(),
    };
    chosen.map(link).collect()
}
