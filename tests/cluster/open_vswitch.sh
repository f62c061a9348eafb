#!/usr/bin/env bash
# Vclusters joined by Open vSwitch, with the datapath inside of ovs-vswitchd: open_vswitch.sh BIN TUNNEL
# (vxlan or gre). Nodes of one host and of two reach each other, a port leads to one, one starts again;
# ovs-vswitchd is killed, which is said, and all works again when it is back. Nothing is left.
program=ovs-$2
tunnel=$2
PATH=$(realpath "$1"):/usr/sbin:$PATH
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"

vsctl() { inside "$1" ovs-vsctl --timeout=20 --db="unix:$root/$1-ovs/db.sock" "${@:2}"; }
start_database() {
  OVS_RUNDIR=$root/$1-ovs start_daemon "$1-ovsdb" "$1" 'ovsdb-server (Open vSwitch)' ovsdb-server \
    "$root/$1-ovs/conf.db" --remote="punix:$root/$1-ovs/db.sock" --unixctl="$root/$1-ovs/ovsdb.ctl" -vconsole:info
}
start_switch() {
  OVS_RUNDIR=$root/$1-ovs start_daemon "$1-vswitchd" "$1" 'ovs-vswitchd (Open vSwitch)' ovs-vswitchd \
    "unix:$root/$1-ovs/db.sock" --unixctl="$root/$1-ovs/vswitchd.ctl" -vconsole:info
}
# Tunnels of this datapath leave by a bridge of it: the host's address is there, and goes with it.
address_switch() {
  has_phy0() { ip -n "$(namespace "$1")" link show phy0 >/dev/null 2>&1; }
  await has_phy0 "$1" || die "ovs-vswitchd has made no phy0"
  ip -n "$(namespace "$1")" address replace "$(address "$1")/24" dev phy0
  ip -n "$(namespace "$1")" link set phy0 up
}
prepare_machine() {
  mkdir "$root/$1-ovs"
  inside "$1" ovsdb-tool create "$root/$1-ovs/conf.db" /usr/share/openvswitch/vswitch.ovsschema
  start_database "$1"
  vsctl "$1" --no-wait init
  start_switch "$1"
  ip -n "$(namespace "$1")" address flush dev eth0
  vsctl "$1" add-br phy0 -- set bridge phy0 datapath_type=netdev -- add-port phy0 eth0
  address_switch "$1"
}
start_vnetd() {
  start_daemon "$1-vnetd" "$1" serves vnetd --state-dir "$root/$1" --run-dir "$root/$1-run" \
    --driver ovs --tunnel "$tunnel" --ovs-run-dir "$root/$1-ovs"
}
make_cluster 2
for host in "${hosts[@]}"; do
  on "$host" vnet show --json | jq -e '.joins_links and .node_checksums' >/dev/null ||
    die "$host: who makes links is not told what they need: $(on "$host" vnet show --json)"
done

# A program of 2 MB arrives as it was sent.
fetch() {  # VCLUSTER FROM TO
  vc exec "$1/$2" -- sh -c "busybox timeout 20 wget -q -O /tmp/got http://$3/busybox &&
    busybox cmp /tmp/got /bin/busybox" 2>"$root/fetch.log"
}
# The switch takes links in by itself, in its own time.
reaches() { await fetch "$1" "$2" "$3" || die "$1: $2 gets nothing from $3: $(cat "$root/fetch.log")"; }
file() {  # NAME PLACEMENT [PORTS]
  printf 'name: %s\nimage: tiny\nroles:\n  web:\n    count: 3\n    placement: %s\n' "$1" "$2"
  printf '    command: [/bin/httpd, -f, -p, "80", -h, /bin]\n%s' "${3:+    ports: $3
}"
}

echo "== three nodes of one host"
file near pack '[80]' >"$root/near.yaml"
vc create -f "$root/near.yaml" >/dev/null
[ "$(vc list near --json | jq -r '[.clusters[0].nodes[].host] | unique | length')" = 1 ] ||
  die "not on one host: $(vc list near -l)"
reaches near web-0 web-1
reaches near web-1 web-2
reaches near web-2 web-0
where=$(node near near/web-0 host)

echo "== three nodes of two hosts"
file far spread >"$root/far.yaml"
vc create -f "$root/far.yaml" >/dev/null
[ "$(vc list far --json | jq -r '[.clusters[0].nodes[].host] | unique | length')" = 2 ] ||
  die "not on two hosts: $(vc list far -l)"
for from in 0 1 2; do
  for to in 0 1 2; do
    [ $from = $to ] || reaches far "web-$from" "web-$to"
  done
done
! vc exec far/web-0 -- ping -c 1 -W 1 "$(node near near/web-0 address)" >/dev/null ||
  die "one Vcluster reaches another"

echo "== a port of the host leads to a node, from the host and from another one"
port=$(vc list near --json | jq -r '.clusters[0].nodes[] | select(.name == "near/web-0").ports[0].host_port // empty')
[ -n "$port" ] || die "no port is told: $(vc list near --json)"
for from in h1 h2; do
  inside "$from" curl -sSf -m 20 -o "$root/got" "http://$(address "$where"):$port/busybox" ||
    die "$from gets nothing from port $port of $where"
  cmp "$root/got" /bin/busybox || die "$from gets something else"
done

echo "== a node starts again"
vc stop far/web-1 >/dev/null
vc start far/web-1 >/dev/null
await running far 3 || die "it does not run: $(vc list far -l)"
reaches far web-1 web-0
reaches far web-2 web-1

echo "== ovs-vswitchd is killed: that is said, and it is as it was when it is back"
pids() { vc list "$1" --json | jq -r '[.clusters[0].nodes[].init_pid] | join(" ")'; }
before=$(pids near)$(pids far)
stop_daemon h2-vswitchd KILL
said() { on h2 vnet show | grep -q "not as it should be: ovs-vswitchd: .*$root/h2-ovs"; }
await said || die "nobody says that ovs-vswitchd is gone: $(on h2 vnet show)"
start_switch h2
address_switch h2
healed() { on h2 vnet show | grep -q "all is as it should be"; }
await healed || die "it does not heal: $(on h2 vnet show)"
[ "$(on h2 vnet plan)" = "nothing to do" ] || die "something is left to do: $(on h2 vnet plan)"
await hosts_present 2 || die "h2 does not come back"
again() { fetch far web-0 web-1 && fetch far web-1 web-2 && fetch far web-2 web-0; }
await again || die "the nodes do not reach each other any more: $(cat "$root/fetch.log")"
[ "$(pids near)$(pids far)" = "$before" ] || die "containers were restarted"

echo "== deleted, nothing is left"
vc delete near far >/dev/null
for host in "${hosts[@]}"; do
  [ "$(vsctl "$host" list-br)" = phy0 ] || die "bridges stay on $host: $(vsctl "$host" show)"
  [ "$(vsctl "$host" --columns=name --bare find port name!=phy0 name!=eth0)" = "" ] ||
    die "ports stay on $host: $(vsctl "$host" show)"
  [ "$(vsctl "$host" --columns=_uuid --bare list qos)" = "" ] || die "rows stay on $host"
done
