#!/usr/bin/env bash
# The encrypted network of two hosts by vnetd alone: fabric.sh BIN. Two namespaces follow files; each is
# told the other's key. vnet says who was heard, vnetd is killed and nothing stops, `vnetd --down` leaves
# nothing but the key.
set -euo pipefail
PATH=$(realpath "$1"):$PATH
root=$(mktemp -d /var/tmp/strata-fabric.XXXXXX)
declare -A daemon=() instance=() key=()
space() { echo "strata-fabric-$1-$$"; }
inside() { nsenter --net="/run/netns/$(space "$1")" "${@:2}"; }
vn() { STRATA_RUN_DIR="$root/$1-run" inside "$1" vnet "${@:2}"; }
down() { inside "$1" vnetd --down --state-dir "$root/$1-state" --run-dir "$root/$1-run" 2>>"$root/$1.log"; }
nothing_of() {
  ! ip -n "$(space "$1")" -br link | grep "^s[0-9a-f]" &&
    ! inside "$1" nft list tables | grep strata && [ -z "$(ip netns pids "$(space "$1")")" ]
}
clean_up() {
  local code=$? host
  for host in "${!daemon[@]}"; do
    kill "${daemon[$host]}" 2>/dev/null || true
    wait "${daemon[$host]}" 2>/dev/null || true
  done
  [ $code -eq 0 ] || tail -n 20 "$root"/*.log >&2 || true
  for host in a b; do
    down "$host" || code=1
    await nothing_of "$host" || { echo "fabric: something of $host stayed behind" >&2; code=1; }
    ip netns delete "$(space "$host")" 2>/dev/null || true
  done
  rm -rf --one-file-system "$root"
  exit $code
}
die() { echo "fabric: $*" >&2; exit 1; }
await() {
  for _ in $(seq 600); do
    "$@" && return 0
    sleep 0.05
  done
  return 1
}
start() {
  : >"$root/$1.log"
  nsenter --net="/run/netns/$(space "$1")" vnetd --state-dir "$root/$1-state" --run-dir "$root/$1-run" \
    --file "$root/$1.json" --metrics 127.0.0.1:9640 2>>"$root/$1.log" &
  daemon[$1]=$!
  timeout 20 grep -q -m1 serves < <(tail -n +1 -F --pid="${daemon[$1]}" "$root/$1.log" 2>/dev/null) ||
    die "vnetd of $1 does not start"
}
# With the other's key, once that is known.
say() {  # HOST NUMBER OTHER OTHER'S-NUMBER
  local peers=
  [ -z "${key[$3]:-}" ] || peers="{\"host\": \"$3\", \"address\": \"10.88.0.$4\", \"key\": \"${key[$3]}\",
    \"endpoint\": \"192.0.2.$4:51820\"}"
  cat >"$root/$1.new" <<JSON
{"instance": "${instance[$1]}", "pool": "10.90.0.0/16",
 "fabric": {"prefix": "10.88.0.0/16", "address": "10.88.0.$2", "peers": [$peers]}}
JSON
  mv "$root/$1.new" "$root/$1.json"
}
trap clean_up EXIT

for host in a b; do
  ip netns add "$(space "$host")"
  ip -n "$(space "$host")" link set lo up
  mkdir -p "$root/$host-state"
  # A file of nobody's says whose it should be.
  echo '{"instance": "00000", "pool": "10.90.0.0/16"}' >"$root/$host.json"
  instance[$host]=$(inside "$host" vnetd --state-dir "$root/$host-state" --run-dir "$root/$host-run" \
    --file "$root/$host.json" 2>&1 | sed -n 's/.*this one is \([0-9a-f]*\),.*/\1/p') || true
  [ -n "${instance[$host]}" ] || die "vnetd does not say its instance"
done
ip -n "$(space a)" link add up0 type veth peer name up0 netns "$(space b)"
ip -n "$(space a)" address add 192.0.2.1/24 dev up0
ip -n "$(space b)" address add 192.0.2.2/24 dev up0
for host in a b; do ip -n "$(space "$host")" link set up0 up; done

say a 1 b 2
say b 2 a 1
for host in a b; do
  start "$host"
  key[$host]=$(vn "$host" show --json | jq -r .fabric.key)
  [ ${#key[$host]} = 44 ] || die "$host tells no key"
done
say a 1 b 2
say b 2 a 1
ping_b() { inside a busybox ping -c1 -W1 10.88.0.2 >/dev/null; }
await ping_b || die "b is not reached: $(vn a show)"
vn a show | grep -q '^b .*10.88.0.2' || die "vnet show names nobody: $(vn a show)"
vn a show --json | jq -e '.fabric.peers[0].last_handshake_unix_ms | tonumber > 0' >/dev/null ||
  die "b was never heard"
vn a doctor | grep -q '1 of 1 other hosts answer in it' || die "$(vn a doctor)"
inside a curl -sf http://127.0.0.1:9640/metrics | grep -q '^strata_net_fabric_received_bytes_total{host="b"} [1-9]' ||
  die "Prometheus is not told"
[ "$(vn a plan)" = "nothing to do" ] || die "something is left to do: $(vn a plan)"

# Nobody finds the private key in what is told.
private=$(cat "$root/a-state/fabric.key")
! { vn a show --json; vn a plan --rules; cat "$root/a-run/networks" "$root/a.log" 2>/dev/null; } | grep -qF "$private" ||
  die "the private key is told"

kill -KILL "${daemon[b]}"
wait "${daemon[b]}" 2>/dev/null || true
ping_b || die "without vnetd nothing passes"
before=$(ip netns pids "$(space b)")
start b
ip netns pids "$(space b)" | grep -qx "$before" || die "the fabric was made anew"
ping_b || die "b is not reached any more"

# The other key: not heard, and said.
key[b]=${key[a]:0:20}BBBB${key[a]:24}
say a 1 b 2
silent() { { vn a doctor || true; } | grep -q 'host b (10.88.0.2) was never heard in the fabric and does not answer'; }
await silent || die "$(vn a doctor)"
