"""crane: pushes, pulls, copies, appends to indexes, validates, lists, deletes, mutates."""

import gzip

import content
from scenarios import interrupted

TOOLS = ("crane",)
CANNOT = {}


def play(stage):
    at = stage.address
    layout = stage.layout("layout")
    first = layout.tag(layout.image([content.random_layer(n, 1 << 20) for n in range(3)]), "1")
    newer = stage.layout("newer")
    second = newer.tag(newer.image([content.random_layer(n, 1 << 20) for n in range(4)]), "2")

    stage.heading("Push and pull")
    ran = stage.run("crane", "push", "layout", f"{at}/team/app:1")
    stage.expect("blobs sent", ran.blobs_sent(), 4)
    stage.expect("digest", stage.digest("team/app", "1"), first)
    stage.expect_no_layer_sent(stage.run("crane", "push", "layout", f"{at}/team/app:1"))
    stage.run("crane", "pull", "--format", "oci", f"{at}/team/app:1", "pulled")
    stage.expect_pulled("pulled", first)

    stage.heading("A push over an existing tag")
    ran = stage.run("crane", "push", "newer", f"{at}/team/app:1")
    stage.expect("blobs sent for one more layer", ran.blobs_sent(), 2)
    stage.expect("new digest", stage.digest("team/app", "1"), second)
    stage.expect("old digest", stage.digest("team/app", first), first)

    stage.heading("Copy to another repository: blobs are mounted")
    ran = stage.run("crane", "copy", f"{at}/team/app:1", f"{at}/prod/app:1")
    stage.expect_no_layer_sent(ran)
    stage.expect("blobs mounted", ran.mounts(), 5)
    stage.expect("copied", stage.digest("prod/app", "1"), second)

    stage.heading("An index, grown one image at a time")
    stage.run("crane", "index", "append", "-m", f"{at}/team/app@{first}", "-t", f"{at}/team/app:index")
    stage.run(
        "crane", "index", "append", f"{at}/team/app:index", "-m", f"{at}/prod/app:1", "-t", f"{at}/team/app:index"
    )
    children = stage.registry.manifest("team/app", "index").json()["manifests"]
    stage.expect("children", [child["digest"] for child in children], [first, second])

    stage.heading("A layer appended, a label set")
    (stage.folder / "extra.tar.gz").write_bytes(gzip.compress(content.tar({"extra": b"more"}), mtime=0))
    stage.run("crane", "append", "-b", f"{at}/team/app:1", "-f", "extra.tar.gz", "-t", f"{at}/team/app:appended")
    stage.expect("layers", len(stage.registry.manifest("team/app", "appended").json()["layers"]), 5)
    stage.run("crane", "mutate", f"{at}/team/app:1", "--label", "team=harbour", "-t", f"{at}/team/app:labelled")
    stage.expect_in("label", "harbour", stage.run("crane", "config", f"{at}/team/app:labelled").stdout)

    stage.heading("Everything is read and compared with its digests")
    for tag in ("1", "index", "appended", "labelled"):
        stage.run("crane", "validate", "--remote", f"{at}/team/app:{tag}", show=tag == "1")
        stage.digest("team/app", tag)

    shapes(stage)

    stage.heading("Lists")
    ran = stage.run("crane", "ls", f"{at}/team/app")
    stage.expect("tags", ran.stdout.split(), ["1", "appended", "index", "labelled"])
    ran = stage.run("crane", "catalog", at)
    stage.expect("catalog", ran.stdout.split(), [content.DEEP, "prod/app", "team/app"])

    stage.heading("Delete by digest")
    stage.run("crane", "delete", f"{at}/prod/app@{second}")
    stage.expect("deleted", stage.is_there("prod/app", second), False)
    stage.expect("the same manifest elsewhere", stage.is_there("team/app", second), True)
    stage.heading("Delete a tag: its manifest stays")
    digest = stage.digest("team/app", "labelled")
    stage.run("crane", "delete", f"{at}/team/app:labelled")
    stage.expect_tags("team/app", "1", "appended", "index")
    stage.expect("the manifest of a deleted tag", stage.is_there("team/app", digest), True)

    interrupted.play(
        stage,
        prepare=lambda attempt: prepare(stage, attempt),
        push=lambda attempt, address: ("crane", "push", f"attempt-{attempt}", f"{address}/cut/crane-{attempt}:1"),
    )


def prepare(stage, attempt):
    """An image that the registry has no part of; its repository, digest and size."""
    layout = stage.layout(f"attempt-{attempt}")
    layers = [content.random_layer(f"crane-{attempt}-{n}", 2 << 20) for n in range(3)]
    digest = layout.tag(layout.image(layers, note=f"{attempt}"), "1")
    return f"cut/crane-{attempt}", digest, sum(len(layer.data) for layer in layers)


def shapes(stage):
    """Images that are large or odd, and back. crane pushes a folder as a whole, so each has its own."""
    image = f"{stage.address}/{content.DEEP}"
    for shape in ("hundred", "empty", "big", "artifact"):
        digest = stage.shapes(shape, shape)[shape]
        stage.heading(f"{content.SHAPES[shape].capitalize()}, under a name with many slashes")
        stage.run("crane", "push", shape, f"{image}:{shape}")
        stage.expect_shape(shape, content.DEEP, digest)
        stage.run("crane", "pull", "--format", "oci", f"{image}:{shape}", f"pulled-{shape}")
        stage.expect_pulled(f"pulled-{shape}", digest)

    digest = stage.shapes("index", "index")["index"]
    stage.heading("An index of 50 manifests: it is the one child of the layout's own index.json")
    stage.run("crane", "push", "--index", "index", f"{image}:index")
    top = stage.registry.manifest(content.DEEP, "index")
    stage.expect("child", [child["digest"] for child in top.json()["manifests"]], [digest])
    stage.expect_shape("index", content.DEEP, digest, tag=digest)
    again = stage.run("crane", "push", "--index", "index", f"{image}:index", show=False)
    stage.expect_no_layer_sent(again)
    stage.run("crane", "pull", "--format", "oci", f"{image}:index", "pulled-index")
    stage.expect_pulled("pulled-index", top.digest)
