"""oras: artifacts of any media type, files attached to images, referrers, copies with referrers."""

import json

import content

TOOLS = ("oras",)
CANNOT = {}
PLAIN = "--plain-http"


def play(stage):
    at = stage.address
    (stage.folder / "a.txt").write_text("one file\n")
    (stage.folder / "b.bin").write_bytes(content.random_bytes("b", 1 << 20))
    (stage.folder / "empty").write_bytes(b"")

    stage.heading("An artifact with an unknown media type; one of its files is empty")
    files = ("a.txt:text/x.unheard-of", "b.bin", "empty")
    push = ("oras", "push", PLAIN, "--artifact-type", "application/vnd.example.unknown.v7", f"{at}/team/files:1")
    ran = stage.run(*push, *files)
    stage.expect("blobs sent", ran.blobs_sent(), 4)
    first = stage.digest("team/files", "1")
    manifest = stage.registry.manifest("team/files", "1").json()
    stage.expect("artifact type", manifest["artifactType"], "application/vnd.example.unknown.v7")
    stage.expect("sizes", [layer["size"] for layer in manifest["layers"]], [9, 1 << 20, 0])
    stage.expect_no_layer_sent(stage.run(*push, *files))
    stage.run("oras", "pull", PLAIN, "-o", "pulled", f"{at}/team/files@{first}")
    for name in ("a.txt", "b.bin", "empty"):
        stage.expect(name, (stage.folder / "pulled" / name).read_bytes(), (stage.folder / name).read_bytes())

    stage.heading("A push over an existing tag")
    (stage.folder / "a.txt").write_text("another file\n")
    stage.run(*push, *files)
    second = stage.digest("team/files", "1")
    stage.expect("the tag moved", first == second, False)
    stage.expect("old digest", stage.digest("team/files", first), first)

    stage.heading("Attach, discover")
    (stage.folder / "sbom.json").write_text("{}")
    for kind in ("example/sbom", "example/scan"):
        stage.run(
            "oras", "attach", PLAIN, "--artifact-type", kind, f"{at}/team/files:1", "sbom.json:application/json"
        )
    ran = stage.run("oras", "discover", PLAIN, "--format", "json", f"{at}/team/files:1")
    kinds = sorted(entry["artifactType"] for entry in json.loads(ran.stdout)["referrers"])
    stage.expect("discovered", kinds, ["example/sbom", "example/scan"])
    stage.expect("referrers", stage.registry.referrers("team/files", second), kinds)
    ran = stage.run(
        "oras", "discover", PLAIN, "--format", "json", "--artifact-type", "example/scan", f"{at}/team/files:1"
    )
    stage.expect("of one type", len(json.loads(ran.stdout)["referrers"]), 1)

    stage.heading("Copy with everything that refers to it")
    stage.run("oras", "copy", "-r", "--from-plain-http", "--to-plain-http", f"{at}/team/files:1", f"{at}/prod/files:1")
    stage.expect("copied", stage.digest("prod/files", "1"), second)
    stage.expect("its referrers", stage.registry.referrers("prod/files", second), kinds)

    shapes(stage)

    stage.heading("Blobs: of 1 MiB, and of nothing at all")
    for name in ("b.bin", "empty"):
        digest = content.file_sha256(stage.folder / name)
        stage.run("oras", "blob", "push", PLAIN, f"{at}/team/blobs", name)
        stage.registry.check_blob("team/blobs", digest, (stage.folder / name).stat().st_size)
        stage.run("oras", "blob", "fetch", PLAIN, "-o", f"{name}.pulled", f"{at}/team/blobs@{digest}")
        stage.expect("fetched", content.file_sha256(stage.folder / f"{name}.pulled"), digest)

    stage.heading("Lists")
    stage.run("oras", "tag", PLAIN, f"{at}/team/files:1", "2", "latest")
    ran = stage.run("oras", "repo", "tags", PLAIN, f"{at}/team/files")
    stage.expect("tags", ran.stdout.split(), ["1", "2", "latest"])
    ran = stage.run("oras", "repo", "ls", PLAIN, at)
    stage.expect(
        "repositories",
        ran.stdout.split(),
        [content.DEEP, "prod/files", "team/blobs", "team/files"],
    )

    stage.heading("Delete by digest: its tags go with it")
    stage.run("oras", "manifest", "delete", PLAIN, "-f", f"{at}/team/files@{second}")
    stage.expect("deleted", stage.is_there("team/files", second), False)
    stage.expect_tags("team/files")
    stage.expect("the other manifest", stage.is_there("team/files", first), True)


def shapes(stage):
    """Images that are large or odd, from a layout and back."""
    image = f"{stage.address}/{content.DEEP}"
    stage.heading("Large and odd content from an image layout, under a name with many slashes, and back")
    for shape, digest in stage.shapes("shapes").items():
        stage.run("oras", "copy", "--from-oci-layout", f"shapes:{shape}", "--to-plain-http", f"{image}:{shape}")
        stage.expect_shape(shape, content.DEEP, digest)
        stage.run("oras", "copy", "--from-plain-http", f"{image}:{shape}", "--to-oci-layout", f"pulled-{shape}:{shape}")
        # oras lists the children of an index too.
        stage.expect_pulled(f"pulled-{shape}", digest, shape)
