"""A running object store: its process, its folder, its bucket and its keys.

Each listens on a loopback port of its own, logs to a file, and is ended by its process id.
"""

import contextlib
import http.client
import os
import secrets
import socket
import subprocess
import time

import programs
import signed
from gotools import Problem
from programs import say

# Apart from those of the benchmark and of the registries under test.
PORTS = range(7400, 7500)
READY_WITHIN = 60
STOPPED_WITHIN = 30
BUCKET = "registry"

# Blocks and compression as docs/storage.md says.
GARAGE_CONFIG = """metadata_dir = "{folder}/metadata"
data_dir = "{folder}/data"
db_engine = "sqlite"
block_size = "10M"
compression_level = "none"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
rpc_secret = "{secret}"
[s3_api]
s3_region = "{region}"
api_bind_addr = "127.0.0.1:{port}"
root_domain = ".s3.garage.localhost"
"""


def free_ports(count):
    """So many ports that nobody listens on."""
    found = []
    # Somewhere in the range: a second run beside this one looks at the same time.
    start = secrets.randbelow(len(PORTS))
    for offset in range(len(PORTS)):
        port = PORTS[(start + offset) % len(PORTS)]
        with socket.socket() as probe, contextlib.suppress(OSError):
            # As the servers bind it: what is only waiting for late packets does not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found.append(port)
            if len(found) == count:
                return found
    raise Problem(f"no {count} free ports on 127.0.0.1 from {PORTS.start} to {PORTS.stop - 1}")


def tail(path, lines=20):
    text = path.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in text)


class Store:
    """A started server with an empty bucket."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = folder
        self.log = folder / "log"
        self.bucket = BUCKET
        self.access_key = "GK" + secrets.token_hex(12)
        self.secret_key = secrets.token_hex(32)
        self.region = "garage" if name == "garage" else "eu-central-1"
        self.port, self._rpc = free_ports(2)
        folder.mkdir(parents=True)
        command, added = COMMANDS[name](self)
        # Variables of the caller's shell would change what the server does.
        strange = ("AWS_", "VGW_", "ROOT_", "GARAGE_", "OTEL_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(strange)}
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                command, env={**kept, **added}, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                # Ctrl-C reaches only us, and we end it in order.
                start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_until_ready()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def _garage(self):
        config = self.folder / "garage.toml"
        config.write_text(
            GARAGE_CONFIG.format(
                folder=self.folder, port=self.port, rpc=self._rpc, region=self.region, secret=secrets.token_hex(32)
            )
        )
        keys = {
            "GARAGE_DEFAULT_ACCESS_KEY": self.access_key,
            "GARAGE_DEFAULT_SECRET_KEY": self.secret_key,
            "GARAGE_DEFAULT_BUCKET": self.bucket,
        }
        return [programs.garage(), "-c", config, "server", "--single-node", "--default-bucket"], keys

    def _versitygw(self):
        root = self.folder / "data"
        # A folder of its root is a bucket.
        (root / self.bucket).mkdir(parents=True)
        keys = {"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key}
        address = f"127.0.0.1:{self.port}"
        return [programs.versitygw(), "--port", address, "--region", self.region, "--quiet", "posix", root], keys

    def _wait_until_ready(self):
        deadline = time.monotonic() + READY_WITHIN
        status = "nothing"
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _ = signed.ask(self, "HEAD", f"/{self.bucket}")
                if status == 200:
                    return
            if self.process.poll() is not None:
                code = self.process.returncode
                raise Problem(f"{self.name} ended with status {code} at start:\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise Problem(
                    f"{self.name} answered {status} for its bucket after {READY_WITHIN} s:\n{tail(self.log)}"
                )
            time.sleep(0.05)

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def environment(self):
        """What a suite has to know of it."""
        return {
            "ROADSTEAD_S3_SERVER": self.name,
            "ROADSTEAD_S3_ENDPOINT": self.endpoint,
            "ROADSTEAD_S3_REGION": self.region,
            "ROADSTEAD_S3_BUCKET": self.bucket,
            "ROADSTEAD_S3_ACCESS_KEY": self.access_key,
            "ROADSTEAD_S3_SECRET_KEY": self.secret_key,
        }

    def stop(self):
        if self.process.poll() is not None:
            code = self.process.returncode
            raise Problem(f"{self.name} ended with status {code} by itself:\n{tail(self.log)}")
        self.process.terminate()
        try:
            self.process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            say(f"{self.name} did not stop within {STOPPED_WITHIN} s and was killed")
            self.process.kill()
            self.process.wait()


# How each is started: the command, and the variables that it gets.
COMMANDS = {"garage": Store._garage, "versitygw": Store._versitygw}  # pylint: disable=protected-access


@contextlib.contextmanager
def running(name, folder):
    """A store in a fresh folder, from the start of the block to its end."""
    store = Store(name, folder)
    try:
        yield store
    except BaseException:
        with contextlib.suppress(Problem):
            store.stop()
        raise
    store.stop()
