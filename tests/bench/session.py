"""One run of a benchmark: its arguments, a folder of its own, its parts one after the other, its exit code.

It measures nothing and knows no part.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from gotools import Problem
from report import Report
from servers import say


def arguments(text, parts):
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", metavar="FILE", type=Path, help="write the tables into this file, as Markdown")
    parser.add_argument("parts", metavar="PART", nargs="*", help=", ".join(parts))
    given = parser.parse_args()
    unknown = [part for part in given.parts if part not in parts]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(parts)}")
    return given


def session(text, parts, write):
    """Measures what was asked for; `write` takes the file, the report and the names of the parts."""
    given = arguments(text, parts)
    # A stop from outside unwinds the stack like Ctrl-C does, so that every process is ended.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    folder = Path(tempfile.mkdtemp(prefix="roadstead-bench-", dir=os.environ.get("BENCH_FOLDER", "/var/tmp")))
    report = Report(folder)
    began = time.monotonic()
    try:
        for name in given.parts or parts:
            started = time.monotonic()
            try:
                parts[name](report, folder)
            except (Problem, OSError) as problem:
                # What other parts measured is worth having all the same.
                say(f"{name} could not be measured: {problem}")
                report.lacks(name)
            say(f"{name}: {time.monotonic() - started:.0f} s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(report.tables())
    say(f"{time.monotonic() - began:.0f} s in all")
    if given.write:
        write(given.write, report, given.parts)
    return 1 if report.missed() or report.lacking else 0
