#!/bin/bash
# Builds with a preset of CMakePresets.json, quietly: one line when it is done, the compiler's words where it failed.
#
#   deploy/build.sh [--preset release] [--build-dir DIR] [--path | --configure-only] [TARGET...]
#
# Configures where that was not done yet; does nothing twice. With --path the last line is where the executable
# TARGET was put. Without TARGET everything is built. ccache's folder is $CCACHE_DIR or ~/.cache/ccache.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

preset=release
dir=""
path=no
configure_only=no
targets=()
while [ $# -gt 0 ]; do
  case $1 in
    --preset) preset=${2:?} && shift ;;
    --build-dir) dir=${2:?} && shift ;;
    --path) path=yes ;;
    --configure-only) configure_only=yes ;;
    -*) echo "build.sh: '$1' is no option" >&2 && exit 2 ;;
    *) targets+=("$1") ;;
  esac
  shift
done
dir=${dir:-$root/build/$preset}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# Two checkouts share what they have in common: paths are relative to the checkout in the cache.
export CCACHE_DIR=${CCACHE_DIR:-${HOME:-/tmp}/.cache/ccache} CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1

log=$dir/build.log
fail() {
  echo "build.sh: $1; the whole log is $log" >&2
  if grep -q '^FAILED:' "$log"; then sed -n '/^FAILED:/,$p' "$log" | head -n 60 >&2; else tail -n 30 "$log" >&2; fi
  exit 1
}
begun=$(date +%s)
if [ ! -f "$dir/build.ninja" ]; then
  (cd "$root" && cmake --preset "$preset" -B "$dir") >"$log" 2>&1 </dev/null || fail "configuring failed"
fi
if [ "$configure_only" = yes ]; then
  ninja -C "$dir" build.ninja >"$log" 2>&1 </dev/null || fail "configuring failed" # where a CMakeLists.txt is newer
  exit 0
fi
NINJA_STATUS='%f of %t steps ' ninja -C "$dir" "${targets[@]}" >"$log" 2>&1 </dev/null &
ninja=$!
trap 'kill $ninja 2>/dev/null' INT TERM
(# Now and then, how far it is: nobody should wonder whether it hangs.
  exec >&2
  for ((waited = 1; ; waited++)); do
    sleep 1
    kill -0 "$ninja" 2>/dev/null || exit 0
    ((waited % 30)) || tail -n 1 "$log" | sed -n 's/^\([0-9]* of [0-9]* steps\) .*/  \1/p'
  done) &
wait $ninja || fail "building failed"
if ! grep -q 'no work to do' "$log"; then
  echo "built ${targets[*]:-everything} ($preset) in $(($(date +%s) - begun)) s"
fi

if [ "$path" = yes ]; then
  ninja -C "$dir" -t targets all | sed -n "s#^\(.*/\)\{0,1\}${targets[0]}: CXX_EXECUTABLE_LINKER.*#$dir/\1${targets[0]}#p"
fi
