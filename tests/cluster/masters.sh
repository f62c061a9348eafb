#!/usr/bin/env bash
# Two masters over one etcd: masters.sh BIN. The leader is killed while it makes a Vcluster; the
# other leads within seconds, containers notice nothing, and what was half-made is gone. A user works
# over REST meanwhile, at whoever leads.
program=masters
PATH=$(realpath "$1"):$PATH
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
master_hosts=(h1 h2)
worker_flags=()
make_hosts 3
make_tiny_image
etcd_port=17379
enter h1 etcd --data-dir "$root/etcd" --listen-client-urls "http://10.78.0.1:$etcd_port" \
  --advertise-client-urls "http://10.78.0.1:$etcd_port" --listen-peer-urls http://10.78.0.1:17380 \
  --initial-advertise-peer-urls http://10.78.0.1:17380 --initial-cluster "default=http://10.78.0.1:17380" \
  >"$root/etcd.log" 2>&1 &
daemon[etcd]=$!
await grep -q 'ready to serve client requests' "$root/etcd.log" || die "etcd does not start"
master_flags=(--etcd "etcd://10.78.0.1:$etcd_port/strata" --etcd-insecure --takeover-ms 1500
  --host-lost-ms 3000)
rest_port=7480
start_master h1 --rest "$(address h1):$rest_port"
start_master h2 --rest "$(address h2):$rest_port"
start_workers

await hosts_present 3 || { leader=h2; hosts_present 3; } || die "no master leads three hosts"
other=h2
[ "$leader" = h1 ] || other=h1
code=0
on "$other" vcluster list 2>"$root/refused" || code=$?
[ $code = 6 ] && grep -q "host '$leader' leads" "$root/refused" || die "the other one says: $(cat "$root/refused")"

echo "== every master answers about accounts, and changes them"
on "$other" vcluster user add alice --real-name 'Alice Doe' >/dev/null
knows_alice() { vc user show alice 2>/dev/null | grep -q 'Alice Doe'; }
await knows_alice || die "the leader does not know who was added at the other master"
vc quota set --user alice nodes=4 >/dev/null
limit_of_alice() { on "$other" vcluster quota show --user alice --json | jq -r .limits.nodes; }
knows_limit() { [ "$(limit_of_alice)" = 4 ]; }
await knows_limit || die "the other master does not know a limit that was set at the leader"
used() { on "$1" vcluster quota show --user alice --json | jq -r '.effective[0].used'; }
[ "$(used "$leader")" = 0 ] || die "the leader does not say what is used"
[ "$(used "$other")" = null ] || die "the other master says what is used, which it cannot know"
on "$other" vcluster user delete alice >/dev/null

echo "== a user makes a Vcluster over REST, at the master that leads"
token=
# The status; the answer is in $root/answer, its head in $root/head.
rest() {  # HOST METHOD PATH [DATA [TYPE]]
  local url=https://$1:$rest_port headers=()
  [ -z "$token" ] || headers+=(-H "Authorization: Bearer $token")
  [ $# -lt 4 ] || headers+=(-H "Content-Type: ${5:-application/json}" --data-binary "$4")
  inside "$1" curl -sS -m 90 --cacert "$root/$1/imaged/hosts/ca.pem" --resolve "$1:$rest_port:$(address "$1")" \
    -X "$2" "${headers[@]}" -D "$root/head" -o "$root/answer" -w '%{http_code}' "$url$3"
}
answers() {  # STATUS HOST METHOD PATH…
  local status
  status=$(rest "${@:2}")
  [ "$status" = "$1" ] || die "$3 $4 at $2 answers $status and not $1: $(cat "$root/answer")"
}
said() { jq -r "$1" "$root/answer"; }
# A master that does not lead says who does, and does nothing else (docs/rest.md).
follows() {  # HOST
  answers 200 "$1" GET /healthz
  [ "$(said .status)" = follows ] || die "$1 says of itself: $(cat "$root/answer")"
  answers 503 "$1" GET /v1/vclusters
  [[ $(said .detail) = *"host '$leader' leads"* ]] || die "$1 does not say who leads: $(cat "$root/answer")"
  answers 503 "$1" POST "/v1/vclusters?wait=30s" "$(definition stray)" application/yaml
  answers 503 "$1" POST /v1/session "$credentials"
}
definition() { printf 'name: %s\nimage: root/tiny\nroles:\n  web: {count: 3, placement: spread}\n' "$1"; }
# Made at the leader, and its operation awaited: all nodes are ready, one on each host.
create() {  # NAME
  answers 202 "$leader" POST /v1/vclusters "$(definition "$1")" application/yaml
  local operation
  operation=$(sed -n 's/^[Ll]ocation: *\([^[:space:]]*\).*/\1/p' "$root/head")
  answers 200 "$leader" GET "$operation?wait=60s"
  [ "$(said .state)" = succeeded ] || die "$1 is not made: $(cat "$root/answer")"
  answers 200 "$leader" GET "/v1/vclusters/$1"
  [ "$(said '.owner, .ready_count' | xargs)" = 'bob 3' ] || die "$1 does not run: $(cat "$root/answer")"
  [ "$(vc exec "bob/$1/web-2" -- hostname)" = web-2 ] || die "nobody is in a node of $1"
  [ "$(vc list "bob/$1" --json | jq -r '[.clusters[0].nodes[].host] | unique | length')" = 3 ] ||
    die "the nodes of $1 are not on three hosts: $(vc list "bob/$1" -l)"
}
password='correct horse battery'
credentials="{\"name\": \"bob\", \"password\": \"$password\"}"
vc user add bob --password-stdin <<<"$password" >/dev/null
for host in "${hosts[@]}"; do on "$host" vimage share tiny public >/dev/null; done
answers 401 "$leader" POST /v1/vclusters "$(definition stray)" application/yaml
answers 201 "$leader" POST /v1/session "$credentials"
token=$(said .token)
create one
follows "$other"
pids_of() { vc list "$1" --json | jq -r '[.clusters[0].nodes[].init_pid] | join(" ")'; }
pids_of_one=$(pids_of bob/one)

cat >"$root/lab.yaml" <<'YAML'
name: lab
image: tiny
roles:
  worker: {count: 6, placement: spread}
YAML
vc create -f "$root/lab.yaml" >/dev/null
before=$(pids_of lab)
# How many Vclusters of root's there are, and how many of their nodes are ready.
own() { vc list --json 2>/dev/null | jq '[.clusters[] | select(.owner == "root")] | '"$1"; }
labs() { own length; }

echo "== the leader is killed in the middle of a clone"
kill -STOP "${daemon[h3-worker]}"  # So that it is not done before.
vc clone lab --count 8 >/dev/null 2>&1 &
clone=$!
half_made() { [ "$(labs)" -gt 1 ]; }
await half_made || die "the clone does not begin"
start=$EPOCHREALTIME
stop_daemon "$leader-master" KILL
kill -CONT "${daemon[h3-worker]}"
wait $clone && die "a clone whose master is gone said that it is done"
old=$leader
leader=$other
await hosts_present 3 || die "the other master does not lead"
echo "three hosts obey the other master after $(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $start }") s"
await running lab 6 || die "not all run: $(vc list lab -l)"
[ "$(pids_of lab)" = "$before" ] || die "containers were restarted"
only_lab() { [ "$(labs)" = 1 ]; }
await only_lab || die "what was half-made stays: $(vc list)"
vc clone lab --count 2 >/dev/null
[ "$(own '[.[].nodes[] | select(.ready)] | length')" = 18 ] || die "not all run: $(vc list)"

echo "== the user goes on at the new leader, with the same token"
answers 200 "$leader" GET /v1/vclusters/one
[ "$(said .ready_count)" = 3 ] || die "what was made at the old leader does not run: $(cat "$root/answer")"
[ "$(pids_of bob/one)" = "$pids_of_one" ] || die "its nodes were restarted"
create two

echo "== the old leader comes back and follows; the new one is stopped and it leads at once"
start_master "$old" --rest "$(address "$old"):$rest_port"
follows "$old"
code=0
on "$old" vcluster list >/dev/null 2>&1 || code=$?
[ $code = 6 ] || die "two masters lead"
start=$EPOCHREALTIME
stop_daemon "$leader-master"
leader=$old
await hosts_present 3 || die "the old master does not lead again"
echo "three hosts obey the old master after $(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $start }") s"
await running lab 6 || die "not all run: $(vc list lab -l)"
[ "$(pids_of lab)" = "$before" ] || die "containers were restarted"
for name in one two; do
  answers 200 "$leader" DELETE "/v1/vclusters/$name?wait=60s"
  answers 404 "$leader" GET "/v1/vclusters/$name"
done
answers 200 "$leader" GET /v1/vclusters
[ "$(said '.vclusters | length')" = 0 ] || die "bob still has: $(cat "$root/answer")"
vc delete lab lab-1 lab-2 >/dev/null
