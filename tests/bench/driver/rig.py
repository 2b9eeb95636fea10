"""The rig: origin, clients and servers of one run, on CPUs apart, and one sample of a server under load."""
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

import peers
import pillion
from processes import BenchError, Process, free_port

CONNECTIONS = 64


class Server:
    """One target, running: its process, its ports, and its Redis where it has one."""

    def __init__(self, name, title, process, place, redis=None):
        self.name, self.title, self.process, self.place, self.redis = name, title, process, place, redis
        self.port = place["PORT"]

    def stop(self):
        self.process.stop()
        if self.redis:
            self.redis.stop()


class Rig:
    def __init__(self, options):
        self.options = options
        self.programs = options.programs
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="pillion-bench.", dir=shm)
        os.chmod(self.folder, 0o755)  # some peers change their user
        self.server_cpus, self.load_cpus = {options.server_cpu}, {options.load_cpu}
        self.all_cpus = self.server_cpus | self.load_cpus
        self.running = []
        self.made = 0
        self.origin_port = free_port()
        self.origin = Process("origin", [self.program("origin"), str(self.origin_port)], self.load_cpus,
                              self.folder, self.origin_port)

    def close(self):
        self.stop_servers()
        self.origin.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def program(self, name):
        return os.path.join(self.programs, f"bench_{name}")

    # --- servers -----------------------------------------------------------------------------------------------------

    def place(self, name, redis):
        self.made += 1
        folder = os.path.join(self.folder, f"{name}-{self.made}")
        os.makedirs(folder)
        os.chmod(folder, 0o777)
        return {"DIR": folder, "PORT": free_port(), "ADMIN": free_port(), "ORIGIN": self.origin_port,
                "REDIS": free_port() if redis else 0}

    def start(self, name, *, title=None, body=1024, cpus=None, **settings):
        """A target by name: floor, pillion (settings: those of pillion.config), redis alone, or a peer."""
        peer = peers.ALL.get(name)
        with_redis = settings.get("redis", False) or name == "redis" or bool(peer and peer.redis)
        place = self.place(name, with_redis)
        redis = None
        if with_redis:
            redis = Process("redis", [peers.which("redis-server"), "--port", str(place["REDIS"]), *peers.REDIS_SERVER],
                            self.load_cpus, place["DIR"], place["REDIS"])
        try:
            if name == "floor":
                command, title = [self.program("floor"), str(place["PORT"]), str(body)], title or "floor"
            elif name == "redis":
                server = Server(name, title or "Redis alone", redis, place, redis)
                self.running.append(server)
                return server
            elif name == "pillion":
                command, title = pillion.launch(self.options.pillion, place, **settings), title or "Pillion"
            else:
                command, title = peer.launch(place, **settings), title or peer.title
            process = Process(name, command, cpus or self.server_cpus, place["DIR"], place["PORT"])
        except BaseException:
            if redis:
                redis.stop()
            raise
        server = Server(name, title, process, place, redis)
        self.running.append(server)
        if name == "pillion":
            self.wait_until_ready(server)
        return server

    def wait_until_ready(self, server, patience=20):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            server.process.check()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{server.place['ADMIN']}/readyz", timeout=2):
                    return
            except OSError:
                time.sleep(0.01)
        raise BenchError(f"{server.title} is not ready after {patience} s")

    def stop_servers(self):
        while self.running:
            self.running.pop().stop()

    # --- load --------------------------------------------------------------------------------------------------------

    def load_command(self, port, path, body, **options):
        command = [self.program("load"), "--port", str(port), "--path", path, "--body", str(body)]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            command += [flag] if value is True else [] if value in (None, False) else [flag, str(value)]
        return command

    def load(self, server, path, body, *, cpus=None, **options):
        """Runs the clients to their end; what they saw. Any wrong answer is a BenchError."""
        cpus = cpus or self.load_cpus
        ran = subprocess.run(self.load_command(server.port, path, body, **options), stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=600,
                             preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        server.process.check()
        return self.read_load(server, ran.stdout, ran.stderr)

    def read_load(self, server, out, err):
        try:
            seen = json.loads(out.strip().splitlines()[-1])
        except (IndexError, ValueError):
            raise BenchError(f"{server.title}: the clients failed: {(out + err).strip()[-300:]}")
        if seen["errors"] or seen["not_200"] or seen["lost"] or not seen["requests"]:
            raise BenchError(f"{server.title}: of {seen['requests']} answers {seen['not_200']} were no 200, "
                             f"{seen['errors']} wrong, {seen['lost']} lost ({seen['sample']})")
        seen["rps"] = seen["requests"] / max(seen["seconds"], 1e-9)
        return seen

    def fetches(self):
        """How many requests the origin has answered."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.origin_port}/count", timeout=5) as answer:
            return int(answer.read())

    def sample(self, server, path, body, expect, **options):
        """One measurement. `expect`: 'hits' (the origin must see nothing), 'fetches' (all) or None."""
        server.process.pin()
        before = self.fetches()
        redis = server.redis.cpu_ns() if server.redis else 0
        cpu = server.process.cpu_ns()
        seen = self.load(server, path, body, **options)
        spent = (server.process.cpu_ns() - cpu) / 1000
        seen["cpu_us"] = spent / seen["requests"]
        seen["busy"] = spent / 1e6 / max(seen["seconds"], 1e-9)  # of one CPU; well under 1: the clients were the limit
        if server.redis:
            seen["redis_us"] = (server.redis.cpu_ns() - redis) / 1000 / seen["requests"]
        seen["fetches"] = self.fetches() - before
        if expect == "hits" and seen["fetches"]:
            raise BenchError(f"{server.title}: {seen['fetches']} of {seen['requests']} requests were no hits")
        if expect == "fetches" and seen["fetches"] != seen["requests"]:
            raise BenchError(f"{server.title}: {seen['requests']} requests made {seen['fetches']} fetches")
        return seen

    def warm(self, server, path, body, keys):
        """Fills the cache with each key until a pass over all of them makes no fetch."""
        if server.name == "floor":
            return
        for _ in range(12):
            before = self.fetches()
            self.load(server, path, body, distinct=True, requests=keys, connections=min(CONNECTIONS, keys))
            if self.fetches() == before:
                return
            time.sleep(0.05)  # some store behind the answer
        raise BenchError(f"{server.title} doesn't keep what it is to serve: {path} is fetched again and again")

    def seed_redis(self, server, path, body, keys):
        """Bodies under their paths, for the peer that reads Redis by path."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.origin_port}/pass/{body}/seed", timeout=5) as answer:
            value = answer.read()
        with socket.create_connection(("127.0.0.1", server.place["REDIS"])) as connection:
            replies = connection.makefile("rb")
            for number in range(keys):
                name = path.replace("{}", str(number)).encode()
                connection.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" %
                                   (len(name), name, len(value), value))
                if replies.readline() != b"+OK\r\n":
                    raise BenchError("Redis refused a value")
