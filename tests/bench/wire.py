"""A client of registries that costs little: sockets, precomputed requests, answers that are barely read.

Bytes of blobs are dropped in the kernel, and requests are put together before the clock runs, so that
the time that is measured is the registry's. It is no general HTTP client: it knows answers that say
their length, which is all that these servers give to these requests.
"""

import hashlib
import json
import re
import selectors
import socket
import time
from dataclasses import dataclass

from gotools import Problem

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
LOCATION = re.compile(rb"\r\nlocation: *(?:https?://[^/\s]+)?(\S+)", re.IGNORECASE)
ANSWER_WITHIN = 120
DROP_AT_ONCE = 1 << 20


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def request(method, path, body=b"", kind=None):
    """The bytes of a request; without its body if that is None, for who sends it in another way."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if method in ("GET", "HEAD"):
        lines.append(f"Accept: {MANIFEST}")
    else:
        lines.append(f"Content-Length: {len(body)}")
    if kind:
        lines.append(f"Content-Type: {kind}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@dataclass
class Answer:
    status: int
    head: bytes
    body: bytes

    def location(self):
        found = LOCATION.search(self.head)
        if not found:
            raise Problem(f"an answer has no Location: {self.head[:200]!r}")
        return found[1].decode()


class Connection:
    """One keep-alive connection, one request at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, head, body=b"", expect=None):
        if len(body) > DROP_AT_ONCE:
            self.socket.sendall(head)
            self.socket.sendall(body)
        else:
            self.socket.sendall(head + body if body else head)
        return self.answer(head, expect)

    def answer(self, head, expect=None):
        got = b""
        while True:
            piece = self.socket.recv(65536)
            if not piece:
                raise Problem(f"the server closed the connection after {head[:100]!r}")
            got = got + piece if got else piece
            end = got.find(b"\r\n\r\n")
            if end >= 0:
                break
        answered, body = got[: end + 2], got[end + 4 :]
        status = int(answered[9:12])
        found = LENGTH.search(answered)
        if expect is not None and status != expect:
            raise Problem(f"{status} instead of {expect} for {head[:100]!r}: {body[:300]!r}")
        left = (int(found[1]) if found else 0) - len(body)
        if left > DROP_AT_ONCE:
            self.drop(left)
        elif left > 0:
            pieces = [body]
            while left > 0:
                piece = self.socket.recv(left)
                if not piece:
                    raise Problem("an answer broke off")
                pieces.append(piece)
                left -= len(piece)
            body = b"".join(pieces)
        return Answer(status, answered, body)

    def drop(self, left):
        """Takes bytes off the socket without copying them.

        It is woken for a megabyte at a time: to wake an idle processor of a virtual machine costs the
        server more than to send, and a network is slower than loopback and wakes nobody so often.
        """
        room = bytearray(DROP_AT_ONCE)
        while left > 0:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, min(left, DROP_AT_ONCE))
            count = self.socket.recv_into(room, min(left, DROP_AT_ONCE), socket.MSG_TRUNC)
            if count == 0:
                raise Problem("an answer broke off")
            left -= count
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def push_blob(self, repository, content, digest, patch=True):
        """As docker, podman, skopeo and crane do it; without `patch` the PUT carries the bytes."""
        begun = self.ask(request("POST", f"/v2/{repository}/blobs/uploads/"), expect=202)
        place = begun.location()
        if patch:
            sent = request("PATCH", place, content, "application/octet-stream")
            place = self.ask(sent, content, expect=202).location()
            content = b""
        place += ("&" if "?" in place else "?") + "digest=" + digest
        self.ask(request("PUT", place, content, "application/octet-stream"), content, expect=201)

    def push_image(self, repository, tag, image, patch=True):
        self.push_blob(repository, image.config, image.config_digest, patch)
        self.push_blob(repository, image.layer, image.layer_digest, patch)
        put = request("PUT", f"/v2/{repository}/manifests/{tag}", image.manifest, MANIFEST)
        self.ask(put, image.manifest, expect=201)


def manifest(config_digest, config_size, layers, note=None):
    body = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config_digest, "size": config_size},
        "layers": [{"mediaType": LAYER, "digest": digest, "size": size} for digest, size in layers],
    }
    if note is not None:
        body["annotations"] = {"org.opencontainers.image.version": note}
    return json.dumps(body).encode()


class Image:
    """A small image that no other one shares a byte with: a config, a layer of 1 KiB, a manifest."""

    def __init__(self, name):
        self.config = json.dumps({"architecture": "amd64", "os": "linux", "author": name}).encode()
        self.layer = (name.encode() + b"." * 1024)[:1024]
        self.config_digest = digest_of(self.config)
        self.layer_digest = digest_of(self.layer)
        layers = [(self.layer_digest, len(self.layer))]
        self.manifest = manifest(self.config_digest, len(self.config), layers)
        self.manifest_digest = digest_of(self.manifest)


class Batches:
    """Many requests over many connections: each has a batch in flight, and all answers must be 201."""

    def __init__(self, port, connections):
        self.connections = [Connection(port) for _ in range(connections)]

    def send(self, batches):
        """Takes an iterator of (count, bytes) and sends them all."""
        batches = iter(batches)
        while True:
            flying = []
            for connection in self.connections:
                count, text = next(batches, (0, b""))
                if count:
                    connection.socket.sendall(text)
                    flying.append((connection, count))
            if not flying:
                return
            for connection, count in flying:
                self.take(connection, count)

    @staticmethod
    def take(connection, count):
        got = b""
        while got.count(b"HTTP/1.1 ") < count or not got.endswith((b"\r\n\r\n", b"}")):
            piece = connection.socket.recv(262144)
            if not piece:
                raise Problem(f"the server closed a connection of the seeding: {got[-300:]!r}")
            got += piece
        if got.count(b"HTTP/1.1 201") != count:
            refused = re.search(rb"HTTP/1.1 (?!201)[^\0]{0,600}", got)
            raise Problem(f"the seeding was refused: {refused and refused[0]!r}")

    def close(self):
        for connection in self.connections:
            connection.socket.close()


def upload_at_once(port, uploads, size):
    """`uploads` blobs of `size` bytes, all on their way at the same time; returns the seconds."""
    tail = 16
    shared = memoryview(bytes(range(256)) * (size // 256 + 1))[: size - tail]
    hashed = hashlib.sha256(shared)
    lanes = []
    for number in range(uploads):
        connection = Connection(port)
        begun = connection.ask(request("POST", f"/v2/bench/uploads{number}/blobs/uploads/"), expect=202)
        end = b"%016d" % number
        whole = hashed.copy()
        whole.update(end)
        head = request("PATCH", begun.location(), range(size), "application/octet-stream")
        pieces = [memoryview(head), shared, memoryview(end)]
        lanes.append((connection, pieces, "sha256:" + whole.hexdigest()))
    began = time.monotonic()
    selector = selectors.DefaultSelector()
    for lane in lanes:
        lane[0].socket.setblocking(False)
        selector.register(lane[0].socket, selectors.EVENT_WRITE, lane[1])
    open_lanes = len(lanes)
    while open_lanes:
        for key, _ in selector.select(ANSWER_WITHIN):
            pieces = key.data
            sent = key.fileobj.send(pieces[0][: 1 << 18])
            pieces[0] = pieces[0][sent:]
            if not pieces[0]:
                pieces.pop(0)
            if not pieces:
                selector.unregister(key.fileobj)
                open_lanes -= 1
    selector.close()
    for connection, _, digest in lanes:
        connection.socket.settimeout(ANSWER_WITHIN)
        place = connection.answer(b"PATCH", expect=202).location()
        place += ("&" if "?" in place else "?") + "digest=" + digest
        connection.ask(request("PUT", place), expect=201)
        connection.socket.close()
    return time.monotonic() - began
