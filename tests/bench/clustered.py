"""The parts of the benchmark of several nodes: what each measures, and what it must come to.

Peers run beside Roadstead and are measured in turn, round by round. The middle of the rounds counts.
"""

import re
import resource
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from failover import KILLS, failover
from gotools import Problem
from nodes import COUNT, Etcds, Roadsteads, cluster
from parts import PEER, Rounds, wrk
from report import NODES, replace_section, versions
from scale import SCALE
from servers import program, running, say
from wire import MANIFEST, Connection, Image, digest_of

OURS = "roadstead"
ETCD = "etcd"
ROUNDS = 5
SECONDS = max(round(5 * SCALE), 1)
READERS = 16  # of each of three clients
WRITERS = 32
REPOSITORIES = 64
IDLE_SECONDS = max(round(30 * SCALE), 2)
SETTLED_AFTER = max(10 * SCALE, 2)

PUTS = str(Path(__file__).resolve().parent / "puts.lua")
# What a tag's row has: a digest, a time, and their two fields' heads.
ROW = 80


def clients_cpu():
    """Seconds of processor time of the clients that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Measured(Rounds):
    """Rounds of clients that ask a server, or nodes, as fast as these answer."""

    def take(self, what, server, loads):
        """Runs the loads at once; each returns its rate and how many answers it had."""
        before, clients_before = server.cpu(), clients_cpu()
        with ThreadPoolExecutor(len(loads)) as pool:
            ended = list(pool.map(lambda load: load(), loads))
        count = sum(done for _, done in ended)
        self.add(what, server.name, sum(rate for rate, _ in ended))
        self.add(f"{what}, servers", server.name, (server.cpu() - before) * 1e6 / count)
        self.add(f"{what}, clients", server.name, (clients_cpu() - clients_before) * 1e6 / count)
        return count

    def tell(self, report, what, text):
        report.row(f"{text}, a second", self.middle(what), "{:,.0f}")
        for who in ("servers", "clients"):
            report.row(f"the same, processor microseconds each, {who}", self.middle(f"{what}, {who}"), "{:.1f}")


# --- Reads ---------------------------------------------------------------------------------------


def reads(report, folder):
    """GET of a manifest by tag, spread over three nodes, beside Distribution's one."""
    image = Image("reads")
    rounds = Measured()
    with cluster(Roadsteads, folder) as nodes, running(PEER, folder / PEER) as peer:
        asked = {nodes: nodes.clients_at(), peer: [peer.port] * COUNT}
        for ports in asked.values():
            with Connection(ports[0]) as connection:
                connection.push_image("bench/app", "v1", image)
        for number in range(ROUNDS):
            for server, ports in asked.items():
                rounds.take("reads", server, [get(port) for port in ports])
            say(f"reads, round {number + 1} of {ROUNDS}")
    rounds.tell(report, "reads", "manifest GETs by tag")
    rate = rounds.middle("reads")
    what = "manifest GETs by tag of three nodes, of those of Distribution's one"
    report.at_least(what, rate[OURS] / rate[PEER], 8)


def get(port):
    return lambda: wrk(f"http://127.0.0.1:{port}/v2/bench/app/manifests/v1", READERS, SECONDS)


# --- Puts ----------------------------------------------------------------------------------------


def puts(report, folder):
    """PUT of a tag, beside a put of etcd."""
    image = Image("puts")
    manifest = folder / "manifest.json"
    manifest.write_bytes(image.manifest)
    rounds = Measured()
    with cluster(Roadsteads, folder) as ours, cluster(Etcds, folder) as etcd:
        with Connection(ours.clients_at()[0]) as connection:
            for number in range(REPOSITORIES):
                connection.push_image(f"bench/puts{number}", "v", image)
        for number in range(ROUNDS):
            everywhere, leader = ours.clients_at(), leader_of(ours)
            for what, ports, repositories in (
                ("spread", everywhere, REPOSITORIES),
                ("leader", leader, REPOSITORIES),
                ("one", everywhere, 1),
            ):
                rounds.take(what, ours, set_tags(ports, manifest, repositories, f"r{number}-{what}-"))
            everywhere, leader = etcd.clients_at(), leader_of(etcd)
            for what, ports, shared in (
                ("spread", everywhere, False),
                ("leader", leader, False),
                ("shared", everywhere, True),
            ):
                put_all(rounds, what, etcd, put_values(ports, folder, shared))
            say(f"puts, round {number + 1} of {ROUNDS}")
    rounds.tell(report, "spread", "puts through all three nodes")
    rounds.tell(report, "leader", "puts through the leader alone")
    rounds.tell(report, "one", "puts through all three nodes into one repository")
    rounds.tell(report, "shared", "puts through all three nodes over one connection to each")
    rate = rounds.middle("spread")
    report.at_least("tag PUTs through three nodes, of etcd's puts", rate[OURS] / rate[ETCD], 0.5)


def leader_of(nodes):
    return [nodes.ports[nodes.leader()][0]]


def shares(ports):
    """How many of the clients ask each of the ports."""
    return [(port, WRITERS // len(ports) + (turn < WRITERS % len(ports))) for turn, port in enumerate(ports)]


def set_tags(ports, manifest, repositories, tags):
    def load(port, clients):
        script = (PUTS, str(manifest), MANIFEST, str(repositories), f"{tags}{port}-")
        return lambda: wrk(f"http://127.0.0.1:{port}", clients, SECONDS, script)

    return [load(port, clients) for port, clients in shares(ports)]


def field(number, content):
    """A field of bytes of a protobuf message, shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def put_values(ports, folder, shared):
    """Puts of a key for each node with a value of a tag row's size; clients of a node may share a connection."""
    value = digest_of(b"").encode().ljust(ROW, b".")

    def load(port, clients):
        message = field(1, f"bench/puts/{port}".encode()) + field(2, value)
        body = folder / f"put-{port}"
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        return lambda: h2load(port, *((1, clients) if shared else (clients, 1)), body)

    return [load(port, clients) for port, clients in shares(ports)]


def h2load(port, connections, at_once, body):
    """Puts a second into etcd by gRPC, and how many there were; so many at once on each connection."""
    command = [program("h2load"), "-t1", f"-c{connections}", f"-m{at_once}", f"-D{SECONDS}", "-d", str(body)]
    command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    command.append(f"http://127.0.0.1:{port}/etcdserverpb.KV/Put")
    out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out)
    done, *bad = (int(number) for number in found.groups()) if found else (0,)
    if not done or any(bad):
        raise Problem(f"h2load on port {port}: {out}")
    return done / SECONDS, done


def put_all(rounds, what, etcd, loads):
    """Has etcd say whether it made all the puts: an answer's HTTP status says nothing of gRPC's."""
    before = etcd.revision()
    count = rounds.take(what, etcd, loads)
    put = etcd.revision() - before
    if put < count:
        raise Problem(f"etcd made {put} puts of the {count} that it answered")


# --- Idle ----------------------------------------------------------------------------------------


def idle(report, folder):
    """What the nodes of a cluster use that nobody asks for anything."""
    with cluster(Roadsteads, folder) as nodes:
        with Connection(nodes.clients_at()[0]) as connection:
            connection.push_image("bench/app", "v1", Image("idle"))
        time.sleep(SETTLED_AFTER)
        leader = nodes.leader()
        before = {number: node.cpu() for number, node in nodes.nodes.items()}
        began = time.monotonic()
        time.sleep(IDLE_SECONDS)
        took = time.monotonic() - began
        used = {number: (node.cpu() - before[number]) * 100 / took for number, node in nodes.nodes.items()}
        if nodes.leader() != leader:
            say("another node leads than before: what an election takes is in the figures")
    named = {"leader" if number == leader else f"node {number}": share for number, share in used.items()}
    report.row(f"processor time of a node of an idle cluster in {IDLE_SECONDS} s, % of a core", named, "{:.2f}")
    report.at_most("processor time of the busiest node of an idle cluster, % of a core", max(used.values()), 2)


PARTS = {"reads": reads, "puts": puts, "failover": failover, "idle": idle}

SECTION = (
    NODES
    + """
One run of `{command}` at commit {commit}, which `make bench-cluster` calls; `--write` puts this section here.
Machine: {machine}.
Versions: {versions}.

### Targets

{judged}

### Measured

{measured}

### How

"""
    + f"""- Three nodes on loopback, each with a data folder of its own on one disk, over one folder of blobs, with the defaults of the configuration. Peers run beside them and are measured in turn, {ROUNDS} rounds of {SECONDS} s each; the middle counts. All use the same cores, the clients too, and so three nodes share what Distribution's one has for itself.
- **Reads**: `wrk`, three processes of {READERS} connections; each asks a node, or all three Distribution. Each GET takes the read barrier: a node asks the leader for its read index, which a majority confirms.
- **Puts**: {WRITERS} connections, a request at a time on each. Roadstead: PUT of a manifest that is there, under a tag that is not, by `wrk`, over {REPOSITORIES} repositories in turn. etcd: puts by gRPC, by `h2load`, a key for each node and values of {ROW} bytes, which a tag's row has. Both write to a majority's disks, with fsync, before they answer. The table says what the servers, all three together, and the clients used for each put: what clients use, servers lack.
- **One connection to each**: {WRITERS} puts at a time, as before, over three connections in all. gRPC can have several requests on one connection, which costs etcd and its client less; clients that are programs of their own, as a registry's are, do not share one. Not judged.
- **One repository**: a node has one manifest PUT of a repository under way at a time, so the puts of all connections wait for each other there. Not judged.
- **Failover**: the leader is killed with SIGKILL {KILLS} times, and started again. From the kill until a write has succeeded through each of the two others, by clients that begin when the leader is gone, wait for their answer, and repeat what is refused. Meanwhile a client of each of the two pulls a manifest by digest and one a blob, with a pause of 20 ms between; any answer but 200 with the right bytes within 30 s is a failed pull.
- **Idle**: an image in the cluster, and {SETTLED_AFTER:.0f} s of rest before.

### What is not comparable

- A put of etcd changes one key. A tag PUT checks that what the manifest names is there, and changes several rows; the whole manifest goes to the other nodes.
- Distribution's node keeps nothing that is replicated, and asks nobody before it answers.
"""
)


def write_section(path, report, parts):
    found = versions(("roadstead", "docker-registry", "etcd"))
    replace_section(path, NODES, report.page(SECTION, "run-cluster", parts, found))
