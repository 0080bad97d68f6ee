"""cosign: signatures, SBOMs and attestations, hung on images by tags and by referrers.

With a key pair and without a transparency log, so that nothing but the registry is asked.
"""

import json

import content

TOOLS = ("cosign", "crane")
HTTP = "--allow-http-registry"
NO_LOG = "--tlog-upload=false"
BY_REFERRERS = {"COSIGN_EXPERIMENTAL": "1"}


def play(stage):
    at = stage.address
    layout = stage.layout("layout")
    digest = layout.tag(layout.image([content.random_layer(1, 1 << 16)]), "1")
    for repository in ("team/tags", "team/referrers"):
        stage.run("crane", "push", "layout", f"{at}/{repository}:1", show=False)
    (stage.folder / "sbom.json").write_text('{"spdxVersion":"SPDX-2.3"}')
    (stage.folder / "predicate.json").write_text('{"checked":true}')
    # Nobody is trusted but the key: without this file it would ask the public instance of sigstore.
    root = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": [], "ctlogs": []}
    (stage.folder / "trusted-root.json").write_text(json.dumps(root))
    secret = {"COSIGN_PASSWORD": "secret"}

    stage.heading("A key pair")
    stage.run("cosign", "generate-key-pair", variables=secret)
    by_tags(stage, f"{at}/team/tags@{digest}", digest, secret)
    by_referrers(stage, f"{at}/team/referrers@{digest}", digest, secret)


def by_tags(stage, image, digest, secret):
    name = digest.replace(":", "-")
    sign = ("cosign", "sign", HTTP, NO_LOG, "--new-bundle-format=false", "--use-signing-config=false", "-y")
    verify = ("--insecure-ignore-tlog", "--key", "cosign.pub", "--new-bundle-format=false")
    stage.heading("Signed, with an SBOM and an attestation, each under a tag made of the digest")
    stage.run(*sign, "--key", "cosign.key", image, variables=secret)
    stage.run("cosign", "attach", "sbom", HTTP, "--sbom", "sbom.json", image)
    stage.run(
        "cosign", "attest", HTTP, NO_LOG, "--new-bundle-format=false", "--use-signing-config=false", "-y",
        "--key", "cosign.key", "--predicate", "predicate.json", image,
        variables=secret,
    )  # fmt: skip
    stage.expect_tags("team/tags", "1", f"{name}.att", f"{name}.sbom", f"{name}.sig")
    stage.run("cosign", "verify", HTTP, *verify, image)
    stage.run("cosign", "verify-attestation", HTTP, *verify, "--type", "custom", image)
    ran = stage.run("cosign", "download", "sbom", HTTP, image)
    stage.expect_in("sbom", "SPDX-2.3", ran.stdout)
    stage.run("cosign", "tree", HTTP, image)
    for tag in ("sig", "att", "sbom"):
        stage.digest("team/tags", f"{name}.{tag}")

    stage.heading("A second signature goes beside the first")
    old = stage.digest("team/tags", f"{name}.sig")
    ran = stage.run(*sign, "-a", "stage=prod", "--key", "cosign.key", image, variables=secret)
    stage.expect("signatures", len(stage.registry.manifest("team/tags", f"{name}.sig").json()["layers"]), 2)
    stage.expect("the old list of signatures", stage.digest("team/tags", old), old)

    stage.heading("A wrong key verifies nothing")
    stage.run("cosign", "generate-key-pair", "--output-key-prefix", "other", variables=secret, show=False)
    wrong = ("--insecure-ignore-tlog", "--key", "other.pub", "--new-bundle-format=false")
    stage.run("cosign", "verify", HTTP, *wrong, image, fails=True)

    stage.heading("Signatures removed")
    stage.run("cosign", "clean", HTTP, "--type", "signature", "-f", image)
    stage.expect("signature", stage.is_there("team/tags", f"{name}.sig"), False)


def by_referrers(stage, image, digest, secret):
    mode = ("--registry-referrers-mode", "oci-1-1")
    stage.heading("Signed and attested, found by referrers")
    stage.run(
        "cosign", "sign", HTTP, NO_LOG, "--new-bundle-format=false", "--use-signing-config=false", "-y",
        *mode, "--key", "cosign.key", image,
        variables={**secret, **BY_REFERRERS},
    )  # fmt: skip
    stage.expect_tags("team/referrers", "1")
    stage.expect(
        "referrers",
        stage.registry.referrers("team/referrers", digest),
        ["application/vnd.dev.cosign.artifact.sig.v1+json"],
    )
    stage.run(
        "cosign", "verify", HTTP, "--insecure-ignore-tlog", "--key", "cosign.pub", "--new-bundle-format=false",
        "--experimental-oci11", image,
        variables=BY_REFERRERS,
    )  # fmt: skip
    stage.run("cosign", "attach", "sbom", HTTP, *mode, "--sbom", "sbom.json", image, variables=BY_REFERRERS)
    stage.run(
        "cosign", "attest", HTTP, NO_LOG, "--new-bundle-format", "--use-signing-config=false", "-y",
        "--key", "cosign.key", "--predicate", "predicate.json", image,
        variables=secret,
    )  # fmt: skip
    stage.run(
        "cosign", "verify-attestation", HTTP, "--insecure-ignore-tlog", "--key", "cosign.pub",
        "--new-bundle-format", "--trusted-root", "trusted-root.json", "--type", "custom", image,
    )  # fmt: skip
    stage.expect("referrers", len(stage.registry.referrers("team/referrers", digest)), 3)
