"""The parts of the benchmark of garbage collection: what each measures, and what it must come to."""

import os
import re
import shutil
import statistics
import time

from beside import beside
from collecting import GRACE, collecting, leave_garbage
from gotools import Problem
from load import PULLERS, PULLS, PUSHERS, PUSHES, Load, seed_pulled
from report import GARBAGE, replace_section, versions
from scale import scaled
from servers import program, ran, say

# Dead blobs in a batch, and how many are live around them.
DEAD = 1_000
FEW = scaled(10_000)
MANY = scaled(1_000_000)
ROUNDS = 3
BATCHES = 10
# Batches of each process that only fill the databases' caches, as a registry that runs has done.
WARMING = 3

DEFAULT_RATE = 500
FULL_RATE = 100_000
CYCLES = int(os.environ.get("BENCH_CYCLES", "3"))
# Seconds: how long the clients are at work, how long the collector works or rests at a time, and what of
# that is left out, since what was begun before is still under way.
AT_WORK = 60
WINDOW = 4
LEFT_OUT = 0.75
WINDOWS_MIN = 3
# What each rate takes away in half of the time, links first and then objects, at most.
BACKLOGS = {DEFAULT_RATE: scaled(DEFAULT_RATE * AT_WORK // 4), FULL_RATE: scaled(30_000)}


# --- Among live blobs ----------------------------------------------------------------------------


def among(report, folder):
    """1,000 dead blobs among few and among many live ones."""
    if not os.environ.get("AMONG"):
        raise Problem("AMONG does not name the program of tests/bench/among.rs; `make bench-gc` builds it")
    among = program("among", "AMONG")
    folders = {FEW: folder / "few", MANY: folder / "many"}
    took = {live: [] for live in folders}
    # Megabytes: at the end of each process, and at the peak of a pass as a part of those before it.
    resident = {live: [] for live in folders}
    growth = {live: [] for live in folders}
    cold = {live: [] for live in folders}
    try:
        for live, place in folders.items():
            place.mkdir()
            seconds = float(ran([among, "seed", place, str(live)]).split()[1])
            say(f"among: {live:,} live blobs; {live / max(seconds, 0.1):,.0f} a second")
        for _ in range(ROUNDS):
            for live, place in folders.items():
                text = ran([among, "collect", place, str(BATCHES), str(DEAD)])
                found = re.findall(r"milliseconds ([\d.]+) before (\d+) peak (\d+)", text)
                resident[live].append(int(found[-1][2]) * 1024 / 1e6)
                cold[live] += [float(milliseconds) for milliseconds, _, _ in found[:WARMING]]
                for milliseconds, before, peak in found[WARMING:]:
                    took[live].append(float(milliseconds))
                    growth[live].append(int(peak) / int(before))
    finally:
        for place in folders.values():
            shutil.rmtree(place, ignore_errors=True)
    for live in folders:
        name = f"{DEAD:,} dead among {live:,} live blobs"
        report.row(f"{name}, milliseconds", {"roadstead": statistics.median(took[live])}, "{:.1f}")
        spread = {"fastest": min(took[live]), "slowest": max(took[live]), "cold": statistics.median(cold[live])}
        report.row("the same, other batches", spread, "{:.1f}")
        needed = {"roadstead": statistics.median(growth[live])}
        report.row("the same, peak memory of a pass, of that before it", needed, "{:.3f}")
        report.row("the same, memory of the process, MB", {"roadstead": statistics.median(resident[live])}, "{:.1f}")
    ratio = statistics.median(took[MANY]) / statistics.median(took[FEW])
    report.at_most(f"collecting among {MANY:,} live blobs, time of that among {FEW:,}", ratio, 1.2)
    ratio = statistics.median(growth[MANY]) / statistics.median(growth[FEW])
    report.at_most("the same, peak memory of a pass in parts of that before it", ratio, 1.1)
    ratio = statistics.median(resident[MANY]) / statistics.median(resident[FEW])
    report.at_most("the same, memory of the whole process", ratio, 1.1)


# --- Latency -------------------------------------------------------------------------------------


def percentile(samples, part):
    """Milliseconds that this part of the answers took at most."""
    ordered = sorted(seconds for _, seconds in samples)
    if len(ordered) < 2:
        raise Problem("too few answers to speak of percentiles")
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1e3


class Side:
    """Answers of all windows in which the collector did the same, window by window."""

    def __init__(self):
        self.pushes, self.pulls = [], []
        self.collected = self.seconds = 0


def middle(windows, part):
    """Milliseconds that this part of a window's answers took at most, in the middle window.

    What else a machine does comes in bursts. One spoils a window, and would spoil the slowest
    hundredth of all answers.
    """
    return statistics.median(percentile(samples, part) for samples in windows)


def watched(registry, load, waiting):
    """(Whether the collector was at work, from when, until when, what it took away) for each window."""
    while not load.is_over():
        load.check()
        for is_busy in (False, True):
            registry.set_paused(not is_busy)
            time.sleep(LEFT_OUT)
            before, began = sum(registry.collected()), time.monotonic()
            time.sleep(WINDOW)
            ended, after = time.monotonic(), sum(registry.collected())
            if after >= 2 * waiting or load.is_over():
                # In a part of this window there was nothing left to collect, or nobody to wait for it.
                return
            yield is_busy, began, ended, after - before


def alternate(folder, rate, asks, sides):
    """Has the collector work and rest in turn, beside clients that push and pull all the time."""
    _, waiting = leave_garbage(folder, BACKLOGS[rate])
    with collecting(folder, rate) as registry:
        registry.set_paused(True)
        load = Load(registry.port, AT_WORK, asks)
        found = list(watched(registry, load, waiting))
        pushes, pulls = load.finish(at_once=True)
        registry.set_paused(False)
    if len(found) < 2 * WINDOWS_MIN:
        raise Problem(f"the collector was at work in {len(found) // 2} windows of {WINDOW} s, too few to compare")
    for is_busy, began, ended, collected in found:
        if is_busy != (collected > 0):
            state = "let go on" if is_busy else "paused"
            raise Problem(f"{collected} links and objects were collected where collection was {state}")
        side = sides[is_busy]
        side.pushes.append([sample for sample in pushes if began <= sample[0] < ended])
        side.pulls.append([sample for sample in pulls if began <= sample[0] < ended])
        side.collected += collected
        side.seconds += ended - began


def latency(report, folder):
    """p99 of pushes and pulls while the collector is at work and while it is paused, at two rates."""
    folder = folder / "latency"
    paces = {"at its default rate": DEFAULT_RATE, "at full pace": FULL_RATE}
    found = {pace: {False: Side(), True: Side()} for pace in paces}
    try:
        with collecting(folder, DEFAULT_RATE) as registry:
            asks = seed_pulled(registry.port)
        for number in range(CYCLES):
            for pace, rate in paces.items():
                alternate(folder, rate, asks, found[pace])
            say(f"latency, round {number + 1} of {CYCLES}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for pace, sides in found.items():
        quiet, busy = sides[False], sides[True]
        for what, of in (("push of a small image", "pushes"), ("pull of a manifest or blob", "pulls")):
            both = {"paused": getattr(quiet, of), "at work": getattr(busy, of)}
            counts = {side: sum(map(len, windows)) for side, windows in both.items()}
            report.row(f"{what} beside the collector {pace}, how many", counts, "{:,}")
            for name, part in (("p50", 0.5), ("p99", 0.99)):
                values = {side: middle(windows, part) for side, windows in both.items()}
                report.row(f"the same, {name}, middle of the windows, milliseconds", values, "{:.2f}")
            values = {side: percentile(sum(windows, []), 0.99) for side, windows in both.items()}
            report.row("the same, p99 of all answers, milliseconds", values, "{:.2f}")
            slowest = {side: max(percentile(samples, 1) for samples in windows) for side, windows in both.items()}
            report.row("the same, slowest of all, milliseconds", slowest, "{:.2f}")
            ratio = middle(both["at work"], 0.99) / middle(both["paused"], 0.99)
            report.at_most(f"p99 of {of} while the collector works {pace}, of that while it is paused", ratio, 1.2)
        rate = {"roadstead": busy.collected / busy.seconds}
        report.row(f"links and objects collected a second meanwhile, {pace}", rate, "{:,.0f}")


PARTS = {"among": among, "latency": latency, "beside": beside}


# --- The section ---------------------------------------------------------------------------------

SECTION = (
    GARBAGE
    + """
One run of `{command}` at commit {commit}, which `make bench-gc` calls; `--write` puts this section here.
Machine: {machine}.
Versions: {versions}.

### Targets

{judged}

### Measured

{measured}

### How

"""
    + f"""- **Among live blobs**: `tests/bench/among.rs`. The metadata are seeded with live blobs by the commands that pushes propose, 100 blobs in a manifest; they have no bytes, since nobody reads them. Processes then open them in turn, {ROUNDS} times each. Each pushes {DEAD:,} dead blobs into a store in memory, waits until their holds are over, and has a pass of the collector condemn, delete and forget them, {BATCHES} times over, of which the first {WARMING} are cold: the databases' caches are empty in a process that has just begun, and the time of these stands apart. The rate is 100,000 objects a second, so that it bounds nothing. The time is that of the pass, the middle of all batches; the memory that a pass needs is the peak of the whole process during it as a part of what the process had before it. The process as a whole has more among many: metadata lie on disk, and a million blobs fill the databases' caches and write buffers, which ten thousand do not; their size is fixed (100 MiB) and is no matter of collection.
- **Pushes and pulls**: {PUSHERS} clients push {PUSHES} small images a second each (config, layer of 1 KiB, manifest, by POST and PUT), and {PULLERS} pull {PULLS} manifests or layers a second each, all the time. An answer's time counts from when the request was due. The collector is paused and let go on in turn, by `roadstead gc pause` and `resume`, so that whatever else goes on in the registry and on the machine falls on both alike; {LEFT_OUT} s after each change a window of {WINDOW} s begins that counts. Percentiles are those of a window, and the middle window counts: a burst of something else on the machine spoils a window, and would be the slowest hundredth of all. There are {CYCLES} rounds at the default rate of {DEFAULT_RATE} a second and at {FULL_RATE:,}, which bounds nothing. Files are on disk; `gc.grace` is {GRACE} s and `gc.readingdelay` nothing.
- **Beside Distribution**: the same 10,000 small images, unique, are pushed into both by the same clients, and 1,000 manifests are deleted by digest. Distribution is stopped, as its documentation demands for content that must not be lost, `docker-registry garbage-collect` runs, and it is started again; from the stop to the first answer it takes no push. Roadstead runs on with a short grace: from the end of the first hold until the last object is deleted and forgotten, while clients go on pushing. Distribution keeps manifests as blobs, Roadstead in its metadata: so Distribution frees a file more for each image, which does not count as an object here.
"""
)


def write_section(path, report, parts):
    found = versions(("roadstead", "docker-registry"))
    replace_section(path, GARBAGE, report.page(SECTION, "run-gc", parts, found))
