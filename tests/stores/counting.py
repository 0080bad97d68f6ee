"""A proxy in front of a store that counts requests, and does nothing else to them.

One thread for each connection and direction. It reads the heads of requests to know where the next one
begins; answers it passes on unread.
"""

import collections
import contextlib
import re
import socket
import threading

PIECE = 1 << 18
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class Counting:
    """Passes requests on to a port, from the start of the block to its end."""

    def __init__(self, port):
        self._port = port
        self._lock = threading.Lock()
        # By method and the names of what stands behind the `?`.
        self._counts = collections.Counter()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        # Closing alone would not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def take(self):
        """The requests since the last look."""
        with self._lock:
            taken, self._counts = self._counts, collections.Counter()
            return taken

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self._port)) as server:
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            held = b""
            while True:
                while (end := held.find(b"\r\n\r\n")) < 0:
                    more = client.recv(PIECE)
                    if not more:
                        return
                    held += more
                head, held = held[: end + 4], held[end + 4 :]
                self._count(head)
                server.sendall(head)
                if CHUNKED.search(head):
                    held = pass_chunks(client, server, held)
                else:
                    found = LENGTH.search(head)
                    held = pass_on(client, server, held, int(found[1]) if found else 0)

    def _count(self, head):
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        path, _, query = target.partition("?")
        names = ",".join(sorted(pair.partition("=")[0] for pair in query.split("&") if pair))
        with self._lock:
            self._counts[(method, path, names)] += 1


def pass_on(client, server, held, length):
    """Passes a body of this length on; returns what was read beyond it."""
    server.sendall(held[:length])
    left, held = length - min(length, len(held)), held[length:]
    while left:
        piece = client.recv(min(left, PIECE))
        if not piece:
            raise ConnectionError("a request broke off")
        server.sendall(piece)
        left -= len(piece)
    return held


def pass_chunks(client, server, held):
    while True:
        while (end := held.find(b"\r\n")) < 0:
            held += client.recv(PIECE)
        line, held = held[: end + 2], held[end + 2 :]
        server.sendall(line)
        size = int(line.split(b";")[0], 16)
        # The line end behind a chunk belongs to it; behind the last one it ends the body.
        held = pass_on(client, server, held, size + 2)
        if size == 0:
            return held


def pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(PIECE):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
