"""The part `growth`: what takes how long beside 100,000 repositories and 100,000 tags.

Both registries are ours. The small one has just as much as a page holds, so that both give the same
pages; the large one is seeded over the public API, which is why the seeding is timed too.
"""

import multiprocessing
import os
import random
import shutil
import signal
import statistics
import time

from gotools import Problem
from servers import Server, running, say
from wire import MANIFEST, Batches, Connection, Image, digest_of, manifest, request

REPOSITORIES = 100_000
TAGS = 100_000
PAGE = 100
SEEDERS = 2
CONNECTIONS = 128
BATCH = 4

ROUNDS = 5
ASKS = 300
IMAGES = 40
CONFIG = b'{"architecture":"amd64","os":"linux"}'
CONFIG_DIGEST = digest_of(CONFIG)


def repository(number):
    return f"bench/r{number:06d}"


def put_manifest(name, tag, note):
    body = manifest(CONFIG_DIGEST, len(CONFIG), [], note)
    return request("PUT", f"/v2/{name}/manifests/{tag}", body, MANIFEST) + body


def requests_of(repositories, tags, share):
    """The requests of one seeder: each repository mounts the config and gets one tag."""
    for number in repositories[share::SEEDERS]:
        name = repository(number)
        mount = f"/v2/{name}/blobs/uploads/?mount={CONFIG_DIGEST}&from=bench/tags"
        yield request("POST", mount) + put_manifest(name, "v1", str(number)), 2
    for number in tags[share::SEEDERS]:
        yield put_manifest("bench/tags", f"t{number:06d}", str(number)), 1


def batches(requests):
    count, texts = 0, []
    for text, number in requests:
        texts.append(text)
        count += number
        if count >= BATCH:
            yield count, b"".join(texts)
            count, texts = 0, []
    if count:
        yield count, b"".join(texts)


def seeder(port, repositories, tags, share):
    sender = Batches(port, CONNECTIONS)
    sender.send(batches(requests_of(repositories, tags, share)))
    sender.close()


def seed(server, repositories, tags):
    """These repositories with an image each, and one more with these tags; returns seconds and processor seconds."""
    if 0 in repositories:
        with Connection(server.port) as connection:
            connection.push_blob("bench/tags", CONFIG, CONFIG_DIGEST)
    fork = multiprocessing.get_context("fork")
    began, before = time.monotonic(), server.cpu()
    workers = [
        fork.Process(target=seeder, args=(server.port, repositories, tags, share), daemon=True)
        for share in range(SEEDERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise Problem("seeding failed, see above")
    return time.monotonic() - began, server.cpu() - before


def seed_large(folder):
    """The large registry; returns seconds and processor seconds."""
    with running("roadstead", folder) as server:
        seconds, cpu = seed(server, range(REPOSITORIES), range(TAGS))
    say(f"growth: {REPOSITORIES:,} repositories; {2 * REPOSITORIES / seconds:,.0f} manifests a second")
    return seconds, cpu


def asks_of(repositories, tags, chance):
    """What one registry is asked in a round, by its name: requests all over its repositories and tags."""
    places = [chance.randrange(repositories - PAGE) for _ in range(ASKS)]
    catalog = [request("GET", f"/v2/_catalog?n={PAGE}&last={repository(place)}") for place in places]
    places = [chance.randrange(tags - PAGE) for _ in range(ASKS)]
    pages = [request("GET", f"/v2/bench/tags/tags/list?n={PAGE}&last=t{place:06d}") for place in places]
    names = [repository(chance.randrange(repositories)) for _ in range(ASKS)]
    manifests = [request("GET", f"/v2/{name}/manifests/v1") for name in names]
    return {"a catalog page": catalog, "a tag page": pages, "a manifest GET": manifests}


def timed(took, what, size, work):
    began = time.monotonic()
    work()
    took.setdefault(what, {}).setdefault(size, []).append((time.monotonic() - began) * 1000)


def look(few, many, chance, took):
    """One round: both registries are asked in turn, request by request, so that noise falls on both."""
    with Connection(few.port) as small, Connection(many.port) as large:
        small_asks = asks_of(PAGE + 1, PAGE + 1, chance)
        large_asks = asks_of(REPOSITORIES, TAGS, chance)
        for what, heads in small_asks.items():
            for head, other in zip(heads, large_asks[what]):
                timed(took, what, "small", lambda: small.ask(head, expect=200))
                timed(took, what, "large", lambda: large.ask(other, expect=200))
        stamp = os.urandom(8).hex()
        for number in range(IMAGES):
            image, tag = Image(f"{stamp}-{number}"), f"v{number}"
            what = "a push of a small image"
            timed(took, what, "small", lambda: small.push_image("bench/tags", tag, image))
            timed(took, what, "large", lambda: large.push_image("bench/tags", tag, image))


def restarted(folder, how):
    """Stops or kills a server on a folder and starts another: its seconds to the first answer."""
    first = Server("roadstead", folder)
    first.stop(how)
    with running("roadstead", folder) as server:
        time.sleep(1)
        return server.ready_after, server.memory("VmRSS")


def growth(report, folder):
    """Pages, a manifest and a push beside 100,000 repositories and 100,000 tags, and a start with them."""
    small, large = folder / "small", folder / "large"
    try:
        seconds, cpu = seed_large(large)
        with running("roadstead", small) as few, running("roadstead", large) as many:
            seed(few, range(PAGE + 1), range(PAGE + 1))
            chance = random.Random(1)
            took = {}
            for _ in range(ROUNDS):
                look(few, many, chance, took)
            resident = many.memory("VmRSS")
        stopped, idle = restarted(large, signal.SIGTERM)
        killed, _ = restarted(large, signal.SIGKILL)
    finally:
        shutil.rmtree(small, ignore_errors=True)
        shutil.rmtree(large, ignore_errors=True)
    for what, sizes in took.items():
        few, many = statistics.median(sizes["small"]), statistics.median(sizes["large"])
        report.row(f"{what} on a small registry, milliseconds", {"roadstead": few}, "{:.2f}")
        report.row(f"{what} on a large registry, milliseconds", {"roadstead": many}, "{:.2f}")
        report.at_most(f"{what}, large registry against small", many / few, 1.3)
    report.row("seeding the large registry, manifests a second", {"roadstead": (REPOSITORIES + TAGS) / seconds}, "{:,.0f}")
    report.row("the same, processor milliseconds a manifest", {"roadstead": cpu * 1e3 / (REPOSITORIES + TAGS)}, "{:.2f}")
    report.row("memory of the large registry after all this, MB", {"roadstead": resident}, "{:.0f}")
    report.row("memory of the large registry, restarted and idle, MB", {"roadstead": idle}, "{:.0f}")
    report.row("start to first answer, large registry, after a stop, seconds", {"roadstead": stopped}, "{:.3f}")
    report.row("start to first answer, large registry, after kill -9, seconds", {"roadstead": killed}, "{:.3f}")
    report.at_most("start to first answer with 100,000 images, seconds", max(stopped, killed), 2)
