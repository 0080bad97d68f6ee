"""Where one client plays: it runs the client's commands, and keeps what they were and what they asked.

A scenario is a function that takes a `Stage`. What its commands did is judged by the registry's own
answers to plain HTTP and by its access log, not by what the client says of itself.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import content
from gotools import Problem

# Seconds for one command; the slowest moves 2 GiB. Reaching it means that something hangs.
ENDED_WITHIN = 420
# Seconds for a daemon, and for each look at whether it is ready.
STARTED_WITHIN = 60
DIGEST = re.compile(r"sha256(:|%3A)[0-9a-f]{64}")


@dataclass(frozen=True)
class Ran:
    """A command that ended."""

    stdout: str
    stderr: str
    requests: list

    def blobs_sent(self):
        return sum(request.stored_a_blob() for request in self.requests)

    def mounts(self):
        return sum(
            request.method == "POST" and "mount=" in request.query and request.status == 201
            for request in self.requests
        )


class Stage:
    """A client, the registry it talks to, and a folder."""

    def __init__(self, name, registry, folder, tools, shapes):
        self.name = name
        self.registry = registry
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        # (heading or None, command, lines of what it asked)
        self.told = []
        # The shapes that were found whole in the registry.
        self.moved = set()
        self._shapes = shapes
        self._tools = tools
        self._heading = None
        self._hidden = []
        self._daemons = []

    @property
    def address(self):
        return self.registry.address

    def tool(self, name):
        """The path of a program."""
        return str(self._tools[name])

    def heading(self, text):
        """Names what the commands after it do, in the documentation."""
        self._heading = text

    def hide(self, *arguments):
        """Arguments that only this suite needs, which the documentation leaves out."""
        self._hidden.append([str(argument) for argument in arguments])

    def layout(self, name):
        """A new OCI image layout in the client's folder."""
        return content.Layout(self.folder / name)

    def shapes(self, name, *tags):
        """A layout in the client's folder with these shapes, or all; returns their digests by tag."""
        return self.layout(name).link(self._shapes, *tags)

    def accept_unsigned(self):
        """Writes the policy without which podman, skopeo and buildah take no image."""
        folder = self.home / ".config" / "containers"
        folder.mkdir(parents=True)
        (folder / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')

    # --- Commands -------------------------------------------------------------------------------

    def run(self, *arguments, variables=None, show=True, fails=False, stdin=None):
        """Runs a command to its end, which must be a success, or a failure with `fails`."""
        arguments = [str(argument) for argument in arguments]
        since = self.registry.mark()
        began = time.monotonic()
        process = self.spawn(*arguments, variables=variables, stdin=stdin)
        try:
            stdout, stderr = process.communicate(stdin, ENDED_WITHIN)
        except subprocess.TimeoutExpired:
            kill(process)
            raise AssertionError(f"did not end within {ENDED_WITHIN} s: {' '.join(arguments)}") from None
        except BaseException:
            # Whoever stops us does not reach it: it has a session of its own.
            kill(process)
            raise
        ran = Ran(stdout, stderr, self.registry.requests(since, self.registry.mark()))
        if (process.returncode != 0) != fails:
            asked = "\n".join(f"    {line}" for line in wire(ran.requests))
            raise AssertionError(
                f"ended with status {process.returncode} after {time.monotonic() - began:.1f} s: "
                f"{' '.join(arguments)}\n{stdout[-1500:]}\n{stderr[-3000:]}\nit asked:\n{asked}"
            )
        if show:
            self.told.append((self._heading, self.shown(arguments, variables), wire(ran.requests)))
            self._heading = None
        return ran

    def succeeds(self, *arguments):
        """Whether a command ends soon, with success."""
        process = self.spawn(*arguments)
        try:
            process.communicate(timeout=STARTED_WITHIN)
        except subprocess.TimeoutExpired:
            kill(process)
        return process.returncode == 0

    def spawn(self, *arguments, variables=None, stdin=None):
        """Starts a command in a session of its own, and does not wait for it."""
        program, *rest = [str(argument) for argument in arguments]
        return subprocess.Popen(
            [self._tools.get(program, program), *rest],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment(variables),
            start_new_session=True,
        )

    def environment(self, variables=None):
        """Nothing of the settings of whoever runs this; short-lived files go into our own folder."""
        return {
            "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "XDG_RUNTIME_DIR": str(self.home),
            "LANG": "C.UTF-8",
            **(variables or {}),
        }

    def shown(self, arguments, variables=None):
        """A command as the documentation shows it: without our folders, ports and private stores."""
        words = list(arguments)
        for hidden in self._hidden:
            for at in range(len(words) - len(hidden) + 1):
                if words[at : at + len(hidden)] == hidden:
                    del words[at : at + len(hidden)]
                    break
        settings = [f"{name}={value}" for name, value in (variables or {}).items()]
        text = " ".join(quoted(word) for word in settings + words)
        text = text.replace(self.address, "localhost:5000").replace(f"{self.folder}/", "")
        return DIGEST.sub(r"sha256\1<hex>", text)

    def daemon(self, ready, *arguments):
        """Starts a process that ends with the stage, and waits until `ready()` is true."""
        log = self.folder / f"{Path(arguments[0]).name}.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env=self.environment(),
                start_new_session=True,
            )
        self._daemons.append(process)
        deadline = time.monotonic() + STARTED_WITHIN
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Problem(f"{arguments[0]} did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)

    def close(self):
        """Ends what was started, newest first."""
        for process in reversed(self._daemons):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    kill(process)

    def context(self, folder, says, data=b""):
        """Writes a folder from which an image is built that says something and ends; returns its name.

        Files are dated alike each time, so that the layer of the program is the same in every image.
        """
        path = self.folder / folder
        path.mkdir(exist_ok=True)
        program = Path(self.tool("busybox")).read_bytes()
        recipe = 'FROM scratch\nCOPY busybox /\nCOPY text data /\nCMD ["/busybox", "cat", "/text"]\n'
        files = {"busybox": program, "text": f"{says}\n".encode(), "data": data, "Dockerfile": recipe.encode()}
        for name, content_of_it in files.items():
            (path / name).write_bytes(content_of_it)
            (path / name).chmod(0o755)
            os.utime(path / name, (0, 0))
        return folder

    # --- Checks ---------------------------------------------------------------------------------

    def digest(self, repository, reference):
        """The digest of a manifest that must be there, read with everything it names."""
        return self.registry.check_whole(repository, reference)[0]

    def is_there(self, repository, reference):
        return self.registry.manifest(repository, reference) is not None

    def expect(self, what, seen, expected):
        if seen != expected:
            raise AssertionError(f"{what}: {seen!r}, and {expected!r} was expected")

    def expect_in(self, what, part, whole):
        if part not in whole:
            raise AssertionError(f"{what}: {part!r} is not in {whole!r}")

    def expect_shape(self, shape, repository, digest, tag=None):
        """The registry has a shape, whole, under the digest that it was made with."""
        self.expect(shape, self.digest(repository, tag or shape), digest)
        self.moved |= {shape, "deep"} if repository == content.DEEP else {shape}

    def expect_pulled(self, folder, digest, tag=None):
        """A layout in the client's folder lists this manifest, and has all that it names."""
        self.expect(f"pulled into {folder}", layout_digest(self.folder / folder, tag), digest)
        content.check_layout(self.folder / folder, digest)

    def expect_no_layer_sent(self, ran):
        self.expect("blobs that the second push sent", ran.blobs_sent(), 0)

    def expect_tags(self, repository, *tags):
        self.expect(f"tags of {repository}", self.registry.tags(repository), sorted(tags))


def kill(process):
    """Ends a command and what it started, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def quoted(word):
    return f"'{word}'" if re.search(r"[\s{}|*?#&;<>()$]", word) else word


def layout_digest(folder, tag=None):
    """The digest of the manifest that a layout lists, under a tag if it is given."""
    entries = json.loads((Path(folder) / "index.json").read_text())["manifests"]
    name = "org.opencontainers.image.ref.name"
    found = [e for e in entries if tag is None or e.get("annotations", {}).get(name) == tag]
    if len(found) != 1:
        raise AssertionError(f"{folder} lists {len(found)} manifests under {tag}: {entries[:3]}")
    return found[0]["digest"]


def wire(requests):
    """Requests as the documentation shows them: the kinds in the order in which each first came."""
    counts = {}
    for request in requests:
        shape = shape_of(request)
        counts[shape] = counts.get(shape, 0) + 1
    return [shape if count == 1 else f"{shape} (x{count})" for shape, count in counts.items()]


def shape_of(request):
    """A request without what differs from one run to the next."""
    path = re.sub(
        r"^/v2/(.+)/(manifests|blobs|tags|referrers)(?=/)",
        r"/v2/<name>/\2",
        request.path,
    )
    path = DIGEST.sub("<digest>", path)
    path = re.sub(r"(?<=/manifests/)(?!<digest>).+", "<tag>", path)
    path = re.sub(r"(?<=/blobs/uploads/).+", "<id>", path)
    query = DIGEST.sub("<digest>", request.query)
    query = re.sub(r"_state=[^&]*", "_state=<state>", query)
    query = re.sub(r"(from|last|mount|origin)=(?!<)[^&]+", r"\1=<value>", query)
    return f"{request.method} {path}{'?' + query if query else ''} {request.status}"
