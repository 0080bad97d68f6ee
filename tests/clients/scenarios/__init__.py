"""What each client does, one file a client. `play(stage)` plays it; `TOOLS` names its programs."""

from . import containerd, cosign, crane, docker, helm, notation, oras, podman, regctl, skopeo

SCENARIOS = {
    "docker": docker,
    "podman": podman,
    "skopeo": skopeo,
    "containerd": containerd,
    "crane": crane,
    "oras": oras,
    "regctl": regctl,
    "helm": helm,
    "cosign": cosign,
    "notation": notation,
}
