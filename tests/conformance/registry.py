"""The registry under test: one node, or several of one cluster, each a process of its own on loopback.

It is not what the tool talks to when there are several: see balancer.py and retrying.py.
"""

import contextlib
import os
import secrets
import time
from pathlib import Path

from gotools import Problem, cache
from processes import fetched, free_ports, spawned, stop, tail, wait_until_ready

LEADS_WITHIN = 60
LEADS = "\nroadstead_raft_is_leader 1\n"


def binary():
    given = os.environ.get("CONFORMANCE_REGISTRY")
    target = os.environ.get("CARGO_TARGET_DIR") or cache() / "target"
    found = Path(given) if given else Path(target) / "release" / "roadstead"
    if not os.access(found, os.X_OK):
        raise Problem(f"there is no registry to test at {found}; `make conformance` builds it")
    return found.resolve()


# --- Its configuration ---------------------------------------------------------------------------


def storage(data, follows_redirects):
    """The lines of the configuration that say where blobs go: the same for every node."""
    store = os.environ.get("CONFORMANCE_STORE", "filesystem")
    if store == "filesystem":
        return ["  filesystem:", f"    rootdirectory: {data}"]
    if store != "s3":
        raise Problem(f"CONFORMANCE_STORE={store} is neither filesystem nor s3")
    settings = {"rootdirectory": f"/conformance/{secrets.token_hex(4)}", "forcepathstyle": "true"}
    for key in ("region", "bucket", "access_key", "secret_key", "endpoint"):
        value = os.environ.get(f"ROADSTEAD_S3_{key.upper()}")
        if not value:
            raise Problem("CONFORMANCE_STORE=s3 is for a run within tests/stores/run")
        settings["regionendpoint" if key == "endpoint" else key.replace("_", "")] = value
    lines = ["  s3:", *(f"    {key}: {value}" for key, value in settings.items())]
    if not follows_redirects:
        lines += ["  redirect:", "    disable: true"]
    return lines


def configuration(run, store, datadir, port):
    lines = ["version: 0.1", "storage:", *store, "  delete:", "    enabled: true"]
    if run.validation_disabled:
        lines += ["validation:", "  disabled: true"]
    # What makes it one of several goes on with these two.
    lines += ["http:", f"  addr: 127.0.0.1:{port}"]
    return lines, ["cluster:", f"  datadir: {datadir}"]


def membership(address, addresses):
    """What a node of a cluster has in the section `cluster` beside its folder."""
    return [
        "  name: conformance",
        f"  listen: {address}",
        f"  members: [{', '.join(addresses)}]",
        "  drain:",
        "    notice: 0s",
        # A node that hears no leader for that long answers by what it knows, as it is documented to.
        # That may be a manifest that is deleted, and could not be told from what is wrong.
        "  reads:",
        "    local_after: 10m",
        # By default at one port for all.
        "  admin:",
        "    addr: 127.0.0.1:0",
    ]


# --- Its processes -------------------------------------------------------------------------------


class Node:
    """A process of the registry. It can be killed, and started again with what it had on disk."""

    def __init__(self, name, command, folder, log, port, debug=None):
        self.name = name
        self.port = port
        self._command = command
        self._folder = folder
        self._log = log
        self._debug = debug
        self._ready_path = os.environ.get("CONFORMANCE_READY_PATH", "/readyz")
        self._process = None

    def start(self):
        self._process = spawned(self._command, self._log, cwd=self._folder)

    def become_ready(self):
        wait_until_ready(self.name, self._process, self.port, self._ready_path, self._log)

    def leads(self):
        return LEADS in fetched(self._debug, "/metrics")[1]

    def kill(self):
        # By SIGKILL.
        if self._process:
            self._process.kill()
            self._process.wait()

    def stop(self):
        if self._process:
            stop(self._process)

    def must_run(self):
        if self._process.poll() is not None:
            status = self._process.returncode
            raise Problem(f"{self.name} ended with status {status} during the run:\n{tail(self._log)}")


def leader(nodes):
    """The node that says that it leads, once one of these does."""
    deadline = time.monotonic() + LEADS_WITHIN
    while time.monotonic() < deadline:
        for node in nodes:
            if node.leads():
                return node
        time.sleep(0.02)
    raise Problem(f"none of {', '.join(node.name for node in nodes)} leads within {LEADS_WITHIN} s")


def prepared(program, run, count, folder, results):
    """The nodes, not started yet, with their configurations among the results."""
    store = storage(folder / "data", run.follows_redirects)
    ports = free_ports(3 * count)
    addresses = [f"127.0.0.1:{port}" for port in ports[:count]]
    for number in range(count):
        port, debug = ports[count + number], ports[2 * count + number]
        name = "the registry" if count == 1 else f"node{number}"
        file = "registry" if count == 1 else name
        datadir = folder / "metadata" / file
        lines, cluster = configuration(run, store, datadir, port)
        if count > 1:
            lines += ["  debug:", f"    addr: 127.0.0.1:{debug}", "    prometheus:", "      enabled: true"]
            cluster += membership(addresses[number], addresses)
        path = results / ("config.yml" if count == 1 else f"{file}.yml")
        path.write_text("\n".join(lines + cluster) + "\n")
        command = [str(program), "serve", str(path)]
        yield Node(name, command, folder, results / f"{file}.log", port, debug)


@contextlib.contextmanager
def serving(program, run, count, folder, results):
    """Fresh nodes that are ready to answer."""
    nodes = list(prepared(program, run, count, folder, results))
    try:
        for node in nodes:
            node.start()
        for node in nodes:
            node.become_ready()
        yield nodes
        for node in nodes:
            node.must_run()
    finally:
        for node in nodes:
            # Of a cluster that goes as a whole, the last wait for somebody to lead after them.
            node.stop() if count == 1 else node.kill()
