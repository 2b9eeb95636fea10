"""What is measured against peers: each scenario's targets, load and goals, and how its rounds run."""
import os
import statistics
import subprocess
import time

import peers
from goals import Goal
from processes import BenchError
from rig import CONNECTIONS

TARGETS = ("floor", "pillion", *peers.ALL, "redis")


class Rows:
    """Samples of each target of a scenario, in the order of their rounds, and what could not be measured."""

    def __init__(self):
        self.samples, self.titles, self.failures = {}, {}, {}

    def add(self, name, title, sample):
        self.titles[name] = title
        self.samples.setdefault(name, []).append(sample)

    def fail(self, name, title, why):
        self.titles[name] = title
        self.samples.pop(name, None)
        self.failures[name] = str(why)

    def median(self, name, metric):
        """None where it wasn't measured."""
        values = [sample[metric] for sample in self.samples.get(name, []) if metric in sample]
        return statistics.median(values) if values else None

    def ratio(self, name, other, metric, other_metric=None):
        """The median over rounds of one target to another in the same round."""
        pairs = zip(self.samples.get(name, []), self.samples.get(other, []))
        ratios = [own[metric] / its[other_metric or metric] for own, its in pairs
                  if metric in own and its.get(other_metric or metric)]
        return statistics.median(ratios) if ratios else None


def interleave(rig, rows, servers, measure):
    """Round by round, one target after the other. Who fails is out."""
    for number in range(rig.options.rounds):
        for server in list(servers):
            key = getattr(server, "key", server.name)
            try:
                sample = measure(server, number)
            except (BenchError, OSError, subprocess.TimeoutExpired) as error:
                rows.fail(key, server.title, error)
                rig.say(f"    {server.title}: {error}")
                servers.remove(server)
                continue
            rows.add(key, server.title, sample)
            told = ("cpu_us", "redis_us", "p50_us", "p99_us", "rps")
            rig.say(f"    round {number + 1} {server.title}: " +
                    ", ".join(f"{name} {sample[name]:.2f}" for name in told if name in sample))


def start_all(rig, rows, names, prepare=None, peer_settings=None, **settings):
    """Those of the names that are wanted and installed, running and prepared. `settings`: Pillion's and the floor's."""
    servers = []
    for name in names:
        if not rig.options.wants_target(name):
            continue
        peer = peers.ALL.get(name)
        if peer and peer.missing():
            continue
        try:
            own = settings if name in ("floor", "pillion") else (peer_settings or {}).get(name, {})
            server = rig.start(name, **own)
            if prepare:
                prepare(server)
            servers.append(server)
        except (BenchError, OSError, subprocess.TimeoutExpired) as error:
            rows.fail(name, peer.title if peer else name, error)
            rig.say(f"    {name}: {error}")
    return servers


class Steady:
    """Load on servers that stay up, for some seconds a sample."""

    def __init__(self, title, path, body, targets, goals, *, keys=1, connections=CONNECTIONS, expect="hits"):
        self.title, self.path, self.body, self.targets, self.goals = title, path, body, targets, goals
        self.keys, self.connections, self.expect = keys, connections, expect

    def run(self, rig, rows):
        def prepare(server):
            if self.expect == "hits":
                rig.warm(server, self.path, self.body, self.keys)

        servers = start_all(rig, rows, self.targets, prepare, body=self.body)
        interleave(rig, rows, servers, lambda server, _: rig.sample(
            server, self.path, self.body, None if server.name == "floor" else self.expect, keys=self.keys,
            connections=self.connections, seconds=rig.options.seconds))


class Store:
    """Keys that none had before: each is fetched and stored. Pillion with Redis behind it is one more target."""

    title = "miss and store, distinct 1 KiB keys"
    body = 1024
    goals = [Goal("cpu_us", 1.0, "haproxy"), Goal("cpu_us", 2.0, "haproxy", of="pillion+redis")]

    def run(self, rig, rows):
        servers = start_all(rig, rows, ("pillion", "haproxy", "nginx", "varnish", "trafficserver", "squid"))
        if rig.options.wants_target("pillion"):
            both = rig.start("pillion", title="Pillion, Redis behind", redis=True)
            both.key = "pillion+redis"
            servers.append(both)
        interleave(rig, rows, servers, lambda server, number: rig.sample(
            server, f"/hit/1024/n{number}-{{}}", self.body, "fetches", distinct=True, seconds=rig.options.seconds))


class FromRedis:
    """Each request is answered from Redis: memory is off. 1,000 keys: nobody gains by asking for one key once."""

    title = "Redis hit, 1 KiB (memory off)"
    body = 1024
    goals = [Goal("cpu_us", 0.45, "nginx-lua-redis"), Goal("redis_us", 0.25, "nginx-lua-redis")]
    path, keys = "/hit/1024/{}", 1000

    def run(self, rig, rows):
        def prepare(server):
            if server.name == "pillion":
                rig.warm(server, self.path, self.body, self.keys)
            else:
                rig.seed_redis(server, self.path, self.body, self.keys)

        names = ("pillion", "nginx-lua-redis", "redis")
        servers = start_all(rig, rows, names, prepare, memory=None, redis=True)

        def measure(server, _):
            if server.name == "redis":
                return self.gets(rig, server)
            return rig.sample(server, self.path, self.body, "hits", keys=self.keys, seconds=rig.options.seconds)

        interleave(rig, rows, servers, measure)

    def gets(self, rig, server):
        """Redis's own benchmark, 16 GETs a write: what Redis itself takes."""
        count = int(100_000 * rig.options.seconds)
        before = server.redis.cpu_ns()
        begun = time.monotonic()
        subprocess.run([peers.which("redis-benchmark"), "-p", str(server.place["REDIS"]), "-c", "4", "-P", "16", "-n",
                        str(count), "-q", "GET", "/hit/1024/7"], check=True, capture_output=True, timeout=120,
                       preexec_fn=lambda: os.sched_setaffinity(0, rig.server_cpus))
        return {"redis_us": (server.redis.cpu_ns() - before) / 1000 / count, "rps": count / (time.monotonic() - begun)}


class Collapse:
    """200 clients ask for one key that nobody has, all at once; the upstream takes 200 ms."""

    title = "200 concurrent misses of one key, upstream takes 200 ms"
    clients, delay_ms, body = 200, 200, 1024
    goals = [Goal("max_ms", 215), Goal("fetches", 1)]

    def run(self, rig, rows):
        servers = start_all(rig, rows, ("pillion", "haproxy", "nginx", "varnish", "trafficserver", "squid"),
                            lambda server: rig.load(server, "/hit/16/ready", 16, requests=100, connections=1))

        def measure(server, number):
            seen = rig.sample(server, f"/slow/{self.delay_ms}/{self.body}/c{number}", self.body, None, burst=True,
                              connections=self.clients)
            return {**seen, "max_ms": seen["max_us"] / 1000}

        interleave(rig, rows, servers, measure)


class Memory:
    """What 100,000 stored objects of 1 KiB take, all told: all memory of all processes, and what lies on the tmpfs."""

    title = "memory for a 1 KiB object, 100,000 stored"
    body, capacity_mb = 1024, 64
    goals = [Goal("beyond_head_and_body_bytes", 300)]
    # What the origin's head has beyond the body; the same for all.
    head = len("HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n"
               "Cache-Control: max-age=3600\r\nContent-Length: 1024\r\n\r\n")

    def run(self, rig, rows):
        count = rig.options.objects
        for name in ("pillion", "haproxy", "nginx", "varnish", "trafficserver", "squid"):
            servers = start_all(rig, rows, (name,), lambda server: rig.warm(server, "/hit/1024/first", self.body, 1),
                                peer_settings={"haproxy": {"cache_mb": self.capacity_mb}})
            for server in servers:
                try:
                    rows.add(name, server.title, self.by_capacity(rig, server, count) if name == "haproxy"
                             else self.measure(rig, server, count))
                except BenchError as error:
                    rows.fail(name, server.title, error)
                rig.stop_servers()

    def measure(self, rig, server, count):
        before = server.process.memory_bytes() + files_bytes(server)
        rig.load(server, "/hit/1024/m{}", self.body, distinct=True, requests=count)
        time.sleep(1)
        after = server.process.memory_bytes() + files_bytes(server)
        self.check_kept(rig, server, count)
        return self.figures(rig, server, (after - before) / count)

    def by_capacity(self, rig, server, count):
        """HAProxy takes all of its cache's memory when it starts, so: what it was given, by how many it holds."""
        filled = max(count, self.capacity_mb * 1000)
        rig.load(server, "/hit/1024/m{}", self.body, distinct=True, requests=filled)
        before, asked = rig.fetches(), 1000
        rig.load(server, "/hit/1024/m{}", self.body, keys=filled, requests=asked)
        kept = filled * (1 - (rig.fetches() - before) / asked)
        if kept < 1:
            raise BenchError(f"{server.title} keeps nothing")
        return self.figures(rig, server, self.capacity_mb * 1024 * 1024 / kept)

    def figures(self, rig, server, each):
        rig.say(f"    {server.title}: {each:.0f} bytes an object")
        return {"object_bytes": each, "beyond_head_and_body_bytes": each - self.body - self.head}

    def check_kept(self, rig, server, count):
        before = rig.fetches()
        asked = max(1, count // 100)
        rig.load(server, "/hit/1024/m{}", self.body, keys=count, requests=asked)
        missing = (rig.fetches() - before) / asked
        if missing > 0.02:
            raise BenchError(f"{server.title} kept no more than {1 - missing:.0%} of {count:,}")


def files_bytes(server):
    """What it keeps in files below its folder (nginx's cache)."""
    ran = subprocess.run(["du", "-sk", server.place["DIR"] + "/cache"], capture_output=True, text=True)
    return int(ran.stdout.split()[0]) * 1024 if ran.returncode == 0 and ran.stdout else 0


HITTERS = ("floor", "pillion", "haproxy", "nginx", "varnish", "trafficserver", "squid")
AGAINST_PEERS = {
    "hit-1k": Steady("memory hit, 1 KiB, one key", "/hit/1024/one", 1024, HITTERS + ("nginx-sendfile",),
                     [Goal("cpu_us", 0.80, "haproxy", least=0.90), Goal("cpu_us", 1.20, "floor")]),
    "keys-1k": Steady("memory hit, 1 KiB, 10,000 keys", "/hit/1024/{}", 1024, HITTERS[1:],
                      [Goal("cpu_us", 0.72, "haproxy")], keys=10_000),
    "hit-16k": Steady("memory hit, 16 KiB", "/hit/16384/one", 16384, HITTERS,
                      [Goal("cpu_us", 1.15, "floor"), Goal("cpu_us", 0.78, "haproxy")]),
    "hit-128k": Steady("memory hit, 128 KiB", "/hit/131072/one", 131072,
                       ("floor", "pillion", "haproxy", "nginx", "nginx-sendfile"),
                       [Goal("cpu_us", 1.05, "floor"), Goal("cpu_us", 1.0, "nginx-sendfile", wish=True)]),
    "latency": Steady("one connection, 1 KiB", "/hit/1024/one", 1024, HITTERS,
                      [Goal("p50_us", 1.05, "floor")], connections=1),
    "redis-hit": FromRedis(),
    "pass": Steady("pass-through, 1 KiB, pooled upstream", "/pass/1024/one", 1024, HITTERS[1:],
                   [Goal("cpu_us", 1.0, "nginx")], expect="fetches"),
    "store": Store(),
    "collapse": Collapse(),
    "memory": Memory(),
}
