"""The clients' programs: where each comes from, and which version it is."""

import re
import shutil
import subprocess

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


def find(names, say):
    """The path of each program. Raises `Problem` for one that is not there and cannot be built."""
    found = {}
    for name in sorted(names):
        if name in BUILT:
            found[name] = str(installed(BUILT[name], say))
            continue
        program, package = DEBIAN[name]
        path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
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
