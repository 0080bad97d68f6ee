"""The parts of the benchmark on an object store: what each measures, and what it must come to.

Roadstead and Distribution run beside each other on one bucket of one store, each below a root of its
own, and are measured in turn, round by round. The middle of the rounds counts.
"""

import os
import shutil
import time
from contextlib import ExitStack, contextmanager

import signed
from counting import Counting
from gotools import Problem
from parts import GIB, MIB, PEER, Rounds
from report import STORES, replace_section, versions
from servers import running, say
from wire import Connection, Image, digest_of, request, upload_at_once

OURS = "roadstead"
BOTH = (OURS, PEER)
# The store's own speed wavers more than a disk's.
ROUNDS = 3
LAYER = 512 * MIB
COMMITS = (64 * MIB, GIB)
COMMIT_ROUNDS = 5
IMAGES = 100
SMALL_LAYERS = 20
UPLOADS = 32
UPLOAD_SIZE = 256 * MIB
# What the largest part leaves in the store, and half as much again.
GIB_NEEDED = 16


def told(name):
    value = os.environ.get(f"ROADSTEAD_S3_{name}")
    if not value:
        raise Problem(f"ROADSTEAD_S3_{name} is not set; `make bench-store` starts a store")
    return value


class Bucket:
    """The store as `signed` wants to know it."""

    def __init__(self):
        self.port = int(told("ENDPOINT").rpartition(":")[2])
        self.region, self.name = told("REGION"), told("BUCKET")
        self.access_key, self.secret_key = told("ACCESS_KEY"), told("SECRET_KEY")


def driver(root, endpoint=None):
    """The lines of a configuration that both understand."""
    return f"""  s3:
    region: {told("REGION")}
    regionendpoint: {endpoint or told("ENDPOINT")}
    bucket: {told("BUCKET")}
    accesskey: {told("ACCESS_KEY")}
    secretkey: {told("SECRET_KEY")}
    secure: false
    forcepathstyle: true
    rootdirectory: /{root}"""


@contextmanager
def on_store(names, folder, endpoint=None):
    """The named registries on the store, each below a root of its own that is empty again afterwards."""
    place = f"bench/{os.urandom(4).hex()}"
    try:
        with ExitStack() as stack:
            started = []
            for name in names:
                settings = f"cluster:\n  datadir: {folder / name / 'metadata'}\n"
                lines = driver(f"{place}/{name}", endpoint)
                started.append(stack.enter_context(running(name, folder / name, settings=settings, driver=lines)))
            yield started
    finally:
        for name in names:
            shutil.rmtree(folder / name, ignore_errors=True)
        signed.remove(Bucket(), f"{place}/")


def fresh(size):
    """Bytes that no push has had, in a buffer that the next call changes."""
    content = bytearray(os.urandom(MIB) * (size // MIB))
    # A store may keep equal blocks once.
    for at in range(0, size, MIB // 4):
        content[at : at + 16] = os.urandom(16)
    return content, digest_of(content)


def layer(report, folder):
    """Push of a fresh layer of 512 MiB by POST, PATCH and PUT."""
    rounds = Rounds()
    with on_store(BOTH, folder) as servers:
        for number in range(ROUNDS + 1):
            for server in servers:
                content, digest = fresh(LAYER if number else 16 * MIB)
                os.sync()
                with Connection(server.port) as connection:
                    began, before = time.monotonic(), server.cpu()
                    connection.push_blob("bench/app", content, digest)
                    if number:
                        rounds.add("wall", server.name, time.monotonic() - began)
                        rounds.add("cpu", server.name, (server.cpu() - before) * GIB / LAYER)
            say(f"layers, round {number} of {ROUNDS}")
    wall = rounds.middle("wall")
    report.row("push of a layer of 512 MiB, seconds", wall, "{:.2f}")
    report.row("the same, processor seconds a GiB", rounds.middle("cpu"), "{:.2f}")
    report.at_least("push of a layer of 512 MiB, times as fast as Distribution", wall[PEER] / wall[OURS], 1.5)


def last_byte(connection, content, digest):
    """Pushes with one PUT; returns the seconds from the last byte sent to the 201."""
    begun = connection.ask(request("POST", "/v2/bench/app/blobs/uploads/"), expect=202)
    place = begun.location()
    place += ("&" if "?" in place else "?") + "digest=" + digest
    head = request("PUT", place, content, "application/octet-stream")
    connection.socket.sendall(head)
    connection.socket.sendall(content)
    began = time.monotonic()
    connection.answer(head, expect=201)
    return time.monotonic() - began


def commit(report, folder):
    """From the last byte sent to the 201, for a small and a large blob."""
    rounds = Rounds()
    with on_store(BOTH, folder) as servers:
        for number in range(COMMIT_ROUNDS):
            for server in servers:
                for size in COMMITS:
                    content, digest = fresh(size)
                    os.sync()
                    with Connection(server.port) as connection:
                        rounds.add(size, server.name, last_byte(connection, content, digest))
            say(f"commits, round {number + 1} of {COMMIT_ROUNDS}")
    for size in COMMITS:
        report.row(f"last byte of {size // MIB:,} MiB to the 201, seconds", rounds.middle(size), "{:.3f}")
        spread = {name: max(values) - min(values) for name, values in rounds.values[size].items()}
        report.row("the same, slowest less quickest", spread, "{:.3f}")
    small, large = (rounds.middle(size)[OURS] for size in COMMITS)
    # Noise is what rounds of the same size differ by.
    noise = max(max(rounds.values[size][OURS]) - min(rounds.values[size][OURS]) for size in COMMITS)
    report.at_most("the same, by how much 1 GiB is slower than 64 MiB, of the noise", (large - small) / noise, 1)


def images(report, folder):
    """100 small images one after the other: config, layer of 1 KiB, manifest by tag."""
    rounds = Rounds()
    with on_store(BOTH, folder) as servers:
        for number in range(ROUNDS + 1):
            for server in servers:
                batch = [Image(os.urandom(8).hex()) for _ in range(IMAGES if number else 3)]
                with Connection(server.port) as connection:
                    began = time.monotonic()
                    for count, image in enumerate(batch):
                        connection.push_image("bench/images", f"v{number}-{count}", image)
                    if number:
                        rounds.add("wall", server.name, time.monotonic() - began)
            say(f"small images, round {number} of {ROUNDS}")
    wall = rounds.middle("wall")
    report.row(f"push of {IMAGES} small images, seconds", wall, "{:.2f}")
    report.at_least(f"push of {IMAGES} small images, times as fast as Distribution", wall[PEER] / wall[OURS], 3)


def requests(report, folder):
    """What a small layer costs in requests to the store, deletes of Roadstead left out."""
    each = {}
    for name in BOTH:
        with Counting(Bucket().port) as counting, on_store((name,), folder, f"http://127.0.0.1:{counting.port}") as (server,):
            with Connection(server.port) as connection:
                connection.push_blob("bench/warm", b"warm", digest_of(b"warm"))
                # What the first push has left to do.
                time.sleep(1)
                counting.take()
                for _ in range(SMALL_LAYERS):
                    content = os.urandom(1024)
                    connection.push_blob("bench/app", content, digest_of(content))
            counts = counting.take()
        # Looks at the store's health and whose it is come with time, and not with a push.
        pushes = {
            asked: count
            for asked, count in counts.items()
            if name == PEER or ("/objects/" in asked[1] and asked[0] != "DELETE")
        }
        each[name] = sum(pushes.values()) / SMALL_LAYERS
        # A layer has to get there somehow.
        if each[name] < 1:
            raise Problem(f"of {name} only these were counted: {dict(counts)}")
    report.row("requests to the store for a small layer", each, "{:.1f}")
    report.at_most("requests to the store for a small layer", each[OURS], 1)


def memory(report, folder):
    """32 uploads of 256 MiB at once: the peak of resident memory."""
    free = shutil.disk_usage(folder).free
    if free < GIB_NEEDED * GIB:
        raise Problem(f"the part memory needs {GIB_NEEDED} GiB of disk, and there are {free / GIB:.0f}")
    with on_store((OURS,), folder) as (server,):
        took = upload_at_once(server.port, UPLOADS, UPLOAD_SIZE)
        peak = server.memory("VmHWM")
    report.row(f"{UPLOADS} uploads of 256 MiB at once, peak memory, MB", {OURS: peak}, "{:.0f}")
    report.row("the same, seconds", {OURS: took}, "{:.1f}")
    report.at_most(f"{UPLOADS} uploads of 256 MiB at once, peak memory, MB", peak, 400)


PARTS = {"layer": layer, "commit": commit, "images": images, "requests": requests, "memory": memory}

SECTION = (
    STORES
    + """
One run of `{command}` at commit {commit}, which `make bench-store` calls; `--write` puts this section here.
Machine: {machine}.
Versions: {versions}.

### Targets

{judged}

### Measured

{measured}

### How

"""
    + f"""- Both registries keep blobs in one bucket of one store on loopback, each below a root of its own, and are measured in turn, round by round; the middle counts. Distribution runs with its S3 driver as its defaults have it.
- **Layers**: fresh blobs of 512 MiB, POST, PATCH, PUT, one connection; {ROUNDS} rounds.
- **Last byte to the 201**: POST, and a PUT with everything; the clock starts when the kernel has taken the last byte. The noise is what {COMMIT_ROUNDS} rounds of one size differ by. The store takes part: versitygw writes an object of several parts anew when it is completed; Garage notes a reference for each of its blocks, which are of 10 MB and not compressed here, as docs/storage.md advises.
- **Small images**: config, layer of 1 KiB, manifest with a tag, nothing shared, one after the other.
- **Requests**: counted by a proxy between registry and store. Roadstead's deletes are left out, which nobody waits for, and what it asks by the clock (whose the store is, whether it is there); of Distribution everything is counted.
- **Memory**: 32 connections send 256 MiB each, all at the same time, to a fresh server.
- The store uses the same cores as the registries and the clients, so ratios are smaller than they are where it has a machine of its own.
"""
)


def write_section(path, report, parts):
    found = f"{versions(('roadstead', 'docker-registry'))}, store {told('SERVER')}"
    replace_section(path, STORES, report.page(SECTION, "run-store", parts, found))
