"""The part of the sizes that is measured: all of it, unless somebody tries a benchmark out."""

import os

SCALE = float(os.environ.get("BENCH_SCALE", "1"))


def scaled(size):
    return max(int(size * SCALE), 100)
