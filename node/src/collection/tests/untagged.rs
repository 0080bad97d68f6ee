//! Manifests that nothing holds: only those that the policy is for go.

use roadstead_cluster::metadata::view::ViewExt;
use roadstead_cluster::metadata::{View, keys};
use roadstead_proto::rpc::metadata::PutManifest;
use roadstead_proto::rpc::state::Untagged;

use super::*;
use crate::testing::until;

const MANIFESTS: Run = Run {
    is_dry: false,
    uploads: false,
    manifests: true,
    sweep: false,
};

impl Node {
    async fn put_manifest(&self, repository: &str) {
        let body = format!("{{\"of\":\"{repository}\"}}");
        let put = PutManifest {
            repository: repository.to_owned(),
            digest: Algorithm::Sha256.digest(body.as_bytes()).to_string(),
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            body: body.into(),
            ..PutManifest::default()
        };
        let put = self.metadata.propose(Action::PutManifest(put)).await;
        put.expect("the manifest is put");
    }

    async fn manifests_of(&self, repository: &str) -> usize {
        let look = |view: &dyn View| Ok(view.keys(&keys::manifests(repository), &[], 10)?.len());
        self.metadata.read(look).await.expect("rows")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_repositories_that_a_pattern_names_lose_untagged_manifests() {
    let mut node = node().await;
    for repository in ["ci-not/app", "prod/ci/app", "ci/app"] {
        node.put_manifest(repository).await;
    }
    node.change(ChangeSettings {
        untagged: Some(Untagged {
            age_ms: 1,
            repositories: vec!["^(?:ci/.*)$".to_owned()],
        }),
        ..ChangeSettings::default()
    })
    .await;
    until("the manifest of the pattern goes", async || {
        node.run(MANIFESTS).await.expect("a look");
        node.manifests_of("ci/app").await == 0
    })
    .await;
    // They are older.
    assert_eq!(node.manifests_of("ci-not/app").await, 1);
    assert_eq!(node.manifests_of("prod/ci/app").await, 1);
    assert_eq!(node.progress.counts().manifests, 1);

    node.change(ChangeSettings {
        untagged: Some(Untagged {
            age_ms: 1,
            repositories: vec!["(".to_owned()],
        }),
        ..ChangeSettings::default()
    })
    .await;
    let failure = node.run(MANIFESTS).await.expect_err("no pattern");
    assert!(matches!(failure, CollectionError::Pattern(_)), "{failure}");
    assert_eq!(node.manifests_of("prod/ci/app").await, 1);
}
