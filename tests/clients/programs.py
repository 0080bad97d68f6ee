"""The clients' programs: where each comes from, and which version it is."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from gotools import GoTool, Problem, installed

# Built from the Go module proxy. Each is the newest that it served when this was written.
BUILT = {
    "crane": GoTool("github.com/google/go-containerregistry", "v0.22.1", "cmd/crane", (1, 26)),
    "oras": GoTool("oras.land/oras", "v1.3.2", "cmd/oras", (1, 26)),
    "regctl": GoTool("github.com/regclient/regclient", "v0.11.7", "cmd/regctl", (1, 26)),
    "helm": GoTool("helm.sh/helm/v3", "v3.22.0", "cmd/helm", (1, 26)),
    "cosign": GoTool("github.com/sigstore/cosign/v2", "v2.6.5", "cmd/cosign", (1, 26)),
    "notation": GoTool("github.com/notaryproject/notation", "v1.3.2", "cmd/notation", (1, 26)),
}
# Debian's package of each; the versions are its release's. Docker is named by its path, because
# other installations put a newer client in front, which needs a plugin to build.
DEBIAN = {
    "docker": ("/usr/bin/docker", "docker.io"),
    "dockerd": ("dockerd", "docker.io"),
    "podman": ("podman", "podman"),
    "skopeo": ("skopeo", "skopeo"),
    "buildah": ("buildah", "buildah"),
    "containerd": ("containerd", "containerd"),
    "ctr": ("ctr", "containerd"),
    "busybox": ("busybox", "busybox-static"),
}
# They mount file systems and start containers.
ROOTS = {"dockerd", "containerd", "podman", "buildah"}
CGROUPS = Path("/sys/fs/cgroup")


def check_machine(names):
    """Raises `Problem` for what a client needs of the machine beside its program, before any work."""
    needing = sorted(ROOTS & names)
    if needing and os.geteuid() != 0:
        raise Problem(f"{', '.join(needing)} need root; crane, oras, regctl and others run without")
    if "dockerd" in names:
        if where("iptables") is None:
            raise Problem("dockerd does not start without iptables; `deploy/setup clients` installs it")
        # Version 2 has the file in the root of its tree, version 1 in each controller's.
        if not (CGROUPS / "cgroup.procs").exists() and not any(CGROUPS.glob("*/cgroup.procs")):
            raise Problem(f"dockerd does not start without control groups, and none are mounted on {CGROUPS}")


def where(program):
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def find(names, say):
    """The path of each program. Raises `Problem` for one that is not there and cannot be built."""
    found = {}
    for name in sorted(names):
        if name in BUILT:
            found[name] = str(installed(BUILT[name], say))
            continue
        program, package = DEBIAN[name]
        path = where(program)
        if path is None:
            raise Problem(f"{name} is not installed; `deploy/setup clients` does (package {package})")
        found[name] = path
    return found


def version(name, path):
    """The version that a program has, and where it comes from."""
    if name in BUILT:
        return BUILT[name].version, f"`{BUILT[name].module}/{BUILT[name].package}`"
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"\d+\.\d+[\w.+~-]*", said)
    return (match[0] if match else "unknown"), f"Debian `{DEBIAN[name][1]}`"
