#!/usr/bin/env bash
# Hosts of three sites with an encrypted network between them: sites.sh BIN. Each is behind a router,
# the third one behind a NAT as well, which nobody calls. A Vcluster over them works, nothing of it is
# seen on the way, daemons are killed while it does, all hosts get new keys, and nothing stays behind.
program=sites
routed=1
PATH=$(realpath "$1"):$PATH
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
# The third one has an address that is its site's own.
address() { if [ "$1" = h3 ]; then echo 192.168.78.3; else echo "10.78.0.${1#h}"; fi; }
master_flags=(--fabric wireguard --fabric-subnet 10.79.0.0/24 --host-lost-ms 4000)
fabric=10.79.0

# What its router does for the third one: what begins there goes out under the router's address,
# nothing else comes in.
start_nat() {
  ip -n "$bridge" address add 10.78.0.254/32 dev br0
  nsenter --net="/run/netns/$bridge" nft -f - <<'NFT'
table ip nat {
  chain out {
    type nat hook postrouting priority srcnat;
    iifname "h3" oifname != "h3" snat to 10.78.0.254
  }
  chain in {
    type filter hook forward priority filter;
    oifname "h3" ct state new drop
  }
}
NFT
}
# Frames that pass a host's link in the network between the sites: "tcp 7443", "udp 51820", …, each
# kind once; "NODE" of any that has what nodes say in it.
start_capture() {  # HOST
  setsid nsenter --net="/run/netns/$bridge" python3 -u -c '
import signal, socket, struct, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
wire.bind((sys.argv[1], 0))
print("captures", flush=True)
seen = set()
while True:
    frame = wire.recv(65535)
    kind = struct.unpack("!H", frame[12:14])[0]
    what = {0x0806: "arp", 0x86dd: "ipv6"}.get(kind, hex(kind))
    if kind == 0x0800:
        header = (frame[14] & 15) * 4
        protocol = frame[23]
        what = {1: "icmp", 6: "tcp", 17: "udp"}.get(protocol, str(protocol))
        if protocol in (6, 17):
            ports = struct.unpack("!HH", frame[14 + header:18 + header])
            what += " " + str(min(ports) if protocol == 6 else 51820 if 51820 in ports else ports[1])
    if b"what only nodes say" in frame or b"\x0a\x4e\x80" in frame[26:34]:
        what = "NODE"
    if what not in seen:
        seen.add(what)
        print(what, flush=True)
' "$1" >"$root/$1-wire" 2>>"$root/$1-wire.log" &
  daemon[$1-wire]=$!  # Ends with the others.
  await grep -qs captures "$root/$1-wire" || die "nothing is captured at $1"
}

make_hosts 2
start_nat
make_machine h3
start_imaged h3
on h1 vimage host token 2>/dev/null | on h3 vimage host join - >/dev/null
for host in h1 h2 h3; do start_capture "$host"; done
mkdir -p "$root/tiny"
hosts=(h1 h2) && make_tiny_image && hosts=(h1 h2 h3)
on h3 vimage pull h1 root/tiny >/dev/null

echo "== hosts get the fabric before they get nodes"
start_master h1
start_worker h1
start_worker h2
worker_flags=(--fabric-endpoint none)
start_worker h3
await hosts_present 3 || die "not all workers found the master"
ready() { [ "$(vc host list --json | jq '[.hosts[] | select(.present and (.notice // "") == "")] | length')" = 3 ]; }
await ready || die "not all hosts have the fabric: $(vc host list 2>&1)"
for i in 1 2 3; do
  on h$i vnet show --json | jq -e '.networks.fabric.peers | length == 2' >/dev/null ||
    die "h$i does not know the others: $(on h$i vnet show)"
done

echo "== a Vcluster over all sites is one network"
cat >"$root/wide.yaml" <<'YAML'
name: wide
image: tiny
roles:
  keeper: {count: 3, placement: spread, on-host-loss: wait}
YAML
vc create -f "$root/wide.yaml" >/dev/null
[ "$(vc list wide --json | jq -r '[.clusters[0].nodes[].host] | sort | join(" ")')" = "h1 h2 h3" ] ||
  die "not on three hosts: $(vc list wide -l)"
reach() { vc exec "wide/keeper-$1" -- ping -c1 -W2 -s 1300 "keeper-$2" >/dev/null; }
all_reach() {
  local from to
  for from in 0 1 2; do
    for to in 0 1 2; do reach $from $to || return 1; done
  done
}
await all_reach || die "nodes do not reach each other: $(on h1 vnet doctor; on h3 vnet doctor)"
[ "$(vc exec wide/keeper-0 -- cat /sys/class/net/eth0/mtu)" = 1390 ] ||
  die "nodes have another MTU: $(vc exec wide/keeper-0 -- ip link)"
vc exec wide/keeper-0 -- sh -c 'nc -l -p 5000 >/heard' &
listener=$!
say() { vc exec wide/keeper-1 -- sh -c 'echo what only nodes say | nc -w 5 keeper-0 5000' 2>/dev/null; }
await say || die "nobody listens in keeper-0"
wait $listener
heard() { vc exec wide/keeper-0 -- cat /heard | grep -qx "$1"; }
await heard "what only nodes say" || die "what a node said did not arrive"

echo "== nothing of it is seen between the sites"
wires() { cat "$root"/h?-wire | sort -u; }
wires | grep -qx 'udp 51820' || die "the captures see nothing: $(wires)"
strange() { wires | grep -vxE 'captures|arp|ipv6|udp 51820|tcp 744[3-5]'; }
! strange >&2 || die "something else passes between the sites"

echo "== vnet tells of it"
on h2 vnet doctor | grep -q '2 of 2 other hosts answer in it' || die "$(on h2 vnet doctor)"
on h2 vnet show | grep -q "^h3 .*$fabric" || die "$(on h2 vnet show)"

echo "== traffic goes on without daemons, and they find all in place"
programs() { for host in h1 h2 h3; do ip netns pids "$(namespace "$host")"; done | xargs ps -o pid=,comm= -p | grep wireguard-go | sort; }
before=$(programs)
init=$(node wide wide/keeper-0 init_pid)
far=$(grep -w keeper-2 "/proc/$init/root/etc/hosts" | awk '{print $1; exit}')
for host in h1 h2 h3; do
  stop_daemon "$host-worker" KILL
  stop_daemon "$host-vnetd" KILL
done
passes() { nsenter --net --target "$init" busybox ping -c1 -W1 "$far" >/dev/null; }
tries=100 await passes || die "without daemons nothing passes"
for host in h1 h2; do worker_flags=() && start_worker "$host"; done
worker_flags=(--fabric-endpoint none)
start_worker h3
await hosts_present 3 || die "the workers did not come back"
await ready || die "not all hosts have the fabric again: $(vc host list 2>&1)"
[ "$(programs)" = "$before" ] || die "the fabric was made anew: $before, now $(programs)"
await all_reach || die "the network did not come back"

echo "== all hosts get new keys, and connections go on"
keys() { for host in h1 h2 h3; do on "$host" vnet show --json | jq -r .fabric.key; done; }
before=$(keys)
# An end of nc that has nothing more to say hangs up.
vc exec wide/keeper-0 -- sh -c 'until [ -e /go ]; do sleep 0.1; done | nc -l -p 5001 >/heard' &
listener=$!
listens() { vc exec wide/keeper-0 -- sh -c 'cat /proc/net/tcp*' | grep -q ':1389 .* 0A '; }
await listens || die "nobody listens in keeper-0"
vc exec wide/keeper-2 -- sh -c '(echo before; until [ -e /go ]; do sleep 0.1; done; echo after) | nc keeper-0 5001' &
speaker=$!
await heard before || die "the connection does not begin"
vc host rotate-fabric-keys >/dev/null
changed() { [ "$(comm -12 <(sort <<<"$before") <(keys | sort) | wc -l)" = 0 ]; }
tries=1200 await changed || die "keys are as they were: $(keys)"
vc exec wide/keeper-2 -- touch /go
await heard after || die "a connection did not outlive the old keys"
vc exec wide/keeper-0 -- touch /go
wait $speaker
wait $listener
await all_reach || die "the network did not come back"
! strange >&2 || die "something else passes between the sites"

echo "== the fabric goes with the option"
vc delete wide >/dev/null
stop_daemon h1-master
master_flags=(--host-lost-ms 4000)
start_master h1
# Nobody calls the third one any more.
without() {
  [ -z "$(for host in h1 h2; do ip netns pids "$(namespace "$host")"; done | xargs ps -o comm= -p | grep wireguard-go)" ] &&
    ! on h1 vnet show --json | jq -e .networks.fabric >/dev/null
}
await without || die "the fabric stays: $(programs)"
