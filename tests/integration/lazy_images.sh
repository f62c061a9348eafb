#!/usr/bin/env bash
# A container runs on a host that has next to nothing of its image: lazy_images.sh BIN [ARCHIVE].
# Three hosts in network namespaces behind links of 24 Mbit/s (3 MB/s). The first start of the image
# was watched at its home, so its lazy copy brings first what a start opens. ARCHIVE: an image with
# /bin/sh to measure with, instead of busybox and noise.
set -euo pipefail
PATH=$(realpath "$1"):$PATH
root=$(mktemp -d /var/tmp/strata-lazy-images.XXXXXX)
chmod 755 "$root"  # Containers have to pass it.
bridge=strata-lazy-bridge-$$
declare -A daemon=() vnetd=() clusters=()
namespaces=("$bridge")

clean_up() {
  local code=$? name
  [ $code -eq 0 ] || tail -n 20 "$root"/*.log >&2 || true
  for name in "${!clusters[@]}"; do
    kill "${clusters[$name]}" && wait "${clusters[$name]}" || true
    [ -n "${daemon[$name]:-}" ] || start "$name"
    vclusterd --down --state-dir "$root/$name" --run-dir "$root/$name-run" 2>>"$root/down.log" ||
      { cat "$root/down.log" >&2; code=1; }
  done
  for name in "${daemon[@]}" "${vnetd[@]}"; do kill "$name" 2>/dev/null || true; done
  wait || true
  if grep -q "$root" /proc/self/mountinfo; then
    echo "lazy_images: mounts stayed behind" >&2
    code=1
  fi
  for name in "${namespaces[@]}"; do
    if [ -n "$(ip netns pids "$name" 2>/dev/null)" ]; then
      echo "lazy_images: processes stayed behind in $name" >&2
      code=1
    fi
    ip netns delete "$name" 2>/dev/null || true
  done
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "lazy_images: $*" >&2; exit 1; }
calculate() { awk "BEGIN { printf \"%.3f\", $1 }"; }
on() { vimage "${@:2}" --socket "$root/$1-run/imaged.sock"; }
in_cluster() { STRATA_RUN_DIR="$root/$1-run" vcluster "${@:2}"; }
serves() {  # NAME LOG PID
  timeout 20 grep -q -m1 serves < <(tail -n +1 -F --pid="$3" "$2" 2>/dev/null) ||
    die "a daemon of $1 does not start"
}
start() {  # NAME
  local number
  number=$(($(printf '%d' "'$1") - 96))
  : >"$root/$1.log"
  ip netns exec "strata-lazy-$1-$$" imaged --state-dir "$root/$1" --run-dir "$root/$1-run" \
    --peer-name "$1" --peer-listen "10.77.0.$number:7443" --read-patience 3 2>>"$root/$1.log" &
  daemon[$1]=$!
  serves "$1" "$root/$1.log" $!
}
stop() {
  kill "${daemon[$1]}"
  wait "${daemon[$1]}" || true
  unset "daemon[$1]"
}
start_clusters() {  # NAME POOL
  : >"$root/$1-vnetd.log"
  vnetd --state-dir "$root/$1" --run-dir "$root/$1-run" 2>>"$root/$1-vnetd.log" &
  vnetd[$1]=$!
  serves "$1" "$root/$1-vnetd.log" $!
  : >"$root/$1-clusters.log"
  vclusterd --state-dir "$root/$1" --run-dir "$root/$1-run" --subnet-pool "$2" --record-starts 3 \
    2>>"$root/$1-clusters.log" &
  clusters[$1]=$!
  serves "$1" "$root/$1-clusters.log" $!
}
# Waits for a condition, 20 s at most.
await() {
  for _ in $(seq 400); do
    "$@" && return
    sleep 0.05
  done
  return 1
}
start_is_known() { [ "$(on a show tools --json | jq -r '.start_objects // 0')" -gt 0 ]; }
use() { in_cluster "$1" exec "$2/0" -- /bin/sh -c 'cat /usr/share/wanted/*' >/dev/null; }

ip netns add "$bridge"
ip -n "$bridge" link add br0 type bridge
ip -n "$bridge" link set br0 up
for name in a b c; do
  namespace=strata-lazy-$name-$$
  namespaces+=("$namespace")
  ip netns add "$namespace"
  ip -n "$namespace" link add eth0 type veth peer name "host-$name" netns "$bridge"
  ip -n "$namespace" address add "10.77.0.$(($(printf '%d' "'$name") - 96))/24" dev eth0
  ip -n "$namespace" link set lo up
  ip -n "$namespace" link set eth0 up
  ip -n "$bridge" link set "host-$name" master br0 up
  for end in "$namespace eth0" "$bridge host-$name"; do
    read -r where device <<<"$end"
    tc -n "$where" qdisc add dev "$device" root tbf rate 24mbit burst 64kb latency 200ms
  done
  start "$name"
  if [ $name = a ]; then on a host init >/dev/null; else
    on a host token 2>/dev/null | on $name host join - >/dev/null
  fi
done

mkdir -p "$root/image/bin" "$root/image/usr/share/wanted" "$root/image/noise"
if [ $# -gt 1 ]; then tar -xf "$2" -C "$root/image"; else
  cp "$(command -v busybox)" "$root/image/bin/"
  ln -s busybox "$root/image/bin/sh"
  ln -s busybox "$root/image/bin/cat"
  for i in $(seq 150); do head -c 200000 /dev/urandom >"$root/image/noise/$i"; done
fi
head -c 2000000 /dev/urandom >"$root/image/noise/late"
for i in 1 2 3; do head -c 20000 /dev/urandom >"$root/image/usr/share/wanted/$i"; done
on a import "$root/image" tools >/dev/null

echo "== 1. the first start at home is watched"
start_clusters a 10.218.0.0/16
in_cluster a create first --image tools --nodes 1 >/dev/null
use a first
await start_is_known || die "what the start opened is not known"

echo "== 2. a lazy copy starts long before a whole one would be there"
start=$EPOCHREALTIME
on c pull a root/tools --as tools >/dev/null
whole=$(calculate "$EPOCHREALTIME - $start")
start_clusters b 10.219.0.0/16
start=$EPOCHREALTIME
on b pull a root/tools --as tools --lazy --limit 300K --json >"$root/lazy"
in_cluster b create second --image tools --nodes 1 >/dev/null
use b second
lazy=$(calculate "$EPOCHREALTIME - $start")
working_set=$(jq -r .bytes "$root/lazy")
echo "whole $whole s; lazy start $lazy s, $(calculate "$lazy / $whole") of it;" \
  "$(jq -r .wire_bytes "$root/lazy") bytes for a working set of $working_set"
[ "$(jq -r .objects_to_come "$root/lazy")" -gt 0 ] || die "all of it came: $(cat "$root/lazy")"
[ "$(calculate "$lazy < 0.5 * $whole")" = 1.000 ] || die "a lazy start took $lazy s, a pull $whole s"
on b show tools | grep -q 'to come' || die "show does not say that there is more to come"

echo "== 3. the seed ends: another host has the rest; nobody has it: an error, and in time"
stop a
in_cluster b exec second/0 -- /bin/cat /noise/late | cmp - "$root/image/noise/late"
stop c
start=$EPOCHREALTIME
! in_cluster b exec second/0 -- /bin/cat /noise/1 /noise/75 /noise/150 >/dev/null 2>&1 ||
  die "bytes out of nowhere"
took=$(calculate "$EPOCHREALTIME - $start")
[ "$(calculate "$took < 60")" = 1.000 ] || die "the error came after $took s"
use b second  # What is here is.

echo "== 4. the seed is back: the rest comes by itself; then it may end"
start a
stop b
start b  # Takes the fill up; without the limit it would be there before we looked.
on b fills --json | jq -e '.fills | length == 1' >/dev/null || die "the restart forgot the fill"
on b pull a root/tools --as tools >/dev/null  # The same image: what is missing, without a limit.
on b fills tools --wait >/dev/null
stop a
in_cluster b exec second/0 -- /bin/cat /noise/1 /noise/75 /noise/150 | cmp - <(
  cat "$root"/image/noise/1 "$root"/image/noise/75 "$root"/image/noise/150)
on b fsck >/dev/null
