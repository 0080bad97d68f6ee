"""Images and artifacts that clients push, made as OCI image layouts.

Deterministic for a seed, so that a failure can be seen again. It is not an image builder: what
runs is built by the clients themselves.
"""

import gzip
import hashlib
import io
import json
import os
import random
import struct
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
UNKNOWN = "application/vnd.example.unknown.v7"

# What is large or odd, by the tag under which `shapes` has it. The last is no content: it is the
# repository that every client pushes the others to.
SHAPES = {
    "hundred": "100 layers",
    "empty": "an empty layer",
    "index": "an index of 50 manifests",
    "big": "a layer of 2 GiB",
    "artifact": "an artifact of unknown media types",
    "deep": "a name with many slashes",
}
DEEP = "a/b/c/d/e/f/g/h/i/j/k/l/app"


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def to_json(value):
    return json.dumps(value, separators=(",", ":")).encode()


def random_bytes(seed, size):
    return random.Random(seed).randbytes(size)


def tar(files):
    """A tar archive of files by name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


@dataclass(frozen=True)
class Layer:
    """A layer: its compressed bytes, and the digest of what they unpack to."""

    data: bytes
    diff_id: str


def layer(files):
    archive = tar(files)
    return Layer(gzip.compress(archive, 1, mtime=0), sha256(archive))


def random_layer(seed, size):
    return layer({f"data-{seed}": random_bytes(seed, size)})


def shapes(folder):
    """Makes the layout from which every client's shapes are taken; it is larger than 2 GiB."""
    layout = Layout(folder)
    images = [layout.image([random_layer(n, 2048)], f"arch{n}") for n in range(50)]
    blob, diff_id = layout.big_layer(2 << 30, seed=7)
    layout.tag(layout.image([random_layer(f"of-100-{n}", 512) for n in range(100)]), "hundred")
    layout.tag(layout.image([layer({})], note="empty"), "empty")
    layout.tag(layout.index(images), "index")
    layout.tag(layout.image_of([blob], [diff_id]), "big")
    layout.tag(layout.artifact(b"what nobody has heard of"), "artifact")
    return layout


def check_layout(folder, digest):
    """Reads a manifest of a layout with everything it names, and compares each with its digest."""
    manifest = json.loads(check_file(folder, digest).read_bytes())
    for child in manifest.get("manifests", []):
        check_layout(folder, child["digest"])
    config = [manifest["config"]] if "config" in manifest else []
    for blob in config + manifest.get("layers", []):
        check_file(folder, blob["digest"])


def check_file(folder, digest):
    """Compares a blob of a layout with its digest, and returns its path."""
    path = Path(folder) / "blobs" / "sha256" / digest.removeprefix("sha256:")
    seen = file_sha256(path)
    assert seen == digest, f"{path} has the digest {seen}"
    return path


def file_sha256(path):
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            hasher.update(piece)
    return "sha256:" + hasher.hexdigest()


@dataclass
class Layout:
    """An OCI image layout on disk."""

    folder: Path
    entries: list = field(default_factory=list)

    def __post_init__(self):
        (self.folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        (self.folder / "oci-layout").write_bytes(to_json({"imageLayoutVersion": "1.0.0"}))

    def blob(self, data, media_type, **more):
        """Adds a blob and returns its descriptor."""
        digest = sha256(data)
        self.path(digest).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data), **more}

    def path(self, digest):
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def link(self, other, *tags):
        """Takes what another layout lists under these tags, or under all; returns the digests.

        The blobs are hard links, so that the large one is on the disk once.
        """
        for path in (other.folder / "blobs" / "sha256").iterdir():
            os.link(path, self.path(path.name))
        entries = {entry["annotations"]["org.opencontainers.image.ref.name"]: entry for entry in other.entries}
        return {tag: self.tag(entries[tag], tag) for tag in tags or entries}

    def tag(self, descriptor, name):
        """Lists a manifest in index.json under a tag, and returns its digest."""
        named = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}}
        self.entries.append(named)
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries}
        (self.folder / "index.json").write_bytes(to_json(index))
        return descriptor["digest"]

    def image(self, layers, architecture="amd64", note=""):
        """Adds an image; returns the descriptor of its manifest."""
        blobs = [self.blob(one.data, LAYER) for one in layers]
        return self.image_of(blobs, [one.diff_id for one in layers], architecture, note)

    def image_of(self, blobs, diff_ids, architecture="amd64", note=""):
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Labels": {"note": note}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": f"layer {number}"} for number in range(len(diff_ids))],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(to_json(config), CONFIG),
            "layers": blobs,
        }
        platform = {"architecture": architecture, "os": "linux"}
        return self.blob(to_json(manifest), MANIFEST, platform=platform)

    def artifact(self, data):
        """Adds a manifest whose configuration and layer are of types that no client knows."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": UNKNOWN,
            "config": self.blob(b"{}", f"{UNKNOWN}.config+json"),
            "layers": [self.blob(data, f"{UNKNOWN}.data")],
        }
        return self.blob(to_json(manifest), MANIFEST)

    def attestation(self, subject):
        """Adds what BuildKit adds to an index for each image: a manifest with statements about it."""
        statement = {
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://slsa.dev/provenance/v0.2",
            "subject": [{"name": "_", "digest": {"sha256": subject["digest"][7:]}}],
            "predicate": {"builder": {"id": ""}, "buildType": "https://mobyproject.org/buildkit@v1"},
        }
        blob = self.blob(to_json(statement), IN_TOTO)
        blob["annotations"] = {"in-toto.io/predicate-type": statement["predicateType"]}
        descriptor = self.image_of([blob], [blob["digest"]], "unknown")
        descriptor["platform"] = {"architecture": "unknown", "os": "unknown"}
        descriptor["annotations"] = {
            "vnd.docker.reference.digest": subject["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        }
        return descriptor

    def index(self, manifests):
        """Adds an index; returns its descriptor."""
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        return self.blob(to_json(value), INDEX)

    def big_layer(self, size, seed):
        """Adds a layer of `size` random bytes in a tar archive; returns its descriptor and diff id.

        It is written in pieces, so that it need not fit into memory, and stored in gzip without
        being compressed, since random bytes cannot be.
        """
        source = random.Random(seed)
        entry = tarfile.TarInfo("big")
        entry.size = size
        path = self.folder / "big.partial"
        stored, unpacked = hashlib.sha256(), hashlib.sha256()
        checksum = length = written = 0
        with open(path, "wb") as out:

            def write(data):
                nonlocal written
                stored.update(data)
                written += out.write(data)

            def add(data, is_last=False):
                nonlocal checksum, length
                unpacked.update(data)
                checksum, length = zlib.crc32(data, checksum), length + len(data)
                # A stored block holds at most 65,535 bytes.
                for at in range(0, len(data), 65_535):
                    block = data[at : at + 65_535]
                    final = is_last and at + 65_535 >= len(data)
                    write(struct.pack("<BHH", final, len(block), len(block) ^ 0xFFFF) + block)

            write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")
            add(entry.tobuf(tarfile.USTAR_FORMAT))
            piece = source.randbytes(1 << 20)
            for at in range(0, size, len(piece)):
                # New bytes are dear in Python; a number at the front makes each piece another.
                add((struct.pack("<Q", at) + piece[8:])[: size - at])
            padding = -size % tarfile.BLOCKSIZE
            add(bytes(padding + 2 * tarfile.BLOCKSIZE), is_last=True)
            write(struct.pack("<II", checksum, length & 0xFFFFFFFF))
        digest = "sha256:" + stored.hexdigest()
        path.rename(self.path(digest))
        descriptor = {"mediaType": LAYER, "digest": digest, "size": written}
        return descriptor, "sha256:" + unpacked.hexdigest()
