"""A registry under test: its process, its access log, and looks at it by plain HTTP.

It does not know any client. What it asks itself carries a User-Agent of its own, so that the access
log tells the client's requests from ours.
"""

import contextlib
import hashlib
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass

from content import sha256
from gotools import Problem

# Seconds. Far above what is normal: reaching one means that something hangs.
READY_WITHIN = 60
STOPPED_WITHIN = 60
ANSWERED_WITHIN = 120
LOGGED_WITHIN = 30

OURS = "roadstead-client-checks"
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# Apache's combined format.
LINE = re.compile(r'\S+ \S+ \S+ \[[^]]*\] "(\S+) (\S+) \S+" (\d+) (\d+) "(?:[^"\\]|\\.)*" "((?:[^"\\]|\\.)*)"$')


@dataclass(frozen=True)
class Request:
    """A line of the access log."""

    method: str
    target: str
    status: int
    agent: str

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        return self.target.partition("?")[2]

    def stored_a_blob(self):
        """Whether bytes of a blob were sent and kept; a mount keeps none."""
        if self.status != 201 or "/blobs/uploads" not in self.path:
            return False
        return self.method == "PUT" or "mount=" not in self.query


@dataclass(frozen=True)
class Manifest:
    """A manifest as it was served."""

    digest: str
    media_type: str
    body: bytes

    def json(self):
        return json.loads(self.body)


def free_port():
    # Below the range from which the kernel gives ports to outgoing connections, so that none takes
    # it between this look and the registry's own bind.
    for _ in range(100):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise Problem("no free port on 127.0.0.1 between 20000 and 32000")


class Registry:
    """One registry with a folder of its own, running from the start of the block to its end."""

    def __init__(self, binary, folder):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log = folder / "access.log"
        self.errors = folder / "registry.log"
        self._binary = binary
        self._folder = folder
        self._fences = 0

    def __enter__(self):
        config = self._folder / "config.yml"
        config.write_text(
            "version: 0.1\n"
            f"storage:\n  filesystem:\n    rootdirectory: {self._folder / 'data'}\n"
            "  delete:\n    enabled: true\n"
            f"http:\n  addr: {self.address}\n"
        )
        with open(self.log, "wb") as out, open(self.errors, "wb") as errors:
            self._process = subprocess.Popen(
                [self._binary, "serve", config],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                cwd=self._folder,
                # Ctrl-C reaches only us, and we end it in order.
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_WITHIN
        while not self._is_ready():
            if self._process.poll() is not None:
                raise Problem(f"the registry ended at start: {self.errors.read_text()[-2000:]}")
            if time.monotonic() > deadline:
                self._process.kill()
                raise Problem(f"the registry was not ready within {READY_WITHIN} s")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def stop(self):
        """Ends it as an operator would, and returns what was wrong with how it ended or ran."""
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            return [f"the registry did not stop within {STOPPED_WITHIN} s of SIGTERM"]
        faults = [] if status == 0 else [f"the registry ended with status {status}"]
        broken = [f"{r.method} {r.target} {r.status}" for r in self.requests() if r.status >= 500]
        if broken:
            faults.append(f"the registry answered {len(broken)} requests with 5xx: {broken[:3]}")
        loud = [line for line in self.errors.read_text().splitlines() if "ERROR" in line or "panicked" in line]
        if loud:
            faults.append(f"the registry logged errors: {loud[:3]}")
        return faults

    def _is_ready(self):
        try:
            return self.get("/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    # --- The access log -------------------------------------------------------------------------

    def mark(self):
        """A place in the access log, behind every request that was answered until now."""
        self._fences += 1
        fence = f"/v2/?fence={os.getpid()}-{self._fences}"
        self.get(fence)
        deadline = time.monotonic() + LOGGED_WITHIN
        while True:
            text = self.log.read_text(errors="replace")
            at = text.find(fence)
            if at >= 0 and "\n" in text[at:]:
                return at + text[at:].index("\n") + 1
            if time.monotonic() > deadline:
                raise Problem(f"a request was not in the access log after {LOGGED_WITHIN} s")
            time.sleep(0.01)

    def requests(self, since=0, until=None):
        """The client's requests between two marks."""
        found = []
        for line in self.log.read_text(errors="replace")[since:until].splitlines():
            match = LINE.match(line)
            if not match:
                raise Problem(f"a line of the access log is not in the combined format: {line!r}")
            request = Request(match[1], match[2], int(match[3]), match[5])
            if request.agent != OURS:
                found.append(request)
        return found

    # --- Plain HTTP -----------------------------------------------------------------------------

    def ask(self, method, path, accept=()):
        """Status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWERED_WITHIN)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_accept_encoding=True)
            connection.putheader("User-Agent", OURS)
            for media_type in accept:
                connection.putheader("Accept", media_type)
            connection.endheaders()
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def get(self, path):
        status, _, body = self.ask("GET", path)
        return status, body

    def manifest(self, repository, reference):
        """The manifest, whose digest is checked against its bytes; `None` when there is none."""
        path = f"/v2/{repository}/manifests/{reference}"
        status, headers, body = self.ask("GET", path, MANIFEST_TYPES)
        if status == 404:
            return None
        digest = sha256(body)
        if status != 200 or headers["Docker-Content-Digest"] != digest:
            raise AssertionError(f"GET {path} answered {status} {dict(headers)} and {digest}")
        return Manifest(digest, headers["Content-Type"], body)

    def tags(self, repository):
        status, body = self.get(f"/v2/{repository}/tags/list")
        return json.loads(body)["tags"] if status == 200 else None

    def referrers(self, repository, digest):
        """The artifact types of what refers to a manifest, sorted."""
        status, body = self.get(f"/v2/{repository}/referrers/{digest}")
        assert status == 200, f"the referrers of {digest} answered {status}"
        return sorted(entry.get("artifactType") or "" for entry in json.loads(body)["manifests"])

    def check_blob(self, repository, digest, size):
        """Reads a blob whole, in pieces, and compares its digest and size."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWERED_WITHIN)
        with contextlib.closing(connection):
            path = f"/v2/{repository}/blobs/{digest}"
            connection.request("GET", path, headers={"User-Agent": OURS})
            response = connection.getresponse()
            if response.status != 200:
                raise AssertionError(f"GET {path} answered {response.status}")
            hasher, length = hashlib.sha256(), 0
            while piece := response.read(1 << 20):
                hasher.update(piece)
                length += len(piece)
        if "sha256:" + hasher.hexdigest() != digest or length != size:
            raise AssertionError(f"GET {path} served {length} bytes of {hasher.hexdigest()}")

    def check_whole(self, repository, reference):
        """Reads a manifest and everything it names; returns its digest and how much that was."""
        manifest = self.manifest(repository, reference)
        if manifest is None:
            raise AssertionError(f"{repository}:{reference} is not there")
        read = 1
        content = manifest.json()
        for child in content.get("manifests", []):
            digest, more = self.check_whole(repository, child["digest"])
            assert digest == child["digest"], f"{child['digest']} is served as {digest}"
            read += more
        config = [content["config"]] if "config" in content else []
        for blob in config + content.get("layers", []):
            self.check_blob(repository, blob["digest"], blob["size"])
            read += 1
        return manifest.digest, read
