#!/bin/bash
# Counts the user-space instructions of one memory hit, one pass-through and one miss that is stored of the release
# binary (callgrind) and fails where they are more than 5 % over what tests/bench/instructions.txt has. The same on a busy
# machine; some twenty seconds.
#
#   tests/bench/instructions.sh [--update] [--top] [BINARY]
#
#   --update   writes what was counted into instructions.txt, to be committed with what changed it
#   --top      shows which functions they are
#   BINARY     default: build/release/proxy/pillion
#
# Ends with the line `N passed, M failed`; exit 0 where none failed.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
options=()
while [ "${1:-}" = --update ] || [ "${1:-}" = --top ]; do options+=("$1") && shift; done
binary=${1:-$root/build/release/proxy/pillion}
if ! command -v callgrind_control >/dev/null || [ ! -x "$binary" ]; then
  echo "instructions.sh: it needs valgrind (apt-get install valgrind) and a release binary ($binary)"
  echo "0 passed, 1 failed"
  exit 1
fi
export PYTHONDONTWRITEBYTECODE=1
exec python3 "$root/tests/bench/driver/instructions.py" --pillion "$binary" "${options[@]}"
