"""The parts of the benchmark: what each measures, in which order, and what it must come to.

Servers that are compared run beside each other and are measured in turn, round by round, so that what
else the machine does falls on all of them. The middle of the rounds counts.
"""

import hashlib
import multiprocessing
import os
import re
import shutil
import statistics
import subprocess
import time

from growth import growth
from gotools import Problem
from servers import all_running, program, running, say
from wire import MANIFEST, Connection, Image, digest_of, request, upload_at_once

PEER = "distribution"
REGISTRIES = ("roadstead", PEER, "olareg")
GIB = 1 << 30
MIB = 1 << 20

ROUNDS = 5
WRK_SECONDS = 3
GET_SIZE = 100 * MIB
GETS = 20
PUSH_SIZE = 64 * MIB
PUSHES = 4
IMAGE_CLIENTS = 8
IMAGE_SECONDS = 2
# More than a client can push in its time, so that none runs dry.
IMAGES = 800
STARTS = 5
SETTLED_AFTER = 2
UPLOADS = 64
UPLOAD_SIZE = 100_000_000


class Rounds:
    """What was measured, by what and by whom."""

    def __init__(self):
        self.values = {}

    def add(self, what, server, value):
        self.values.setdefault(what, {}).setdefault(server, []).append(value)

    def middle(self, what):
        return {server: statistics.median(values) for server, values in self.values[what].items()}


# --- Manifests -----------------------------------------------------------------------------------


def wrk(url, connections=16, seconds=WRK_SECONDS, script=()):
    """Requests a second, and how many there were; `script` is a file in Lua with its arguments."""
    command = [program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
    command += ["-H", f"Accept: {MANIFEST}"]
    command += ["-s", script[0], url, "--", *script[1:]] if script else [url]
    out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    rate = re.search(r"Requests/sec: *([\d.]+)", out)
    count = re.search(r"(\d+) requests in", out)
    if not rate or not count or "Non-2xx" in out or "Socket errors" in out:
        raise Problem(f"wrk {url}: {out}")
    return float(rate[1]), int(count[1])


def manifest(report, folder):
    """GET of a manifest by tag, as fast as 16 connections ask."""
    image = Image("manifest")
    rounds = Rounds()
    with all_running((*REGISTRIES, "nginx"), folder) as servers:
        urls = {}
        for server in servers:
            path = "/v2/bench/app/manifests/v1"
            if server.name == "nginx":
                path = "/manifest.json"
                (server.folder / "data" / "manifest.json").write_bytes(image.manifest)
            else:
                with Connection(server.port) as connection:
                    connection.push_image("bench/app", "v1", image)
            urls[server] = f"http://127.0.0.1:{server.port}{path}"
        for _ in range(ROUNDS):
            for server in servers:
                before = server.cpu()
                rate, count = wrk(urls[server])
                rounds.add("rate", server.name, rate)
                rounds.add("cpu", server.name, (server.cpu() - before) * 1e6 / count)
    rate = rounds.middle("rate")
    report.row("manifest GET by tag, requests a second", rate, "{:,.0f}")
    report.row("the same, processor microseconds a request", rounds.middle("cpu"), "{:.1f}")
    ours = rate["roadstead"]
    report.at_least("manifest GET by tag, requests a second of Distribution's", ours / rate[PEER], 20)
    report.at_least("manifest GET by tag, requests a second of olareg's", ours / rate["olareg"], 1)


# --- Blobs ---------------------------------------------------------------------------------------


def blob_get(report, folder):
    """GET of a blob of 100 MiB that is in the page cache."""
    content = os.urandom(MIB) * (GET_SIZE // MIB)
    digest = digest_of(content)
    rounds = Rounds()
    with all_running((*REGISTRIES, "nginx"), folder) as servers:
        for number in range(ROUNDS + 1):
            for server in servers:
                path = f"/v2/bench/app/blobs/{digest}"
                if server.name == "nginx":
                    path = "/blob"
                with Connection(server.port) as connection:
                    if number == 0:
                        if server.name == "nginx":
                            (server.folder / "data" / "blob").write_bytes(content)
                        else:
                            connection.push_blob("bench/app", content, digest)
                        connection.ask(request("GET", path), expect=200)
                        continue
                    began, before = time.monotonic(), server.cpu()
                    for _ in range(GETS):
                        connection.ask(request("GET", path), expect=200)
                    volume = GETS * GET_SIZE / GIB
                    rounds.add("cpu", server.name, (server.cpu() - before) / volume)
                    rounds.add("rate", server.name, volume / (time.monotonic() - began))
            if number == 0:
                os.sync()
    cpu = rounds.middle("cpu")
    report.row("blob GET 100 MiB, processor seconds a GiB", cpu, "{:.2f}")
    report.row("the same, GiB a second", rounds.middle("rate"), "{:.2f}")
    ours = cpu["roadstead"]
    report.at_least("blob GET, GiB a processor second, of Distribution's", cpu[PEER] / ours, 4)
    report.at_most("blob GET, processor seconds, of nginx's with sendfile", ours / cpu["nginx"], 1.4)


def hashing(content):
    before = time.process_time()
    hashlib.sha256(content).digest()
    return (time.process_time() - before) * GIB / len(content)


def blob_push(report, folder):
    """Push of fresh blobs of 64 MiB by POST, PATCH and PUT."""
    content = bytearray(os.urandom(MIB) * (PUSH_SIZE // MIB))
    rounds = Rounds()
    with all_running(REGISTRIES, folder) as servers:
        for number in range(ROUNDS + 1):
            for server in servers:
                os.sync()
                cpu = wall = 0
                with Connection(server.port) as connection:
                    for _ in range(PUSHES if number else 1):
                        content[:16] = os.urandom(16)
                        digest = digest_of(content)
                        began, before = time.monotonic(), server.cpu()
                        connection.push_blob("bench/app", content, digest)
                        wall += time.monotonic() - began
                        cpu += server.cpu() - before
                if number:
                    volume = PUSHES * PUSH_SIZE / GIB
                    rounds.add("cpu", server.name, cpu / volume)
                    rounds.add("wall", server.name, wall / PUSHES)
            rounds.add("cpu", "SHA-256 alone", hashing(content))
    cpu, wall = rounds.middle("cpu"), rounds.middle("wall")
    report.row("blob push 64 MiB, processor seconds a GiB", cpu, "{:.2f}")
    report.row("the same, seconds a blob until it is acknowledged", wall, "{:.3f}")
    report.at_least("blob push, GiB a processor second, of Distribution's", cpu[PEER] / cpu["roadstead"], 2)
    report.at_most("blob push, seconds a blob, of Distribution's", wall["roadstead"] / wall[PEER], 1)


# --- Small images --------------------------------------------------------------------------------


def push_images(port, lane, names, patch, seconds, barrier, results):
    """One of the clients, in a process of its own: whole images one after the other."""
    images = [Image(name) for name in names]
    with Connection(port) as connection:
        barrier.wait()
        deadline = time.monotonic() + seconds
        done = 0
        for number, image in enumerate(images):
            if time.monotonic() > deadline:
                break
            connection.push_image(f"bench/lane{lane}", f"v{number}", image, patch)
            done += 1
        results.put((done, time.monotonic() - deadline + seconds))


def image_round(server, clients, images, patch, seconds):
    """Pushes with that many clients at once; returns images, seconds, and the server's processor seconds."""
    fork = multiprocessing.get_context("fork")
    barrier, results = fork.Barrier(clients + 1), fork.Queue()
    stamp = os.urandom(8).hex()
    workers = []
    for lane in range(clients):
        names = [f"{stamp}-{lane}-{number}" for number in range(images)]
        arguments = (server.port, lane, names, patch, seconds, barrier, results)
        workers.append(fork.Process(target=push_images, args=arguments, daemon=True))
    for worker in workers:
        worker.start()
    try:
        barrier.wait(60)
        before = server.cpu()
        ended = [results.get(timeout=seconds + 60) for _ in workers]
        cpu = server.cpu() - before
    except Exception as error:
        raise Problem(f"a client that pushes small images to {server.name} failed, see above") from error
    finally:
        for worker in workers:
            worker.join(10)
            if worker.is_alive():
                worker.kill()
    return sum(done for done, _ in ended), max(took for _, took in ended), cpu


def images(report, folder):
    """Whole small images: config, layer of 1 KiB, manifest by tag; eight clients at a time."""
    rounds = Rounds()
    with all_running(REGISTRIES, folder) as servers:
        for number in range(ROUNDS):
            for server in servers:
                for what, patch in (("patch", True), ("put", False)):
                    done, took, cpu = image_round(server, IMAGE_CLIENTS, IMAGES, patch, IMAGE_SECONDS)
                    rounds.add(what, server.name, done / took)
                    rounds.add(what + " cpu", server.name, cpu * 1e3 / done)
            say(f"small images, round {number + 1} of {ROUNDS}")
        resident = {server.name: server.memory("VmRSS") for server in servers}
    counts = {"one": {}, "eight": {}}
    with all_running(REGISTRIES, folder / "traced", traced=True) as servers:
        for server in servers:
            with Connection(server.port) as connection:
                connection.push_image("bench/warm", "v0", Image("warm"))
            for what, clients in (("one", 1), ("eight", IMAGE_CLIENTS)):
                before = settled(server.syncs)
                done, _, _ = image_round(server, clients, 80 // clients, True, 60)
                counts[what][server.name] = (settled(server.syncs) - before) / done
    rate = rounds.middle("patch")
    report.row("small images by POST, PATCH, PUT, images a second", rate, "{:,.0f}")
    report.row("the same, processor milliseconds an image", rounds.middle("patch cpu"), "{:.2f}")
    report.row("small images by POST, PUT, images a second", rounds.middle("put"), "{:,.0f}")
    report.row("the same, processor milliseconds an image", rounds.middle("put cpu"), "{:.2f}")
    report.row("fsyncs an image, eight at a time", counts["eight"], "{:.1f}")
    report.row("fsyncs an image, one at a time", counts["one"], "{:.1f}")
    report.row("memory after the small images, MB", resident, "{:.0f}")
    report.at_least("small images a second, of Distribution's", rate["roadstead"] / rate[PEER], 4)


def settled(look):
    """A count once it no longer changes: what a server does behind its answers is over then."""
    deadline = time.monotonic() + 10
    count = look()
    while time.monotonic() < deadline:
        time.sleep(0.5)
        again = look()
        if again == count:
            break
        count = again
    return count


# --- Starting and memory -------------------------------------------------------------------------


def idle(report, folder):
    """From the start to the first answer, and memory when nothing was ever asked."""
    rounds = Rounds()
    for _ in range(STARTS):
        for name in REGISTRIES:
            shutil.rmtree(folder / name, ignore_errors=True)
            with running(name, folder / name) as server:
                rounds.add("start", name, server.ready_after)
                time.sleep(SETTLED_AFTER / STARTS)
                rounds.add("memory", name, server.memory("VmRSS"))
    start, memory = rounds.middle("start"), rounds.middle("memory")
    report.row("start to first answer on an empty folder, seconds", start, "{:.3f}")
    report.row("memory idle, MB", memory, "{:.0f}")
    report.at_most("start to first answer on an empty folder, seconds", start["roadstead"], 0.5)
    report.at_most("memory idle, MB", memory["roadstead"], 60)


def uploads(report, folder):
    """64 uploads of 100 MB at once: the peak of resident memory."""
    names = ("roadstead", PEER)
    needed = UPLOADS * UPLOAD_SIZE * 1.2
    if shutil.disk_usage(folder).free < needed:
        raise Problem(f"the part uploads needs {needed / 1e9:.0f} GB of disk")
    peak, took = {}, {}
    for name in names:
        with all_running((name,), folder) as (server,):
            took[name] = upload_at_once(server.port, UPLOADS, UPLOAD_SIZE)
            peak[name] = server.memory("VmHWM")
    report.row("64 uploads of 100 MB at once, peak memory, MB", peak, "{:.0f}")
    report.row("the same, seconds", took, "{:.1f}")
    report.at_most("64 uploads of 100 MB at once, peak memory, MB", peak["roadstead"], 256)


PARTS = {
    "manifest": manifest,
    "blob-get": blob_get,
    "blob-push": blob_push,
    "images": images,
    "idle": idle,
    "growth": growth,
    "uploads": uploads,
}
