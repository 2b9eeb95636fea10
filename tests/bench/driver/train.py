"""The traffic that the compiler's profile is made of; see ../train.sh, which calls this.

Pillion runs once with memory alone, once with Redis behind it and once with Redis alone, and is asked for what
applications ask for: hits first and foremost, and some of everything else that it does for requests."""
import argparse
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

from instructions import REQUESTS, connect
from processes import BenchError, Process, free_port

BROWSER = REQUESTS["hit of a browser"].split(b"\r\n", 1)[1]
PLAIN = b"Host: bench.test\r\n\r\n"


def serve(connection):
    """An application: the path says what it answers."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = connection.makefile("rb")
    while line := reader.readline():
        fields = {}
        while (field := reader.readline().strip()):
            name, value = field.split(b":", 1)
            fields[name.strip().lower()] = value.strip()
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            while size := int(reader.readline(), 16):
                reader.read(size + 2)
            reader.readline()
        reader.read(int(fields.get(b"content-length", b"0")))
        connection.sendall(answer(line.split()[1].decode(), fields))


def answer(path, fields):
    words = path.split("?")[0].split("/")
    size = int(words[2]) if len(words) > 2 and words[2].isdigit() else 1024
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: application\r\n"
    head += {
        "hit": "Cache-Control: max-age=3600\r\n",
        "vary": "Cache-Control: max-age=3600\r\nVary: Accept-Encoding, Accept-Language\r\n",
        "etag": 'Cache-Control: no-cache\r\nETag: "v1"\r\n',
        "tagged": "Cache-Control: public, max-age=60, stale-while-revalidate=30\r\nSurrogate-Key: a b c\r\n",
    }.get(words[1], "Set-Cookie: session=1\r\n")
    if words[1] == "etag" and fields.get(b"if-none-match") == b'"v1"':
        return (head.replace("200 OK", "304 Not Modified") + "\r\n").encode()
    body = b"i" * size
    if words[1] == "chunked":
        return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    return (head + f"Content-Length: {size}\r\n\r\n").encode() + body


def start_origin():
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


class Client:
    def __init__(self, connection):
        self.connection = connection
        self.reader = connection.makefile("rb")

    def ask(self, method, path, fields=PLAIN, body=b"", expect=(200,)):
        self.connection.sendall(f"{method} {path} HTTP/1.1\r\n".encode() + fields + body)
        return self.read(method, expect)

    def read(self, method, expect=(200,)):
        status = int(self.reader.readline().split()[1])
        if status not in expect:
            raise BenchError(f"Pillion answered {status} to a {method}")
        fields = {}
        while (field := self.reader.readline().strip()):
            name, value = field.split(b":", 1)
            fields[name.lower()] = value.strip()
        if method == "HEAD" or status in (204, 304):
            return fields
        if fields.get(b"transfer-encoding") == b"chunked":
            while size := int(self.reader.readline(), 16):
                self.reader.read(size + 2)
            self.reader.readline()
        else:
            self.reader.read(int(fields[b"content-length"]))
        return fields


def hits(client, times):
    for n in range(times):
        client.ask("GET", "/hit/1024/one", BROWSER if n % 3 == 0 else PLAIN)
    for n in range(times // 2):
        client.ask("GET", f"/hit/1024/{n * 37 % 1000}", BROWSER if n % 3 == 0 else PLAIN)
    for n in range(times // 20):
        client.ask("GET", "/hit/16384/one")
        client.ask("GET", "/hit/16384/one", BROWSER)
        client.ask("GET", f"/vary/1024/{n % 50}", b"Accept-Language: de\r\nAccept-Encoding: gzip, br\r\n" + PLAIN)
        client.ask("GET", f"/hit/1024/{n % 1000}?page={n % 7}", BROWSER)
        client.ask("HEAD", "/hit/1024/one")
        fields = client.ask("GET", "/tagged/512/one")
        client.ask("GET", "/hit/16384/one", b"Range: bytes=100-299\r\n" + PLAIN, expect=(206,))
        if b"etag" in fields:
            client.ask("GET", "/tagged/512/one", b"If-None-Match: " + fields[b"etag"] + b"\r\n" + PLAIN, expect=(304,))
    for n in range(times // 200):
        client.ask("GET", "/hit/131072/one")
        client.connection.sendall((b"GET /hit/1024/one HTTP/1.1\r\n" + BROWSER) * 16)
        for _ in range(16):
            client.read("GET")


def others(client, times):
    for n in range(times):
        client.ask("GET", f"/pass/1024/{n}", BROWSER if n % 3 == 0 else PLAIN)
    for n in range(times):
        client.ask("GET", f"/hit/1024/m{n}", BROWSER if n % 3 == 0 else PLAIN)
    for n in range(times // 5):
        client.ask("GET", f"/etag/1024/{n % 100}")
        client.ask("GET", f"/chunked/1024/{n}")
        client.ask("POST", "/pass/100/x", b"Content-Length: 500\r\n" + PLAIN, b"b" * 500)
        client.ask("PUT", f"/hit/1024/{n % 100}", b"Transfer-Encoding: chunked\r\n" + PLAIN, b"5\r\nhello\r\n0\r\n\r\n")


def queries(client, times):
    local = b"Host: localhost\r\n"
    for n in range(times):
        client.ask("PUT", f"/query/character/{n % 50}", local + b"Content-Length: 300\r\n\r\n", b"q" * 300, expect=(204,))
        for _ in range(5):
            client.ask("GET", f"/query/character/{n % 50}", local + b"\r\n")
        lease = client.ask("GET", f"/query/character/l{n}", local + b"\r\n", expect=(404,))[b"lease"]
        client.ask("PUT", f"/query/character/l{n}", local + b"Lease: " + lease + b"\r\nContent-Length: 3\r\n\r\n", b"new",
                   expect=(204,))


def invalidations(client, times):
    for n in range(times):
        body = json.dumps({"tags": [f"hit:{n}"]} if n % 2 else {"patterns": [f"hit:1024:{n}*"]}).encode()
        client.ask("POST", "/invalidate", b"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                   % len(body), body)


def config(ports, origin, certificate, memory, redis):
    own = [
        {"name": "hit", "path": "/hit/{size}/{id}", "ttl": "1h", "key": "hit:{size}:{id}", "tags": ["hit:{id}", "hits"]},
        {"name": "vary", "path": "/vary/{size}/{id}", "ttl": "1h", "accept_language": ["de", "en"]},
        {"name": "etag", "path": "/etag/**", "cache": True},
        {"name": "tagged", "path": "/tagged/**", "cache": True},
        {"name": "pass", "path": "/pass/**", "cache": False},
        {"name": "rest", "path": "/**", "cache": False},
    ]
    routes = [{"name": f"part{n}", "path": f"/api/v{n % 7}/part{n}/{{id}}", "ttl": "5m"} for n in range(50)]
    store = {"memory": {"size": "256MiB"} if memory else "off"}
    if redis:
        store["redis"] = {"url": f"redis://127.0.0.1:{redis}/0", "timeout": "5s"}
    return json.dumps({
        "listeners": [{"address": f"127.0.0.1:{ports[0]}"},
                      {"address": f"127.0.0.1:{ports[1]}", "tls": {"certificate": certificate, "key": certificate}}],
        "admin": {"address": f"127.0.0.1:{ports[2]}"},
        "query_cache": {"address": f"127.0.0.1:{ports[3]}"},
        "ttl": {"character": "5m"},
        "upstreams": {"app": f"http://127.0.0.1:{origin}"},
        "store": store, "workers": 2, "drain": {"delay": "0s", "timeout": "1s"}, "routes": routes + own,
    })


def train(options, folder, certificate, memory, redis):
    ports = [free_port() for _ in range(4)]
    with open(os.path.join(folder, "proxy.yaml"), "w") as file:
        file.write(config(ports, start_origin(), certificate, memory, redis))
    command = [options.pillion, "serve", "--config", os.path.join(folder, "proxy.yaml")]
    with Process("pillion", command, os.sched_getaffinity(0), folder) as process:
        client = Client(connect(ports[0], process))
        hits(client, options.times)
        others(client, options.times // 4)
        encrypted = ssl._create_unverified_context().wrap_socket(connect(ports[1], process))
        hits(Client(encrypted), options.times // 20)
        queries(Client(connect(ports[3], process)), options.times // 40)
        invalidations(Client(connect(ports[2], process)), options.times // 40)
        for name in ("/stats", "/metrics", "/config"):
            Client(connect(ports[2], process)).ask("GET", name, b"Host: localhost\r\n\r\n")


def main():
    parser = argparse.ArgumentParser(prog="train.sh")
    parser.add_argument("--pillion", required=True)
    parser.add_argument("--times", type=int, default=20_000)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="pillion-train-")
    try:
        certificate = os.path.join(folder, "own.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=bench.test", "-keyout", certificate, "-out", certificate + ".crt"],
                       check=True, capture_output=True)
        with open(certificate, "a") as file, open(certificate + ".crt") as crt:
            file.write(crt.read())
        train(options, folder, certificate, memory=True, redis=None)
        for memory in (True, False):
            redis = free_port()
            server = ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
            with Process("redis-server", server, os.sched_getaffinity(0), folder) as process:
                connect(redis, process).close()
                train(options, folder, certificate, memory=memory, redis=redis)
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
