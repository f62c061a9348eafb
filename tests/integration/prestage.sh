#!/usr/bin/env bash
# One image to many hosts, each in a network namespace of its own behind a link of MBIT/s (40):
# prestage.sh BIN [HOSTS [LARGE_MB [MBIT]]]: 20 MB in files of 100 kB, of which LARGE_MB (5) are one
# file. One host is down. The rest have the image in the end, and its home has not sent it to each.
set -euo pipefail
PATH=$(realpath "$1"):$PATH
hosts=${2:-8}
large_mb=${3:-5}
mbit=${4:-40}
root=$(mktemp -d /var/tmp/strata-prestage.XXXXXX)
bridge=strata-prestage-bridge-$$
daemons=()
namespaces=("$bridge")

clean_up() {
  local code=$?
  [ $code -eq 0 ] || tail -n 5 "$root"/*.log >&2 || true
  [ ${#daemons[@]} -eq 0 ] || kill "${daemons[@]}" 2>/dev/null || true
  wait || true
  for namespace in "${namespaces[@]}"; do
    if [ -n "$(ip netns pids "$namespace" 2>/dev/null)" ]; then
      echo "prestage: processes stayed behind in $namespace" >&2
      code=1
    fi
    ip netns delete "$namespace" 2>/dev/null || true
  done
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "prestage: $*" >&2; exit 1; }
calculate() { awk "BEGIN { printf \"%.2f\", $1 }"; }
on() { vimage "${@:2}" --socket "$root/$1-run/imaged.sock"; }
sent() { ip netns exec "strata-prestage-$1-$$" cat /sys/class/net/eth0/statistics/tx_bytes; }

ip netns add "$bridge"
ip -n "$bridge" link add br0 type bridge
ip -n "$bridge" link set br0 up
for i in $(seq 0 "$hosts"); do
  namespace=strata-prestage-h$i-$$
  namespaces+=("$namespace")
  ip netns add "$namespace"
  ip -n "$namespace" link add eth0 type veth peer name "h$i" netns "$bridge"
  ip -n "$namespace" address add "10.79.0.$((i + 1))/24" dev eth0
  ip -n "$namespace" link set lo up
  ip -n "$namespace" link set eth0 up
  ip -n "$bridge" link set "h$i" master br0 up
  for end in "$namespace eth0" "$bridge h$i"; do
    read -r where device <<<"$end"
    tc -n "$where" qdisc add dev "$device" root tbf rate "${mbit}mbit" burst 64kb latency 200ms
  done
  : >"$root/h$i.log"
  ip netns exec "$namespace" imaged --state-dir "$root/h$i" --run-dir "$root/h$i-run" \
    --peer-name "h$i" --peer-listen "10.79.0.$((i + 1)):7443" 2>>"$root/h$i.log" &
  daemons+=($!)
  timeout 20 grep -q -m1 serves < <(tail -n +1 -F --pid=$! "$root/h$i.log" 2>/dev/null) ||
    die "imaged of h$i does not start"
  if [ "$i" = 0 ]; then on h0 host init >/dev/null; else
    on h0 host token 2>/dev/null | on "h$i" host join - >/dev/null
  fi
done

mkdir "$root/image"
for i in $(seq $((200 - 10 * large_mb))); do head -c 100000 /dev/urandom >"$root/image/f$i"; done
head -c ${large_mb}000000 /dev/urandom >"$root/image/large"
bytes=20000000
on h0 import "$root/image" tools >/dev/null

echo "== one host: what a copy over one link takes"
start=$EPOCHREALTIME
on h1 pull h0 root/tools >/dev/null
one=$(calculate "$EPOCHREALTIME - $start")
on h1 delete root/tools >/dev/null

echo "== $hosts hosts, one of them down"
down=$((hosts / 2))
kill "${daemons[$down]}"
wait "${daemons[$down]}" || true
unset "daemons[$down]"
# CPU seconds of all daemons so far.
used() {
  for pid in "${daemons[@]}"; do cat "/proc/$pid/stat"; done |
    awk -v hz="$(getconf CLK_TCK)" '{ ticks += $14 + $15 } END { print ticks / hz }'
}
before=$(sent h0)
used_before=$(used)
start=$EPOCHREALTIME
code=0
# shellcheck disable=SC2046
on h0 prestage root/tools $(seq -f 'h%g' 1 "$hosts") --json >"$root/result" || code=$?
all=$(calculate "$EPOCHREALTIME - $start")
used=$(calculate "$(used) - $used_before")
[ $code = 1 ] || die "a prestage with a host down exited with $code: $(cat "$root/result")"
for i in $(seq 1 "$hosts"); do
  [ "$i" = "$down" ] && continue
  on "h$i" fsck root/tools >/dev/null || die "h$i has not got it: $(cat "$root/result")"
done
times=$(calculate "($(sent h0) - $before) / $bytes")
echo "$hosts hosts in $(calculate "$all / $one") times of one; the home sent it $times times;" \
  "$all s, in which all used $used s of CPU"
[ "$(calculate "$times < 2.5")" = 1.00 ] || die "the home sent the image $times times"
