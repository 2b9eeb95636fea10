#!/bin/bash
# Measures Pillion beside the proxies that are installed, and beside what the kernel alone takes: ratios within one run,
# never times. Says which goals are met, and writes results.md, results.json and results.svg.
#
#   tests/bench/run.sh [--short] [--scenarios A,B] [--targets A,B] [--rounds N] [--seconds S] [--pillion BINARY]
#                      [--out DIR] [--build-dir DIR] [--server-cpu N] [--load-cpu N]
#
#   --short      hits, latency and pass-through alone: two minutes
#   --scenarios  of: hit-1k keys-1k hit-16k hit-128k latency redis-hit pass store collapse memory workers stored routes
#                connections tail start reload
#   --targets    of: floor pillion haproxy nginx nginx-sendfile varnish trafficserver squid nginx-lua-redis redis
#   --rounds     samples of each target, interleaved (3)      --seconds  the length of one (2; short: 1)
#   --pillion    measures this one; otherwise a release build is made
#   --out        default: BUILD-DIR/bench
#   --server-cpu, --load-cpu   default: 0 and the last. Nothing else should run on the machine
#
# It installs nothing: what isn't there is skipped, and it says so. For all of the table:
#   apt-get install nginx-light libnginx-mod-http-lua lua-nginx-redis haproxy varnish trafficserver squid redis-server
# Exit 0 where everything was measured, whatever the goals; 1 where a target answered wrongly; 2 for wrong usage.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$root/build/release
pillion=""
out=""
pass=()
while [ $# -gt 0 ]; do
  case $1 in
    --pillion) pillion=${2:?--pillion needs a file} && shift ;;
    --out) out=${2:?--out needs a folder} && shift ;;
    --build-dir) dir=${2:?--build-dir needs a folder} && shift ;;
    -h | --help) sed -n '2,/^# Exit/s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) pass+=("$1") ;;
  esac
  shift
done
targets=(bench_floor bench_load bench_origin)
[ -n "$pillion" ] || targets+=(pillion)
"$root/deploy/build.sh" --build-dir "$dir" "${targets[@]}" >&2
dir=$(cd "$dir" && pwd)
ulimit -n "$(ulimit -Hn)"
exec env PYTHONDONTWRITEBYTECODE=1 python3 "$root/tests/bench/driver/main.py" --programs "$dir/tests/bench" \
  --pillion "${pillion:-$dir/proxy/pillion}" --out "${out:-$dir/bench}" "${pass[@]}"
