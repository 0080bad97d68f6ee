"""Clients that push and pull at a given rate, each a process of its own, and how long each answer took.

A request counts from when it was due, if the one before it was not answered by then: a server that
stands still is charged with everything that had to wait. They do not go as fast as the server can.
"""

import gc
import multiprocessing
import os
import time

from gotools import Problem
from wire import MANIFEST, Connection, Image, request

PULLERS = 4
PULLS = 250  # a second, each
PUSHERS = 4
PUSHES = 10
PULLED_IMAGES = 100
REPOSITORY = "bench/pulled"


def seed_pulled(port):
    """The images that are pulled; returns the requests for them, manifests and layers in turn."""
    asks = []
    with Connection(port) as connection:
        for number in range(PULLED_IMAGES):
            image = Image(f"pulled-{number}")
            connection.push_image(REPOSITORY, f"v{number}", image)
            asks.append(request("GET", f"/v2/{REPOSITORY}/manifests/v{number}"))
            asks.append(request("GET", f"/v2/{REPOSITORY}/blobs/{image.layer_digest}"))
    return asks


def puller(port, asks, lane):
    """What a client does each time."""
    connection = Connection(port)
    return lambda number: connection.ask(asks[(number * PULLERS + lane) % len(asks)], expect=200)


def pusher(port, count, lane, repository):
    stamp = os.urandom(8).hex()
    images = [Image(f"{stamp}-{number}") for number in range(count)]
    connection = Connection(port)
    return lambda number: connection.push_image(f"{repository}{lane}", f"{stamp}-{number}", images[number], False)


def paced(work, rate, count, offset, stop, out):
    """Does the work `count` times at that rate; puts (when it was due, how long it took) for each."""
    samples = []
    gc.disable()
    start = time.monotonic() + offset / rate
    for number in range(count):
        due = start + number / rate
        began = time.monotonic()
        if began < due:
            time.sleep(due - began)
            began = time.monotonic()
        else:
            began = due
        if stop.is_set():
            break
        work(number)
        samples.append((began, time.monotonic() - began))
    out.put(samples)


def puller_process(port, asks, lane, count, barrier, stop, out):
    work = puller(port, asks, lane)
    barrier.wait()
    paced(work, PULLS, count, lane / PULLERS, stop, out)


def pusher_process(port, lane, repository, rate, count, barrier, stop, out):
    work = pusher(port, count, lane, repository)
    barrier.wait()
    paced(work, rate, count, lane / PUSHERS, stop, out)


class Load:
    """Clients at work, for `seconds` or until they are ended."""

    def __init__(self, port, seconds, asks, repository="bench/pushed", pushes=PUSHES):
        fork = multiprocessing.get_context("fork")
        self.ended = fork.Event()
        self.pulls, self.pushes = fork.Queue(), fork.Queue()
        barrier = fork.Barrier((PULLERS if asks else 0) + PUSHERS + 1)
        self.workers = []
        for lane in range(PULLERS if asks else 0):
            given = (port, asks, lane, int(PULLS * seconds), barrier, self.ended, self.pulls)
            self.workers.append(fork.Process(target=puller_process, args=given, daemon=True))
        self.pullers = len(self.workers)
        for lane in range(PUSHERS):
            given = (port, lane, repository, pushes, int(pushes * seconds), barrier, self.ended, self.pushes)
            self.workers.append(fork.Process(target=pusher_process, args=given, daemon=True))
        for worker in self.workers:
            worker.start()
        barrier.wait(60)
        self.began = time.monotonic()
        self.until = self.began + seconds

    def is_over(self):
        return time.monotonic() >= self.until

    def check(self):
        if any(worker.exitcode for worker in self.workers):
            raise Problem("a client that pushes and pulls failed, see above")

    def finish(self, at_once=False):
        """Waits for them, or ends them; returns the samples of pushes and of pulls."""
        if at_once:
            self.ended.set()
        try:
            pulls = [sample for _ in range(self.pullers) for sample in self.take(self.pulls)]
            pushes = [sample for _ in range(PUSHERS) for sample in self.take(self.pushes)]
        finally:
            for worker in self.workers:
                worker.join(10)
                if worker.is_alive():
                    worker.kill()
        return sorted(pushes), sorted(pulls)

    def take(self, queue):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            self.check()
            if not queue.empty():
                return queue.get()
            time.sleep(0.02)
        raise Problem("a client that pushes and pulls does not end")
