"""Measures Pillion beside its peers; see ../run.sh, which calls this."""
import argparse
import os
import signal
import sys

import report
from processes import BenchError
from rig import Rig
from scaling import AGAINST_ITSELF
from scenarios import AGAINST_PEERS, TARGETS, Rows

SCENARIOS = {**AGAINST_PEERS, **AGAINST_ITSELF}
SHORT = ("hit-1k", "keys-1k", "latency", "pass")


def parse():
    parser = argparse.ArgumentParser(prog="run.sh", description="Scenarios: " + ", ".join(SCENARIOS))
    parser.add_argument("--pillion", required=True)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--scenarios", default="")
    parser.add_argument("--targets", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--load-cpu", type=int, default=(os.cpu_count() or 2) - 1)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=10_000)
    options = parser.parse_args()
    options.pillion, options.programs = os.path.abspath(options.pillion), os.path.abspath(options.programs)
    if options.seconds is None:
        options.seconds = 1 if options.short else 2
    names = options.scenarios.split(",") if options.scenarios else SHORT if options.short else list(SCENARIOS)
    unknown = [name for name in names if name not in SCENARIOS]
    wanted = options.targets.split(",") if options.targets else []
    unknown += [name for name in wanted if name not in TARGETS]
    if unknown or options.rounds < 1 or options.seconds <= 0:
        parser.error(f"unknown: {', '.join(unknown)}" if unknown else "rounds and seconds are over 0")
    options.names = names
    options.wants_target = lambda name: not wanted or name in wanted
    return options


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.server_cpu == options.load_cpu:
        print("run.sh: server and clients share a CPU: the server's CPU time alone means something", file=sys.stderr)
    run = report.new_run(options)
    for title, why in run["skipped"].items():
        print(f"skipped: {title}: {why}", file=sys.stderr)
    failed = False
    with Rig(options) as rig:
        rig.say = lambda text: print(text, file=sys.stderr, flush=True)
        for name in options.names:
            rig.say(f"{name}: {SCENARIOS[name].title}")
            rows = Rows()
            try:
                SCENARIOS[name].run(rig, rows)
            except (BenchError, OSError) as error:
                rows.fail("pillion", "Pillion", error)
                rig.say(f"    {error}")
            rig.stop_servers()
            failed = failed or bool(rows.failures)
            run["scenarios"].append(report.scenario_result(name, SCENARIOS[name], rows))
    print(report.write(run, options.out))
    print(f"written to {options.out}: results.md, results.json, results.svg", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
