"""Requests to S3, signed by hand: enough to ask whether a store serves its bucket, and to empty it.

It is the standard library's hashes and nothing else, so that it shares no mistake with a driver.
"""

import contextlib
import hashlib
import hmac
import http.client
import re
import time
import urllib.parse

KEY = re.compile(r"<Key>([^<]*)</Key>")


def digest(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def headers(store, method, path, query, body, host):
    """The headers of a request with a signature of version 4."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    hashed = hashlib.sha256(body).hexdigest()
    signed = {"host": host, "x-amz-content-sha256": hashed, "x-amz-date": now}
    names = ";".join(signed)
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    quoted = "&".join(f"{quote(key)}={quote(value)}" for key, value in pairs)
    lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
    canonical = "\n".join([method, urllib.parse.quote(path), quoted, lines, names, hashed])
    scope = f"{now[:8]}/{store.region}/s3/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{store.secret_key}".encode()
    for part in scope.split("/"):
        key = digest(key, part)
    signature = digest(key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashed}").hex()
    credential = f"Credential={store.access_key}/{scope}"
    signed["authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"
    return signed


def quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def ask(store, method, path, query="", body=b"", port=None, host=None):
    """Status and body of the answer. `port` is where it is sent to, `host` what it is signed for."""
    port = port or store.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        signed = headers(store, method, path, query, body, host or f"127.0.0.1:{port}")
        target = urllib.parse.quote(path) + (f"?{query}" if query else "")
        connection.request(method, target, body=body or None, headers=signed)
        response = connection.getresponse()
        return response.status, response.read()


def remove(store, prefix):
    """Deletes every object whose key begins with this. The store has a `name`, which is its bucket's."""
    path = f"/{store.name}"
    while True:
        status, body = ask(store, "GET", path, f"list-type=2&prefix={quote(prefix)}")
        keys = KEY.findall(body.decode(errors="replace"))
        if status != 200 or not keys:
            return
        for key in keys:
            ask(store, "DELETE", f"{path}/{key}")
