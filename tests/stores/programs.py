"""The object stores' programs: two servers of S3 that share no code, each at a pinned version.

They are built once into the user's cache folder: versitygw from the Go module proxy, Garage by cargo.
"""

import os
import subprocess
import sys
from pathlib import Path

from gotools import GoTool, Problem, cache, installed

VERSITYGW = GoTool("github.com/versity/versitygw", "v1.8.0", "cmd/versitygw", (1, 25))
GARAGE_VERSION = "2.5.0"

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def say(text):
    print(f"stores: {text}", file=sys.stderr, flush=True)


def versitygw():
    """The path of versitygw, which is built first where the cache does not have it."""
    return installed(VERSITYGW, say)


def garage():
    """The path of Garage, which is built first where the cache does not have it."""
    folder = cache() / "tools" / f"garage-v{GARAGE_VERSION}"
    program = folder / "bin" / "garage"
    if not program.exists():
        say(f"building Garage {GARAGE_VERSION} into {folder} (some minutes)")
        command = [
            *("cargo", "install", "garage", "--version", GARAGE_VERSION, "--locked", "--quiet"),
            *("--no-default-features", "--features", "bundled-libs,sqlite", "--root", str(folder)),
        ]
        # Its artefacts are of no use to the next build of the registry, and must not lie among them.
        kept = {key: value for key, value in os.environ.items() if key != "CARGO_TARGET_DIR"}
        # In the repository, because its toolchain is the one that is known to be there.
        try:
            built = subprocess.run(command, env=kept, cwd=REPOSITORY, stdin=subprocess.DEVNULL, check=False)
        except OSError as error:
            raise Problem(f"there is no cargo to build Garage with ({error})") from None
        if built.returncode != 0 or not program.exists():
            raise Problem(f"Garage {GARAGE_VERSION} could not be built, see above. Nothing was tested with it.")
    return program
