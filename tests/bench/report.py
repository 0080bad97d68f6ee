"""What was measured as tables: for the terminal and for docs/benchmarks.md.

The page has four writers: `run` writes its beginning, and `run-gc`, `run-store` and `run-cluster` each a
section behind that. Each leaves what the others wrote.
"""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from servers import OLAREG, program, roadstead

SERVERS = ("roadstead", "distribution", "olareg", "nginx", "etcd")

# Begin what `run-gc`, `run-store` and `run-cluster` write, in this order.
GARBAGE = "## Garbage collection\n"
STORES = "## Object stores\n"
NODES = "## Several nodes\n"
SECTIONS = (GARBAGE, STORES, NODES)

PAGE = """# Benchmarks

One run of `{command}` at commit {commit}, which `make bench` calls; `--write` puts its tables here.
Machine: {machine}.
Versions: {versions}.

Numbers of one machine say little about another one, and a busy machine measures its neighbours too.
The ratios are the point: servers that are compared run beside each other and are measured in turn, round by round, and the middle of the rounds counts.
On loopback the client bounds throughput, so bytes are judged by the processor seconds that the kernel charged to the server (user and system).

## Targets

{judged}

## Measured

{measured}

## How

- **Manifest GET**: `wrk`, one thread, 16 connections, one image by its tag.
- **Blob GET**: 100 MiB from the page cache, one connection; the client drops the bytes in the kernel, a megabyte at a time.
- **Blob push**: fresh blobs of 64 MiB, POST, PATCH, PUT, one connection.
- **Small images**: config, layer of 1 KiB, manifest with a tag, nothing shared; eight connections, each with a repository of its own; `strace` counts the fsyncs on servers of their own.
- **Idle**: fresh folders.
- **Growth**: 100,000 repositories with an image each and one more with 100,000 tags, pushed over the API. The small registry has 101 of each, so that both give the same pages. Everything it has fits into memory, so the large one pays for reading at all, too.
- **Uploads**: 64 connections send 100 MB each, all at the same time, to a fresh server.

## Where the time goes

- **Blob GET**: by `perf record -g -p PID` on the server, in the kernel: `sendfile`, TCP on loopback, and waking the client's processor, as for nginx. What nginx takes is the floor; where nginx itself is not four times as good as Distribution, nothing that sends files over sockets is.
- **Manifest GET in a large registry**: three rows are looked up (tag, manifest, body), each in a block that nobody has asked for before: it is read from the page cache, checked and unpacked. The small registry answers from memory that is being written to.
- **Small images**: fsyncs, and threads that wake each other: each request waits for its own entry in the log.

## What is not comparable

- Distribution fsyncs each file that it writes, mostly twice, and never a folder: after a crash of the machine a file that it acknowledged may have no name. Roadstead fsyncs the blob, the folder that names it, and the log entry that records it. olareg fsyncs nothing: its pushes are a mark for the work without durability.
- Distribution and olareg keep no metadata beside their files, and nothing that could be replicated. Roadstead keeps a Raft log and a database, here with one member: more to start, more memory when idle.
- Distribution runs with what Debian's package ships, which has its cache of blob descriptors in memory, but without its password file. Each server writes its own kind of log, into a file; olareg writes no line for each request.
- nginx serves one file of the same size by `sendfile`: no registry, no database, no digest.
- The clients use the same cores as the servers.
"""


@dataclass
class Target:
    what: str
    value: float
    bound: float
    at_least: bool

    def met(self):
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def cells(self):
        wanted = f"at {'least' if self.at_least else 'most'} {self.bound:g}"
        return [self.what, number(self.value), wanted, "pass" if self.met() else "MISS"]


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


class Report:
    """Rows of what was measured, and targets with what they came to."""

    def __init__(self, folder):
        self.folder = folder
        self.machine = machine(folder)
        self.rows = []
        self.targets = []
        self.lacking = []

    def row(self, what, values, form):
        self.rows.append((what, values, form))

    def lacks(self, part):
        self.lacking.append(part)

    def at_least(self, what, value, bound):
        self.targets.append(Target(what, value, bound, True))

    def at_most(self, what, value, bound):
        self.targets.append(Target(what, value, bound, False))

    def missed(self):
        return [target for target in self.targets if not target.met()]

    def measured(self):
        measured = [server for server in SERVERS if any(server in values for _, values, _ in self.rows)]
        rows = [["measured", *measured, "other"]]
        for what, values, form in self.rows:
            cells = [form.format(values[server]) if server in values else "" for server in measured]
            other = [f"{name} {form.format(value)}" for name, value in values.items() if name not in SERVERS]
            rows.append([what, *cells, ", ".join(other)])
        return rows

    def judged(self):
        missing = [[f"the part {part}", "nothing", "", "MISS"] for part in self.lacking]
        return [["target", "measured", "wanted", ""], *(target.cells() for target in self.targets), *missing]

    def tables(self):
        return "\n\n".join(plain(rows) for rows in (self.measured(), self.judged()))

    def page(self, page, script, parts, versions):
        """The page or section with the tables in it."""
        command = " ".join([f"tests/bench/{script}", *parts])
        measured, judged = markdown(self.measured()), markdown(self.judged())
        return page.format(
            command=command, machine=self.machine, versions=versions, measured=measured, judged=judged, commit=commit()
        )


def divided(path):
    """What the file has: the page, and the sections by their headings."""
    text = path.read_text() if path.exists() else ""
    sections = {}
    for heading in reversed(SECTIONS):
        text, found, rest = text.partition("\n" + heading)
        sections[heading] = (heading + rest).strip("\n") if found else ""
    return text, sections


def put_together(path, page, sections):
    pieces = [page, *(sections[heading] for heading in SECTIONS)]
    path.write_text("\n\n".join(piece.strip("\n") for piece in pieces if piece) + "\n")


def write_page(path, report, parts):
    _, sections = divided(path)
    found = versions(("roadstead", "docker-registry", "nginx"))
    page = report.page(PAGE, "run", parts, f"{found}, olareg {OLAREG.version}")
    put_together(path, page, sections)


def replace_section(path, heading, section):
    """Replaces the section that begins with this heading."""
    page, sections = divided(path)
    put_together(path, page, {**sections, heading: section})


def commit():
    """The commit that the working tree is at, and whether it differs."""
    tree = Path(__file__).resolve().parent
    asked = ["git", "-C", tree, "describe", "--always", "--abbrev=7", "--dirty= (with changes)", "--exclude=*"]
    ran = subprocess.run(asked, capture_output=True, text=True, check=False)
    return ran.stdout.strip() or "unknown"


def plain(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---" + "|---:" * (len(rows[0]) - 1) + "|")
    return "\n".join(lines)


def versions(names):
    """Of what was measured, as each says it, up to its version."""
    commands = {
        "roadstead": lambda: [roadstead(), "version"],
        "docker-registry": lambda: [program("docker-registry", "DISTRIBUTION"), "--version"],
        "nginx": lambda: [program("nginx"), "-v"],
        "etcd": lambda: [program("etcd", "ETCD"), "--version"],
    }
    found = []
    for name in names:
        ran = subprocess.run(commands[name](), capture_output=True, text=True, check=False)
        version = re.search(r"v?\d+\.\d+[\w.+~-]*", ran.stdout + ran.stderr)
        found.append(f"{name} {version[0] if version else 'of unknown version'}")
    return ", ".join(found)


def machine(folder):
    """What a reader has to know of the machine, without its name."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    command = ["df", "--output=fstype", folder]
    kind = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()[-1]
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GB of memory, Linux {platform.release()}, "
        f"data on {kind}, load {load:.1f} before the run"
    )
