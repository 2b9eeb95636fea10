"""Counts what one request takes of user-space instructions; see ../instructions.sh, which calls this.

The release binary runs in callgrind with one worker. A client asks over one connection, again and again for the same
key (of misses: for a new one), and each time only when the worker is back at waiting, so that all are the same work. Counters are read every
few requests; the lowest of these windows is the figure, so that timers that fall into the others change nothing."""
import argparse
import glob
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from email.utils import formatdate

from processes import BenchError, Process, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
BUDGET = os.path.join(os.path.dirname(HERE), "instructions.txt")
MAY_GROW = 1.05
WINDOWS, COUNT = 5, 300

# What is asked: as a load generator does it, and as a browser does. `%d` is a number that none had before.
REQUESTS = {
    "hit": b"GET /hit/one HTTP/1.1\r\nHost: bench.test\r\n\r\n",
    "hit of a browser": (
        b"GET /hit/one HTTP/1.1\r\nHost: bench.test\r\nConnection: keep-alive\r\n"
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
        b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
        b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nReferer: http://bench.test/\r\n"
        b"Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"
        b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-User: ?1\r\nPriority: u=0, i\r\n\r\n"),
    "pass-through": b"GET /pass/one HTTP/1.1\r\nHost: bench.test\r\n\r\n",
    "miss and store": b"GET /hit/%d HTTP/1.1\r\nHost: bench.test\r\n\r\n",
}
EXPECTED = {"pass-through": b"fwd=bypass", "miss and store": b"stored"}  # else a hit
# Age and lifetime keep their number of digits for as long as this runs.
ANSWER = (b"HTTP/1.1 200 OK\r\nDate: " + formatdate(usegmt=True).encode() +
          b"\r\nContent-Type: application/json\r\nAge: 100\r\n"
          b"Cache-Control: max-age=500000\r\nContent-Length: 1024\r\n\r\n" + b"i" * 1024)
CONFIG = """\
listeners: [{{ address: "127.0.0.1:{port}" }}]
admin: {{ address: "127.0.0.1:{admin}" }}
upstreams: {{ app: "http://127.0.0.1:{origin}" }}
store: {{ memory: {{ size: 16MiB }} }}
timeouts: {{ idle: 1h }}
workers: 1
drain: {{ delay: 0s, timeout: 1s }}
log: {{ access: off }}
routes:
  - {{ name: other, path: "/other/{{id}}", ttl: 1h }}
  - {{ name: hit, path: "/hit/{{id}}", ttl: 1h, key: "hit:{{id}}", tags: ["hit:{{id}}", hits] }}
  - {{ name: rest, path: /**, cache: off }}
"""


class Origin:
    """Answers everything with the same, one connection after the other."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.answered = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            with connection:
                while connection.recv(65536):
                    self.answered += 1
                    connection.sendall(ANSWER)


def hit(client, request):
    client.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.split(b"\r\n\r\n", 1)[1]) < 1024:
        part = client.recv(65536)
        if not part:
            raise BenchError("Pillion closed the connection")
        answer += part
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise BenchError("Pillion answered " + answer.split(b"\r\n", 1)[0].decode())
    return answer


def wait_until_idle(pid):
    """Until each of its threads sleeps: the worker has gone back to waiting for requests."""
    tasks = f"/proc/{pid}/task"
    while True:
        for thread in os.listdir(tasks):
            with open(f"{tasks}/{thread}/stat") as stat:
                if stat.read().rsplit(")", 1)[1].split()[0] != "S":
                    break
        else:
            return


def control(folder, *arguments):
    ran = subprocess.run(["callgrind_control", *arguments], capture_output=True, text=True, timeout=60, cwd=folder)
    if ran.returncode != 0 or "OK" not in ran.stdout:
        raise BenchError(f"callgrind_control {' '.join(arguments)}: {(ran.stdout + ran.stderr).strip()[-300:]}")


def counted(folder):
    """Instructions of the busiest thread in the counts just dumped; its file becomes `busiest`, the others go."""
    most = 0
    for path in glob.glob(os.path.join(folder, "counts*")):
        with open(path) as file:
            found = re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M)
        count = int(found.group(1)) if found else 0
        if count > most:
            most = count
            os.replace(path, os.path.join(folder, "busiest"))
        else:
            os.remove(path)
    return most


def show_top(folder, name, most=20):
    """The functions that take most of a request, without what they call."""
    told = subprocess.run(["callgrind_annotate", "--threshold=100", os.path.join(folder, "busiest")],
                          capture_output=True, text=True).stdout
    functions = re.findall(r"^\s*([\d,]+) \(.*?%\)\s+\S*?:(.*?)(?: \[.*)?$", told, re.M)
    own = [(int(count.replace(",", "")) / COUNT, function) for count, function in functions]
    # What was under way when the counters were set to zero is counted with all that it calls.
    own = [(count, function) for count, function in own if count < 0.9 * max(own)[0]]
    print(f"{name}, instructions a request by function:")
    for count, function in sorted(own, reverse=True)[:most]:
        print(f"  {count:6.0f}  {function[:150]}")


def connect(port, process, patience=60):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        process.check()
        try:
            client = socket.create_connection(("127.0.0.1", port), 30)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return client
        except OSError:
            time.sleep(0.05)
    raise BenchError(f"Pillion isn't there after {patience} s: {process.last_words()}")


def measure(binary, folder, top=False):
    """Per request of REQUESTS: the lowest of its windows, and the highest."""
    counts = os.path.join(folder, "counts")  # apart: Pillion looks at the folder of its configuration
    os.mkdir(counts)
    origin = Origin()
    port, admin = free_port(), free_port()
    with open(os.path.join(folder, "proxy.yaml"), "w") as file:
        file.write(CONFIG.format(port=port, admin=admin, origin=origin.port))
    command = ["valgrind", "--tool=callgrind", "--separate-threads=yes", "--dump-line=no",
               f"--callgrind-out-file={counts}/counts", binary, "serve", "--config", "proxy.yaml"]
    figures = {}
    with Process("pillion", command, os.sched_getaffinity(0), folder) as process:
        client = connect(port, process)
        for name, request in REQUESTS.items():
            numbers = itertools.count(100_000)  # of the same length all

            def ask():
                return hit(client, request % next(numbers) if b"%d" in request else request)

            for _ in range(20):
                answer = ask()
            if EXPECTED.get(name, b"hit") not in answer.split(b"Cache-Status: pillion; ")[1].split(b"\r\n")[0]:
                raise BenchError(f"this is no {name}: " + answer.split(b"\r\n\r\n")[0].decode())
            fetched = origin.answered
            windows = []
            for _ in range(WINDOWS):
                control(folder, "-z", str(process.pid))
                for _ in range(COUNT):
                    ask()
                    wait_until_idle(process.pid)
                control(folder, "-d", str(process.pid))
                windows.append(counted(counts) / COUNT)
            if origin.answered - fetched != (WINDOWS * COUNT if name in EXPECTED else 0):
                raise BenchError(f"the origin was asked {origin.answered - fetched} times while this was counted: {name}")
            if top:
                show_top(counts, name)
            figures[name] = (min(windows), max(windows))
    return figures


def read_budget():
    with open(BUDGET) as file:
        lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    return {name.strip(): float(value) for name, value in (line.rsplit(":", 1) for line in lines)}


def write_budget(figures):
    with open(BUDGET) as file:
        comment = [line for line in file if line.startswith("#")]
    with open(BUDGET, "w") as file:
        file.writelines(comment)
        file.writelines(f"{name}: {lowest:.0f}\n" for name, (lowest, _) in figures.items())


def judge(figures, budget):
    passed = failed = 0
    for name, (lowest, highest) in figures.items():
        committed = budget.get(name)
        good = committed is not None and lowest <= committed * MAY_GROW
        passed, failed = passed + good, failed + (not good)
        known = "none" if committed is None else f"{committed:.0f}, {lowest / committed - 1:+.1%}"
        print(f"{name}: {lowest:.0f} instructions (windows to {highest:.0f}), committed {known}"
              f"{'' if good else ': TOO MANY'}")
        if good and lowest < committed / MAY_GROW:
            print(f"{name}: it has become cheaper; commit that with tests/bench/instructions.sh --update")
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


def main():
    parser = argparse.ArgumentParser(prog="instructions.sh")
    parser.add_argument("--pillion", required=True)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--top", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="pillion-instructions.")
    try:
        figures = measure(os.path.abspath(options.pillion), folder, options.top)
    except (BenchError, OSError, subprocess.TimeoutExpired) as error:
        print(f"instructions.sh: {error}\n0 passed, 1 failed")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.update:
        write_budget(figures)
    return judge(figures, read_budget())


if __name__ == "__main__":
    sys.exit(main())
