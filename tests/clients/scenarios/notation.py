"""notation: signatures by certificate, found by referrers."""

import json

import content

TOOLS = ("notation", "crane")
CANNOT = dict.fromkeys(
    ("hundred", "empty", "index", "big", "artifact"),
    "it makes small artifacts of types of its own, about images that others push",
)
PLAIN = "--insecure-registry"


def play(stage):
    at = stage.address
    layout = stage.layout("layout")
    digest = layout.tag(layout.image([content.random_layer(1, 1 << 16)]), "1")
    stage.run("crane", "push", "layout", f"{at}/{content.DEEP}:1", show=False)
    image = f"{at}/{content.DEEP}@{digest}"

    stage.heading("A certificate for tests, and a policy that trusts it")
    stage.run("notation", "cert", "generate-test", "--default", "harbour.example")
    policy = {
        "version": "1.0",
        "trustPolicies": [
            {
                "name": "all",
                "registryScopes": ["*"],
                "signatureVerification": {"level": "strict"},
                "trustStores": ["ca:harbour.example"],
                "trustedIdentities": ["*"],
            }
        ],
    }
    (stage.folder / "policy.json").write_text(json.dumps(policy))
    stage.run("notation", "policy", "import", "policy.json")

    stage.heading("Unsigned: refused")
    stage.run("notation", "verify", PLAIN, image, fails=True)

    stage.heading("Sign, list, verify")
    stage.run("notation", "sign", PLAIN, "--force-referrers-tag=false", image)
    stage.expect(
        "referrers", stage.registry.referrers(content.DEEP, digest), ["application/vnd.cncf.notary.signature"]
    )
    stage.expect_tags(content.DEEP, "1")
    ran = stage.run("notation", "list", PLAIN, image)
    stage.expect_in("listed", "application/vnd.cncf.notary.signature", ran.stdout)
    ran = stage.run("notation", "verify", PLAIN, image)
    stage.expect_in("verified", "Successfully verified", ran.stdout)

    stage.heading("By default it also keeps a tag that lists what refers, for registries that cannot")
    ran = stage.run("notation", "sign", PLAIN, "--signature-format", "cose", image)
    # No two signatures are alike; the configuration is, and is there.
    stage.expect("blobs sent", ran.blobs_sent(), 1)
    stage.expect_tags(content.DEEP, "1", digest.replace(":", "-"))
    ran = stage.run("notation", "inspect", PLAIN, "--output", "json", image)
    stage.expect("signatures", len(json.loads(ran.stdout)["Signatures"]), 2)
    stage.digest(content.DEEP, digest)
    stage.moved.add("deep")

    stage.heading("A third signature: the tag moves to a longer list, and notation deletes the old one")
    tag = digest.replace(":", "-")
    old = stage.digest(content.DEEP, tag)
    stage.run("notation", "sign", PLAIN, image)
    stage.expect("the tag moved", stage.digest(content.DEEP, tag) == old, False)
    stage.expect("the old list is there", stage.is_there(content.DEEP, old), False)

    # notation has no command that deletes; what it pushed can be deleted all the same.
    _, listed = stage.registry.get(f"/v2/{content.DEEP}/referrers/{digest}")
    for entry in json.loads(listed)["manifests"]:
        status, _, _ = stage.registry.ask("DELETE", f"/v2/{content.DEEP}/manifests/{entry['digest']}")
        stage.expect("delete", status, 202)
    stage.expect("referrers", stage.registry.referrers(content.DEEP, digest), [])
    stage.heading("What was deleted")
    stage.run("notation", "verify", PLAIN, image, fails=True)
