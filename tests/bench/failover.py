"""The part `failover`: the leader is killed again and again, and clients of the other nodes go on.

A write counts from the kill to its 201. Pulls by digest go on from before the kill until after the write,
and each has to be answered with the right bytes, however long that takes; a client waits for 30 s.
"""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gotools import Problem
from nodes import Roadsteads, cluster
from scale import SCALE
from servers import say
from wire import MANIFEST, Connection, Image, request

KILLS = max(round(20 * SCALE), 2)
REPOSITORY = "bench/app"
# Between a client's pulls, between a write that was refused and the next, and of pulls around it all.
PULL_PAUSE = 0.02
WRITE_PAUSE = 0.02
AROUND = 0.5
WRITTEN_WITHIN = 60
ANSWER_WITHIN = 30
CAUGHT_UP_WITHIN = 30
# After a node has come back, until the next kill.
SETTLED_AFTER = 2


@dataclass
class Pull:
    """What is pulled, and what has to come."""

    path: str
    content: bytes


class Puller:
    """A client that pulls one thing from one node until it is told to stop."""

    def __init__(self, port, pull, stop):
        self.port = port
        self.pull = pull
        self.stop = stop
        self.count = 0
        self.slowest = 0.0
        self.failed = []
        self.connection = None

    def run(self):
        text = request("GET", self.pull.path)
        while not self.stop.is_set():
            began = time.monotonic()
            failure = self.ask(text)
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.count += 1
            if failure:
                self.failed.append(f"{failure} after {time.monotonic() - began:.2f} s for {self.pull.path}")
            time.sleep(PULL_PAUSE)
        self.close()

    def ask(self, text):
        """Nothing, or what was wrong."""
        try:
            if not self.connection:
                self.connection = Connection(self.port)
                self.connection.socket.settimeout(ANSWER_WITHIN)
            answer = self.connection.ask(text)
        except (OSError, Problem) as problem:
            self.close()
            return str(problem)
        if answer.status != 200:
            return f"status {answer.status}"
        return "" if answer.body == self.pull.content else "wrong bytes"

    def close(self):
        if self.connection:
            self.connection.socket.close()
        self.connection = None


def written(port, tag, manifest):
    """Sets a tag through a node, again and again until that is answered with 201; returns when it was."""
    deadline = time.monotonic() + WRITTEN_WITHIN
    text = request("PUT", f"/v2/{REPOSITORY}/manifests/{tag}", manifest, MANIFEST)
    last = "no answer"
    while time.monotonic() < deadline:
        try:
            with Connection(port) as connection:
                connection.socket.settimeout(ANSWER_WITHIN)
                answer = connection.ask(text, manifest)
                if answer.status == 201:
                    return time.monotonic()
                last = f"status {answer.status}"
        except (OSError, Problem) as problem:
            last = str(problem)
        time.sleep(WRITE_PAUSE)
    raise Problem(f"no write succeeded within {WRITTEN_WITHIN} s of the leader's end; the last: {last}")


@dataclass
class Lost:
    """One kill: after how many seconds writes went on through each of the others, and their pulls."""

    after: list
    pulls: int
    failed: list
    slowest: float


def lose_leader(nodes, number, image, pulls):
    """Kills the leader, and has clients of the others write and pull."""
    leader = nodes.leader()
    others = [port for port in nodes.clients_at() if port != nodes.ports[leader][0]]
    stop = threading.Event()
    pullers = [Puller(port, pull, stop) for port in others for pull in pulls]
    with ThreadPoolExecutor(len(pullers) + len(others)) as pool:
        try:
            going = [pool.submit(puller.run) for puller in pullers]
            time.sleep(AROUND)
            killed = nodes.kill(leader)
            writes = [pool.submit(written, port, f"v{number}-{port}", image.manifest) for port in others]
            after = [write.result() - killed for write in writes]
            time.sleep(AROUND)
        finally:
            stop.set()
        for puller in going:
            puller.result()
    nodes.start(leader)
    nodes.leader()
    for port in others:
        caught_up(nodes, f"v{number}-{port}", image)
    failed = [failure for puller in pullers for failure in puller.failed]
    return Lost(after, sum(puller.count for puller in pullers), failed, max(puller.slowest for puller in pullers))


def caught_up(nodes, tag, image):
    """Waits until each node has what was written while one of them was gone."""
    text = request("GET", f"/v2/{REPOSITORY}/manifests/{tag}")
    deadline = time.monotonic() + CAUGHT_UP_WITHIN
    for port in nodes.clients_at():
        with Connection(port) as connection:
            while (found := connection.ask(text)).status != 200:
                if time.monotonic() > deadline:
                    raise Problem(f"{found.status} for {tag} from the node at port {port}: {found.body[:300]!r}")
                time.sleep(WRITE_PAUSE)
        if found.body != image.manifest:
            raise Problem(f"the node at port {port} has other bytes under {tag}")


def failover(report, folder):
    """The leader is killed, and comes back, 20 times."""
    image = Image("failover")
    pulls = [
        Pull(f"/v2/{REPOSITORY}/manifests/{image.manifest_digest}", image.manifest),
        Pull(f"/v2/{REPOSITORY}/blobs/{image.layer_digest}", image.layer),
    ]
    losses = []
    with cluster(Roadsteads, folder) as nodes:
        with Connection(nodes.clients_at()[0]) as connection:
            connection.push_image(REPOSITORY, "v", image)
        for number in range(KILLS):
            time.sleep(SETTLED_AFTER)
            loss = lose_leader(nodes, number, image, pulls)
            losses.append(loss)
            times = " and ".join(f"{after:.2f}" for after in loss.after)
            say(f"kill {number + 1} of {KILLS}: writes after {times} s, slowest pull {loss.slowest:.2f} s")
            for failure in loss.failed:
                say(f"a pull failed: {failure}")
    tell(report, losses)


def tell(report, losses):
    first = [min(loss.after) for loss in losses]
    both = [max(loss.after) for loss in losses]
    for what, times in (("the first write through another node", first), ("writes through both of them", both)):
        values = {"median": statistics.median(times), "worst": max(times)}
        report.row(f"from the kill of the leader to {what}, seconds", values, "{:.2f}")
    pulls = {
        "all": sum(loss.pulls for loss in losses),
        "failed": sum(len(loss.failed) for loss in losses),
    }
    report.row("pulls by digest through the other nodes meanwhile", pulls, "{:,}")
    slowest = [loss.slowest for loss in losses]
    values = {"median of the kills": statistics.median(slowest), "worst": max(slowest)}
    report.row("the slowest of them, seconds", values, "{:.2f}")
    what = f"writes go on through both other nodes after the leader's end, seconds, {{}} of {KILLS}"
    report.at_most(what.format("median"), statistics.median(both), 3)
    report.at_most(what.format("worst"), max(both), 5)
    report.at_most("pulls by digest that failed meanwhile", pulls["failed"], 0)
