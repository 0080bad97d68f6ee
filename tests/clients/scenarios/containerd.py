"""containerd: its daemon pushes and pulls by `ctr`, directly and by a mirror."""

import content

TOOLS = ("containerd", "ctr", "crane")
CANNOT = {}
PLAIN = "--plain-http"


def play(stage):
    at = stage.address
    ctr = start(stage)
    layout = stage.layout("layout")
    first = layout.tag(layout.image([content.random_layer(n, 1 << 20) for n in range(3)]), "1")
    layout = stage.layout("newer")
    second = layout.tag(layout.image([content.random_layer(n, 1 << 20) for n in range(4)]), "2")

    stage.heading("Push and pull")
    bring(stage, ctr, "layout", f"{at}/team/app", "1")
    ran = stage.run(*ctr, "images", "push", PLAIN, f"{at}/team/app:1")
    stage.expect("blobs sent", ran.blobs_sent(), 4)
    stage.expect("digest", stage.digest("team/app", "1"), first)
    stage.expect_no_layer_sent(stage.run(*ctr, "images", "push", PLAIN, f"{at}/team/app:1"))
    forget(stage, ctr)
    stage.run(*ctr, "images", "pull", PLAIN, f"{at}/team/app:1")
    expect_kept(stage, ctr, f"{at}/team/app:1", first)

    stage.heading("A push over an existing tag")
    bring(stage, ctr, "newer", f"{at}/team/app", "2")
    stage.run(*ctr, "images", "tag", "--force", f"{at}/team/app:2", f"{at}/team/app:1", show=False)
    ran = stage.run(*ctr, "images", "push", PLAIN, f"{at}/team/app:1")
    stage.expect("blobs sent for one more layer", ran.blobs_sent(), 2)
    stage.expect("new digest", stage.digest("team/app", "1"), second)
    stage.expect("old digest", stage.digest("team/app", first), first)
    stage.run(*ctr, "images", "pull", PLAIN, f"{at}/team/app@{first}")
    stage.expect_tags("team/app", "1")

    stage.heading("By a mirror: hosts.toml sends what is named docker.io here, with ns= in the query")
    folder = stage.folder / "hosts" / "docker.io"
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text(
        f'server = "http://{at}"\n[host."http://{at}"]\n  capabilities = ["pull", "resolve"]\n'
    )
    forget(stage, ctr)
    stage.run("crane", "push", "layout", f"{at}/library/app:1", show=False)
    ran = stage.run(*ctr, "images", "pull", "--hosts-dir", "hosts", "docker.io/library/app:1")
    named = [request for request in ran.requests if "ns=docker.io" in request.query]
    stage.expect("requests with ns=docker.io", len(named), len(ran.requests))
    stage.expect("layers and configuration by it", sum("/blobs/" in request.path for request in named), 4)
    expect_kept(stage, ctr, "docker.io/library/app:1", first)

    shapes(stage, ctr)

    # ctr has no command that deletes in a registry; what it pushed can be deleted all the same.
    status, _, _ = stage.registry.ask("DELETE", f"/v2/team/app/manifests/{second}")
    stage.expect("delete", status, 202)
    stage.heading("What was deleted")
    stage.run(*ctr, "images", "pull", PLAIN, f"{at}/team/app:1", fails=True)


def start(stage):
    """A daemon of its own; returns the command that talks to it."""
    socket = stage.folder / "containerd.sock"
    (stage.folder / "containerd.toml").write_text(
        "version = 2\n"
        f'root = "{stage.folder}/root"\nstate = "{stage.folder}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\n  address = "{socket}"\n'
    )
    ctr = ("ctr", "--address", str(socket))
    stage.hide(*ctr[1:])

    def is_ready():
        return socket.exists() and stage.succeeds(*ctr, "version")

    stage.daemon(is_ready, stage.tool("containerd"), "--config", stage.folder / "containerd.toml")
    return ctr


def bring(stage, ctr, layout, name, tag):
    """Brings an image from a layout into the daemon, which reads archives only."""
    archive = f"{layout}.tar"
    stage.run("tar", "-cf", archive, "-C", layout, ".", show=False)
    stage.run(*ctr, "images", "import", "--all-platforms", "--base-name", name, "--no-unpack", archive, show=False)
    stage.expect_in("imported", f"{name}:{tag}", stage.run(*ctr, "images", "ls", "-q", show=False).stdout)


def expect_kept(stage, ctr, name, digest):
    """The daemon has an image of that name and digest; it compares what it fetches with digests."""
    rows = [row.split() for row in stage.run(*ctr, "images", "ls", show=False).stdout.splitlines()]
    stage.expect(f"digest of {name}", [row[2] for row in rows if row[0] == name], [digest])


def forget(stage, ctr):
    """Takes every image out of the daemon, so that a pull has to bring it again."""
    names = stage.run(*ctr, "images", "ls", "-q", show=False).stdout.split()
    if names:
        stage.run(*ctr, "images", "rm", "--sync", *names, show=False)


def shapes(stage, ctr):
    """Images that are large or odd, and back."""
    deep = f"{stage.address}/{content.DEEP}"
    expected = stage.shapes("shapes")
    bring(stage, ctr, "shapes", deep, "big")
    stage.heading("Large and odd content, under a name with many slashes, and back")
    for shape, digest in expected.items():
        stage.run(*ctr, "images", "push", PLAIN, f"{deep}:{shape}")
        stage.expect_shape(shape, content.DEEP, digest)
    forget(stage, ctr)
    for shape, digest in expected.items():
        fetch = (*ctr, "content", "fetch", PLAIN) + (("--all-platforms",) if shape == "index" else ())
        stage.run(*fetch, f"{deep}:{shape}")
        expect_kept(stage, ctr, f"{deep}:{shape}", digest)
