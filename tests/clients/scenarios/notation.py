"""notation: signatures by certificate, found by referrers."""

import json

import content

TOOLS = ("notation", "crane")
PLAIN = "--insecure-registry"


def play(stage):
    at = stage.address
    layout = stage.layout("layout")
    digest = layout.tag(layout.image([content.random_layer(1, 1 << 16)]), "1")
    stage.run("crane", "push", "layout", f"{at}/team/app:1", show=False)
    image = f"{at}/team/app@{digest}"

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
        "referrers", stage.registry.referrers("team/app", digest), ["application/vnd.cncf.notary.signature"]
    )
    stage.expect_tags("team/app", "1")
    ran = stage.run("notation", "list", PLAIN, image)
    stage.expect_in("listed", "application/vnd.cncf.notary.signature", ran.stdout)
    ran = stage.run("notation", "verify", PLAIN, image)
    stage.expect_in("verified", "Successfully verified", ran.stdout)

    stage.heading("By default it also keeps a tag that lists what refers, for registries that cannot")
    stage.run("notation", "sign", PLAIN, "--signature-format", "cose", image)
    stage.expect_tags("team/app", "1", digest.replace(":", "-"))
    ran = stage.run("notation", "inspect", PLAIN, "--output", "json", image)
    stage.expect("signatures", len(json.loads(ran.stdout)["Signatures"]), 2)
    stage.digest("team/app", digest)
