#!/usr/bin/env bash
# An image goes from host to host over a slow link, breaks off and goes on: pull.sh BIN. Each host is
# an imaged in a network namespace of its own; the link has 40 Mbit/s.
set -euo pipefail
PATH=$(realpath "$1"):$PATH
root=$(mktemp -d /var/tmp/strata-pull.XXXXXX)
a=strata-pull-a-$$
b=strata-pull-b-$$
declare -A daemon=()

clean_up() {
  local code=$?
  [ $code -eq 0 ] || tail -n 30 "$root"/*.log >&2 || true
  [ ${#daemon[@]} -eq 0 ] || kill "${daemon[@]}" 2>/dev/null || true
  wait || true
  for namespace in $a $b; do
    if [ -n "$(ip netns pids "$namespace" 2>/dev/null)" ]; then
      echo "pull: processes stayed behind in $namespace" >&2
      code=1
    fi
    ip netns delete "$namespace" 2>/dev/null || true
  done
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "pull: $*" >&2; exit 1; }
# start NAME NAMESPACE ADDRESS
start() {
  : >"$root/$1.log"
  ip netns exec "$2" imaged --state-dir "$root/$1" --run-dir "$root/$1-run" --peer-name "$1" \
    --peer-listen "$3:7443" 2>>"$root/$1.log" &
  daemon[$1]=$!
  timeout 20 grep -q -m1 serves < <(tail -n +1 -F --pid=$! "$root/$1.log" 2>/dev/null) ||
    die "imaged of $1 does not start"
}
on() { vimage "${@:2}" --socket "$root/$1-run/imaged.sock"; }
objects() { find "$root/$1/imaged/store/objects" -type f | wc -l; }
# Waits for a condition, 10 s at most.
await() {
  for _ in $(seq 200); do
    "$@" && return
    sleep 0.05
  done
  return 1
}
has_come() { [ "$(partial_bytes)" -gt "$1" ]; }
partial_bytes() { du -cb "$root"/b/imaged/store/partial/* 2>/dev/null | awk 'END { print $1 + 0 }'; }

ip netns add "$a"
ip netns add "$b"
ip -n "$a" link add eth0 type veth peer name eth0 netns "$b"
for end in "$a 10.78.0.1" "$b 10.78.0.2"; do
  read -r namespace address <<<"$end"
  ip -n "$namespace" address add "$address/24" dev eth0
  ip -n "$namespace" link set lo up
  ip -n "$namespace" link set eth0 up
  tc -n "$namespace" qdisc add dev eth0 root tbf rate 40mbit burst 64kb latency 200ms
done

mkdir "$root/image"
head -c 30000000 /dev/urandom >"$root/image/large"
for i in $(seq 200); do head -c 30000 /dev/urandom >"$root/image/f$i"; done
start a "$a" 10.78.0.1
start b "$b" 10.78.0.2
on a host init >/dev/null
on a host token 2>/dev/null | on b host join - >/dev/null
on a import "$root/image" tools:v1 >/dev/null

echo "== 1. the receiver is killed in the middle, and goes on where it was"
on b pull a tools:v1 >"$root/out" 2>&1 &
client=$!
await has_come 8000000 || die "nothing came in 10 s: $(cat "$root/out")"
kill -9 "${daemon[b]}"
wait "${daemon[b]}" 2>/dev/null || true
unset "daemon[b]"
if wait $client; then die "a pull survived its daemon"; fi
start b "$b" 10.78.0.2
mkdir "$root/other"
on b import "$root/other" other >/dev/null
on b delete other >/dev/null  # A collection, which must leave what has come.
on b pull a tools:v1 --json >"$root/result"
[ "$(jq -r .resumed_bytes "$root/result")" -gt 7000000 ] || die "it began anew: $(cat "$root/result")"
on b fsck >/dev/null
[ "$(objects a)" = "$(objects b)" ] || die "b has other objects than a"

echo "== 2. the next version: what changed, and not what did not"
printf 'x' | dd of="$root/image/large" bs=1 seek=15000000 conv=notrunc status=none
echo changed >>"$root/image/f7"
on a import "$root/image" tools:v2 >/dev/null
on b pull a tools:v2 --json >"$root/result"
wire=$(jq -r .wire_bytes "$root/result")
[ "$wire" -lt 400000 ] || die "$wire bytes moved for two small changes"

echo "== 3. a limit holds, the sender may vanish, and then it goes on"
head -c 20000000 /dev/urandom >"$root/image/other"
on a import "$root/image" tools:v3 >/dev/null
on b pull a tools:v3 --limit 2M >"$root/out" 2>&1 &
client=$!
await has_come 2000000 || die "nothing came in 10 s: $(cat "$root/out")"
kill -9 "${daemon[a]}"
wait "${daemon[a]}" 2>/dev/null || true
unset "daemon[a]"
if wait $client; then die "a pull survived its source"; fi
grep -q "host a" "$root/out" || die "the error does not name the host: $(cat "$root/out")"
if on b show tools:v3 2>/dev/null >&2; then die "half an image is there"; fi
start a "$a" 10.78.0.1
on b pull a tools:v3 --json >"$root/result"
[ "$(jq -r .resumed_bytes "$root/result")" -gt 1000000 ] || die "it began anew: $(cat "$root/result")"

echo "== 4. back, by a push"
on b tag tools:v3 tools:back >/dev/null
on b push tools:back a --json >"$root/result"
[ "$(jq -r .objects "$root/result")" = 0 ] || die "objects moved that were there"
on a diff tools:v3 tools:back | grep -q "^0 added" || die "what came back is not what went"
on b fsck >/dev/null

echo "== 5. a copy that may go, and one that is kept"
on b pull a tools:v2 --as copy --cached >/dev/null
[ "$(on b show copy --json | jq -r '.image.labels["strata.cached"]')" = a ] || die "no mark on the copy"
on b tag copy kept >/dev/null
[ "$(on b show kept --json | jq -r '.image.labels["strata.cached"]')" = null ] || die "it is not kept"
