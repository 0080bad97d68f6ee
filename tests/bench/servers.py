"""The servers that are measured: how each is started, and what the kernel says that it used.

Each runs on a loopback port with a folder of its own, is reached over plain HTTP, logs to a file, and
is ended by its process id.
"""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import gotools
from gotools import Problem, cache

OLAREG = gotools.GoTool("github.com/olareg/olareg", "v0.1.2", "cmd/olareg", (1, 24))

PORTS = range(7300, 7400)
READY_WITHIN = 60
STOPPED_WITHIN = 30
TICKS = os.sysconf("SC_CLK_TCK")
# Variables of the caller's shell that would change what is measured.
NOT_INHERITED = ("REGISTRY_", "OTEL_", "AWS_", "ETCD_")
SYNCS = "fsync,fdatasync,sync_file_range,syncfs,msync"


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def program(name, variable=None):
    given = os.environ.get(variable) if variable else None
    # nginx lies where only root's PATH leads.
    found = given or shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not found or not os.access(found, os.X_OK):
        raise Problem(f"there is no {given or name}; the benchmark's target of `make` installs it")
    return str(Path(found).resolve()) if given else found


def ran(command):
    """What a command prints, which has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(f"{' '.join(map(str, command))} failed: {done.stderr}{done.stdout}")
    return done.stdout


def roadstead():
    if os.environ.get("ROADSTEAD"):
        return program("roadstead", "ROADSTEAD")
    built = Path(os.environ.get("CARGO_TARGET_DIR") or cache() / "target") / "release" / "roadstead"
    if not os.access(built, os.X_OK):
        raise Problem(f"there is no registry to measure at {built}; `make bench` builds it")
    return str(built)


def olareg():
    """olareg at its pinned version, built once into the cache."""
    if os.environ.get("OLAREG"):
        return program("olareg", "OLAREG")
    return str(gotools.installed(OLAREG, say))


def free_ports(count, ports=PORTS):
    """So many different ports that nobody listens on."""
    found = []
    for port in ports:
        with socket.socket() as probe:
            # As the servers bind it: what is only waiting for late packets does not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
        if len(found) == count:
            return found
    raise Problem(f"fewer than {count} free ports on 127.0.0.1 from {ports.start} to {ports.stop - 1}")


def free_port(ports=PORTS):
    return free_ports(1, ports)[0]


def fetched(port, path, body=None):
    """The text of an answer to GET, or to POST with a body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET" if body is None else "POST", path, body)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise Problem(f"{answer.status} for {path} on port {port}: {text[:300]}")
        return text


# --- What each is told ---------------------------------------------------------------------------

ROADSTEAD_CONFIG = """version: 0.1
storage:
{driver}
  delete:
    enabled: true
http:
  addr: 127.0.0.1:{port}
"""

# What Debian's package ships, without its password file.
DISTRIBUTION_CONFIG = """version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
{driver}
  delete:
    enabled: true
http:
  addr: 127.0.0.1:{port}
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""

NGINX_CONFIG = """{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log {folder}/access.log;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {data};
    location = /v2/ {{ return 200; }}
  }}
}}
"""


def command_of(name, folder, port, settings, driver=None):
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    config = folder / "config"
    driver = driver or f"  filesystem:\n    rootdirectory: {data}"
    if name == "roadstead":
        config.write_text(ROADSTEAD_CONFIG.format(driver=driver, port=port) + settings)
        return [roadstead(), "serve", str(config)]
    if name == "distribution":
        config.write_text(DISTRIBUTION_CONFIG.format(driver=driver, port=port))
        return [program("docker-registry", "DISTRIBUTION"), "serve", str(config)]
    if name == "olareg":
        return [olareg(), "serve", "--addr", "127.0.0.1", "--port", str(port), "--dir", str(data)]
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(NGINX_CONFIG.format(user=user, folder=folder, data=data, port=port))
    return [program("nginx"), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]


# --- A running server ----------------------------------------------------------------------------


class Server:
    """A started server, and what the kernel knows of it."""

    # Answered with 200 as soon as requests are.
    ready_path = "/v2/"

    def __init__(self, name, folder, traced=False, settings="", driver=None):
        """`settings` are further lines of Roadstead's configuration, `driver` those of another store."""
        folder = Path(folder)
        port = free_port()
        self.spawn(name, folder, port, command_of(name, folder, port, settings, driver), traced)
        self.become_ready()

    def spawn(self, name, folder, port, command, traced=False):
        self.name = name
        self.folder = folder
        self.port = port
        self.log = folder / "log"
        self.trace = folder / "trace"
        self.traced = traced
        if traced:
            tracer = [program("strace"), "-f", "--seccomp-bpf", "-qq", "-e", f"trace={SYNCS}"]
            command = [*tracer, "-e", "signal=none", "-o", str(self.trace), *command]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(NOT_INHERITED)}
        with open(self.log, "ab") as out:
            self.began = time.monotonic()
            # In a session of its own, so that Ctrl-C reaches only us and we end it in order.
            self.process = subprocess.Popen(
                command, env=kept, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip

    def become_ready(self):
        """Waits for it; ends the process when that is in vain."""
        try:
            self.wait_until_ready(self.began)
            self.ready_after = time.monotonic() - self.began
            own = children(self.process.pid)
            self.pid = own[0] if self.traced else self.process.pid
            self.pids = own if self.traced else [self.process.pid, *own]
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def wait_until_ready(self, began):
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", self.ready_path)
                if connection.getresponse().status == 200:
                    return
            if self.process.poll() is not None:
                raise Problem(f"{self.name} ended with status {self.process.returncode} at start:\n{tail(self.log)}")
            if time.monotonic() - began > READY_WITHIN:
                raise Problem(f"{self.name} did not answer within {READY_WITHIN} s:\n{tail(self.log)}")
            time.sleep(0.002)

    def cpu(self):
        """Seconds of processor time, user and system, since the start."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def memory(self, field):
        """Megabytes (of a million bytes), from /proc: VmRSS is now, VmHWM the peak."""
        total = 0
        for pid in self.pids:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(field + ":"):
                    total += int(line.split()[1]) * 1024
        return total / 1e6

    def syncs(self):
        """How many calls of the traced server made the disk write so far."""
        # An interrupted call has two lines, of which only the second says "resumed".
        lines = self.trace.read_text(errors="replace").splitlines()
        return sum("resumed" not in line and "(" in line for line in lines)

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is not None:
            raise Problem(f"{self.name} ended with status {self.process.returncode} by itself:\n{tail(self.log)}")
        os.kill(self.pid, how)
        try:
            self.process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            say(f"{self.name} did not stop within {STOPPED_WITHIN} s and was killed")
            os.kill(self.pid, signal.SIGKILL)
            self.process.wait()


def children(parent):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def tail(path, lines=20):
    text = path.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in text)


@contextlib.contextmanager
def running(name, folder, traced=False, settings="", driver=None):
    server = Server(name, folder, traced, settings, driver)
    try:
        yield server
    except BaseException:
        with contextlib.suppress(Problem):
            server.stop()
        raise
    server.stop()


@contextlib.contextmanager
def all_running(names, folder, traced=False):
    """The named servers beside each other, each in a fresh folder that is gone afterwards."""
    try:
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(running(name, folder / name, traced)) for name in names]
    finally:
        for name in names:
            shutil.rmtree(folder / name, ignore_errors=True)
