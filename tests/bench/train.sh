#!/bin/bash
# Makes proxy/pillion.profdata anew, the profile that release builds are optimised with: builds a binary that counts
# how often which code runs, gives it the traffic of driver/train.py, and keeps what ran at all. To be committed, with
# what tests/bench/instructions.sh --update then says; worth it when hot code has changed.
#
#   tests/bench/train.sh [BUILD-DIR]        default: build/training
#
# Needs clang 19 with llvm-profdata-19, python3, openssl and redis-server; takes some minutes.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
dir=${1:-$root/build/training}
case ${1:-} in
  -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" && exit 0 ;;
esac
"$root/deploy/build.sh" --preset training --build-dir "$dir" pillion
dir=$(cd "$dir" && pwd)
rm -rf "$dir/counts"
mkdir "$dir/counts"
export PYTHONDONTWRITEBYTECODE=1 LLVM_PROFILE_FILE=$dir/counts/%p.profraw PATH=$PATH:/usr/sbin
python3 "$root/tests/bench/driver/train.py" --pillion "$dir/proxy/pillion"
llvm-profdata-19 merge --sparse -o "$root/proxy/pillion.profdata" "$dir"/counts/*.profraw
ls -l "$root/proxy/pillion.profdata"
