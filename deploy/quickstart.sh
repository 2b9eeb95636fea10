#!/bin/bash
# Installs what Pillion needs (Debian 12), builds it and runs its demonstration, which stays up until interrupted.
#
#   deploy/quickstart.sh [what `pillion demo` takes]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

echo "1/3 what Pillion is built with (Debian packages; only what is missing)"
"$root/deploy/install-dependencies.sh" build
echo "2/3 build (a first one takes some minutes)"
built=$("$root/deploy/build.sh" --path pillion)
pillion=$(tail -n 1 <<<"$built")
[ -x "$pillion" ] || { echo "quickstart.sh: the build made no executable 'pillion'" >&2 && exit 1; }
echo "3/3 $pillion demo $*"
exec "$pillion" demo "$@"
