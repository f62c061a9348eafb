#!/usr/bin/env bash
# Two masters over one etcd: masters.sh BIN. The leader is killed while it makes a Vcluster; the
# other leads within seconds, containers notice nothing, and what was half-made is gone.
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
start_master h1
start_master h2
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

cat >"$root/lab.yaml" <<'YAML'
name: lab
image: tiny
roles:
  worker: {count: 6, placement: spread}
YAML
vc create -f "$root/lab.yaml" >/dev/null
pids() { vc list lab --json | jq -r '[.clusters[0].nodes[].init_pid] | join(" ")'; }
before=$(pids)

echo "== the leader is killed in the middle of a clone"
kill -STOP "${daemon[h3-worker]}"  # So that it is not done before.
vc clone lab --count 8 >/dev/null 2>&1 &
clone=$!
half_made() { [ "$(vc list --json 2>/dev/null | jq '.clusters | length')" -gt 1 ]; }
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
[ "$(pids)" = "$before" ] || die "containers were restarted"
only_lab() { [ "$(vc list --json | jq '.clusters | length')" = 1 ]; }
await only_lab || die "what was half-made stays: $(vc list)"
vc clone lab --count 2 >/dev/null
[ "$(vc list --json | jq '[.clusters[].nodes[] | select(.ready)] | length')" = 18 ] || die "not all run: $(vc list)"

echo "== the old leader comes back and follows; the new one is stopped and it leads at once"
start_master "$old"
code=0
on "$old" vcluster list >/dev/null 2>&1 || code=$?
[ $code = 6 ] || die "two masters lead"
start=$EPOCHREALTIME
stop_daemon "$leader-master"
leader=$old
await hosts_present 3 || die "the old master does not lead again"
echo "three hosts obey the old master after $(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $start }") s"
await running lab 6 || die "not all run: $(vc list lab -l)"
[ "$(pids)" = "$before" ] || die "containers were restarted"
vc delete lab lab-1 lab-2 >/dev/null
