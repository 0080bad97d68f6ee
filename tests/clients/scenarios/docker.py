"""Docker Engine: its daemon builds, pushes, pulls, runs; the client reads and makes lists.

The daemon is Debian's, started here with folders of its own and without a network for containers.
Multi-platform indexes come from buildah, since this engine's BuildKit makes none, and go back by skopeo.
The attestations in one of them are made by hand in the form that BuildKit gives them: no BuildKit that
makes attestations was tested.
"""

import json

import content

TOOLS = ("docker", "dockerd", "buildah", "skopeo", "busybox", "crane")
CANNOT = {"artifact": "the engine refuses what is not an image"}
SCHEMA_2 = "application/vnd.docker.distribution.manifest.v2+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
PLAIN = "--tls-verify=false"


def play(stage):
    at = stage.address
    docker = start(stage)

    stage.heading("Build by BuildKit, push, pull, run")
    build(stage, docker, f"{at}/team/app:1", "one")
    ran = stage.run(*docker, "push", f"{at}/team/app:1")
    stage.expect("blobs sent", ran.blobs_sent(), 3)
    stage.expect("media type", stage.registry.manifest("team/app", "1").media_type, SCHEMA_2)
    first = stage.digest("team/app", "1")
    stage.expect_in("digest", first, ran.stdout)
    stage.expect_no_layer_sent(stage.run(*docker, "push", f"{at}/team/app:1"))
    forget(stage, docker)
    ran = stage.run(*docker, "pull", f"{at}/team/app:1")
    stage.expect_in("pulled", first, ran.stdout)
    ran = stage.run(*docker, "run", "--rm", "--network", "none", f"{at}/team/app:1")
    stage.expect("said", ran.stdout, "one\n")

    stage.heading("A push over an existing tag")
    build(stage, docker, f"{at}/team/app:1", "two")
    ran = stage.run(*docker, "push", f"{at}/team/app:1")
    # The layer of the program is the same; the text and the configuration are not.
    stage.expect("blobs sent", ran.blobs_sent(), 2)
    second = stage.digest("team/app", "1")
    stage.expect("old digest", stage.digest("team/app", first), first)
    ran = stage.run(*docker, "pull", f"{at}/team/app@{first}")
    stage.expect_in("pulled", first, ran.stdout)

    stage.heading("The same layers in two other repositories: mounted both times")
    for repository in ("prod/app", "prod/copy"):
        stage.run(*docker, "tag", f"{at}/team/app:1", f"{at}/{repository}:1", show=False)
        ran = stage.run(*docker, "push", f"{at}/{repository}:1")
        stage.expect("layers mounted", ran.mounts(), 2)
        stage.expect("digest", stage.digest(repository, "1"), second)

    stage.heading("Looks")
    ran = stage.run(*docker, "manifest", "inspect", "--insecure", f"{at}/team/app:1")
    stage.expect("layers", len(json.loads(ran.stdout)["layers"]), 2)

    stage.heading("A list of images for several platforms")
    build(stage, docker, f"{at}/team/app:arm", "arm")
    stage.run(*docker, "push", f"{at}/team/app:arm", show=False)
    arm = stage.digest("team/app", "arm")
    stage.run(
        *docker, "manifest", "create", "--insecure", f"{at}/team/app:all", f"{at}/team/app:1", f"{at}/team/app:arm"
    )
    stage.run(*docker, "manifest", "annotate", "--arch", "arm64", f"{at}/team/app:all", f"{at}/team/app:arm")
    stage.run(*docker, "manifest", "push", "--insecure", f"{at}/team/app:all")
    pushed = stage.registry.manifest("team/app", "all")
    stage.expect("media type", pushed.media_type, LIST)
    stage.expect("children", [child["digest"] for child in pushed.json()["manifests"]], [second, arm])
    forget(stage, docker)
    ran = stage.run(*docker, "pull", f"{at}/team/app:all")
    stage.expect_in("pulled", pushed.digest, ran.stdout)

    stage.expect_tags("team/app", "1", "all", "arm")
    shapes(stage, docker)
    indexes(stage)

    # docker has no command that deletes in a registry; what it pushed can be deleted all the same.
    status, _, _ = stage.registry.ask("DELETE", f"/v2/prod/copy/manifests/{second}")
    stage.expect("delete", status, 202)
    stage.heading("What was deleted")
    forget(stage, docker)
    stage.run(*docker, "pull", f"{at}/prod/copy:1", fails=True)


def start(stage):
    """A daemon of its own; returns the command that talks to it."""
    socket = stage.folder / "docker.sock"
    docker = ("docker", "--host", f"unix://{socket}")
    stage.hide("--host", f"unix://{socket}")
    stage.hide("--network", "none")

    def is_ready():
        return socket.exists() and stage.succeeds(*docker, "info")

    stage.daemon(
        is_ready,
        stage.tool("dockerd"),
        "--data-root", stage.folder / "data-root",
        "--exec-root", stage.folder / "exec",
        "--pidfile", stage.folder / "docker.pid",
        "--host", f"unix://{socket}",
        # Nothing of the machine's network is touched: containers get none.
        "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
    )  # fmt: skip
    return docker


def build(stage, docker, tag, says):
    folder = stage.context("app", says)
    stage.run(*docker, "build", "-t", tag, folder, variables={"DOCKER_BUILDKIT": "1"}, show=says == "one")


def forget(stage, docker):
    """Takes every image out of the daemon, so that a pull has to bring it again."""
    images = stage.run(*docker, "images", "--quiet", "--all", show=False).stdout.split()
    if images:
        stage.run(*docker, "rmi", "--force", *sorted(set(images)), show=False)
    stage.run(*docker, "builder", "prune", "--all", "--force", show=False)


def shapes(stage, docker):
    """Images that are large or odd, brought by crane, pulled and pushed elsewhere by the daemon."""
    at = stage.address
    for shape, layers in (("hundred", 100), ("empty", 1), ("big", 1)):
        brought = stage.shapes(shape, shape)[shape]
        stage.run("crane", "push", shape, f"{at}/shapes/brought:{shape}", show=False)
        stage.heading(f"{content.SHAPES[shape].capitalize()}, and a name with many slashes")
        ran = stage.run(*docker, "pull", f"{at}/shapes/brought:{shape}")
        stage.expect_in("pulled", brought, ran.stdout)
        stage.run(*docker, "tag", f"{at}/shapes/brought:{shape}", f"{at}/{content.DEEP}:{shape}", show=False)
        ran = stage.run(*docker, "push", f"{at}/{content.DEEP}:{shape}")
        # The daemon knows that the layers are in the other repository; the configuration is its own.
        stage.expect("layers sent", ran.blobs_sent() <= 1, True)
        pushed = stage.registry.manifest(content.DEEP, shape)
        stage.expect("layers", len(pushed.json()["layers"]), layers)
        stage.expect_shape(shape, content.DEEP, pushed.digest)

    stage.shapes("artifact", "artifact")
    stage.run("crane", "push", "artifact", f"{at}/shapes/brought:artifact", show=False)
    stage.heading("An artifact that is no image: the engine refuses it")
    stage.run(*docker, "pull", f"{at}/shapes/brought:artifact", fails=True)


def indexes(stage):
    """Indexes by buildah: of two platforms, with attestations, and of 50 manifests; back by skopeo."""
    at = stage.address
    hidden = ("--root", stage.folder / "store", "--runroot", stage.folder / "run", "--storage-driver", "vfs")
    stage.hide(*hidden)
    buildah = ("buildah", *hidden)
    stage.accept_unsigned()

    def push(name, repository):
        """Pushes a list twice, and pulls it back with everything that it names."""
        command = (*buildah, "manifest", "push", PLAIN, "--all", name, f"docker://{at}/{repository}:1")
        stage.run(*command)
        stage.expect_no_layer_sent(stage.run(*command))
        pushed = stage.registry.manifest(repository, "1")
        stage.digest(repository, "1")
        stage.run(
            "skopeo", "copy", "--all", "--src-tls-verify=false",
            f"docker://{at}/{repository}:1", f"oci:pulled-{name}:1",
        )  # fmt: skip
        stage.expect_pulled(f"pulled-{name}", pushed.digest)
        return pushed.json()["manifests"]

    stage.heading("buildah: an index of two platforms, and back by skopeo")
    folder = stage.context("app", "buildah")
    stage.run(
        *buildah, "build", "--no-cache", "--isolation", "chroot", "--platform", "linux/amd64,linux/arm64",
        "--manifest", "several", folder,
    )  # fmt: skip
    children = push("several", "team/several")
    stage.expect("platforms", sorted(child["platform"]["architecture"] for child in children), ["amd64", "arm64"])

    stage.heading("buildah: an index of two platforms with an attestation for each")
    layout = stage.layout("attested")
    images = [layout.image([content.random_layer(arch, 4096)], arch) for arch in ("amd64", "arm64")]
    attestations = [layout.attestation(image) for image in images]
    layout.tag(layout.index(images + attestations), "1")
    stage.run(*buildah, "manifest", "create", "attested", show=False)
    stage.run(*buildah, "manifest", "add", "--all", "attested", "oci:attested:1", show=False)
    # It does not take the annotations over with the manifests.
    for attestation in attestations:
        notes = [f"{name}={value}" for name, value in attestation["annotations"].items()]
        words = [word for note in notes for word in ("--annotation", note)]
        stage.run(*buildah, "manifest", "annotate", *words, "attested", attestation["digest"], show=False)
    children = push("attested", "team/attested")
    kinds = [child.get("annotations", {}).get("vnd.docker.reference.type") for child in children]
    stage.expect("attestations", kinds.count("attestation-manifest"), 2)

    stage.heading("buildah: an index of 50 manifests")
    stage.shapes("index", "index")
    stage.run(*buildah, "manifest", "create", "many", show=False)
    stage.run(*buildah, "manifest", "add", "--all", "many", "oci:index:index", show=False)
    stage.expect("children", len(push("many", content.DEEP)), 50)
    # The list is buildah's own, so that only it knows the digest.
    stage.expect_shape("index", content.DEEP, stage.digest(content.DEEP, "1"), tag="1")
