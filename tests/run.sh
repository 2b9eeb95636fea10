#!/bin/bash
# Installs what the tests need (Debian 12), builds, runs every test and ends with the line `N passed, M failed`. Those of
# HTTP behaviour run three times: with memory alone, with Redis alone and with both.
#
#   tests/run.sh [--long] [--build-dir DIR] [--preset release|debug|asan|tsan]
#   tests/run.sh --fuzz SECONDS [--build-dir DIR]
#
#   --long       transfers of 5 GiB instead of small ones, three minutes of each random history and each fault under
#                load (PILLION_HISTORY_SECONDS: another time), a million stored responses; then a minute of each fuzz
#                target, then each rule of tests/mutations broken on purpose; ends with a table of what was measured
#   --build-dir  build there instead of in build/PRESET
#   --preset     of CMakePresets.json; what a sanitizer reports fails the test it happened in
#   --fuzz       runs the fuzz targets alone, each for that long
#
# Exit 0 where at least one test ran and all passed, else 1; 2 for wrong usage. Logs stay in BUILD-DIR/test-logs.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
begun=$(date +%s)

usage() {
  echo "run.sh: $1; usage:" >&2
  sed -n '2,/^# Exit/s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
preset=release
dir=""
long=no
fuzz_seconds=""
while [ $# -gt 0 ]; do
  case $1 in
    --long) long=yes ;;
    --build-dir) dir=${2:-} && [ -n "$dir" ] || usage "--build-dir needs a folder" && shift ;;
    --preset) preset=${2:-} && [ -n "$preset" ] || usage "--preset needs a name" && shift ;;
    --fuzz) fuzz_seconds=${2:-} && [[ $fuzz_seconds =~ ^[1-9][0-9]*$ ]] || usage "--fuzz needs seconds" && shift ;;
    *) usage "'$1' is no option" ;;
  esac
  shift
done
[ -z "$fuzz_seconds" ] || preset=fuzz
fuzz_dir=${dir:-$root/build/fuzz}
[ -z "$dir" ] || [ -n "$fuzz_seconds" ] || fuzz_dir=$dir-fuzz
dir=${dir:-$root/build/$preset}

passed=0
failed=0
skipped=0
failures=()
unsteady=()
max_second_runs=3
# The files whose test cases run with each place where responses may stand: memory alone (as all do), Redis alone, both.
behaviour=(caching vary validation key collapse invalidation freshness request_directives storing selecting
  revalidation range stale unsafe targeted groups search interim "robustness caching")
# Those that measure times: in a long run each has the machine for itself, after the others.
measured="cost: *,replicas: hundreds*,faults: with Redis paused*"
work=$(mktemp -d /tmp/pillion.XXXXXX) # short: Unix sockets are made below it

# --- processes -------------------------------------------------------------------------------------------------------

# Each test runs in a session of its own: whoever is still in that session afterwards was left behind by it.
members_of() { # SESSION... -> their processes, those that have ended and wait for their parent left out
  local stat line fields
  for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    read -ra fields <<<"${line##*) }" # after the name, which may hold anything: state, parent, group, session
    [[ " $* " == *" ${fields[3]} "* && ${fields[0]} != Z ]] && echo "${line%% *}"
  done
}
end_sessions() { # SESSION...: whether there was something left to end
  [ $# -gt 0 ] && [ -n "$(members_of "$@")" ] || return 1
  sleep 0.5 # what the test has just ended may need a moment to go
  local pids
  pids=$(members_of "$@")
  # shellcheck disable=SC2086  # a list of process ids
  [ -n "$pids" ] && kill -KILL $pids 2>/dev/null
}
# shellcheck disable=SC2317  # called by the trap
finish() {
  # shellcheck disable=SC2046  # a list of session ids
  end_sessions $(cat "$work"/session.* 2>/dev/null)
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

# --- results ---------------------------------------------------------------------------------------------------------

report() {
  if [ -s "$work/figures" ]; then
    printf '| measured | figures |\n|---|---|\n'
    cat "$work/figures"
  fi
  [ ${#unsteady[@]} = 0 ] || printf 'UNSTEADY, passed alone: %s\n' "${unsteady[@]}"
  [ ${#failures[@]} = 0 ] || printf 'FAILED: %s\n' "${failures[@]}"
  if [ $((passed + failed)) = 0 ]; then
    echo "no test ran"
    failed=1
  fi
  [ "$skipped" = 0 ] || echo "$skipped skipped where they mean nothing"
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ] || exit 1
  exit 0
}
give_up() { # WHAT: without it no test can run
  failed=$((failed + 1))
  failures+=("$1")
  report
}
first_fault() { # LOG
  grep -m 1 -A 1 -E ' (ERROR|FATAL ERROR): |^SUMMARY: ' "$1" | cut -c 1-200 | sed 's/^/    /'
}
show_failure() { # NAME LOG
  # With the first thing that was wrong in it: the whole log may be far above where the result is read.
  failures+=("$1"$'\n'"$(first_fault "$2")")
  echo "--- failed: $1 ($2)"
  tail -n 100 "$2"
  echo "---"
}

# --- running ---------------------------------------------------------------------------------------------------------

# run_one NAME LOG LIMIT COMMAND...: runs it, log and sanitizer reports together in LOG, its status in LOG.status.
run_one() {
  local name=$1 log=$2 limit=$3 reports=$2.report session status file
  shift 3
  ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=16:log_path=$reports UBSAN_OPTIONS=print_stacktrace=1:log_path=$reports \
    TSAN_OPTIONS=second_deadlock_stack=1:log_path=$reports TMPDIR=$work \
    setsid timeout -k 10 "$limit" "$@" </dev/null >"$log" 2>&1 &
  session=$!
  echo "$session" >"$work/session.$session"
  { wait "$session"; } 2>/dev/null
  status=$?
  if [ $status = 124 ] || [ $status = 137 ]; then echo "killed after $limit s" >>"$log"; fi
  end_sessions "$session" && echo "run.sh: '$name' left processes behind; they were killed" | tee -a "$log"
  rm -f "$work/session.$session"
  for file in "$reports".*; do
    [ -e "$file" ] || continue
    cat "$file" >>"$log"
    rm -f "$file"
    [ $status != 0 ] || status=1
  done
  echo $status >"$log.status"
}

has_passed() { # LOG
  [ "$(cat "$1.status" 2>/dev/null)" = 0 ] && grep -q '^\[doctest\] Status: SUCCESS' "$1"
}

# A whole doctest executable in one process; its own last line has the counts. No such line: it crashed.
run_unit() { # EXECUTABLE
  local name log counts good bad
  name=$(basename "$1")
  log=$logs/$name.log
  run_one "$name" "$log" 600 "$1" --no-version
  counts=$(sed -n 's/.*test cases: *[0-9]* *| *\([0-9]*\) passed *| *\([0-9]*\) failed.*/\1 \2/p' "$log" | tail -n 1)
  read -r good bad <<<"${counts:-0 1}"
  [ "$(cat "$log.status")" = 0 ] || [ "$bad" != 0 ] || bad=1
  passed=$((passed + good))
  failed=$((failed + bad))
  echo "$name: $good passed, $bad failed"
  [ "$bad" = 0 ] || show_failure "$name" "$log"
}

# Of run_spread, with its names.
run_case() { # EXECUTABLE LIMIT LOG
  PILLION_TEST_STORES=${mode:-memory} run_one "${titles[index - 1]:-$name $index}${mode:+ [$mode]}" "$3" "$2" "$1" \
    --no-version "${only[@]}" --first="$index" --last="$index"
}
# On a machine that others use too, a server may be held up for longer than a test can wait. So what fell beside others
# gets a second try alone, and the first one's fault is told; but few of a run do, and never what a sanitizer reported.
has_passed_alone() { # EXECUTABLE LIMIT
  ((${#unsteady[@]} + bad < max_second_runs)) && ! grep -q -E '^SUMMARY: |runtime error: |CRASHED' "$log" || return
  run_case "$1" "$2" "$log.alone"
  has_passed "$log.alone" || return
  unsteady+=("$title"$'\n'"$(first_fault "$log")")
}

# An executable whose test cases wait more than they compute: each in a process of its own, some at a time. One that
# crashes or hangs takes no other with it. With STORES (redis, both), those of HTTP behaviour alone, with what is stored
# standing there; with `measured`, those that measure, one at a time.
run_spread() { # EXECUTABLE LIMIT [STORES|measured]
  local name log count index running=0 good=0 bad=0 skips=0 started titles=() title only=() mode=${3:-} at_once=$jobs
  name=$(basename "$1")${mode:+.$mode}
  case $mode in
    measured)
      only=("--test-case=$measured")
      at_once=1
      mode=""
      ;;
    ?*) only=("--test-case=$(printf '%s:*,' "${behaviour[@]}")") ;;
    *) [ "$long" = no ] || only=("--test-case-exclude=$measured") ;;
  esac
  count=$("$1" --count --no-version "${only[@]}" 2>/dev/null </dev/null | sed -n 's/.*filters: *//p')
  [[ $count =~ ^[1-9][0-9]*$ ]] || { failed=$((failed + 1)) && failures+=("$name: can't list its test cases") && return; }
  mapfile -t titles < <("$1" --list-test-cases --no-version "${only[@]}" 2>/dev/null </dev/null |
    grep -v -E '^(\[doctest\]|=+$)')
  started=$(date +%s)
  for ((index = 1; index <= count; index++)); do
    if ((running >= at_once)); then wait -n && :; else running=$((running + 1)); fi
    run_case "$1" "$2" "$logs/$name.$index.log" &
  done
  wait
  for ((index = 1; index <= count; index++)); do
    log=$logs/$name.$index.log
    title="${titles[index - 1]:-$name $index}${mode:+ [$mode]}"
    has_passed "$log" || ! has_passed_alone "$1" "$2" || log=$log.alone
    if ! has_passed "$log"; then
      bad=$((bad + 1))
      show_failure "$title" "$log"
    elif grep -q '^SKIPPED with ' "$log"; then
      skips=$((skips + 1))
      echo "skipped: $title: $(sed -n 's/^SKIPPED with [a-z]*: //p' "$log" | head -n 1)"
    else
      good=$((good + 1))
    fi
    [ "$long" = no ] || sed -n 's/^FIGURES //p' "$log" >>"$work/figures"
  done
  passed=$((passed + good))
  failed=$((failed + bad))
  skipped=$((skipped + skips))
  echo "$name: $good passed, $bad failed, $skips skipped in $(($(date +%s) - started)) s"
}

# A script of checks; its own last line has the counts.
run_checks() { # NAME COMMAND...
  local name=$1 log=$logs/$1.log good bad
  shift
  run_one "$name" "$log" 180 "$@"
  read -r good bad < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
  good=${good:-0} bad=${bad:-1}
  [ "$(cat "$log.status")" = 0 ] || [ "$bad" != 0 ] || bad=1
  passed=$((passed + good))
  failed=$((failed + bad))
  echo "$name: $good passed, $bad failed"
  [ "$bad" = 0 ] || show_failure "$name" "$log"
}

executables() { # EXPRESSION of their paths: what the build makes, not what an earlier one left
  ninja -C "$dir" -t targets all 2>/dev/null | sed -n 's#^\(.*\): CXX_EXECUTABLE_LINKER.*#\1#p' | grep -E "^$1\$"
}

# Seeds come from tests/fuzz/corpus; what is found new goes to a scratch folder, what fails to the logs.
run_fuzz() { # SECONDS
  local targets=() target name log seeds running=0
  mapfile -t targets < <(executables 'tests/fuzz/.*')
  for target in "${targets[@]}"; do
    if ((running >= jobs - 1)); then wait -n && :; else running=$((running + 1)); fi
    name=$(basename "$target")
    mkdir -p "$work/$name" "$logs/$name.found"
    seeds=()
    [ ! -d "$root/tests/fuzz/corpus/${name%_fuzz}" ] || seeds=("$root/tests/fuzz/corpus/${name%_fuzz}")
    run_one "$name" "$logs/$name.log" $(($1 + 120)) "$dir/$target" -max_total_time="$1" -timeout=10 \
      -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$logs/$name.found/" "$work/$name" "${seeds[@]}" &
  done
  wait
  for target in "${targets[@]}"; do
    name=$(basename "$target")
    log=$logs/$name.log
    if [ "$(cat "$log.status" 2>/dev/null)" = 0 ]; then
      passed=$((passed + 1))
      echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
      rmdir "$logs/$name.found"
    else
      failed=$((failed + 1))
      show_failure "$name" "$log"
    fi
  done
}

# What a hit and a pass-through take beside the floor and the proxies that are installed: ratios within seconds, to be
# looked at. No test: a busy machine makes them what it likes.
show_speed() {
  "$root/tests/bench/run.sh" --scenarios hit-1k,pass --targets floor,pillion,haproxy,nginx --seconds 0.3 \
    --build-dir "$dir" --out "$logs/bench" </dev/null >"$logs/bench.log" 2>&1 || return 0
  sed -n '/^|/p; /^### /q' "$logs/bench/results.md"
}

# Each counts as one test: a rule that, broken on purpose, turns a test red.
run_mutations() {
  local log=$logs/mutations.log good bad
  "$root/tests/mutations/run.sh" --build-dir "$dir-mutations" </dev/null 2>&1 | tee "$log" | grep -E '^(FAILED|[0-9]+ passed)'
  read -r good bad < <(tail -n 1 "$log" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p')
  passed=$((passed + ${good:-0}))
  failed=$((failed + ${bad:-1}))
  [ "${bad:-1}" = 0 ] || show_failure mutations "$log"
}

# --- the run ---------------------------------------------------------------------------------------------------------

jobs=$(($(nproc) + 1))
packages="test"
case $preset in asan | tsan | fuzz) packages="all" ;; esac
[ "$long" = no ] || packages="all"
"$root/deploy/install-dependencies.sh" $packages || give_up "installing what the tests need"

if [ -x /usr/bin/llvm-symbolizer-19 ]; then
  export ASAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-19 UBSAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-19 \
    TSAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-19
fi
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
export LC_ALL=C PATH=$PATH:/usr/sbin # where Debian puts nginx

start_logs() {
  logs=$dir/test-logs
  rm -rf "$logs"
  mkdir -p "$logs"
}
fuzz_all() { # SECONDS
  local targets=()
  "$root/deploy/build.sh" --preset fuzz --build-dir "$dir" --configure-only || give_up "configuring the fuzz targets"
  mapfile -t targets < <(executables 'tests/fuzz/.*')
  [ ${#targets[@]} -gt 0 ] || give_up "finding a fuzz target"
  "$root/deploy/build.sh" --preset fuzz --build-dir "$dir" "${targets[@]}" || give_up "building the fuzz targets"
  start_logs
  run_fuzz "$1"
}

if [ -n "$fuzz_seconds" ]; then
  fuzz_all "$fuzz_seconds"
  report
fi

built=$("$root/deploy/build.sh" --preset "$preset" --build-dir "$dir") || give_up "building"
[ -z "$built" ] || echo "$built"
dir=$(cd "$dir" && pwd)
start_logs
limit=300
if [ "$long" = yes ]; then
  export PILLION_BIG_BYTES=5368709120 PILLION_LONG=1 PILLION_HISTORY_SECONDS=${PILLION_HISTORY_SECONDS:-180}
  limit=1800
fi
while read -r target; do
  case $target in
    *_redis_integration_tests) run_spread "$dir/$target" $limit ;;
    *_integration_tests)
      run_spread "$dir/$target" $limit
      run_spread "$dir/$target" $limit redis
      run_spread "$dir/$target" $limit both
      [ "$long" = no ] || run_spread "$dir/$target" $limit measured
      ;;
    *) run_unit "$dir/$target" ;;
  esac
done < <(executables 'tests/(.*/)?pillion_[a-z_]*_tests')
if [ "$preset" = release ]; then
  # The Python that Debian's python3-yaml is for, whatever else is installed.
  run_checks deploy /usr/bin/python3 "$root/tests/deploy/check_deploy.py" "$dir/$(executables '(.*/)?pillion')"
  run_checks instructions "$root/tests/bench/instructions.sh" "$dir/$(executables '(.*/)?pillion')"
  run_checks traceability /usr/bin/python3 "$root/tests/check_traceability.py"
  run_checks mutations-list "$root/tests/mutations/run.sh" --list
  show_speed
fi
if [ "$long" = yes ]; then
  dir=$fuzz_dir
  fuzz_all 60
  run_mutations
fi
echo "in $(($(date +%s) - begun)) s"
report
