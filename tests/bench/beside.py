"""The part `beside`: the same images, of which some are deleted, collected by Distribution and by ours."""

import multiprocessing
import os
import shutil
import subprocess
import time

from collecting import collecting
from gotools import Problem
from load import Load
from scale import scaled
from servers import Server, program, running, say
from wire import Connection, Image, digest_of, request

PEER = "distribution"
IMAGES = scaled(10_000)
DELETED = scaled(1_000)
CLIENTS = 8
GRACE = 10
DEFAULT_RATE = 500
FULL_RATE = 100_000
COLLECTED_WITHIN = 120


def name_of(number):
    return f"beside-{number:06d}"


def repository_of(number):
    return f"bench/lane{number % CLIENTS}"


def in_processes(work, *arguments):
    """Runs `work` in a process for each client, with its number."""
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=work, args=(*arguments, lane), daemon=True) for lane in range(CLIENTS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise Problem("a client failed, see above")


def push_lane(port, lane):
    with Connection(port) as connection:
        for number in range(lane, IMAGES, CLIENTS):
            connection.push_image(repository_of(number), f"v{number}", Image(name_of(number)), False)


def delete_lane(port, numbers, lane):
    with Connection(port) as connection:
        for number in numbers[lane::CLIENTS]:
            digest = digest_of(Image(name_of(number)).manifest)
            path = f"/v2/{repository_of(number)}/manifests/{digest}"
            connection.ask(request("DELETE", path), expect=202)


def chosen(part):
    """The images that are deleted: all over, and others for each part."""
    step = IMAGES // DELETED
    return [number * step + part for number in range(DELETED)]


def fill(server):
    began = time.monotonic()
    in_processes(push_lane, server.port)
    say(f"beside: {IMAGES:,} images pushed to {server.name} in {time.monotonic() - began:.0f} s")


def delete(server, part):
    """Returns when the first delete began and the last one had ended."""
    began = time.monotonic()
    in_processes(delete_lane, server.port, chosen(part))
    return began, time.monotonic()


def files(folder, is_object):
    """How many files below the folder hold bytes of a client."""
    return sum(is_object(path, name) for path, _, names in os.walk(folder) for name in names)


def is_of_roadstead(path, _name):
    return "/roadstead/v1/objects/" in path + "/"


def is_of_distribution(path, name):
    return name == "data" and "/docker/registry/v2/blobs/" in path


def peer(folder):
    """Seconds that its collection takes, and those in which it takes no push; objects that it freed."""
    with running(PEER, folder) as server:
        fill(server)
        delete(server, 0)
    before = files(folder / "data", is_of_distribution)
    # As soon as it begins to stop, it takes no more pushes.
    server = Server(PEER, folder)
    began = time.monotonic()
    server.stop()
    command = [program("docker-registry", "DISTRIBUTION"), "garbage-collect", "--delete-untagged=false"]
    with open(folder / "collected", "wb") as out:
        started = time.monotonic()
        ran = subprocess.run([*command, folder / "config"], stdout=out, stderr=out, cwd=folder, check=False)
        took = time.monotonic() - started
    if ran.returncode:
        raise Problem(f"{' '.join(command)} ended with status {ran.returncode}")
    with running(PEER, folder):
        outage = time.monotonic() - began
    return took, outage, before - files(folder / "data", is_of_distribution)


class Collection:
    """What was seen while ours collected."""

    def __init__(self, took, objects, pushes):
        self.took = took
        self.objects = objects
        self.pushes = [seconds for _, seconds in pushes]


def collect(registry, part):
    """Deletes images, waits for their holds, and watches the collector while clients push."""
    links, objects = registry.collected()
    first, last = delete(registry.server, part)
    if last - first > 2 * GRACE - 3:
        raise Problem("deleting took longer than a hold")
    due = first + 2 * GRACE
    time.sleep(max(0.0, due - 1 - time.monotonic()))
    load = Load(registry.port, COLLECTED_WITHIN, None, "bench/meanwhile")
    # An image has a config and a layer.
    wanted = objects + 2 * DELETED
    while registry.collected()[1] < wanted:
        load.check()
        if load.is_over():
            raise Problem(f"{registry.collected()} links and objects were collected, not {wanted}")
        time.sleep(0.02)
    took = time.monotonic() - due
    gone = registry.collected()
    pushes, _ = load.finish(at_once=True)
    if gone != (links + 2 * DELETED, wanted):
        raise Problem(f"{gone} links and objects were collected, not {wanted}")
    return Collection(took, gone[1] - objects, pushes)


def ours(folder):
    """The collection at the default rate; the same again, of others, as fast as it goes; objects freed."""
    objects = folder / "data"
    with collecting(folder, DEFAULT_RATE, GRACE) as registry:
        fill(registry.server)
        before = files(objects, is_of_roadstead)
        default = collect(registry, 0)
        pushed = 2 * len(default.pushes)
    freed = before + pushed - files(objects, is_of_roadstead)
    with collecting(folder, FULL_RATE, GRACE) as registry:
        # Until it has started and nothing of before is left to do.
        time.sleep(2)
        full = collect(registry, 1)
    return default, full, freed


def beside(report, folder):
    """How long collection takes, and how long pushes are not taken."""
    try:
        took, outage, freed = peer(folder / PEER)
        default, full, own = ours(folder / "roadstead")
    finally:
        for name in (PEER, "roadstead"):
            shutil.rmtree(folder / name, ignore_errors=True)
    # Distribution's manifests are blobs too.
    freed -= DELETED
    if freed != own:
        raise Problem(f"Distribution freed {freed} objects besides manifests, and Roadstead {own}")
    slowest = max(default.pushes + full.pushes)
    what = f"collecting {DELETED:,} deleted of {IMAGES:,} images"
    times = {"roadstead": default.took, PEER: took, f"roadstead with gc.rate {FULL_RATE:,}": full.took}
    report.row(f"{what}, seconds", times, "{:.2f}")
    report.row("the same, objects freed besides manifests", {"roadstead": own, PEER: freed}, "{:,}")
    report.row("the same, seconds without pushes", {"roadstead": 0, PEER: outage}, "{:.2f}")
    report.row("pushes of images meanwhile", {"roadstead": len(default.pushes + full.pushes), PEER: 0}, "{:,}")
    report.row("the slowest of them, seconds", {"roadstead": slowest}, "{:.3f}")
    report.at_most(f"{what} at full pace, time of Distribution's", full.took / took, 1)
    report.at_most("the slowest push meanwhile, part of the time in which Distribution takes none", slowest / outage, 1)
