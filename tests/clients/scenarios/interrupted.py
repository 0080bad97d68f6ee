"""Pushes that are stopped in the middle, and run again: the client killed, the connection cut.

Where each is stopped is random, in bytes from the client; the seed is printed when one fails.
"""

import os
import random
import subprocess

from cut import Cut
from stage import ENDED_WITHIN, kill

ATTEMPTS = 20


def play(stage, prepare, push):
    """Stops `ATTEMPTS` pushes, every second one by killing the client, and runs each again.

    `prepare(attempt)` makes an image of its own and returns its repository, its digest, or `None`
    where only the client knows that, and about how many bytes its push sends.
    `push(attempt, address)` is the command that pushes it to a registry at that address.
    """
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    source = random.Random(seed)
    stopped = 0
    for attempt in range(ATTEMPTS):
        repository, digest, size = prepare(attempt)
        after = source.randrange(1, size)
        try:
            stopped += stop(stage, push, attempt, after, is_killed=attempt % 2 == 1)
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
    # Those that ended by themselves were stopped too late, which may happen, but not as a rule.
    if stopped < ATTEMPTS * 3 // 4:
        raise AssertionError(f"only {stopped} of {ATTEMPTS} pushes were stopped, SEED={seed}")


def stop(stage, push, attempt, after, is_killed):
    """Pushes through a proxy that stops it; true when the push did not succeed."""
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
            kill(process)
            raise AssertionError("a push whose connection was cut did not end") from None
    finally:
        cut.close()
    return cut.happened.is_set() and process.returncode != 0
