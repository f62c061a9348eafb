#!/usr/bin/env bash
# A Vcluster over three hosts, each a site behind a router: hosts.sh BIN. Its nodes are spread, used
# from the master, saved where they are, and live on when workers and the master are killed; a host
# that is lost gives its nodes up and does not have them twice when it comes back.
program=hosts
routed=1
PATH=$(realpath "$1"):$PATH
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
master_flags=(--host-lost-ms 2000 --recreate-ms 4000)
worker_flags=(--fence-ms 1500)
make_cluster 3

echo "== nodes are spread over the hosts and used from the master's"
cat >"$root/spread.yaml" <<'YAML'
name: spread
image: tiny
roles:
  keeper: {count: 3, placement: spread, on-host-loss: wait}
YAML
vc create -f "$root/spread.yaml" >/dev/null
[ "$(vc list spread --json | jq -r '[.clusters[0].nodes[].host] | sort | join(" ")')" = "h1 h2 h3" ] ||
  die "not on three hosts: $(vc list spread -l)"
for i in 0 1 2; do
  [ "$(vc exec "spread/keeper-$i" -- hostname)" = "keeper-$i" ] || die "no command runs in $i"
  echo "data $i" | vc exec -i "spread/keeper-$i" -- sh -c 'cat >/data'
done
code=0
vc exec spread/keeper-1 -- sh -c 'exit 7' || code=$?
[ $code = 7 ] || die "an exit code got lost: $code"
vc why spread/keeper-1 | grep -q keeper-1 || die "nothing says why"

echo "== they are one network"
reach() { vc exec "spread/keeper-$1" -- ping -c1 -W5 -s 1300 "keeper-$2" >/dev/null; }
for from in 0 1 2; do
  for to in 0 1 2; do reach $from $to || die "keeper-$from does not reach keeper-$to"; done
done

echo "== and find each other by name through their gateways, without /etc/hosts"
vc exec spread/keeper-0 -- head -n2 /etc/resolv.conf | grep -q '^search spread' || die "nothing is searched"
asked() {  # NODE NAME: the addresses of IPv4 that its gateway has for it.
  vc exec "spread/keeper-$1" -- busybox nslookup "$2" 2>/dev/null | sed -n '3,$s/^Address: //p' | grep -v : | sort | xargs
}
all=$(vc list spread --json | jq -r '[.clusters[0].nodes[].address] | sort | join(" ")')
for i in 0 1 2; do
  address=$(node spread spread/keeper-$i address)
  [ "$(asked 0 "keeper-$i")" = "$address" ] || die "keeper-0 is not told of keeper-$i"
  [ "$(asked $i keeper.spread)" = "$all" ] || die "keeper-$i is not told of all"
done
vc exec spread/keeper-0 -- busybox nslookup keeper-1 2>/dev/null | grep -q '^Address: fd' || die "nobody has IPv6"

echo "== a node is saved on the host that has it"
where=$(node spread spread/keeper-1 host)
on h1 vsave spread/keeper-1 kept >/dev/null
on "$where" vimage ls kept | grep -q data || die "the image is not on $where"

echo "== a file with exact images makes the same again, whatever their names mean by then"
vc export spread --pin | sed 's/^name: .*/name: exact/' >"$root/exact.yaml"
echo new >"$root/tiny/new"
on h1 vimage import --replace "$root/tiny" tiny >/dev/null
on h1 vimage prestage --replace root/tiny h2 h3 >/dev/null
vc create -f "$root/exact.yaml" >/dev/null
vc create newer -f "$root/spread.yaml" >/dev/null
for i in 0 1 2; do
  vc exec "exact/keeper-$i" -- test ! -e /new || die "exact/keeper-$i is of another version"
  vc exec "newer/keeper-$i" -- test -e /new || die "newer/keeper-$i is of the old version"
done
vc delete exact newer >/dev/null

echo "== hosts say what they use, and have used"
measured() {
  [ "$(vc top --hosts --json | jq '[.hosts[] | select((.usage.memory_bytes // "0") | tonumber > 0)] | length')" = 3 ]
}
await measured || die "a host says nothing: $(vc top --hosts --json)"
remembered() { vc top h2 --hosts --history --json | jq -e '.points | length > 0' >/dev/null; }
await remembered || die "h2 has no history: $(vc top h2 --hosts --history --json)"
vc top h2 --hosts --history | grep -q PSI || die "no pressure is shown"

echo "== room is kept by who may, until he says so"
vc reservation add exam --for-class root/lab --pieces 2 --cpus 0.5 --memory 64M --until 1h
vc reservation list | grep 'class root/lab' | grep -q '2 x 0.5 CPUs, 64.0 MiB memory' ||
  die "$(vc reservation list)"
vc preempt spread --dry-run | grep -q 'nobody has to stop' || die "$(vc preempt spread --dry-run)"
vc reservation delete exam
[ "$(vc reservation list --json | jq '.reservations | length')" = 0 ] || die "$(vc reservation list)"

echo "== a killed worker comes back and its nodes have not noticed"
pids() { vc list spread --json | jq -r '[.clusters[0].nodes[].init_pid] | join(" ")'; }
before=$(pids)
for host in "${hosts[@]}"; do stop_daemon "$host-worker" KILL; done
start_workers
await hosts_present 3 || die "the workers did not come back"
await running spread 3 || die "not all run: $(vc list spread -l)"
[ "$(pids)" = "$before" ] || die "containers were restarted"

echo "== a killed master comes back and knows everything"
stop_daemon h1-master KILL
start_master h1
await hosts_present 3 || die "the workers did not find the master again"
await running spread 3 || die "not all run: $(vc list spread -l)"
[ "$(pids)" = "$before" ] || die "containers were restarted"

echo "== a host is lost: what may be made anew elsewhere is, what has data waits"
cat >"$root/moving.yaml" <<'YAML'
name: moving
image: tiny
roles:
  worker: {count: 3, placement: spread, on-host-loss: recreate}
YAML
vc create -f "$root/moving.yaml" >/dev/null
lost=$(node moving moving/worker-1 host)
[ "$lost" != h1 ] || lost=$(node moving moving/worker-2 host)
[ "$lost" != h1 ] || die "two nodes are on one host"
victim=$(vc list moving --json | jq -r --arg host "$lost" '.clusters[0].nodes[] | select(.host == $host) | .name')
old_pid=$(node moving "$victim" init_pid)
cut "$lost"
frozen() { grep -q FROZEN "/sys/fs/cgroup/freezer$(sed -n 's/.*:freezer://p' "/proc/$old_pid/cgroup")/freezer.state" 2>/dev/null ||
  grep -q 'frozen 1' "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$old_pid/cgroup")/cgroup.events" 2>/dev/null; }
await frozen || die "the lost host does not pause its node"
moved() { [ "$(node moving "$victim" host)" != "$lost" ] && running moving 3; }
await moved || die "it is not made anew: $(vc list moving -l)"
frozen || die "two of one node run"
[ "$(vc list spread --json | jq '[.clusters[0].nodes[] | select(.ready)] | length')" = 2 ] ||
  die "the node with data does not wait: $(vc list spread -l)"
mend "$lost"
await running spread 3 || die "the host's node did not come back: $(vc list spread -l)"
gone() { ! kill -0 "$old_pid" 2>/dev/null; }
await gone || die "the old node lives on"
[ "$(pids)" = "$before" ] || die "the node that waited was restarted"
running moving 3 || die "not all run: $(vc list moving -l)"

reach 0 1 && reach 1 2 && reach 2 0 || die "the network did not come back"

echo "== deleted everywhere"
vc delete spread moving >/dev/null
for host in "${hosts[@]}"; do
  [ -z "$(ls "$root/$host/vclusterd/parts")" ] || die "a part stayed on $host"
done
