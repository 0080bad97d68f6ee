"""TLS in front of a store that speaks plain HTTP: with a certificate that nobody knows.

It ends TLS and passes bytes on, so that it does for every server. The certificate is made for a run.
"""

import contextlib
import select
import shutil
import socket
import ssl
import subprocess
import threading

from gotools import Problem

PIECE = 1 << 16
DAYS = "7"


def certify(folder):
    """Makes an authority and a certificate of 127.0.0.1; returns the authority, certificate and key."""
    program = shutil.which("openssl")
    if not program:
        raise Problem("there is no openssl to make a certificate with; `deploy/setup stores` installs it")
    folder.mkdir(parents=True)
    names = ("ca.pem", "ca.key", "leaf.pem", "leaf.key", "leaf.csr", "leaf.ext")
    authority, authority_key, leaf, key, asked, extensions = (str(folder / name) for name in names)
    # An authority apart from the certificate: a client may refuse one that is both.
    (folder / "leaf.ext").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    commands = (
        ["req", "-x509", *new, "-keyout", authority_key, "-out", authority, "-days", DAYS, "-subj", "/CN=nobody"],
        ["req", *new, "-keyout", key, "-out", asked, "-subj", "/CN=127.0.0.1"],
        ["x509", "-req", "-in", asked, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial",
         "-out", leaf, "-days", DAYS, "-extfile", extensions],
    )  # fmt: skip
    for command in commands:
        ran = subprocess.run([program, *command], capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise Problem(f"openssl {command[0]} failed: {ran.stderr.strip()}")
    return authority, leaf, key


@contextlib.contextmanager
def before(store, folder):
    """Listens before the store; yields what a suite has to know of it."""
    authority, leaf, key = certify(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf, key)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener, context, store.port), daemon=True).start()
    try:
        yield {
            "ROADSTEAD_S3_TLS_ENDPOINT": f"https://127.0.0.1:{listener.getsockname()[1]}",
            "ROADSTEAD_S3_TLS_AUTHORITY": authority,
        }
    finally:
        # Closing alone would not wake the thread that accepts.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def accept(listener, context, port):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(client, context, port), daemon=True).start()


def serve(client, context, port):
    """Passes one connection on, until either side ends it.

    One thread for both directions, since a TLS connection is not for two. While a request is being
    sent its answer waits, which does for HTTP.
    """
    # A client that does not trust the certificate breaks the handshake off: that is its answer.
    with contextlib.suppress(OSError), context.wrap_socket(client, server_side=True) as secured:
        with socket.create_connection(("127.0.0.1", port)) as server:
            while True:
                # What TLS has unpacked already does not wake anybody.
                ready = [secured] if secured.pending() else select.select([secured, server], [], [])[0]
                for source in ready:
                    data = source.recv(PIECE)
                    if not data:
                        return
                    (server if source is secured else secured).sendall(data)
