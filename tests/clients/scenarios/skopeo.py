"""skopeo: copies between layouts and the registry, lists, inspects and deletes."""

import json

import content

TOOLS = ("skopeo",)
CANNOT = {}
PLAIN = "--dest-tls-verify=false"
PLAIN_SOURCE = "--src-tls-verify=false"


def play(stage):
    registry = f"docker://{stage.address}"
    stage.accept_unsigned()
    layout = stage.layout("layout")
    first = layout.tag(layout.image([content.random_layer(n, 1 << 20) for n in range(3)]), "1")
    second = layout.tag(layout.image([content.random_layer(n, 1 << 20) for n in range(4)]), "2")

    stage.heading("Push and pull as OCI")
    ran = stage.run("skopeo", "copy", PLAIN, "oci:layout:1", f"{registry}/team/app:1")
    stage.expect("blobs sent", ran.blobs_sent(), 4)
    stage.expect("digest", stage.digest("team/app", "1"), first)
    ran = stage.run("skopeo", "copy", PLAIN, "oci:layout:1", f"{registry}/team/app:1")
    stage.expect_no_layer_sent(ran)
    stage.run("skopeo", "copy", PLAIN_SOURCE, f"{registry}/team/app:1", "oci:pulled:1")
    stage.expect_pulled("pulled", first)

    stage.heading("A push over an existing tag")
    ran = stage.run("skopeo", "copy", PLAIN, "oci:layout:2", f"{registry}/team/app:1")
    stage.expect("blobs sent for one more layer", ran.blobs_sent(), 2)
    stage.expect("new digest", stage.digest("team/app", "1"), second)
    stage.expect("old digest", stage.digest("team/app", first), first)

    stage.heading("Push and pull as Docker's schema 2")
    stage.run("skopeo", "copy", PLAIN, "--format", "v2s2", "oci:layout:1", f"{registry}/team/docker:1")
    pushed = stage.registry.manifest("team/docker", "1")
    stage.expect("media type", pushed.media_type, "application/vnd.docker.distribution.manifest.v2+json")
    stage.run("skopeo", "copy", PLAIN_SOURCE, f"{registry}/team/docker:1", "dir:docker")
    stage.expect("pulled", content.sha256((stage.folder / "docker/manifest.json").read_bytes()), pushed.digest)

    stage.heading("Layers compressed by zstd")
    # Layers of their own: those that the registry has already it would mount, compressed by gzip.
    layout.tag(layout.image([content.random_layer("zstd", 1 << 20)]), "zstd")
    stage.run(
        "skopeo", "copy", PLAIN, "--dest-compress-format", "zstd", "--dest-compress",
        "--format", "oci", "oci:layout:zstd", f"{registry}/team/zstd:1",
    )  # fmt: skip
    layers = stage.registry.manifest("team/zstd", "1").json()["layers"]
    stage.expect("layers", {layer["mediaType"] for layer in layers}, {"application/vnd.oci.image.layer.v1.tar+zstd"})
    digest = stage.digest("team/zstd", "1")
    stage.run("skopeo", "copy", PLAIN_SOURCE, f"{registry}/team/zstd:1", "oci:pulled-zstd:1")
    stage.expect_pulled("pulled-zstd", digest)

    stage.heading("Lists and looks")
    ran = stage.run("skopeo", "list-tags", "--tls-verify=false", f"{registry}/team/app")
    stage.expect("tags", json.loads(ran.stdout)["Tags"], ["1"])
    ran = stage.run("skopeo", "inspect", "--tls-verify=false", f"{registry}/team/app:1")
    stage.expect("inspected", json.loads(ran.stdout)["Digest"], second)
    ran = stage.run("skopeo", "inspect", "--raw", "--tls-verify=false", f"{registry}/team/app@{first}")
    stage.expect("raw", content.sha256(ran.stdout.encode()), first)

    shapes(stage, registry)

    stage.heading("Every tag of a repository into a folder, and back into another repository")
    stage.run("skopeo", "copy", PLAIN, "oci:layout:1", f"{registry}/team/app:old")
    stage.run(
        "skopeo", "sync", PLAIN_SOURCE, "--src", "docker", "--dest", "dir",
        f"{stage.address}/team/app", "synced",
    )  # fmt: skip
    stage.run("skopeo", "sync", PLAIN, "--src", "dir", "--dest", "docker", "synced", f"{stage.address}/mirror")
    stage.expect_tags("mirror/app", "1", "old")
    stage.expect("synced", stage.digest("mirror/app", "1"), second)
    stage.expect("synced", stage.digest("mirror/app", "old"), first)

    stage.heading("Delete: the manifest of that tag goes, and with it its tags")
    stage.run("skopeo", "delete", "--tls-verify=false", f"{registry}/team/app:1")
    stage.expect("deleted", stage.is_there("team/app", second), False)
    stage.expect_tags("team/app", "old")


def shapes(stage, registry):
    """Images that are large or odd, and back."""
    deep = f"{registry}/{content.DEEP}"
    stage.heading("Large and odd content, under a name with many slashes")
    for shape, digest in stage.shapes("shapes").items():
        copy = ("skopeo", "copy", *(("--all",) if shape == "index" else ()))
        stage.run(*copy, PLAIN, f"oci:shapes:{shape}", f"{deep}:{shape}")
        stage.expect_shape(shape, content.DEEP, digest)
        again = stage.run(*copy, PLAIN, f"oci:shapes:{shape}", f"{deep}:{shape}", show=False)
        stage.expect_no_layer_sent(again)
        stage.run(*copy, PLAIN_SOURCE, f"{deep}:{shape}", f"oci:pulled-{shape}:{shape}")
        stage.expect_pulled(f"pulled-{shape}", digest)
