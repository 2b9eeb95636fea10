#include "ops/dashboard.hpp"

namespace pillion {

// Whatever comes from the proxy is put in as text, never as HTML: names of keys are made of what clients ask for.
std::string_view dashboard_page() noexcept {
  static constexpr std::string_view page = R"page(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'">
<title>Pillion</title>
<style>
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { max-width: 72rem; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #8884; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere; }
li { margin: .35rem 0; }
#state { color: #c33; }
</style>
</head>
<body>
<h1>Pillion <small id="state" role="status"></small></h1>
<h2>Routes</h2><div class="scroll"><table id="routes"></table></div>
<h2>Hottest keys</h2><div class="scroll"><table id="hottest"></table></div>
<h2>Redis</h2><div class="scroll"><table id="redis"></table></div>
<h2>Advice</h2><ul id="advice"></ul>
<script>
"use strict";
const at = id => document.getElementById(id);
const number = n => n === null || n === undefined ? "-" : n.toLocaleString("en", { maximumFractionDigits: 2 });
const percent = (part, all) => all > 0 ? (100 * part / all).toFixed(1) + " %" : "-";
function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < 4) { bytes /= 1024; unit++; }
  return (unit ? bytes.toFixed(1) : bytes) + " " + units[unit];
}
function fill(id, head, rows) {
  const table = at(id);
  table.replaceChildren();
  const line = (cells, kind) => {
    const row = table.insertRow();
    for (const cell of cells) row.appendChild(document.createElement(kind)).textContent = cell;
  };
  line(head, "th");
  for (const row of rows) line(row, "td");
}
let before = null, asked = 0;
function routeRow(name, now, old, seconds) {
  const grown = old ? (now.requests - old.requests) / seconds : null;
  const hits = now.hits.memory + now.hits.redis + now.stale;
  return [name, grown === null ? "-" : number(Math.max(0, grown)), number(now.requests), percent(hits, now.requests),
    number(now.misses), number(now.errors), number(now.latency.p50), number(now.latency.p99),
    size(now.saved.bytes), number(now.saved.upstream_seconds), number(now.refreshed_ahead),
    number(now.adaptive.mean_lifetime), number(now.compressed.answers)];
}
function showStats(stats) {
  const time = performance.now(), seconds = (time - asked) / 1000;
  const names = Object.keys(stats.routes).filter(name => stats.routes[name].requests > 0)
    .sort((a, b) => stats.routes[b].requests - stats.routes[a].requests);
  const rows = names.map(name => routeRow(name, stats.routes[name], before && before.routes[name], seconds));
  rows.push(routeRow("all", stats.totals, before && before.totals, seconds));
  fill("routes", ["Route", "Req/s", "Requests", "Hits", "Misses", "Errors", "p50 ms", "p99 ms", "Bytes saved",
    "Seconds saved", "Refreshed ahead", "Learned lifetime s", "Sent compressed"], rows);
  fill("hottest", ["Key", "Requests", "At most too high by", "Hits", "Bytes"],
    stats.hottest.map(k => [k.key, number(k.requests), number(k.error), percent(k.hits, k.requests), size(k.bytes)]));
  fill("redis", ["Server", "Memory", "Limit", "Hit ratio", "Evicted"], stats.redis.map(r => r.reachable
    ? [r.server, size(r.memory_bytes), r.memory_limit === null ? "none" : size(r.memory_limit),
       r.hit_ratio === null ? "-" : percent(r.hit_ratio, 1), number(r.evicted)]
    : [r.server, "out of reach", "", "", ""]));
  at("state").textContent = stats.bypass
    .map(b => "cache switched off: " + (b.route === null ? "all routes" : b.route) + ", " + b.left_seconds + " s left")
    .join("; ");
  before = stats;
  asked = time;
}
function showAdvice(answer) {
  const list = at("advice");
  list.replaceChildren();
  for (const one of answer.advice)
    list.appendChild(document.createElement("li")).textContent = one.route + ": " + one.text;
  if (answer.advice.length === 0)
    list.appendChild(document.createElement("li")).textContent = "Nothing to say so far.";
}
async function ask(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(path + " answered " + answer.status);
  return answer.json();
}
async function refresh() {
  try {
    showStats(await ask("stats"));
    showAdvice(await ask("advice"));
  } catch (error) {
    at("state").textContent = String(error.message);
  }
  setTimeout(refresh, 2000);
}
refresh();
</script>
</body>
</html>
)page";
  return page;
}

}  // namespace pillion
