"""Roadstead with garbage: its settings, the blobs that nobody names, and how far the collector is.

What holds the collector back while garbage is made is its rate: one object in a second is as good as
none. A restart with another rate lets it go, and comes after all holds are over.
"""

import contextlib
import hashlib
import multiprocessing
import os
import re
import time

from gotools import Problem
from servers import fetched, free_ports, ran, roadstead, running
from wire import Batches, request

GRACE = 5
HELD_BACK = 1
DEBUG_PORTS = range(7400, 7450)
SEEDERS = 2
CONNECTIONS = 64
BATCH = 4
REPOSITORIES = 100
SIZE = 1024

SETTINGS = """  debug:
    addr: 127.0.0.1:{debug}
    prometheus:
      enabled: true
cluster:
  admin:
    addr: 127.0.0.1:{admin}
gc:
  grace: {grace}s
  readingdelay: 0s
  rate: {rate}
"""

COLLECTED = re.compile(r'^roadstead_gc_collected_total\{kind="(links|objects)"\} (\d+)', re.MULTILINE)


class Collecting:
    """A running registry whose collector can be asked how far it is."""

    def __init__(self, server, debug, admin):
        self.server = server
        self.port = server.port
        self.debug = debug
        self.admin = admin

    def set_paused(self, is_paused):
        """Has the collector stand still, or go on."""
        change = "pause" if is_paused else "resume"
        ran([roadstead(), "gc", change, "--address", f"127.0.0.1:{self.admin}"])

    def collected(self):
        """Links and objects that were taken away since it has started."""
        found = {kind: int(count) for kind, count in COLLECTED.findall(fetched(self.debug, "/metrics"))}
        if "links" not in found or "objects" not in found:
            raise Problem("the metrics do not say what was collected")
        return found["links"], found["objects"]


@contextlib.contextmanager
def collecting(folder, rate, grace=GRACE):
    debug, admin = free_ports(2, DEBUG_PORTS)
    settings = SETTINGS.format(debug=debug, admin=admin, grace=grace, rate=rate)
    with running("roadstead", folder, settings=settings) as server:
        yield Collecting(server, debug, admin)


def batches(stamp, share, count):
    """Requests that push a blob each, in bunches."""
    texts = []
    for number in range(share, count, SEEDERS):
        content = (f"{stamp}-{number}".encode() + b"." * SIZE)[:SIZE]
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        place = f"/v2/dead/r{number % REPOSITORIES}/blobs/uploads/?digest={digest}"
        texts.append(request("POST", place, content, "application/octet-stream") + content)
        if len(texts) == BATCH:
            yield BATCH, b"".join(texts)
            texts = []
    if texts:
        yield len(texts), b"".join(texts)


def seeder(port, stamp, share, count):
    sender = Batches(port, CONNECTIONS // SEEDERS)
    sender.send(batches(stamp, share, count))
    sender.close()


def push_garbage(port, count):
    """Pushes blobs that no manifest names; returns the seconds."""
    fork = multiprocessing.get_context("fork")
    stamp = os.urandom(8).hex()
    began = time.monotonic()
    workers = [
        fork.Process(target=seeder, args=(port, stamp, share, count), daemon=True) for share in range(SEEDERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise Problem("pushing garbage failed, see above")
    return time.monotonic() - began


def leave_garbage(folder, count):
    """Has as many dead blobs in the folder, all of them due, and no registry at work."""
    with collecting(folder, HELD_BACK) as registry:
        push_garbage(registry.port, count)
        time.sleep(2 * GRACE + 1)
        links, objects = registry.collected()
        return count - links, count - objects
