"""haproxy before several nodes, as an operator would set it up.

Round robin over the nodes whose `/readyz` says 200. A request without a body is tried elsewhere when a
node does not answer it, or says that it cannot now; one with a body only as long as nothing of it was
sent. The settings are those of tests/src/balancer.rs, with more time for `/readyz` to answer: the tool
puts a manifest of 4 MB, and three nodes that write it to one disk may be busy with it for a moment.
"""

import contextlib
import os
import shutil

from gotools import Problem
from processes import free_ports, started, wait_until_ready

SETTINGS = """\
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout check 2s
    retries 3
    option redispatch 1
backend nodes
    balance roundrobin
    option httpchk GET /readyz
    http-check expect status 200
    retry-on conn-failure empty-response response-timeout 502 503 504
    acl has_body req.hdr(content-length) -m int gt 0
    acl has_body req.hdr(transfer-encoding) -m found
    http-request disable-l7-retry if has_body
    default-server check inter 100ms fall 1 rise 1
"""


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
    settings.write_text(SETTINGS + "\n".join(servers + front) + "\n")
    log = results / "haproxy.log"
    with started([program, "-db", "-f", str(settings)], log) as process:
        wait_until_ready("haproxy", process, port, "/readyz", log)
        yield port
