#!/usr/bin/env bash
# A Vcluster over three hosts that its own nodes scale: scale.sh BIN. Whichever host a node is on,
# and after its worker or the master was killed; within limits, by root alone, and not when it is
# turned off; a node that floods its host with calls keeps nobody else waiting.
program=scale
PATH=$(realpath "$1"):$PATH
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
master_flags=(--host-lost-ms 2000)
make_cluster 3

strata=/dev/.strata/strata
# NODE WORDS…: as soon as somebody answers.
ask() {
  local code=0
  for _ in $(seq 600); do
    code=0
    vc exec "$1" -- $strata "${@:2}" >"$root/out" 2>"$root/err" </dev/null || code=$?
    [ $code = 6 ] || return $code
    sleep 0.05
  done
  return 6
}
# CODE WORDS NODE WORDS…: how it is refused.
refused() {
  local code=0
  ask "${@:3}" || code=$?
  [ $code = "$1" ] || die "'${*:3}' ends with $code: $(cat "$root/out" "$root/err")"
  grep -q "$2" "$root/err" || die "'${*:3}' says: $(cat "$root/err")"
}
shop() {  # WHAT NODES MAY
  cat >"$root/shop.yaml" <<YAML
name: shop
image: tiny
roles:
  web: {count: $2, placement: spread, scale-from-nodes: $1}
  db: {}
YAML
}

echo "== one node asks for two more, which come on other hosts"
shop '{max: 3}' 1
vc create -f "$root/shop.yaml" >/dev/null
ask shop/web-0 scale web=3 || die "$(cat "$root/err")"
grep -q '^web: 1 -> 3 nodes' "$root/out" || die "it says: $(cat "$root/out")"
await running shop 4 || die "they do not come: $(vc list shop -l)"
[ "$(vc list shop --json | jq -r '[.clusters[0].nodes[] | select(.role == "web").host] | sort | join(" ")')" = "h1 h2 h3" ] ||
  die "not on three hosts: $(vc list shop -l)"

echo "== every node may, on whichever host; within limits, and by root alone"
for i in 0 1 2; do
  ask "shop/web-$i" status --json || die "web-$i: $(cat "$root/err")"
  [ "$(jq '.roles[] | select(.role == "web").running' "$root/out")" = 3 ] || die "$(cat "$root/out")"
done
refused 7 'may have 1 to 3 nodes' shop/web-1 scale web=+1
refused 4 'role db is not for nodes' shop/web-2 scale db=2
refused 3 "has no role 'cache'" shop/db-0 scale cache=2
code=0
vc exec --user 1000 shop/web-1 -- $strata scale web=2 2>"$root/err" </dev/null || code=$?
[ $code = 4 ] || die "another user's asking ends with $code: $(cat "$root/err")"
[ "$(vc audit --operation vcluster.scale --json | jq -r 'last(.events[] | select(.outcome == "ok") | .token) | length')" = 16 ] ||
  die "the audit log does not know the token"

echo "== workers and the master are killed and come back"
for host in "${hosts[@]}"; do stop_daemon "$host-worker" KILL; done
start_workers
stop_daemon h1-master KILL
start_master h1
await hosts_present 3 || die "the workers did not come back"
ask shop/web-2 scale web=2 || die "after the restart: $(cat "$root/err")"
await running shop 3 || die "it does not shrink: $(vc list shop -l)"

echo "== a flood of calls from one node keeps nobody else waiting"
# shellcheck disable=SC2016
vc exec shop/web-0 -- sh -c 'touch /flooding; for i in 1 2 3 4 5 6 7 8 9 10; do
    (while [ ! -e /enough ]; do '$strata' status >/dev/null 2>&1; done) & done; wait' </dev/null &
flood=$!
await vc exec shop/web-0 -- test -e /flooding || die "no flood begins"
begun=$(date +%s%N)
ask shop/db-0 status || die "another node is not served: $(cat "$root/err")"
took=$((($(date +%s%N) - begun) / 1000000))
echo "   another node's call took $took ms"
[ $took -lt 5000 ] || die "another node's call took $took ms"
vc exec shop/web-0 -- touch /enough </dev/null
wait $flood || die "the flood failed"

echo "== a token is of its own Vcluster"
sed 's/^name: shop/name: other/' "$root/shop.yaml" >"$root/other.yaml"
vc create -f "$root/other.yaml" >/dev/null
tokens_of() { vc token list --json | jq -r '[.tokens[] | select(.kind == "NODE") | .vcluster] | unique | join(" ")'; }
both() { [ "$(tokens_of)" = "root/other root/shop" ]; }
await both || die "tokens are of: $(tokens_of)"

echo "== turned off"
shop false 2
vc apply -f "$root/shop.yaml" >/dev/null
refused 4 'scale-from-nodes' shop/web-0 scale web=3
running shop 3 || die "it was scaled all the same: $(vc list shop -l)"
[ "$(vc token list --json | jq '[.tokens[] | select(.vcluster == "root/shop")] | length')" = 0 ] ||
  die "tokens are left: $(vc token list)"
vc delete shop other >/dev/null
[ "$(vc token list --json | jq '.tokens | length')" = 0 ] || die "tokens outlive their Vcluster"
