"""regctl: copies with digest tags and referrers, artifacts by subject, tag deletes."""

import content

TOOLS = ("regctl",)
CANNOT = {}


def play(stage):
    at = stage.address
    layout = stage.layout("layout")
    first = layout.tag(layout.image([content.random_layer(n, 1 << 20) for n in range(3)]), "1")
    second = layout.tag(layout.image([content.random_layer(n, 1 << 20) for n in range(4)]), "2")

    stage.heading("Plain HTTP for this registry")
    stage.run("regctl", "registry", "set", "--tls", "disabled", at)

    stage.heading("Push and pull")
    ran = stage.run("regctl", "image", "copy", "ocidir://layout:1", f"{at}/team/app:1")
    stage.expect("blobs sent", ran.blobs_sent(), 4)
    stage.expect("digest", stage.digest("team/app", "1"), first)
    again = stage.run("regctl", "image", "copy", "ocidir://layout:1", f"{at}/team/app:1")
    stage.expect_no_layer_sent(again)
    stage.run("regctl", "image", "copy", f"{at}/team/app:1", "ocidir://pulled:1")
    stage.expect_pulled("pulled", first)

    stage.heading("A push over an existing tag")
    stage.run("regctl", "image", "copy", "ocidir://layout:2", f"{at}/team/app:1")
    stage.expect("new digest", stage.digest("team/app", "1"), second)
    stage.expect("old digest", stage.digest("team/app", first), first)

    stage.heading("Artifacts that refer to an image")
    put = ("regctl", "artifact", "put", "--subject", f"{at}/team/app:1", "--artifact-type")
    for kind in ("application/vnd.example.sbom", "application/vnd.example.scan"):
        stage.run(*put, kind, stdin=f"what {kind} says")
    ran = stage.run("regctl", "artifact", "list", f"{at}/team/app:1")
    kinds = ["application/vnd.example.sbom", "application/vnd.example.scan"]
    stage.expect("referrers", stage.registry.referrers("team/app", second), kinds)
    for kind in kinds:
        stage.expect_in("listed", kind, ran.stdout)
    ran = stage.run(
        "regctl", "artifact", "get", "--subject", f"{at}/team/app:1", "--filter-artifact-type", kinds[0]
    )
    stage.expect("got", ran.stdout, f"what {kinds[0]} says")

    stage.heading("Copy with digest tags and referrers")
    # A digest tag: the older way to hang something on an image.
    digest_tag = second.replace(":", "-") + ".sig"
    stage.run("regctl", "image", "copy", f"{at}/team/app@{first}", f"{at}/team/app:{digest_tag}")
    ran = stage.run(
        "regctl", "image", "copy", "--digest-tags", "--referrers", f"{at}/team/app:1", f"{at}/prod/app:1"
    )
    stage.expect_no_layer_sent(ran)
    stage.expect("copied", stage.digest("prod/app", "1"), second)
    stage.expect("its referrers", stage.registry.referrers("prod/app", second), kinds)
    stage.expect("its digest tag", stage.digest("prod/app", digest_tag), first)

    shapes(stage)

    stage.heading("Lists")
    ran = stage.run("regctl", "tag", "list", f"{at}/team/app")
    stage.expect("tags", ran.stdout.split(), ["1", digest_tag])
    ran = stage.run("regctl", "repo", "list", at)
    stage.expect("repositories", ran.stdout.split(), [content.DEEP, "prod/app", "team/app"])

    stage.heading("Delete a tag: its manifest stays")
    stage.run("regctl", "tag", "delete", f"{at}/prod/app:1")
    stage.expect_tags("prod/app", digest_tag)
    stage.expect("the manifest", stage.is_there("prod/app", second), True)
    stage.heading("Delete a manifest")
    stage.run("regctl", "manifest", "delete", f"{at}/prod/app@{second}")
    stage.expect("deleted", stage.is_there("prod/app", second), False)


def shapes(stage):
    """Images that are large or odd, from a layout and back."""
    image = f"{stage.address}/{content.DEEP}"
    stage.heading("Large and odd content, under a name with many slashes, and back")
    for shape, digest in stage.shapes("shapes").items():
        stage.run("regctl", "image", "copy", f"ocidir://shapes:{shape}", f"{image}:{shape}")
        stage.expect_shape(shape, content.DEEP, digest)
        stage.run("regctl", "image", "copy", f"{image}:{shape}", f"ocidir://pulled-{shape}:{shape}")
        stage.expect_pulled(f"pulled-{shape}", digest)
