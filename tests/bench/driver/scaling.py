"""Pillion against itself: what grows with workers, stored responses, routes and connections; its tail; its start."""
import json
import os
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pillion
from goals import Goal
from processes import BenchError, Process
from scenarios import interleave

PATH, BODY = "/hit/1024/{}", 1024


def variant(rig, key, title, **settings):
    server = rig.start(settings.pop("name", "pillion"), title=title, **settings)
    server.key = key
    return server


class Workers:
    """Server and clients share all CPUs, as in a container: more threads than needed must cost nothing."""

    title = "1, 2 and 4 workers on the same CPUs, 1 KiB, 10,000 keys"
    goals = [Goal(metric, bound, "pillion", of=of, at_least=metric == "rps")
             for of in ("2 workers", "4 workers") for metric, bound in (("cpu_us", 1.05), ("rps", 0.95))]

    def run(self, rig, rows):
        servers = [variant(rig, "pillion" if count == 1 else f"{count} workers", f"{count} worker{'s' * (count > 1)}",
                           workers=count, cpus=rig.all_cpus) for count in (1, 2, 4)]
        for server in servers:
            rig.warm(server, PATH, BODY, 10_000)
        interleave(rig, rows, servers, lambda server, _: rig.sample(
            server, PATH, BODY, "hits", keys=10_000, seconds=rig.options.seconds, cpus=rig.all_cpus))


class Stored:
    """The same 1,000 keys with nothing else stored and among a million; and all of the million, where each hit finds
    nothing of its response in the CPU's caches."""

    title = "1,000 and 1,000,000 stored, 1 KiB"
    goals = [Goal("cpu_us", 1.05, "pillion", of="among many"),
             Goal("cpu_us", 1.5, "pillion", of="all of many", wish=True)]

    def run(self, rig, rows):
        many = rig.options.many
        few_server = variant(rig, "pillion", "1,000 stored")
        rig.warm(few_server, PATH, BODY, 1000)
        many_server = variant(rig, "among many", f"the same 1,000 among {many:,}")
        rig.load(many_server, PATH, BODY, distinct=True, requests=many)

        def measure(server, number):
            keys = many if server is all_of_many else 1000
            seen = rig.sample(server, PATH, BODY, "hits", keys=keys, seconds=rig.options.seconds)
            return seen

        all_of_many = type(many_server)("pillion", f"all of {many:,}", many_server.process, many_server.place)
        all_of_many.key = "all of many"
        interleave(rig, rows, [few_server, many_server, all_of_many], measure)


class Routes:
    title = "5 and 10,000 routes, 1 KiB, 1,000 keys"
    goals = [Goal("cpu_us", 1.05, "pillion", of="many routes")]

    def run(self, rig, rows):
        servers = [variant(rig, "pillion", "5 routes"), variant(rig, "many routes", "10,000 routes", routes=10_000)]
        for server in servers:
            rig.warm(server, PATH, BODY, 1000)
        interleave(rig, rows, servers, lambda server, _: rig.sample(
            server, PATH, BODY, "hits", keys=1000, seconds=rig.options.seconds))


class Connections:
    """All of 10 and of 10,000 connections in use, beside what the kernel takes for the same (the floor's growth); ten
    in use beside 10,000 idle ones; and what an idle one takes of Pillion's memory."""

    title = "10 and 10,000 connections, 1 KiB"
    goals = [Goal("cpu_us", 1.05, "pillion", of="beside idle"), Goal("growth", 1.10, "floor, 10 connections"),
             Goal("idle_bytes", 2048, name="an idle one")]

    def run(self, rig, rows):
        count = rig.options.connections
        server = variant(rig, "pillion", "Pillion, 10 connections")
        floor = variant(rig, "floor, 10 connections", "floor, 10 connections", name="floor")
        rig.warm(server, PATH, BODY, 1)
        rig.load(server, PATH, BODY, connections=64, requests=20_000)
        before = server.process.memory_bytes()
        holder = self.hold(rig, server, count)
        try:
            time.sleep(2)  # so that all have been idle for a while
            idle = (server.process.memory_bytes() - before) / count
            rig.say(f"    {idle:.0f} bytes an idle connection")
            beside = self.samples(rig, server, 10)
        finally:
            holder.communicate(timeout=60)
        time.sleep(0.5)
        for number in range(rig.options.rounds):
            for target, key in ((server, "pillion"), (floor, "floor, 10 connections")):
                few, many = self.sample(rig, target, 10), self.sample(rig, target, count)
                few["growth"] = many["cpu_us"] / few["cpu_us"]
                if target is server:
                    few["idle_bytes"] = idle
                rows.add(key, target.title, few)
                rows.add(f"{key}, all", target.title.replace("10 connections", f"{count:,} in use"), many)
            rows.add("beside idle", f"Pillion, 10 beside {count:,} idle", beside[number])
            rig.say(f"    round {number + 1}")

    def sample(self, rig, server, connections):
        return rig.sample(server, PATH, BODY, None, connections=connections, seconds=rig.options.seconds)

    def samples(self, rig, server, connections):
        return [self.sample(rig, server, connections) for _ in range(rig.options.rounds)]

    def hold(self, rig, server, count):
        holder = subprocess.Popen(rig.load_command(server.port, PATH, BODY, connections=count, hold=True),
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if holder.stdout.readline().strip() != "held":
            holder.kill()
            raise BenchError(f"{count:,} connections could not be opened")
        return holder


def post(server, path, body=b""):
    """Asks the admin API; how long it took, in ms."""
    begun = time.monotonic()
    request = urllib.request.Request(f"http://127.0.0.1:{server.place['ADMIN']}{path}", data=body, method="POST",
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        raise BenchError(f"POST {path}: {error.code} {error.read()[:200]}")
    return (time.monotonic() - begun) * 1000


def reload(server, patience=20):
    """Puts another configuration in the file's place, by rename; how long until it is in force, in ms. The proxy
    notices by itself."""
    path = os.path.join(server.place["DIR"], "proxy.yaml")
    server.reloads = getattr(server, "reloads", 0) + 1
    with open(path) as file:
        text = re.sub(r'"ttl": "\d+[hm]"', f'"ttl": "{server.reloads + 60}m"', file.read(), count=1)
    with open(path + ".new", "w") as file:
        file.write(text)
    begun = time.monotonic()
    os.replace(path + ".new", path)
    while time.monotonic() - begun < patience:
        server.process.check()
        with open(server.process.log) as log:
            if log.read().count("the configuration was reloaded") >= server.reloads:
                return (time.monotonic() - begun) * 1000
        time.sleep(0.001)
    raise BenchError(f"a changed configuration isn't in force after {patience} s: {server.process.last_words()}")


class Tail:
    """At a fixed rate, far below what it can do, latencies counted from when a request was due: hits alone; then one in
    twenty is a miss, a tag is purged fifty times a second, and the configuration reloaded once."""

    title = "p99.9 at a fixed rate: hits alone; with misses, purges and a reload"
    goals = [Goal("p999_us", 3.0, "pillion", of="mixed", name="p99.9"),
             Goal("p999_us", 3.0, "pillion", of="known")]

    def run(self, rig, rows):
        server = variant(rig, "pillion", "hits alone")
        rig.warm(server, PATH, BODY, 1000)
        mixed = type(server)("pillion", "with misses, purges, a reload", server.process, server.place)
        mixed.key = "mixed"
        load = {"keys": 1000, "rate": rig.options.rate, "seconds": max(1, rig.options.seconds * 2)}

        def measure(target, number):
            if target is server:
                return rig.sample(target, PATH, BODY, None, **load)
            with Disturbances(server, load["seconds"]) as disturbances:
                seen = rig.sample(target, PATH, BODY, None, fresh_path="/hit/1024/fresh{}", fresh_every=20, **load)
            seen["purges"] = disturbances.purges
            rows.add("known", "of these what was stored",
                     {name: seen["known_" + name] for name in ("p50_us", "p99_us", "p999_us")})
            return seen

        interleave(rig, rows, [server, mixed], measure)


class Disturbances:
    """Purges one key's tag every 20 ms and reloads in the middle, while the block runs."""

    def __init__(self, server, seconds):
        self.server, self.seconds, self.purges, self.error = server, seconds, 0, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        reload_at = time.monotonic() + self.seconds / 2
        reloaded = False
        try:
            while not self.over.wait(0.02):
                post(self.server, "/invalidate", json.dumps({"tags": [f"hit:{self.purges % 1000}"]}).encode())
                self.purges += 1
                if not reloaded and time.monotonic() >= reload_at:
                    reload(self.server)
                    reloaded = True
        except (BenchError, OSError) as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join()
        if self.error and kind is None:
            raise BenchError(f"a purge or reload failed: {self.error}")


class Start:
    """From the start of the process to the first 200 of /readyz, memory alone."""

    title = "start to ready, memory alone"
    goals = [Goal("ready_ms", 50)]

    def run(self, rig, rows):
        for _ in range(max(5, rig.options.rounds)):
            place = rig.place("start", False)
            command = pillion.launch(rig.options.pillion, place)
            begun = time.monotonic()
            with Process("pillion", command, rig.server_cpus, place["DIR"]) as process:
                while not is_ready(place):
                    process.check()
                    if time.monotonic() - begun > 20:
                        raise BenchError("Pillion wasn't ready after 20 s")
                    time.sleep(0.0005)
                rows.add("pillion", "Pillion", {"ready_ms": (time.monotonic() - begun) * 1000})


def is_ready(place):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{place['ADMIN']}/readyz", timeout=1):
            return True
    except OSError:
        return False


class Reload:
    """10,000 routes read anew while hits come at a fixed rate: how long it takes, and the longest that any of them
    waited; beside it the longest wait without a reload, which the machine is to blame for."""

    title = "reload of 10,000 routes under load"
    goals = [Goal("reload_ms", 200), Goal("stall_ms", 5)]

    def run(self, rig, rows):
        server = rig.start("pillion", routes=10_000)
        rig.warm(server, PATH, BODY, 100)
        for number in range(rig.options.rounds):
            calm = self.load(rig, server, lambda: time.sleep(0.5))[0]
            stormy, took = self.load(rig, server, lambda: reload(server))
            waits = {"stall_ms": stormy["max_us"] / 1000, "calm_ms": calm["max_us"] / 1000}
            rows.add("pillion", "Pillion", {"reload_ms": took, **waits})
            rig.say(f"    round {number + 1}: reload {took:.0f} ms, longest wait {waits['stall_ms']:.1f} ms, "
                    f"without {waits['calm_ms']:.1f} ms")

    @staticmethod
    def load(rig, server, during):
        command = rig.load_command(server.port, PATH, BODY, keys=100, connections=16, rate=2000, seconds=1.5)
        clients = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, preexec_fn=lambda: os.sched_setaffinity(0, rig.load_cpus))
        try:
            time.sleep(0.4)
            took = during()
            out, err = clients.communicate(timeout=60)
        finally:
            if clients.poll() is None:
                clients.kill()
                clients.wait()
        return rig.read_load(server, out, err), took


AGAINST_ITSELF = {"workers": Workers(), "stored": Stored(), "routes": Routes(), "connections": Connections(),
                  "tail": Tail(), "start": Start(), "reload": Reload()}
