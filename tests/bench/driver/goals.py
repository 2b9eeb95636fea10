"""Goals: a figure of Pillion, or its ratio to another target's in the same rounds, and the most it may be."""
import peers

UNITS = {"cpu_us": "µs", "redis_us": "µs in Redis", "p50_us": "µs p50", "p999_us": "µs p99.9", "max_ms": "ms",
         "fetches": "fetches", "beyond_head_and_body_bytes": "bytes", "idle_bytes": "bytes", "ready_ms": "ms",
         "reload_ms": "ms", "stall_ms": "ms"}


NAMES = {"cpu_us": "CPU", "redis_us": "CPU in Redis", "rps": "requests/s", "p50_us": "p50", "p999_us": "p99.9",
         "growth": "growth"}


def title_of(target, rows):
    return rows.titles.get(target) or (peers.ALL[target].title if target in peers.ALL else target)


class Goal:
    def __init__(self, metric, at_most, against=None, *, of="pillion", least=None, wish=False, at_least=False,
                 name=None):
        """`against`: a target, then `at_most` is a factor. `least`: a factor that is wanted at the very least.
        `wish`: reported, not required. `at_least`: the figure must not be lower, instead of not higher."""
        self.metric, self.at_most, self.against, self.of = metric, at_most, against, of
        self.least, self.wish, self.at_least, self.name = least, wish, at_least, name

    def judge(self, rows):
        """What came of it, for the report. `met` is None where a figure is missing."""
        value = (rows.ratio(self.of, self.against, self.metric) if self.against else rows.median(self.of, self.metric))
        met = None if value is None else (value >= self.at_most if self.at_least else value <= self.at_most)
        at_all = None if value is None or self.least is None else value <= self.least
        return {"goal": self.words(rows), "value": value, "limit": self.at_most, "met": met, "met_at_least": at_all,
                "wish": self.wish}

    def words(self, rows):
        sign = "≥" if self.at_least else "≤"
        whose = "" if self.of == "pillion" else f"{title_of(self.of, rows)}: "
        if self.against:
            what = self.name or NAMES.get(self.metric, self.metric)
            return f"{whose}{what} {sign} {self.at_most:g} × {title_of(self.against, rows)}"
        name = f"{self.name} " if self.name else ""
        return f"{whose}{name}{sign} {self.at_most:g} {UNITS.get(self.metric, self.metric)}"
