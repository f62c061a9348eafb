#!/usr/bin/env bash
# vnetd alone: vnetd.sh BIN. In a network namespace it makes what a file says, tells what it would do
# and does, mends what others break, and is killed and started again while nodes speak. Nothing is left.
set -euo pipefail
PATH=$(realpath "$1"):$PATH
root=$(mktemp -d /var/tmp/strata-vnetd.XXXXXX)
chmod 755 "$root"  # Others than root try, too.
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run
host=strata-vnetd-$$
nodes=("$host-a" "$host-b" "$host-c")
daemon= watcher= speaker=
inside() { nsenter --net="/run/netns/$host" "$@"; }
clean_up() {
  local code=$? pid name
  for pid in $speaker $watcher $daemon; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  [ $code -eq 0 ] || tail -n 30 "$root"/*.log >&2 || true
  inside vnetd --down 2>>"$root/down.log" || { cat "$root/down.log" >&2; code=1; }
  if inside ip -br link | grep "^s" || inside nft list tables | grep strata; then
    echo "vnetd: something stayed behind" >&2
    code=1
  fi
  for name in "${nodes[@]}" "$host"; do ip netns delete "$name" 2>/dev/null || true; done
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "vnetd: $*" >&2; exit 1; }
await() {
  for _ in $(seq 400); do
    "$@" && return
    sleep 0.05
  done
  return 1
}
start() {
  : >"$root/vnetd.log"
  # shellcheck disable=SC2086
  nsenter --net="/run/netns/$host" vnetd --metrics 127.0.0.1:0 ${file:+--file "$file"} 2>>"$root/vnetd.log" &
  daemon=$!
  timeout 20 grep -q -m1 serves < <(tail -n +1 -F --pid=$daemon "$root/vnetd.log" 2>/dev/null) ||
    die "it does not start"
}
vn() { inside vnet "$@"; }

for name in "$host" "${nodes[@]}"; do
  ip netns add "$name"
  ip -n "$name" link set lo up
done
file=
start
instance=$(sed -n 's/.*, instance \([0-9a-f]*\)$/\1/p' "$root/vnetd.log")
bridge1=s${instance}b1 bridge2=s${instance}b2
networks() {  # A Vcluster of two nodes here and one elsewhere, and one of a single node.
  cat <<EOF
{"instance": "$instance", "pool": "10.81.0.0/16", "pool6": "fd81:8181:8100::/40", "networks": [
  {"number": 1, "prefix": "10.81.1.0/24", "nodes": [{"index": 0}, {"index": 1}],
   "names": {"domain": "hpc", "names": [{"name": "web-0", "addresses": ["10.81.1.2"]},
     {"name": "web", "addresses": ["10.81.1.2", "10.81.1.9"]}]},
   "overlay": {"local": "127.0.0.1", "remotes": [{"address": "10.81.1.9", "host": "192.0.2.9"}]}},
  {"number": 2, "prefix": "10.81.2.0/24", "nodes": [{"index": 0}]}]}
EOF
}
networks >"$root/networks.json"

echo "== what a file would change is told, and nothing is changed"
vn show | grep -q "nobody has said yet" || die "it shows networks that nobody asked for"
vn plan "$root/networks.json" >"$root/plan"
grep -q "^+ bridge $bridge1 up mtu 1450" "$root/plan" || die "the plan is: $(cat "$root/plan")"
grep -q '^+ address 10.81.2.1/24' "$root/plan" || die "the plan is: $(cat "$root/plan")"
[ "$(vn plan "$root/networks.json" --json | jq -r '.changes | length')" = \
  "$(grep -c -v '^~ rules' "$root/plan")" ] || die "JSON says something else"
! inside ip link show "$bridge1" 2>/dev/null || die "a plan made a bridge"
code=0
message=$(echo '{"instance": "zz"}' >"$root/bad.json"; vn plan "$root/bad.json" 2>&1) || code=$?
[ $code != 0 ] || die "a bad file is planned"
grep -q 'instance: not five lower-case hex digits' <<<"$message" || die "it is not said why: $message"
kill -TERM $daemon && wait $daemon || die "it ends with an error"

echo "== a file is followed"
file=$root/networks.json
start
[ "$(vn plan)" = "nothing to do" ] || die "something is left to do: $(vn plan)"
vn show | grep -q "as $file says" || die "it does not say whose word it is"
[ "$(vn show --json | jq '.networks.networks | length')" = 2 ] || die "not two networks"
[ "$(vn show --json | jq -r '.networks.networks[0] | .nodes[1].address6, .overlay.remotes[0].address6' | paste -sd ' ')" = \
  "fd81:8181:8100:1::3 fd81:8181:8100:1::9" ] || die "not the addresses of IPv6: $(vn show --json)"
! setpriv --reuid=61001 --regid=61001 --clear-groups vnet show 2>"$root/refused.log" ||
  die "anybody may look"
grep -q "only root" "$root/refused.log" || die "it is not said why: $(cat "$root/refused.log")"

# Nodes as liblxc would have them: a veth of a known name.
join() {  # NAMESPACE NETWORK INDEX
  local link mac address
  read -r link mac address < <(vn show --json | jq -r --argjson network "$2" --argjson index "$3" \
    '.networks.networks[] | select(.number == $network).nodes[] | select(.index == $index)
     | "\(.link) \(.mac) \(.address)"')
  ip -n "$host" link add "$link" type veth peer name eth0 netns "$1" address "$mac"
  ip -n "$host" link set "$link" master "s${instance}b$2" up
  [ "$2" != 1 ] || ip -n "$1" link set eth0 mtu 1450
  ip -n "$1" address add "$address/24" dev eth0
  ip -n "$1" link set eth0 up
  ip -n "$1" route add default via "10.81.$2.1"
}
join "${nodes[0]}" 1 0
join "${nodes[1]}" 1 1
join "${nodes[2]}" 2 0
reaches() { ip netns exec "$1" busybox ping -c 1 -W 3 "$2" >/dev/null; }
reaches "${nodes[0]}" 10.81.1.3 || die "a node does not reach its neighbour"
! ip netns exec "${nodes[0]}" busybox ping -c 1 -W 1 10.81.2.2 >/dev/null || die "one Vcluster reaches another"

echo "== nodes are told the names of their own network"
resolves() {  # NODE NAME ADDRESS...: by its gateway alone
  local name=$2 node=$1
  shift 2
  [ "$(ip netns exec "$node" busybox nslookup "$name" 10.81.1.1 2>/dev/null | sed -n '3,$s/^Address: //p' | sort | xargs)" = "$*" ]
}
resolves "${nodes[0]}" web-0.hpc 10.81.1.2 || die "a node is not told another's address"
resolves "${nodes[1]}" web 10.81.1.2 10.81.1.9 || die "a role does not have all addresses"
! resolves "${nodes[2]}" web-0.hpc 10.81.1.2 || die "another Vcluster is told"
vn show | grep -q "web.hpc *10.81.1.2 10.81.1.9" || die "names are not shown: $(vn show)"
[ "$(vn show --json | jq -r .name_service.problem)" = "" ] || die "$(vn show)"
names() { pgrep -f "^[^ ]*vnet-names $root/run/"; }
answering=$(names) || die "nobody answers for names"

echo "== killed and started again, while nodes speak"
# A line ten times a second there and back; who is cut off for more than a moment ends.
cat >"$root/speak.py" <<'EOF'
import select, socket, sys, time
role, address = sys.argv[1:3]
if role == "serve":
    server = socket.create_server((address, 7000))
    peer, _ = server.accept()
    while data := peer.recv(100):
        peer.sendall(data)
else:
    for _ in range(100):
        try:
            peer = socket.create_connection((address, 7000), timeout=3)
            break
        except OSError:
            time.sleep(0.05)
    peer.settimeout(3)
    count = 0
    while True:
        peer.sendall(b"x")
        if peer.recv(1) != b"x":
            sys.exit(1)
        count += 1
        print(count, flush=True)
        time.sleep(0.02)
EOF
ip netns exec "${nodes[1]}" python3 "$root/speak.py" serve 10.81.1.3 &
server=$!
ip netns exec "${nodes[0]}" python3 "$root/speak.py" ask 10.81.1.3 >"$root/spoken" &
speaker="$! $server"
spoken() { [ "$(tail -n 1 "$root/spoken" 2>/dev/null || echo 0)" -gt "$1" ] 2>/dev/null; }
await spoken 5 || die "the nodes do not speak"
for round in 1 2 3; do
  kill -KILL $daemon
  wait $daemon 2>/dev/null || true
  resolves "${nodes[0]}" web-0 10.81.1.2 || die "round $round: names are not answered without vnetd"
  inside ip link del "$bridge2"
  inside nft flush ruleset
  start
  [ "$(vn plan)" = "nothing to do" ] || die "round $round: something is left to do: $(vn plan)"
  [ "$(names)" = "$answering" ] || die "round $round: names have another process"
done
echo "== who answers for names is killed"
kill -KILL "$answering"
await resolves "${nodes[0]}" web-0 10.81.1.2 || die "names are not answered again"
[ "$(names)" != "$answering" ] || die "it was not killed"
count=$(tail -n 1 "$root/spoken")
await spoken $((count + 20)) || die "the nodes do not speak any more"

echo "== what others break is mended at once, and told"
nsenter --net="/run/netns/$host" vnet watch --json >"$root/watched" 2>/dev/null &
watcher=$!
port=$(sed -n 's/.*metrics are at port //p' "$root/vnetd.log")
metric() { inside curl -sSf "http://127.0.0.1:$port/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }
before=$(metric strata_net_repairs_total)
mended() { jq -e --arg what "$1" 'select(.repair and (.changes | any(contains($what))))' "$root/watched" >/dev/null 2>&1; }
broken() {  # Until somebody has begun to watch.
  inside ip link set "$bridge2" down
  mended "bridge $bridge2"
}
await broken || die "a bridge that was set down is not mended: $(cat "$root/watched")"
inside nft delete table inet "strata_$instance"
await mended "rules of table strata_$instance" || die "the rules are not mended"
! ip netns exec "${nodes[0]}" busybox ping -c 1 -W 1 10.81.2.2 >/dev/null || die "the rules do not hold"
[ "$(metric strata_net_repairs_total)" -gt "$before" ] || die "repairs are not counted"
[ "$(metric strata_net_networks)" = 2 ] || die "networks are not counted"
vn show | grep -q "^mended" || die "it does not show that it mended something"

echo "== a file that cannot be meant changes nothing; a good one is followed"
sed 's/10.81.2.0/10.81.2.7x/' "$root/networks.json" >"$root/next" && mv "$root/next" "$file"
problem() { vn show | grep -q "not as it should be: .*networks.json"; }
kicked() { inside ip link set "$bridge2" down; problem; }
await kicked || die "it is not said that the file is bad: $(vn show)"
inside ip link show "$bridge2" >/dev/null || die "a bad file took a network away"
networks | jq 'del(.networks[1])' >"$root/next" && mv "$root/next" "$file"
gone() { ! inside ip link show "$bridge2" 2>/dev/null && ! problem; }
kicked_away() { inside ip link set "$bridge2" down 2>/dev/null || true; gone; }
await kicked_away || die "what the file has no more stays"
count=$(tail -n 1 "$root/spoken")
await spoken $((count + 20)) || die "the nodes were disturbed"

echo "== killed at any moment of its work, it converges, and nobody is cut off"
many() {  # The first network, and COUNT others.
  networks | jq --argjson count "$1" '.networks = [.networks[0]] + [range($count) | {
    number: (. + 10), prefix: "10.81.\(. + 10).0/24", nodes: [{index: 0}],
    overlay: {local: "127.0.0.1", remotes: [{address: "10.81.\(. + 10).9", host: "192.0.2.9"}]}}]'
}
count=$(tail -n 1 "$root/spoken")
for round in $(seq 12); do
  many $((round % 2 * 30)) >"$root/next" && mv "$root/next" "$file"
  kill -KILL $daemon
  wait $daemon 2>/dev/null || true
  # It makes what the file says before it serves: somewhere in that it is killed.
  nsenter --net="/run/netns/$host" vnetd --file "$file" 2>>"$root/killed.log" &
  daemon=$!
  sleep "0.$(printf '%03d' $((RANDOM % 250)))"
done
kill -KILL $daemon
wait $daemon 2>/dev/null || true
many 30 >"$root/next" && mv "$root/next" "$file"
start
[ "$(vn plan)" = "nothing to do" ] || die "something is left to do: $(vn plan)"
[ "$(inside ip -br link | grep -c "^s${instance}b")" = 31 ] || die "not 31 bridges"
await spoken $((count + 20)) || die "the nodes were disturbed"
networks | jq 'del(.networks[1])' >"$root/next" && mv "$root/next" "$file"
few() { [ "$(inside ip -br link | grep -c "^s${instance}b")" = 1 ]; }
kicked_few() { inside ip link set "$bridge1" mtu 1300; few; }
await kicked_few || die "networks that are wanted no more stay"

echo "== trace and doctor"
vn trace 10.81.1.2 10.81.1.3 | grep -q '^arrives .*: node 1' || die "$(vn trace 10.81.1.2 10.81.1.3)"
vn trace fd81:8181:8100:1::2 fd81:8181:8100:1::3 | grep -q '^arrives .*: node 1' ||
  die "$(vn trace fd81:8181:8100:1::2 fd81:8181:8100:1::3)"
code=0
vn trace 198.51.100.1 10.81.1.2 --tcp 80 >"$root/traced" || code=$?
[ $code != 0 ] && grep -q '^DROPPED .*from_outside' "$root/traced" || die "$(cat "$root/traced")"
vn doctor >"$root/found" || die "the doctor finds a problem: $(cat "$root/found")"
grep -q '^warning  host 192.0.2.9 does not answer' "$root/found" || die "$(cat "$root/found")"
inside sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
! vn doctor >"$root/found" || die "the doctor does not see that nothing is forwarded"
grep -q '^PROBLEM  IPv4 is not forwarded' "$root/found" || die "$(cat "$root/found")"
inside sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'

echo "== a second one for the same Strata is refused"
! inside vnetd --state-dir "$STRATA_STATE_DIR" --run-dir "$STRATA_RUN_DIR" 2>"$root/second.log" ||
  die "two keep the same networks"
grep -q "another process keeps the networks" "$root/second.log" || die "$(cat "$root/second.log")"
kill -TERM $daemon && wait $daemon || die "it ends with an error"
daemon=
inside ip link show "$bridge1" >/dev/null || die "its end took the networks away"
