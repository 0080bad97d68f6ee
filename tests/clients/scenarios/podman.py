"""podman: builds, pushes in both formats, pulls, runs, lists of images, interrupted pushes."""

import content
from scenarios import interrupted

TOOLS = ("podman", "busybox")
CANNOT = {"artifact": "it keeps images only; `podman artifact` came with version 5"}
PLAIN = "--tls-verify=false"


def play(stage):
    at = stage.address
    podman = start(stage)

    stage.heading("Build, push, pull, run")
    build(stage, podman, "app", f"{at}/team/app:1", "one")
    ran = stage.run(*podman, "push", PLAIN, f"{at}/team/app:1")
    stage.expect("blobs sent", ran.blobs_sent(), 3)
    first = stage.digest("team/app", "1")
    stage.expect_no_layer_sent(stage.run(*podman, "push", PLAIN, f"{at}/team/app:1"))
    stage.expect("the same again", stage.digest("team/app", "1"), first)
    stage.run(*podman, "rmi", "--all", "--force", show=False)
    stage.run(*podman, "pull", PLAIN, f"{at}/team/app:1")
    stage.expect("pulled", digest_of(stage, podman, f"{at}/team/app:1"), first)
    # What a machine needs on which this runs inside a container itself.
    limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
    confined = ("--runtime", "runc", "--network", "none", *limits)
    stage.hide(*confined)
    ran = stage.run(*podman, "run", "--rm", *confined, f"{at}/team/app:1")
    stage.expect("said", ran.stdout, "one\n")

    stage.heading("A push over an existing tag")
    build(stage, podman, "app", f"{at}/team/app:1", "two")
    ran = stage.run(*podman, "push", PLAIN, f"{at}/team/app:1")
    # The layer of the program is the same; the text and the configuration are not.
    stage.expect("blobs sent", ran.blobs_sent(), 2)
    stage.expect("the tag moved", stage.digest("team/app", "1") == first, False)
    stage.expect("old digest", stage.digest("team/app", first), first)
    stage.run(*podman, "pull", PLAIN, f"{at}/team/app@{first}")

    stage.heading("The same image in another repository: its layers are mounted")
    stage.run(*podman, "tag", f"{at}/team/app:1", f"{at}/prod/app:1", show=False)
    ran = stage.run(*podman, "push", PLAIN, f"{at}/prod/app:1")
    stage.expect("blobs mounted", ran.mounts() > 0, True)
    stage.digest("prod/app", "1")

    stage.heading("As Docker's schema 2, and with layers compressed by zstd")
    stage.run(*podman, "push", PLAIN, "--format", "v2s2", f"{at}/team/app:1", f"{at}/team/docker:1")
    pushed = stage.registry.manifest("team/docker", "1")
    stage.expect("media type", pushed.media_type, "application/vnd.docker.distribution.manifest.v2+json")
    build(stage, podman, "zstd", f"{at}/team/zstd:1", "three", content.random_bytes("zstd", 1 << 20))
    stage.run(*podman, "push", PLAIN, "--compression-format", "zstd", "--format", "oci", f"{at}/team/zstd:1")
    layers = stage.registry.manifest("team/zstd", "1").json()["layers"]
    zstd = "application/vnd.oci.image.layer.v1.tar+zstd"
    stage.expect("a layer is compressed by zstd", zstd in [layer["mediaType"] for layer in layers], True)
    for repository in ("team/docker", "team/zstd"):
        digest = stage.digest(repository, "1")
        stage.run(*podman, "rmi", "--all", "--force", show=False)
        stage.run(*podman, "pull", PLAIN, f"{at}/{repository}:1")
        stage.expect("pulled", digest_of(stage, podman, f"{at}/{repository}:1"), digest)

    stage.heading("A list of images for several platforms")
    stage.run(*podman, "pull", PLAIN, f"{at}/team/app:1", show=False)
    stage.run(*podman, "manifest", "create", "several", show=False)
    stage.run(*podman, "manifest", "add", PLAIN, "--arch", "arm64", "several", f"docker://{at}/team/app:1")
    stage.run(*podman, "manifest", "add", PLAIN, "several", f"docker://{at}/team/zstd:1")
    stage.run(*podman, "manifest", "push", PLAIN, "--all", "several", f"docker://{at}/team/several:1")
    children = stage.registry.manifest("team/several", "1").json()["manifests"]
    stage.expect("children", len(children), 2)
    stage.digest("team/several", "1")

    stage.heading("Search by the catalog")
    ran = stage.run(*podman, "search", PLAIN, f"{at}/team")
    for repository in ("team/app", "team/docker", "team/several", "team/zstd"):
        stage.expect_in("found", repository, ran.stdout)
    ran = stage.run(*podman, "search", PLAIN, "--list-tags", f"{at}/team/app")
    rows = [row.split() for row in ran.stdout.splitlines()]
    stage.expect("rows of tags", rows, [["NAME", "TAG"], [f"{at}/team/app", "1"]])

    # podman has no command that deletes in a registry; what it pushed can be deleted all the same.
    status, _, _ = stage.registry.ask("DELETE", f"/v2/team/app/manifests/{first}")
    stage.expect("delete", status, 202)
    stage.expect_tags("team/app", "1")

    shapes(stage, podman)
    interrupted.play(
        stage,
        prepare=lambda attempt: prepare(stage, podman, attempt),
        push=lambda attempt, address: (
            *podman, "push", PLAIN, f"localhost/attempt:{attempt}", f"{address}/cut/podman-{attempt}:1",
        ),
    )  # fmt: skip


def start(stage):
    """The command with a store and settings of its own."""
    store = stage.folder / "store"
    stage.accept_unsigned()
    settings = stage.folder / "containers.conf"
    settings.write_text('[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n')
    hidden = ("--root", store, "--runroot", stage.folder / "run", "--storage-driver", "vfs")
    stage.hide(*hidden)
    return ("podman", *hidden)


def build(stage, podman, folder, tag, says, data=b""):
    """Builds an image that says something and ends."""
    stage.context(folder, says, data)
    stage.run(*podman, "build", "--layers", "--isolation", "chroot", "-t", tag, folder, show=False)


def digest_of(stage, podman, image):
    """The digest under which podman keeps an image."""
    ran = stage.run(*podman, "image", "inspect", "--format", "{{.Digest}}", image, show=False)
    return ran.stdout.strip()


def shapes(stage, podman):
    """Images that are large or odd, pushed from its own store and pulled back into it."""
    image = f"{stage.address}/{content.DEEP}"
    stage.shapes("shapes", "hundred", "empty", "index", "big")
    stage.heading("100 layers; an empty layer; a layer of 2 GiB; a name with many slashes")
    for shape, layers in (("hundred", 100), ("empty", 1), ("big", 1)):
        pull(stage, podman, f"shapes:{shape}", f"{image}:{shape}")
        stage.run(*podman, "push", PLAIN, f"{image}:{shape}")
        pushed = stage.registry.manifest(content.DEEP, shape)
        stage.expect("layers", len(pushed.json()["layers"]), layers)
        # podman compresses the layers of its store anew, so that only it knows the digest.
        stage.expect_shape(shape, content.DEEP, pushed.digest)
        stage.run(*podman, "rmi", "--all", "--force", show=False)
        stage.run(*podman, "pull", PLAIN, f"{image}:{shape}")
        stage.expect("pulled", digest_of(stage, podman, f"{image}:{shape}"), pushed.digest)
        stage.run(*podman, "rmi", "--all", "--force", show=False)

    stage.heading("An index of 50 manifests, of which a pull takes one")
    stage.run(*podman, "manifest", "create", "many", show=False)
    stage.run(*podman, "manifest", "add", "--all", "many", "oci:shapes:index", show=False)
    push = (*podman, "manifest", "push", PLAIN, "--all", "many", f"docker://{image}:index")
    stage.run(*push)
    stage.expect_no_layer_sent(stage.run(*push))
    pushed = stage.registry.manifest(content.DEEP, "index")
    stage.expect("children", len(pushed.json()["manifests"]), 50)
    stage.expect_shape("index", content.DEEP, pushed.digest)
    child = pushed.json()["manifests"][7]["digest"]
    stage.run(*podman, "pull", PLAIN, "--arch", "arch7", f"{image}:index")
    ran = stage.run(*podman, "image", "inspect", "--format", "{{json .RepoDigests}}", f"{image}:index", show=False)
    stage.expect_in("pulled", child, ran.stdout)


def pull(stage, podman, layout, image):
    """Brings an image from a layout into the store, under a name."""
    ran = stage.run(*podman, "pull", "--quiet", f"oci:{layout}", show=False)
    stage.run(*podman, "tag", ran.stdout.strip(), image, show=False)


def prepare(stage, podman, attempt):
    """An image that the registry has no part of; podman compresses it, so its digest is not known."""
    layout = stage.layout(f"attempt-{attempt}")
    layers = [content.random_layer(f"podman-{attempt}-{n}", 2 << 20) for n in range(3)]
    layout.tag(layout.image(layers, note=f"{attempt}"), "1")
    pull(stage, podman, f"attempt-{attempt}:1", f"localhost/attempt:{attempt}")
    return f"cut/podman-{attempt}", None, sum(len(layer.data) for layer in layers)
