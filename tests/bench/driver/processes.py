"""Processes of a measurement: started on their own CPUs, watched through /proc, ended by their ids."""
import ctypes
import os
import re
import signal
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class BenchError(Exception):
    """What makes a figure worthless: an answer that is wrong, a server that ends."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def family(pid):
    """A process and all that descend from it."""
    parents = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as stat:
                parents[int(name)] = int(stat.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = [pid]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def _cpu_of(pid):
    """User and system time of one process's threads, nanoseconds, as the scheduler counts it (stat has 10 ms steps)."""
    try:
        total = 0
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as figures:
                total += int(figures.read().split()[0])
        return total
    except FileNotFoundError:
        if not os.path.exists(f"/proc/{pid}"):
            return 0
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // TICKS


class Process:
    """One server and its descendants. Ends with the block it is used in."""

    def __init__(self, name, command, cpus, folder, port=None, patience=60):
        os.makedirs(folder, exist_ok=True)
        self.name = name
        self.cpus = cpus
        self.log = os.path.join(folder, f"{name}.log")

        def prepare():
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # nothing stays behind if the driver is killed
            os.sched_setaffinity(0, cpus)

        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                                          preexec_fn=prepare, start_new_session=True)
        self.pid = self.popen.pid
        if port:
            self.wait_for_port(port, patience)

    def wait_for_port(self, port, patience):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.stop()
        raise BenchError(f"{self.name} didn't open its port within {patience} s: {self.last_words()}")

    def pin(self):
        """Puts every thread back where it belongs: Traffic Server places its own."""
        for pid in family(self.pid):
            try:
                for thread in os.listdir(f"/proc/{pid}/task"):
                    if os.sched_getaffinity(int(thread)) != self.cpus:
                        os.sched_setaffinity(int(thread), self.cpus)
            except (FileNotFoundError, ProcessLookupError):
                continue

    def check(self):
        if self.popen.poll() is not None:
            raise BenchError(f"{self.name} has ended with {self.popen.returncode}: {self.last_words()}")

    def last_words(self):
        with open(self.log, errors="replace") as log:
            return " | ".join(log.read().strip().splitlines()[-4:]) or "it said nothing"

    def cpu_ns(self):
        return sum(_cpu_of(pid) for pid in family(self.pid))

    def memory_bytes(self):
        """Proportional set size of all its processes."""
        total = 0
        for pid in family(self.pid):
            try:
                with open(f"/proc/{pid}/smaps_rollup") as rollup:
                    total += int(re.search(r"^Pss:\s+(\d+) kB", rollup.read(), re.M).group(1)) * 1024
            except (OSError, AttributeError):
                continue
        return total

    def stop(self):
        if self.popen.poll() is not None:
            return
        members = family(self.pid)
        self.popen.terminate()
        try:
            self.popen.wait(5)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        for pid in members[1:]:  # who outlived the parent
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
