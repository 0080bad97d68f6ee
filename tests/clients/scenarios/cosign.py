"""cosign: signatures, SBOMs and attestations, hung on images by tags and by referrers.

With a key pair and without a transparency log, so that nothing but the registry is asked.
"""

import json

import content

TOOLS = ("cosign", "crane")
CANNOT = dict.fromkeys(
    ("hundred", "empty", "index", "big", "artifact"),
    "it makes small artifacts of types of its own, about images that others push",
)
HTTP = "--allow-http-registry"
NO_LOG = "--tlog-upload=false"
TAGS, REFERRERS = content.DEEP, "team/referrers"
BY_REFERRERS = {"COSIGN_EXPERIMENTAL": "1"}


def play(stage):
    at = stage.address
    layout = stage.layout("layout")
    digest = layout.tag(layout.image([content.random_layer(1, 1 << 16)]), "1")
    for repository in (TAGS, REFERRERS):
        stage.run("crane", "push", "layout", f"{at}/{repository}:1", show=False)
    (stage.folder / "sbom.json").write_text('{"spdxVersion":"SPDX-2.3"}')
    (stage.folder / "predicate.json").write_text('{"checked":true}')
    # Nobody is trusted but the key: without this file it would ask the public instance of sigstore.
    root = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": [], "ctlogs": []}
    (stage.folder / "trusted-root.json").write_text(json.dumps(root))
    secret = {"COSIGN_PASSWORD": "secret"}

    stage.heading("A key pair")
    stage.run("cosign", "generate-key-pair", variables=secret)
    by_tags(stage, f"{at}/{TAGS}@{digest}", digest, secret)
    by_referrers(stage, f"{at}/{REFERRERS}@{digest}", digest, secret)


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
    stage.expect_tags(TAGS, "1", f"{name}.att", f"{name}.sbom", f"{name}.sig")
    stage.run("cosign", "verify", HTTP, *verify, image)
    stage.run("cosign", "verify-attestation", HTTP, *verify, "--type", "custom", image)
    ran = stage.run("cosign", "download", "sbom", HTTP, image)
    stage.expect_in("sbom", "SPDX-2.3", ran.stdout)
    tree = stage.run("cosign", "tree", HTTP, image).stdout
    for tag in ("sig", "att", "sbom"):
        stage.digest(TAGS, f"{name}.{tag}")
        stage.expect_in("tree", f"{name}.{tag}", tree)
    stage.moved.add("deep")

    stage.heading("The same SBOM again sends nothing; another takes the tag over")
    attach = ("cosign", "attach", "sbom", HTTP, "--sbom")
    stage.expect_no_layer_sent(stage.run(*attach, "sbom.json", image))
    old = stage.digest(TAGS, f"{name}.sbom")
    (stage.folder / "other.json").write_text('{"spdxVersion":"SPDX-2.2"}')
    stage.run(*attach, "other.json", image)
    stage.expect("the tag moved", stage.digest(TAGS, f"{name}.sbom") == old, False)
    stage.expect("old digest", stage.digest(TAGS, old), old)

    stage.heading("A second signature goes beside the first")
    old = stage.digest(TAGS, f"{name}.sig")
    ran = stage.run(*sign, "-a", "stage=prod", "--key", "cosign.key", image, variables=secret)
    stage.expect("signatures", len(stage.registry.manifest(TAGS, f"{name}.sig").json()["layers"]), 2)
    stage.expect("the old list of signatures", stage.digest(TAGS, old), old)

    stage.heading("A wrong key verifies nothing")
    stage.run("cosign", "generate-key-pair", "--output-key-prefix", "other", variables=secret, show=False)
    wrong = ("--insecure-ignore-tlog", "--key", "other.pub", "--new-bundle-format=false")
    stage.run("cosign", "verify", HTTP, *wrong, image, fails=True)

    stage.heading("Signatures removed")
    stage.run("cosign", "clean", HTTP, "--type", "signature", "-f", image)
    stage.expect("signature", stage.is_there(TAGS, f"{name}.sig"), False)


def by_referrers(stage, image, digest, secret):
    mode = ("--registry-referrers-mode", "oci-1-1")
    stage.heading("Signed and attested, found by referrers")
    stage.run(
        "cosign", "sign", HTTP, NO_LOG, "--new-bundle-format=false", "--use-signing-config=false", "-y",
        *mode, "--key", "cosign.key", image,
        variables={**secret, **BY_REFERRERS},
    )  # fmt: skip
    stage.expect_tags(REFERRERS, "1")
    stage.expect(
        "referrers",
        stage.registry.referrers(REFERRERS, digest),
        ["application/vnd.dev.cosign.artifact.sig.v1+json"],
    )
    stage.run(
        "cosign", "verify", HTTP, "--insecure-ignore-tlog", "--key", "cosign.pub", "--new-bundle-format=false",
        "--experimental-oci11", image,
        variables=BY_REFERRERS,
    )  # fmt: skip
    attach = ("cosign", "attach", "sbom", HTTP, *mode, "--sbom", "sbom.json", image)
    stage.run(*attach, variables=BY_REFERRERS)
    stage.expect_no_layer_sent(stage.run(*attach, variables=BY_REFERRERS, show=False))
    stage.run(
        "cosign", "attest", HTTP, NO_LOG, "--new-bundle-format", "--use-signing-config=false", "-y",
        "--key", "cosign.key", "--predicate", "predicate.json", image,
        variables=secret,
    )  # fmt: skip
    stage.run(
        "cosign", "verify-attestation", HTTP, "--insecure-ignore-tlog", "--key", "cosign.pub",
        "--new-bundle-format", "--trusted-root", "trusted-root.json", "--type", "custom", image,
    )  # fmt: skip
    kinds = stage.registry.referrers(REFERRERS, digest)
    stage.expect("referrers", len(kinds), 3)
    # cosign reads an SBOM back by its tag only, so that this one is looked for without it.
    _, listed = stage.registry.get(f"/v2/{REFERRERS}/referrers/{digest}")
    layers = []
    for entry in json.loads(listed)["manifests"]:
        stage.expect("referrer", stage.digest(REFERRERS, entry["digest"]), entry["digest"])
        manifest = stage.registry.manifest(REFERRERS, entry["digest"]).json()
        layers += [layer["digest"] for layer in manifest["layers"]]
    stage.expect_in("SBOM", content.file_sha256(stage.folder / "sbom.json"), layers)

    stage.heading("What refers to it, with the SBOM")
    tree = stage.run("cosign", "tree", HTTP, "--experimental-oci11", image, variables=BY_REFERRERS).stdout
    for kind in kinds:
        stage.expect_in("tree", kind, tree)
