"""Pushes that are stopped in the middle, and run again: the client killed, the connection cut.

Where each is stopped is random, in bytes from the client; the seed is printed when one fails.
"""

import os
import random
import signal
import subprocess

from cut import Cut
from stage import ENDED_WITHIN, kill

STOPPED = 20
# A client may be done before it is killed; more than this many in all says that stopping does not work.
ATTEMPTS_MAX = 2 * STOPPED


def play(stage, prepare, push):
    """Stops `STOPPED` pushes, by killing the client and by cutting in turn, and runs each again.

    `prepare(attempt)` makes an image of its own and returns its repository, its digest, or `None`
    where only the client knows that, and about how many bytes its push sends.
    `push(attempt, address)` is the command that pushes it to a registry at that address.
    """
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    source = random.Random(seed)
    attempt = stopped = 0
    while stopped < STOPPED:
        if attempt == ATTEMPTS_MAX:
            raise AssertionError(f"only {stopped} of {attempt} pushes were stopped, SEED={seed}")
        repository, digest, size = prepare(attempt)
        after = source.randrange(1, size)
        try:
            # One that ended by itself was stopped too late; the next is stopped the same way.
            stopped += stop(stage, push, attempt, after, is_killed=stopped % 2 == 1)
            ran = stage.run(*push(attempt, stage.address), show=False)
            pushed = stage.digest(repository, "1")
            if digest is not None:
                stage.expect("digest", pushed, digest)
            again = stage.run(*push(attempt, stage.address), show=False)
            stage.expect_no_layer_sent(again)
            stage.expect("requests that failed", [r for r in ran.requests if r.status >= 500], [])
        except AssertionError as fault:
            where = f"push {attempt}, stopped after {after} of {size} bytes, SEED={seed}"
            raise AssertionError(f"{where}: {fault}") from fault
        attempt += 1


def stop(stage, push, attempt, after, is_killed):
    """Pushes through a proxy that stops it; true when the push was stopped, and so did not succeed."""
    process = None

    def end():
        if process is not None:
            kill(process)

    cut = Cut(stage.registry.port, after, end if is_killed else None)
    try:
        process = stage.spawn(*push(attempt, cut.address))
        try:
            process.communicate(timeout=ENDED_WITHIN)
        except subprocess.TimeoutExpired:
            raise AssertionError("a push whose connection was cut did not end") from None
    finally:
        cut.close()
        if process is not None and process.poll() is None:
            kill(process)
    if not cut.happened.is_set():
        return False
    return process.returncode == -signal.SIGKILL if is_killed else process.returncode > 0
