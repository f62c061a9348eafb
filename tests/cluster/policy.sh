#!/usr/bin/env bash
# Who may talk with whom, over three hosts, each a site behind a router: policy.sh BIN. A role takes
# only what it accepts; a balanced port leads to all nodes but those that answer no more; Vclusters
# talk as long as each names the other; a user's nodes share a limit. All of it changes while nodes run.
program=policy
routed=1
PATH=$(realpath "$1"):$PATH
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
make_cluster 3

# A node's name on ports 80 and 81.
serve="busybox mkdir -p /srv && hostname >/srv/name && httpd -p 81 -h /srv && echo \$\$ >/pid && exec httpd -f -p 80 -h /srv"
apply() { vc apply -f - >/dev/null; }
# Without -T: with it this wget ends by a signal.
get() { vc exec "$1" -- busybox timeout 3 wget -q -O - "http://$2/name" 2>/dev/null; }
asks() { [ "$(get "$1" "$2")" = "${2%%[.:]*}" ]; }
not() { ! "$@"; }
pings() { vc exec "$1" -- ping -c1 -W1 "$2" >/dev/null; }
pids() { vc list "$1" --json | jq -r '[.clusters[0].nodes[].init_pid] | sort | join(" ")'; }
shop() {  # WHAT-DB-ACCEPTS MORE-AT-THE-TOP
  apply <<YAML
name: shop
image: tiny
$2
roles:
  web:
    count: 3
    placement: spread
    command: "$serve"
    ports: [{node: 80, host: 18080, balance: true}]
    accept: []
  worker: {}
  db:
    count: 2
    placement: spread
    command: "$serve"
    $1
YAML
}

echo "== a role takes what it accepts, on all hosts"
shop 'accept: [{from: web, tcp: 80}]' ''
for from in 0 1 2; do
  for to in 0 1; do
    await asks "shop/web-$from" "db-$to:80" || die "web-$from gets nothing from db-$to"
    not get "shop/web-$from" "db-$to:81" || die "db-$to answers web-$from on port 81"
  done
done
for to in 0 1; do
  not get shop/worker-0 "db-$to:80" || die "db-$to answers the worker"
  not get "shop/db-$((1 - to))" "db-$to:80" || die "db-$to answers its own role"
  not pings shop/web-0 "db-$to" || die "db-$to answers a ping"
  pings "shop/db-$to" worker-0 || die "db-$to cannot begin anything"
done
not get shop/worker-0 web-0:80 || die "web-0 answers somebody"

echo "== that changes while they run"
before=$(pids shop)
shop 'accept: [{from: web, tcp: 80}, {from: worker, tcp: 81, icmp: true}]' ''
for to in 0 1; do
  await asks shop/worker-0 "db-$to:81" || die "db-$to does not answer the worker"
  await pings shop/worker-0 "db-$to" || die "db-$to does not answer the worker's ping"
  not get shop/worker-0 "db-$to:80" || die "db-$to answers the worker on port 80"
done
shop '' ''
await asks shop/worker-0 db-0:80 || die "db-0 is not open again"
await asks shop/worker-0 db-1:80 || die "db-1 is not open again"
not get shop/worker-0 web-0:80 || die "web-0 answers somebody"
[ "$(pids shop)" = "$before" ] || die "nodes were restarted"

echo "== a port of each host leads to all nodes of the role"
fetch() { inside "$1" busybox timeout 3 wget -q -O - "http://$(address "$2"):18080/name" 2>/dev/null; }
seen_at() {  # HOST COUNT: names that many requests see.
  for _ in $(seq "$2"); do fetch h1 "$1" || echo nothing; done | sort -u | xargs
}
sees() { [ "$(seen_at "$1" 9)" = "$2" ]; }
for host in "${hosts[@]}"; do
  await sees "$host" "web-0 web-1 web-2" || die "at $host it leads to: $(seen_at "$host" 9)"
done
vc list shop -l | grep -q '+18080->80' || die "it is not shown: $(vc list shop -l)"

echo "== one that takes no connections is left out, and comes back"
# shellcheck disable=SC2016
vc exec shop/web-1 -- sh -c 'kill $(cat /pid)'
for host in "${hosts[@]}"; do
  await sees "$host" "web-0 web-2" || die "at $host it still leads to: $(seen_at "$host" 9)"
done
vc exec shop/web-1 -- httpd -p 80 -h /srv
for host in "${hosts[@]}"; do
  await sees "$host" "web-0 web-1 web-2" || die "at $host it leads to: $(seen_at "$host" 9)"
done
vc stop shop/web-2 >/dev/null
await sees h1 "web-0 web-1" || die "it leads to what is stopped: $(seen_at h1 9)"
await sees "$(node shop shop/web-2 host)" "web-0 web-1" || die "its own host leads to it"
vc start shop/web-2 >/dev/null

echo "== a port that is taken is refused, and breaks nothing"
cat >"$root/thief.yaml" <<'YAML'
name: thief
image: tiny
nodes: 3
placement: spread
ports: [{node: 80, host: 18080, balance: true}]
YAML
message=$(vc create -f "$root/thief.yaml" 2>&1) && die "two have one port"
grep -q 'port 18080 of the host leads elsewhere already' <<<"$message" || die "it says: $message"
await sees h2 "web-0 web-1 web-2" || die "at h2 it leads to: $(seen_at h2 9)"

echo "== two Vclusters talk when each names the other"
store() {  # MORE
  apply <<YAML
name: store
image: tiny
command: "$serve"
$1
YAML
}
before=$(pids shop)
store 'peers: shop'
where=$(vc list store --json | jq -r '.clusters[0].nodes[0].host')
address_of() { vc list "$1" --json | jq -r --arg name "$2" '.clusters[0].nodes[] | select(.name == $name) | .address'; }
at=$(address_of store store/0)
vc list store -l | grep -q 'its peer shop does not name it' || die "nobody says so: $(vc list store -l)"
not pings shop/db-0 "$at" || die "they talk though shop does not want it"
shop '' 'peers: [store]'
for i in 0 1 2; do
  await asks "shop/web-$i" store-0.store:80 || die "web-$i does not reach store on $where"
done
await asks store/0 db-0.shop:80 || die "store does not reach db-0"
await asks store/0 db-1.shop:80 || die "store does not reach db-1"
not get store/0 web-0.shop:81 || die "web-0 takes from a peer what it does not accept"
vc exec store/0 -- ping -c1 -W5 -s 1300 db.shop >/dev/null || die "a role's name means nobody"

echo "== and no longer"
shop '' ''
await not pings shop/db-0 "$at" || die "they still talk"
not pings shop/web-0 store-0.store 2>/dev/null || die "the name is still there"
not pings store/0 "$(address_of shop shop/db-1)" || die "they still talk, the other way"
shop '' 'peers: [store]'
await asks shop/db-1 store-0.store:80 || die "they do not talk again"
vc delete store >/dev/null
await not pings shop/db-0 "$at" || die "what is deleted answers"
[ "$(pids shop)" = "$before" ] || die "nodes were restarted"
vc delete shop >/dev/null

echo "== all nodes of a user on a host share his limit"
alice=$(vc user add alice --json | jq '.users[0].uid')
by_alice() { on h1 setpriv --reuid="$alice" --regid="$alice" --clear-groups "$@"; }
for host in "${hosts[@]}"; do on "$host" vimage share root/tiny public >/dev/null; done
by_alice vcluster create -f - >/dev/null <<'YAML' || die "alice gets no Vcluster"
name: mine
image: root/tiny
nodes: 2
command: "busybox mkdir -p /srv && head -c 5000000 /dev/zero >/srv/blob && exec httpd -f -p 80 -h /srv"
YAML
where=$(vc list alice/mine --json | jq -r '[.clusters[0].nodes[].host] | unique | join(" ")')
[ "${where/ /}" = "$where" ] || die "its nodes are on $where"
fetch_blob() { inside "$where" busybox timeout 60 wget -q -O /dev/null "http://$1/blob"; }
both_ms() {  # How long it takes to get one of each node at once.
  local start=${EPOCHREALTIME/./} pids=() i
  for i in 0 1; do
    fetch_blob "$(address_of alice/mine "mine/$i")" &
    pids+=($!)
  done
  for i in "${pids[@]}"; do wait "$i" || return 1; done
  echo $(((${EPOCHREALTIME/./} - start) / 1000))
}
await fetch_blob "$(address_of alice/mine mine/1)" 2>/dev/null || die "mine/1 serves nothing"
free=$(both_ms)
vc quota set --user alice bandwidth-per-host=16Mbit >/dev/null
limited() { on "$where" vnet show --json | jq -e '.networks.user_limits[0].bits_per_s_max' >/dev/null; }
await limited || die "the host does not know the limit"
held=$(both_ms)
# 80 Mbit at 16 a second take 5 s, of which the first comes at once; each for itself, 1.5 s.
[ "$held" -ge 3500 ] || die "80 Mbit in $held ms: no limit of 16 Mbit/s"
[ "$free" -lt $((held / 2)) ] || die "80 Mbit in $free ms without a limit, $held ms with one"
echo "80 Mbit of two nodes: $free ms without a limit, $held ms with 16 Mbit/s for both"
code=0
message=$(vc quota set --default bandwidth-per-host=1kbit 2>&1) || code=$?
[ $code != 0 ] || die "a limit of nothing is taken"
grep -q 'from 8kbit to 100Gbit' <<<"$message" || die "it says: $message"
vc delete alice/mine >/dev/null
