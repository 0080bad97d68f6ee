"""Processes that a run starts, each in a session of its own and ended in order, and ports for them.

It knows nothing of what they are.
"""

import contextlib
import http.client
import random
import socket
import subprocess
import time

from gotools import Problem

# Seconds. The deadlines are far above what is normal: reaching one means that something hangs.
READY_WITHIN = 60
STOPPED_WITHIN = 30


def say(text):
    print(f"conformance: {text}", flush=True)


def tail(path, lines=20):
    text = path.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in text)


def free_ports(count):
    """So many different ports that nobody listens on."""
    found = set()
    # Below the range from which the kernel gives ports to outgoing connections, so that none takes it
    # between this look and the process's own bind.
    for _ in range(100 * count):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.add(port)
        if len(found) == count:
            return sorted(found)
    raise Problem(f"no {count} free ports on 127.0.0.1 between 20000 and 32000")


def fetched(port, path):
    """The status and the text of an answer to GET; none when there was no answer."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None, ""


def spawned(command, log, **options):
    """Starts a process, in a session of its own so that Ctrl-C reaches only us and we end it in order."""
    with open(log, "ab") as out:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, **options
        )


def stop(process):
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        say(f"{process.args[0]} did not stop within {STOPPED_WITHIN} s of SIGTERM and was killed")


@contextlib.contextmanager
def started(command, log, **options):
    process = spawned(command, log, **options)
    try:
        yield process
    finally:
        stop(process)


def wait_until_ready(what, process, port, path, log):
    """Waits until GET of the path answers 200; raises `Problem` when the process ends or that takes too long."""
    deadline = time.monotonic() + READY_WITHIN
    while fetched(port, path)[0] != 200:
        if process.poll() is not None:
            raise Problem(f"{what} ended with status {process.returncode}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise Problem(f"GET {path} of {what} did not answer 200 within {READY_WITHIN} s:\n{tail(log)}")
        time.sleep(0.05)
