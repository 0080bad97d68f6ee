"""oras: artifacts of any media type, files attached to images, referrers, copies with referrers."""

import json

import content

TOOLS = ("oras",)
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

    stage.heading("An image layout with an index of 50 manifests and 100 layers, and back")
    layout = stage.layout("layout")
    images = [layout.image([content.random_layer(n, 2048)], f"arch{n}") for n in range(49)]
    images.append(layout.image([content.random_layer(f"of-100-{n}", 512) for n in range(100)], "many"))
    index = layout.tag(layout.index(images), "1")
    many = f"{at}/x/y/z/many/slashes/in/this/name:1"
    stage.run("oras", "copy", "--from-oci-layout", "layout:1", "--to-plain-http", many)
    stage.expect("index", stage.digest("x/y/z/many/slashes/in/this/name", "1"), index)
    stage.run("oras", "copy", "--from-plain-http", many, "--to-oci-layout", "back:1")
    stage.expect_in("index", index, (stage.folder / "back" / "index.json").read_text())

    stage.heading("Blobs: 2 GiB, and nothing at all")
    large = stage.layout("large")
    blob, _ = large.big_layer(2 << 30, seed=9)
    large.path(blob["digest"]).rename(stage.folder / "big")
    stage.run("oras", "blob", "push", PLAIN, f"{at}/team/blobs", "big")
    stage.registry.check_blob("team/blobs", blob["digest"], blob["size"])
    stage.run("oras", "blob", "push", PLAIN, f"{at}/team/blobs", "empty")
    stage.registry.check_blob("team/blobs", content.sha256(b""), 0)
    stage.run("oras", "blob", "fetch", PLAIN, "-o", "big.pulled", f"{at}/team/blobs@{blob['digest']}")
    stage.expect("size", (stage.folder / "big.pulled").stat().st_size, blob["size"])

    stage.heading("Lists")
    stage.run("oras", "tag", PLAIN, f"{at}/team/files:1", "2", "latest")
    ran = stage.run("oras", "repo", "tags", PLAIN, f"{at}/team/files")
    stage.expect("tags", ran.stdout.split(), ["1", "2", "latest"])
    ran = stage.run("oras", "repo", "ls", PLAIN, at)
    stage.expect(
        "repositories",
        ran.stdout.split(),
        ["prod/files", "team/blobs", "team/files", "x/y/z/many/slashes/in/this/name"],
    )

    stage.heading("Delete by digest: its tags go with it")
    stage.run("oras", "manifest", "delete", PLAIN, "-f", f"{at}/team/files@{second}")
    stage.expect("deleted", stage.is_there("team/files", second), False)
    stage.expect_tags("team/files")
    stage.expect("the other manifest", stage.is_there("team/files", first), True)
