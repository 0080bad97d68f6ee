"""Three servers that are one: a cluster of Roadstead over one folder of blobs, and one of etcd.

Each node is a process of its own with a folder of its own, on loopback, with the defaults of its program.
"""

import abc
import contextlib
import http.client
import json
import os
import shutil
import signal
import time

from gotools import Problem
from servers import Server, command_of, fetched, free_ports, program

COUNT = 3
LEADS_WITHIN = 60

# They go on with the section `http`. Administration is by default at one port for all.
SETTINGS = """  debug:
    addr: 127.0.0.1:{debug}
    prometheus:
      enabled: true
cluster:
  name: bench
  datadir: {datadir}
  listen: {address}
  members: [{members}]
  admin:
    addr: 127.0.0.1:0
"""
LEADS = "\nroadstead_raft_is_leader 1\n"


class Node(Server):
    """A node of a cluster. It is ready only with others, so that nobody waits for it at its start."""

    def __init__(self, name, folder, port, command, ready_path):
        self.ready_path = ready_path
        self.spawn(name, folder, port, command)


class Cluster(abc.ABC):
    """Nodes that are started together; those that run are in `nodes`, by their numbers."""

    name = ""
    # What a node listens on.
    ports_each = 0

    def __init__(self, folder):
        self.folder = folder
        chosen = free_ports(COUNT * self.ports_each)
        self.ports = [chosen[number :: COUNT] for number in range(COUNT)]
        self.nodes = {}

    @abc.abstractmethod
    def spawn(self, number):
        """Starts the process of a node."""

    @abc.abstractmethod
    def leads(self, number):
        """Whether a node says that it leads."""

    def start(self, *numbers):
        for number in numbers:
            (self.folder / str(number)).mkdir(parents=True, exist_ok=True)
            self.nodes[number] = self.spawn(number)
        for number in numbers:
            self.nodes[number].become_ready()

    def kill(self, number):
        """Ends a node's process by SIGKILL; returns when that was."""
        node = self.nodes[number]
        at = time.monotonic()
        os.kill(node.pid, signal.SIGKILL)
        node.process.wait()
        del self.nodes[number]
        return at

    def stop(self):
        for number, node in list(self.nodes.items()):
            node.stop()
            del self.nodes[number]

    def cut_off(self):
        """Ends the processes that are left, and waits for nothing that they might want to do before."""
        for node in self.nodes.values():
            node.process.kill()
            node.process.wait()
        self.nodes.clear()

    def cpu(self):
        return sum(node.cpu() for node in self.nodes.values())

    def leader(self):
        """Which node leads, once one does."""
        deadline = time.monotonic() + LEADS_WITHIN
        while time.monotonic() < deadline:
            for number in self.nodes:
                with contextlib.suppress(OSError, http.client.HTTPException, Problem):
                    if self.leads(number):
                        return number
            time.sleep(0.02)
        raise Problem(f"no node of {self.name} leads within {LEADS_WITHIN} s")

    def clients_at(self):
        """The ports that clients ask."""
        return [self.ports[number][0] for number in sorted(self.nodes)]


class Roadsteads(Cluster):
    name = "roadstead"
    ports_each = 3

    def spawn(self, number):
        port, debug, _ = self.ports[number]
        own = self.folder / str(number)
        addresses = [f"127.0.0.1:{ports[2]}" for ports in self.ports]
        settings = SETTINGS.format(
            debug=debug, datadir=own / "metadata", address=addresses[number], members=", ".join(addresses)
        )
        driver = f"  filesystem:\n    rootdirectory: {self.folder / 'blobs'}"
        return Node(self.name, own, port, command_of(self.name, own, port, settings, driver), "/readyz")

    def leads(self, number):
        return LEADS in fetched(self.ports[number][1], "/metrics")


class Etcds(Cluster):
    name = "etcd"
    ports_each = 2

    def spawn(self, number):
        own = self.folder / str(number)
        port, peer = self.ports[number]
        members = ",".join(f"node{other}=http://127.0.0.1:{ports[1]}" for other, ports in enumerate(self.ports))
        command = [
            program("etcd", "ETCD"),
            f"--name=node{number}",
            f"--data-dir={own / 'data'}",
            f"--listen-client-urls=http://127.0.0.1:{port}",
            f"--advertise-client-urls=http://127.0.0.1:{port}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster={members}",
        ]
        return Node(self.name, own, port, command, "/health")

    def status(self, number):
        return json.loads(fetched(self.ports[number][0], "/v3/maintenance/status", "{}"))

    def leads(self, number):
        status = self.status(number)
        return status["header"]["member_id"] == status.get("leader")

    def revision(self):
        """How many puts there were, and one more."""
        return int(self.status(self.leader())["header"]["revision"])


@contextlib.contextmanager
def cluster(kind, folder):
    """A fresh cluster of three, in a folder that is gone afterwards."""
    made = kind(folder / kind.name)
    try:
        made.start(*range(COUNT))
        made.leader()
        yield made
        made.stop()
    finally:
        made.cut_off()
        shutil.rmtree(made.folder, ignore_errors=True)
