#!/bin/sh
# Installs the Debian 12 packages that Pillion needs, and only those that are missing: a second run touches nothing.
#
#   deploy/install-dependencies.sh [--list] [build|test|all|runtime]...
#
#   build    to compile it (the default)
#   test     build, and what tests/run.sh needs
#   all      test, and what .ci/run needs: sanitizers, fuzzing, format check
#   runtime  the shared libraries that a compiled binary needs, for an image without a compiler
#   --list   names the packages instead, one a line, installed or not
#
# Needs root or sudo where something is missing. Services of what it installs (redis, nginx, prometheus) are neither
# started nor left enabled: the tests start programs of their own.
set -eu

build="clang-19 lld-19 cmake ninja-build ccache libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev
  libhiredis-dev libzstd-dev libbrotli-dev zlib1g-dev libyaml-cpp-dev libspdlog-dev libcli11-dev libssl-dev libxxhash-dev prometheus-cpp-dev doctest-dev"
test="redis-server redis-tools nginx-light openssl prometheus python3 python3-yaml valgrind nodejs"
checks="libclang-rt-19-dev llvm-19 clang-format-19 git"
runtime="libboost-container1.81.0 libboost-json1.81.0 libboost-url1.81.0 libhiredis0.14 libzstd1 libbrotli1 zlib1g libyaml-cpp0.7 libspdlog1.10
  libfmt9 libssl3 libprometheus-cpp-core1.0 ca-certificates"
services="redis-server nginx prometheus"

wanted=""
list=no
for group in "${@:-build}"; do
  case $group in
    --list) list=yes ;;
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $build $test" ;;
    all) wanted="$wanted $build $test $checks" ;;
    runtime) wanted="$wanted $runtime" ;;
    -h | --help)
      sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p}' "$0"
      exit 0
      ;;
    *)
      echo "install-dependencies.sh: '$group' is no group: use build, test, all or runtime" >&2
      exit 2
      ;;
  esac
done
[ -n "$wanted" ] || wanted=$build
if [ "$list" = yes ]; then
  # shellcheck disable=SC2086  # a list of packages, to be split
  printf '%s\n' $wanted | sort -u
  exit 0
fi

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

if ! command -v dpkg-query >/dev/null 2>&1; then
  echo "install-dependencies.sh: this is not Debian; install the equivalents of:$wanted" >&2
  exit 1
fi
missing=""
for package in $wanted; do
  case " $missing " in *" $package "*) continue ;; esac
  installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  as_root=""
elif command -v sudo >/dev/null 2>&1; then
  as_root="sudo"
  [ -t 0 ] || as_root="sudo -n" # nobody is there to type a password
else
  echo "install-dependencies.sh: run as root, since there is no sudo: apt-get install --no-install-recommends$missing" >&2
  exit 1
fi

# While we install, a policy-rc.d keeps packages from starting their services (Debian policy 9.11). One that is there
# already, as in container images, is left as it is.
policy=/usr/sbin/policy-rc.d
ours=no
idle_before=""
for service in $services; do installed "$service" || idle_before="$idle_before $service"; done
tidy() {
  if [ "$ours" = yes ]; then $as_root rm -f "$policy"; fi
  if [ -d /run/systemd/system ]; then
    for service in $idle_before; do
      if installed "$service"; then $as_root systemctl --quiet disable "$service" >/dev/null 2>&1 || true; fi
    done
  fi
}
trap tidy EXIT
trap 'exit 130' INT TERM
if [ ! -e "$policy" ]; then
  ours=yes
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
  $as_root chmod 755 "$policy"
fi

log=$(mktemp)
apt() {
  if ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
    -o Dpkg::Use-Pty=0 "$@" </dev/null >"$log" 2>&1; then
    echo "install-dependencies.sh: apt-get $1 failed:" >&2
    tail -n 20 "$log" >&2
    rm -f "$log"
    exit 1
  fi
}
echo "installing:$missing"
apt update
# shellcheck disable=SC2086  # a list of packages, to be split
apt install -y --no-install-recommends $missing
rm -f "$log"
