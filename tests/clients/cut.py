"""A TCP proxy that cuts connections after so many bytes from the client, or calls somebody then.

One for each attempt: after the cut it refuses everything, until it is closed. It knows no HTTP.
"""

import contextlib
import socket
import struct
import threading


class Cut:
    """Passes bytes between a client and the registry until `after` bytes went to the registry."""

    def __init__(self, port, after, then=None):
        self._port = port
        self._left = after
        # Called instead of cutting, once.
        self._then = then
        self._lock = threading.Lock()
        self._sockets = []
        self.happened = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        # Closing alone would not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._reset()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self.happened.is_set() and self._then is None:
                    reset(client)
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self._port))
                except OSError:
                    reset(client)
                    continue
                self._sockets += [client, server]
            for source, sink, counted in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass, args=(source, sink, counted), daemon=True).start()

    def _pass(self, source, sink, counted):
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                passed, is_cut = self._take(data) if counted else (data, False)
                sink.sendall(passed)
                if is_cut:
                    self._reset()
                    return
            sink.shutdown(socket.SHUT_WR)

    def _take(self, data):
        """Counts bytes on their way to the registry: those that may pass, and whether it ends there."""
        with self._lock:
            if self.happened.is_set() or len(data) < self._left:
                self._left -= len(data)
                return data, False
            self.happened.set()
        if self._then is not None:
            self._then()
            return data, False
        return data[: self._left], True

    def _reset(self):
        with self._lock:
            for one in self._sockets:
                reset(one)
            self._sockets.clear()


def reset(connection):
    """Closes so that the other end sees a reset, not an orderly end."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Wakes a thread that waits for this socket.
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
