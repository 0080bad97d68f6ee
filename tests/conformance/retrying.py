"""A proxy before several nodes that tries again, as a careful client does, where one of them fails.

A request is sent to the nodes in turn until one gives an answer that is not 502, 503 or 504. When an
earlier try was sent and not answered (the connection broke, or the answer was one of those three), it
may have taken effect, and what comes next is read with that in mind; `_settled` is the whole of it.
Any other answer goes to the client as it is: this is not the place to forgive a wrong one.

One thread for each connection of a client; bodies are held in memory.
"""

import contextlib
import hashlib
import http.client
import itertools
import re
import threading
import time
import urllib.parse
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Optional

# Seconds: of one request, with all its tries; of one try; between two.
WITHIN = 60
TRY_WITHIN = 30
PAUSE = 0.05
LATER = (502, 503, 504)

# Headers of one connection, which neither side may see of the other's. `Expect` is answered here.
OF_CONNECTIONS = ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect")
OF_BODIES = ("content-length", "content-range", "content-type")

UPLOAD = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/[^/]+")


def without(headers, names):
    return tuple((name, value) for name, value in headers if name.lower() not in names)


def value_of(headers, wanted):
    return next((value for name, value in headers if name.lower() == wanted), None)


@dataclass(frozen=True)
class Request:
    method: str
    # The path and what follows it.
    target: str
    headers: tuple
    # Nothing is not the same as nothing in it: that has a length.
    body: Optional[bytes] = None

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def upload(self):
        """The match of an upload's path, if it is at one."""
        return UPLOAD.fullmatch(self.path)

    def parameter(self, name):
        return dict(urllib.parse.parse_qsl(self.target.partition("?")[2])).get(name)

    def with_body(self, body, start):
        """The same with this body, which is to stand at an offset of the upload."""
        headers = without(self.headers, ("content-length", "content-range"))
        headers += (("Content-Length", str(len(body))),)
        if body:
            headers += (("Content-Range", f"{start}-{start + len(body) - 1}"),)
        return replace(self, headers=headers, body=body)

    def asking(self, method, target):
        """Another request of the same client, without a body."""
        return Request(method, target, without(self.headers, OF_BODIES))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple
    body: bytes = b""
    reason: Optional[str] = None

    @classmethod
    def instead(cls, status):
        return cls(status, (("Content-Length", "0"),))


class Retrying:
    """Passes requests on to nodes, from the start of the block to its end."""

    def __init__(self, ports, log):
        self.answered = 0
        self.repeated = 0
        # How many of these may have taken effect at an earlier try.
        self.unsure = 0
        self._lock = threading.Lock()
        self._nodes = itertools.cycle(enumerate(ports))
        self._log_path = log
        self._began = time.monotonic()
        # What was acknowledged of each upload, by its path.
        self._acknowledged = {}
        handler = type("Handler", (Handler,), {"carry": self._carry})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def __enter__(self):
        self._log = open(self._log_path, "w")
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._log.close()

    def _note(self, request, text):
        with self._lock:
            at = time.monotonic() - self._began
            self._log.write(f"{at:8.3f} {request.method} {request.target}: {text}\n")
            self._log.flush()

    def _carry(self, asked):
        """The answer to a request of the client's, or of our own."""
        deadline = time.monotonic() + WITHIN
        request, tries, may_have_happened = asked, 0, False
        while True:
            tries += 1
            answer, was_sent = self._try(request)
            is_late = time.monotonic() > deadline
            if answer and answer.status not in LATER:
                outcome = self._settled(asked, answer) if may_have_happened else answer
                if isinstance(outcome, Answer) or is_late:
                    answer = outcome if isinstance(outcome, Answer) else answer
                    break
                request = outcome
                continue
            if is_late:
                answer = answer or Answer.instead(504)
                break
            if was_sent and not may_have_happened:
                may_have_happened = True
                request = self._placed(asked)
            time.sleep(PAUSE)
        self._learn(asked, answer)
        with self._lock:
            self.answered += 1
            self.repeated += tries > 1
            self.unsure += may_have_happened
        if tries > 1:
            self._note(asked, f"answered {answer.status} after {tries} tries")
        return answer

    def _try(self, request):
        """What the next node answers, if it does, and whether it was sent anything."""
        with self._lock:
            number, port = next(self._nodes)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TRY_WITHIN)
        with contextlib.closing(connection):
            try:
                connection.connect()
            except OSError as error:
                self._note(request, f"node{number} is not reached: {error!r}")
                return None, False
            try:
                answer = exchanged(connection, request)
            except (OSError, http.client.HTTPException) as error:
                self._note(request, f"node{number} does not answer: {error!r}")
                return None, True
        self._note(request, f"node{number} answers {answer.status}")
        return answer, True

    # --- What a client knows ---------------------------------------------------------------------

    def _learn(self, request, answer):
        """Keeps what was acknowledged of an upload."""
        if answer.status == 202 and request.method == "POST":
            location = urllib.parse.urlsplit(value_of(answer.headers, "location") or "")
            self._acknowledged[location.path] = b""
        elif answer.status == 202 and request.method == "PATCH" and request.path in self._acknowledged:
            self._acknowledged[request.path] += request.body or b""

    def _goes_on(self, request):
        """Whether it brings the bytes after those that were acknowledged; no others can be taken in."""
        taken = self._acknowledged.get(request.path)
        if request.method not in ("PATCH", "PUT") or taken is None or not request.body:
            return False
        said = value_of(request.headers, "content-range")
        return not said or said.partition("-")[0] == str(len(taken))

    def _placed(self, request):
        """The same, saying where its bytes belong: nodes refuse to take them in twice by that."""
        if not self._goes_on(request):
            return request
        return request.with_body(request.body, len(self._acknowledged[request.path]))

    def _settled(self, request, answer):
        """What to make of an answer when the request may have taken effect at an earlier try.

        Returns what the client would have been answered then, or a request for what is left to do.
        """
        if request.method == "DELETE" and answer.status == 404:
            return Answer.instead(204 if request.upload else 202)
        if request.method == "PUT" and answer.status == 404 and request.path in self._acknowledged:
            return self._refused(request, answer)
        if answer.status == 416 and self._goes_on(request):
            return self._taken_in(request, answer)
        return answer

    def _refused(self, request, answer):
        """The upload is unknown. It ends when its content has another digest; nothing else excuses that.

        One that has become a blob is no case of this: nodes answer the same again when its end is repeated.
        """
        algorithm, _, wanted = (request.parameter("digest") or "").partition(":")
        content = self._acknowledged[request.path] + (request.body or b"")
        if algorithm in ("sha256", "sha512") and hashlib.new(algorithm, content).hexdigest() != wanted:
            return Answer.instead(400)
        return answer

    def _taken_in(self, request, answer):
        """The upload is not where the bytes begin: some of them are in, or all are."""
        status = self._carry(request.asking("GET", request.path))
        if status.status != 204:
            return answer
        start = len(self._acknowledged[request.path])
        offset = int(value_of(status.headers, "range").partition("-")[2]) + 1
        if not start < offset <= start + len(request.body):
            return answer
        left = request.body[offset - start :]
        if left or request.method == "PUT":
            return request.with_body(left, offset)
        return Answer(202, status.headers + (("Content-Length", "0"),))


def exchanged(connection, request):
    """The answer of whatever is at the other end."""
    connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers:
        connection.putheader(name, value)
    connection.putheader("Connection", "close")
    is_chunked = request.body is not None and value_of(request.headers, "content-length") is None
    if is_chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders(request.body, encode_chunked=is_chunked)
    got = connection.getresponse()
    body = got.read()
    return Answer(got.status, without(got.getheaders(), OF_CONNECTIONS), body, got.reason)


class Handler(BaseHTTPRequestHandler):
    """A connection of a client."""

    protocol_version = "HTTP/1.1"
    # An answer is two writes, and the second must not wait until the first is acknowledged.
    disable_nagle_algorithm = True

    def carry(self, request):
        raise NotImplementedError

    def _pass_on(self):
        body = self._body()
        headers = without(self.headers.items(), OF_CONNECTIONS)
        answer = self.carry(Request(self.command, self.path, headers, body))
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.headers:
            self.send_header(name, value)
        has_body = self.command != "HEAD" and answer.status not in (204, 304)
        is_chunked = has_body and value_of(answer.headers, "content-length") is None
        if is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if is_chunked:
            piece = b"%x\r\n%s\r\n" % (len(answer.body), answer.body) if answer.body else b""
            self.wfile.write(piece + b"0\r\n\r\n")
        elif has_body:
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _pass_on

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        length = self.headers.get("Content-Length")
        return None if length is None else self.rfile.read(int(length))

    def _chunks(self):
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        # What may follow the last one, up to an empty line.
        while self.rfile.readline().strip():
            pass

    def log_message(self, *_):
        # Every try is in the proxy's own log.
        pass
