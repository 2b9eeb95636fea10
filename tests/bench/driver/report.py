"""What a run says: a table as Markdown, JSON, a plot."""
import datetime
import json
import os
import platform

import peers
import plot

# The columns of a scenario's own table; the first is what its row of the summary shows.
LABELS = {"cpu_us": "CPU µs", "redis_us": "CPU µs in Redis", "p50_us": "p50 µs", "p99_us": "p99 µs",
          "p999_us": "p99.9 µs", "rps": "requests/s", "busy": "CPUs busy", "max_ms": "all done, ms",
          "fetches": "fetches", "object_bytes": "bytes all told",
          "beyond_head_and_body_bytes": "bytes beyond head and body", "idle_bytes": "bytes an idle one",
          "growth": "growth to all in use", "ready_ms": "ready, ms", "reload_ms": "reload, ms",
          "stall_ms": "longest wait, ms", "calm_ms": "without reload, ms"}
SHOWN = {"collapse": ("max_ms", "fetches"),
         "memory": ("object_bytes", "beyond_head_and_body_bytes"),
         "start": ("ready_ms",),
         "reload": ("reload_ms", "stall_ms", "calm_ms"),
         "tail": ("p999_us", "p99_us", "p50_us"),
         "redis-hit": ("cpu_us", "redis_us", "p50_us", "p99_us", "rps"),
         "latency": ("p50_us", "p99_us", "cpu_us"),
         "connections": ("cpu_us", "growth", "idle_bytes")}
USUAL = ("cpu_us", "p50_us", "p99_us", "rps", "busy")


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown CPU")
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(), "load_average": os.getloadavg()[0]}


def verdict(goal):
    if goal["value"] is None:
        return f"{goal['goal']}: not measured"
    word = "met" if goal["met"] else "wished for" if goal["wish"] else "NOT MET"
    if not goal["met"] and goal["met_at_least"]:
        word = "not met, the least is"
    exact = f"{goal['value']:.3f}" if goal["value"] < 10 else number(goal["value"])
    return f"{goal['goal']}: {exact}, {word}"


def shown_metrics(name):
    return SHOWN.get(name, USUAL)


def scenario_result(name, scenario, rows):
    targets = {}
    for key, samples in rows.samples.items():
        metrics = sorted({metric for sample in samples for metric, value in sample.items()
                          if isinstance(value, (int, float))})
        targets[key] = {"title": rows.titles[key], "samples": samples,
                        "median": {metric: rows.median(key, metric) for metric in metrics},
                        "times_pillion": {metric: rows.ratio(key, "pillion", metric) for metric in shown_metrics(name)}}
    return {"name": name, "title": scenario.title, "targets": targets,
            "goals": [goal.judge(rows) for goal in scenario.goals],
            "failures": {rows.titles[key]: why for key, why in rows.failures.items()}}


def chief_metric(name):
    return shown_metrics(name)[0]


def summary(results):
    """One row a scenario: the floor, the peers (or Pillion's other variants), Pillion, and its goals."""
    lines = ["| what | floor | others | Pillion | goals |", "|---|---|---|---|---|"]
    for result in results:
        metric = chief_metric(result["name"])

        def value(key):
            return result["targets"].get(key, {}).get("median", {}).get(metric)

        others = sorted((target["median"].get(metric), target["title"]) for key, target in result["targets"].items()
                        if key not in ("floor", "pillion") and target["median"].get(metric) is not None)
        named = ", ".join(f"{title} {number(figure)}" for figure, title in others) or "–"
        goals = "; ".join(verdict(goal) for goal in result["goals"])
        lines.append(f"| {result['title']}, {LABELS[metric]} | {number(value('floor'))} | {named} | "
                     f"**{number(value('pillion'))}** | {goals} |")
    return "\n".join(lines)


def details(result):
    metrics = [metric for metric in shown_metrics(result["name"])
               if any(metric in target["median"] for target in result["targets"].values())]
    ratio = chief_metric(result["name"])
    lines = [f"### {result['title']}", "",
             "| | " + " | ".join(LABELS[metric] for metric in metrics) + " | × Pillion | rounds |",
             "|---" * (len(metrics) + 3) + "|"]
    for key, target in result["targets"].items():
        times = target["times_pillion"].get(ratio)
        every = " ".join(number(sample[ratio]) for sample in target["samples"] if ratio in sample)
        figures = " | ".join(number(target["median"].get(metric)) for metric in metrics)
        lines.append(f"| {target['title']} | {figures} | {number(times)} | {every} |")
    lines += [f"\n{title}: FAILED: {why}" for title, why in result["failures"].items()]
    return "\n".join(lines)


def markdown(run):
    told = run["machine"]
    head = (f"{run['when']}, {told['cpu']}, {told['cpus']} CPUs, Linux {told['kernel']}; {run['rounds']} rounds of "
            f"{run['seconds']:g} s, medians. Load average at the start: {told['load_average']:.1f}.")
    if told["load_average"] > 0.7:
        head += "\n\n**The machine was busy: these figures show that it works, nothing else.**"
    skipped = "\n".join(f"- skipped: {title}: {why}" for title, why in run["skipped"].items())
    return "\n\n".join([head, skipped, summary(run["scenarios"]), *map(details, run["scenarios"])]) + "\n"


def write(run, folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "results.json"), "w") as file:
        json.dump(run, file, indent=1, ensure_ascii=False)
    text = markdown(run)
    with open(os.path.join(folder, "results.md"), "w") as file:
        file.write(text)
    blocks = []
    for result in run["scenarios"]:
        metric = chief_metric(result["name"])
        bars = [(key, target["title"], target["median"][metric]) for key, target in result["targets"].items()
                if target["median"].get(metric) is not None]
        # Stable: the floor and Pillion's variants keep their order, peers follow from the best on.
        bars.sort(key=lambda bar: (1, bar[2]) if bar[0] in peers.ALL else (0, 0))
        if bars:
            blocks.append((result["title"], LABELS[metric], bars))
    with open(os.path.join(folder, "results.svg"), "w") as file:
        file.write(plot.draw(blocks, f"{run['when']}, {run['machine']['cpu']}, one server CPU; "
                                     f"medians of {run['rounds']} rounds"))
    return text


def new_run(options):
    skipped = {peer.title: peer.missing() for name, peer in peers.ALL.items()
               if options.wants_target(name) and peer.missing()}
    return {"when": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"), "machine": machine(),
            "versions": peers.versions(), "rounds": options.rounds, "seconds": options.seconds, "skipped": skipped,
            "scenarios": []}
