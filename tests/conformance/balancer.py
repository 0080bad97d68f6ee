"""haproxy before several nodes, with the settings of tests/haproxy.cfg."""

import contextlib
import os
import shutil
from pathlib import Path

from gotools import Problem
from processes import free_ports, started, wait_until_ready

# What it is told, but for the nodes and its own address.
SETTINGS = Path(__file__).parent.parent / "haproxy.cfg"


@contextlib.contextmanager
def balancing(ports, results):
    """Yields the port of one before the nodes at these ports, once it reaches one of them."""
    # Where a user's own PATH need not lead.
    program = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not program:
        raise Problem("there is no haproxy; deploy/setup conformance installs it")
    (port,) = free_ports(1)
    servers = [f"    server node{number} 127.0.0.1:{node}" for number, node in enumerate(ports)]
    front = ["frontend clients", f"    bind 127.0.0.1:{port}", "    default_backend nodes"]
    settings = results / "haproxy.cfg"
    settings.write_text(SETTINGS.read_text() + "\n".join(servers + front) + "\n")
    log = results / "haproxy.log"
    with started([program, "-db", "-f", str(settings)], log) as process:
        wait_until_ready("haproxy", process, port, "/readyz", log)
        yield port
