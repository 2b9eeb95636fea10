#!/bin/bash
# Breaks rules of HTTP caching on purpose, one at a time, and sees that a black-box test turns red for each.
#
#   tests/mutations/run.sh [--build-dir DIR] [--list] [WORD...]
#
#   WORD         only rules whose line or file has one of these words in it
#   --build-dir  keep the copy of the sources and its build there, so that the next run builds little
#   --list       print the rules and check that each text is found exactly once; build nothing
#
# The rules stand in list.txt beside this file, which says how they are written. The checkout is never changed: it is
# copied and built once, each rule is broken in the copy, `pillion` alone is built again, and pillion_integration_tests,
# built from what is unbroken, drives it. A rule fails where its text is not found exactly once, where what is broken
# doesn't build, where its test isn't green with the unbroken binary, or where it stays green with the broken one.
#
# Ends with the line `N passed, M failed`. Exit 0 where at least one rule was broken and none failed, else 1; 2 for
# wrong usage.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

usage() {
  echo "run.sh: $1; usage:" >&2
  sed -n '2,/^# wrong usage/s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
work=""
list_only=no
words=()
while [ $# -gt 0 ]; do
  case $1 in
    --build-dir) work=${2:-} && [ -n "$work" ] || usage "--build-dir needs a folder" && shift ;;
    --list) list_only=yes ;;
    -*) usage "'$1' is no option" ;;
    *) words+=("$1") ;;
  esac
  shift
done

# --- the list --------------------------------------------------------------------------------------------------------

# Rules, and the changes that break each: those of rule i have owners[change] = i.
rules=() tests=()
owners=() files=() befores=() afters=()
clear_change() { file="" before="" after="" has_after=no; }
add_change() {
  [ -n "$file$before" ] || return 0
  if [ -z "$file" ] || [ -z "$before" ]; then usage "list.txt:$line_number: a change needs file and from"; fi
  owners+=(${#rules[@]}) files+=("$file") befores+=("$before") afters+=("$after")
  clear_change
}
add_rule() {
  add_change
  [ -n "$rule$test" ] || return 0
  if [ -z "$rule" ] || [ -z "$test" ] || [ "${owners[-1]:-}" != ${#rules[@]} ]; then
    usage "list.txt:$line_number: an entry needs rule, file, from and test"
  fi
  rules+=("$rule") tests+=("$test")
  rule="" test=""
}
read_list() {
  local line line_number=0 rule="" test="" file before after has_after
  clear_change
  while IFS= read -r line || [ -n "$line" ]; do
    line_number=$((line_number + 1))
    case $line in
      '#'*) ;;
      '') add_rule ;;
      'rule: '*) rule=${line#rule: } ;;
      'file: '*) add_change && file=${line#file: } ;;
      'test: '*) test=${line#test: } ;;
      'from: '*) before+=${before:+$'\n'}${line#from: } ;;
      'to: '* | 'to:')
        line=${line#to:}
        [ "$has_after" = no ] || after+=$'\n'
        after+=${line# }
        has_after=yes
        ;;
      *) usage "list.txt:$line_number: what is '$line'?" ;;
    esac
  done <"$here/list.txt"
  line_number=$((line_number + 1))
  add_rule
}
read_list

changes_of() { # RULE-INDEX -> indexes of its changes
  local change
  for change in "${!owners[@]}"; do
    [ "${owners[change]}" != "$1" ] || echo "$change"
  done
}
is_chosen() { # RULE-INDEX
  local word change text=${rules[$1]}
  [ ${#words[@]} -gt 0 ] || return 0
  for change in $(changes_of "$1"); do text+=" ${files[change]}"; done
  for word in "${words[@]}"; do
    [[ $text == *"$word"* ]] && return 0
  done
  return 1
}

# --- results ---------------------------------------------------------------------------------------------------------

passed=0
failed=0
failures=()
fail() { # RULE WHY
  failed=$((failed + 1))
  failures+=("$1: $2")
  echo "FAILED  $1: $2"
}
report() {
  [ ${#failures[@]} = 0 ] || printf 'FAILED: %s\n' "${failures[@]}"
  if [ $((passed + failed)) = 0 ]; then
    echo "no rule was broken"
    failed=1
  fi
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ] || exit 1
  exit 0
}

# --- breaking and mending --------------------------------------------------------------------------------------------

# Puts the file with that change made on standard output; fails where the text isn't there exactly once.
broken_text() { # CHANGE-INDEX FILE
  local whole head tail from=${befores[$1]}
  whole=$(<"$2") 2>/dev/null || return 1
  head=${whole%%"$from"*}
  [ "$head" != "$whole" ] || return 1
  tail=${whole#*"$from"}
  [ "${tail#*"$from"}" = "$tail" ] || return 1
  printf '%s%s%s\n' "$head" "${afters[$1]}" "$tail"
}

# The first file of a rule that can't be broken; nothing where all can.
unbreakable() { # RULE-INDEX ROOT
  local change
  for change in $(changes_of "$1"); do
    broken_text "$change" "$2/${files[change]}" >/dev/null || { echo "${files[change]}" && return; }
  done
}

if [ "$list_only" = yes ]; then
  for i in "${!rules[@]}"; do
    is_chosen "$i" || continue
    echo "${rules[i]} (${tests[i]})"
    file=$(unbreakable "$i" "$root")
    if [ -z "$file" ]; then passed=$((passed + 1)); else fail "${rules[i]}" "its text is not exactly once in $file"; fi
  done
  report
fi

kept=$work
if [ -z "$work" ]; then
  work=$(mktemp -d /tmp/pillion-mutations.XXXXXX)
else
  mkdir -p "$work" || usage "'$work' can't be made"
  work=$(cd "$work" && pwd)
fi
scratch=$(mktemp -d /tmp/pillion.XXXXXX) # short: Unix sockets are made below it
test_session=""
# shellcheck disable=SC2317  # called by the trap
finish() {
  [ -z "$test_session" ] || kill -KILL -- "-$test_session" 2>/dev/null
  rm -rf "$scratch"
  [ -n "$kept" ] || rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP
source_dir=$work/source
unbroken_dir=$work/unbroken
build=$work/build
log=$work/log
rm -rf "$unbroken_dir"

unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
export LC_ALL=C PATH=$PATH:/usr/sbin CCACHE_BASEDIR=$work CCACHE_NOHASHDIR=1

build_target() { # TARGET: what the compiler says is in $log where it fails
  timeout 1800 ninja -C "$build" "$1" >"$log" 2>&1
}

# Whether the tests that the filter names pass. A process group of their own: what hangs is ended as a whole.
run_tests() { # FILTER -> 0 green, 1 red
  local status
  PILLION_BIN=$pillion TMPDIR=$scratch setsid timeout -k 10 300 "$tests_binary" --no-version -tc="$1" \
    </dev/null >"$log" 2>&1 &
  test_session=$!
  wait "$test_session"
  status=$?
  kill -KILL -- "-$test_session" 2>/dev/null
  test_session=""
  rm -rf "${scratch:?}"/*
  return $((status != 0))
}

echo "copying and building what is unbroken in $work"
rm -rf "$source_dir" && mkdir -p "$source_dir"
tar -C "$root" --exclude=./build --exclude=./.git -cf - . | tar -C "$source_dir" -xf - || {
  fail "the sources" "they can't be copied"
  report
}
for file in "${files[@]}"; do
  [ -e "$source_dir/$file" ] || continue
  mkdir -p "$unbroken_dir/$(dirname "$file")"
  cp "$source_dir/$file" "$unbroken_dir/$file"
done
for file in "${files[@]}"; do # an earlier run may have left an object of the broken file that looks newer
  [ ! -e "$source_dir/$file" ] || touch "$source_dir/$file"
done
# Nothing of debugging information: only what the tests see counts, and it links in half the time.
if ! cmake -S "$source_dir" -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="${CXX:-clang++-19}" -DCMAKE_BUILD_TYPE=Debug \
  -DCMAKE_CXX_FLAGS_DEBUG=-O0 >"$log" 2>&1 || ! build_target pillion_integration_tests; then
  tail -n 40 "$log"
  fail "the unbroken build" "it doesn't build"
  report
fi
pillion=$build/proxy/pillion
tests_binary=$build/tests/integration/pillion_integration_tests

# --- the run ---------------------------------------------------------------------------------------------------------

declare -A green=() # what each filter gave with the unbroken binary
is_green_unbroken() { # FILTER
  if [ -z "${green[$1]:-}" ]; then
    green[$1]=no
    local count
    count=$("$tests_binary" --count --no-version -tc="$1" 2>/dev/null </dev/null | sed -n 's/.*filters: *//p')
    if [ "${count:-0}" -gt 0 ] && run_tests "$1"; then green[$1]=yes; fi
  fi
  [ "${green[$1]}" = yes ]
}

# The baseline of every filter first, while the binary is the unbroken one.
for i in "${!rules[@]}"; do
  if is_chosen "$i"; then is_green_unbroken "${tests[i]}" || true; fi
done

for i in "${!rules[@]}"; do
  is_chosen "$i" || continue
  rule=${rules[i]}
  if ! is_green_unbroken "${tests[i]}"; then
    fail "$rule" "'${tests[i]}' is not green with the unbroken binary, or names no test"
    continue
  fi
  file=$(unbreakable "$i" "$source_dir")
  if [ -n "$file" ]; then
    fail "$rule" "its text is not exactly once in $file"
    continue
  fi
  for change in $(changes_of "$i"); do
    file=$source_dir/${files[change]}
    broken_text "$change" "$file" >"$work/broken" && cp "$work/broken" "$file"
  done
  if ! build_target pillion; then
    grep -m 3 -E 'error|FAILED' "$log"
    fail "$rule" "what is broken doesn't build"
  elif run_tests "${tests[i]}"; then
    fail "$rule" "'${tests[i]}' stays green"
  else
    passed=$((passed + 1))
    echo "red     $rule"
  fi
  for change in $(changes_of "$i"); do # from another copy, since the checkout may have moved on
    cp "$unbroken_dir/${files[change]}" "$source_dir/${files[change]}"
  done
done
report
