"""skopeo: copies between layouts and the registry, lists, inspects and deletes."""

import json

import content
from stage import layout_digest

TOOLS = ("skopeo",)
PLAIN = "--dest-tls-verify=false"
PLAIN_SOURCE = "--src-tls-verify=false"


def play(stage):
    registry = f"docker://{stage.address}"
    stage.hide("--policy", stage.folder / "policy.json")
    (stage.folder / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    skopeo = ("skopeo", "--policy", stage.folder / "policy.json")

    layout = stage.layout("layout")
    first = layout.tag(layout.image([content.random_layer(n, 1 << 20) for n in range(3)]), "1")
    second = layout.tag(layout.image([content.random_layer(n, 1 << 20) for n in range(4)]), "2")

    stage.heading("Push and pull as OCI")
    ran = stage.run(*skopeo, "copy", PLAIN, "oci:layout:1", f"{registry}/team/app:1")
    stage.expect("blobs sent", ran.blobs_sent(), 4)
    stage.expect("digest", stage.digest("team/app", "1"), first)
    ran = stage.run(*skopeo, "copy", PLAIN, "oci:layout:1", f"{registry}/team/app:1")
    stage.expect_no_layer_sent(ran)
    stage.run(*skopeo, "copy", PLAIN_SOURCE, f"{registry}/team/app:1", "oci:pulled:1")
    stage.expect("pulled", layout_digest(stage.folder / "pulled"), first)

    stage.heading("A push over an existing tag")
    ran = stage.run(*skopeo, "copy", PLAIN, "oci:layout:2", f"{registry}/team/app:1")
    stage.expect("blobs sent for one more layer", ran.blobs_sent(), 2)
    stage.expect("new digest", stage.digest("team/app", "1"), second)
    stage.expect("old digest", stage.digest("team/app", first), first)

    stage.heading("Push and pull as Docker's schema 2")
    stage.run(*skopeo, "copy", PLAIN, "--format", "v2s2", "oci:layout:1", f"{registry}/team/docker:1")
    pushed = stage.registry.manifest("team/docker", "1")
    stage.expect("media type", pushed.media_type, "application/vnd.docker.distribution.manifest.v2+json")
    stage.run(*skopeo, "copy", PLAIN_SOURCE, f"{registry}/team/docker:1", "dir:docker")
    stage.expect("pulled", content.sha256((stage.folder / "docker/manifest.json").read_bytes()), pushed.digest)

    stage.heading("Layers compressed by zstd")
    # Layers of their own: those that the registry has already it would mount, compressed by gzip.
    layout.tag(layout.image([content.random_layer("zstd", 1 << 20)]), "zstd")
    stage.run(
        *skopeo, "copy", PLAIN, "--dest-compress-format", "zstd", "--dest-compress",
        "--format", "oci", "oci:layout:zstd", f"{registry}/team/zstd:1",
    )  # fmt: skip
    layers = stage.registry.manifest("team/zstd", "1").json()["layers"]
    stage.expect("layers", {layer["mediaType"] for layer in layers}, {"application/vnd.oci.image.layer.v1.tar+zstd"})
    stage.digest("team/zstd", "1")
    stage.run(*skopeo, "copy", PLAIN_SOURCE, f"{registry}/team/zstd:1", "oci:unzstd:1")

    stage.heading("Lists and looks")
    ran = stage.run(*skopeo, "list-tags", "--tls-verify=false", f"{registry}/team/app")
    stage.expect("tags", json.loads(ran.stdout)["Tags"], ["1"])
    ran = stage.run(*skopeo, "inspect", "--tls-verify=false", f"{registry}/team/app:1")
    stage.expect("inspected", json.loads(ran.stdout)["Digest"], second)
    ran = stage.run(*skopeo, "inspect", "--raw", "--tls-verify=false", f"{registry}/team/app@{first}")
    stage.expect("raw", content.sha256(ran.stdout.encode()), first)

    shapes(stage, skopeo, registry)

    stage.heading("Every tag of a repository into a folder, and back into another repository")
    stage.run(*skopeo, "copy", PLAIN, "oci:layout:1", f"{registry}/team/app:old")
    stage.run(
        *skopeo, "sync", PLAIN_SOURCE, "--src", "docker", "--dest", "dir",
        f"{stage.address}/team/app", "synced",
    )  # fmt: skip
    stage.run(*skopeo, "sync", PLAIN, "--src", "dir", "--dest", "docker", "synced", f"{stage.address}/mirror")
    stage.expect_tags("mirror/app", "1", "old")
    stage.expect("synced", stage.digest("mirror/app", "1"), second)

    stage.heading("Delete: the manifest of that tag goes, and with it its tags")
    stage.run(*skopeo, "delete", "--tls-verify=false", f"{registry}/team/app:1")
    stage.expect("deleted", stage.is_there("team/app", second), False)
    stage.expect_tags("team/app", "old")


def shapes(stage, skopeo, registry):
    """Images that are large or odd."""
    layout = stage.layout("shapes")
    layers = [content.random_layer(f"of-100-{n}", 4096) for n in range(100)]
    hundred = layout.tag(layout.image(layers), "hundred")
    empty = layout.tag(layout.image([content.layer({})], note="empty"), "empty")
    images = [layout.image([content.random_layer(n, 2048)], f"arch{n}") for n in range(50)]
    index = layout.tag(layout.index(images), "index")
    blob, diff_id = layout.big_layer(2 << 30, seed=7)
    big = layout.tag(layout.image_of([blob], [diff_id]), "big")

    stage.heading("100 layers; a layer that is an empty archive; a name with many slashes")
    deep = "a/b/c/d/e/f/g/h/i/j/k/l/m/n/app"
    for tag, digest in (("hundred", hundred), ("empty", empty)):
        stage.run(*skopeo, "copy", PLAIN, f"oci:shapes:{tag}", f"{registry}/{deep}:{tag}")
        stage.expect(tag, stage.digest(deep, tag), digest)
        stage.run(*skopeo, "copy", PLAIN_SOURCE, f"{registry}/{deep}:{tag}", f"oci:pulled-{tag}:{tag}")
        stage.expect("pulled", layout_digest(stage.folder / f"pulled-{tag}"), digest)

    stage.heading("An index of 50 manifests")
    stage.run(*skopeo, "copy", "--all", PLAIN, "oci:shapes:index", f"{registry}/many/index:1")
    stage.expect("index", stage.digest("many/index", "1"), index)
    stage.run(*skopeo, "copy", "--all", PLAIN_SOURCE, f"{registry}/many/index:1", "oci:pulled-index:1")
    stage.expect("pulled", layout_digest(stage.folder / "pulled-index"), index)

    stage.heading("A layer of 2 GiB")
    stage.run(*skopeo, "copy", PLAIN, "oci:shapes:big", f"{registry}/big/layer:1")
    stage.expect("big", stage.digest("big/layer", "1"), big)
    stage.expect_no_layer_sent(
        stage.run(*skopeo, "copy", PLAIN, "oci:shapes:big", f"{registry}/big/layer:1", show=False)
    )
    stage.run(*skopeo, "copy", PLAIN_SOURCE, f"{registry}/big/layer:1", "oci:pulled-big:1")
    stage.expect("pulled", layout_digest(stage.folder / "pulled-big"), big)
