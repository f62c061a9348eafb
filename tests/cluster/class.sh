#!/usr/bin/env bash
# A class of 30 students on three hosts: class.sh BIN. While their Vclusters start the leader and a
# worker are killed; the other master goes on, and all students are served. A Vcluster over two
# hosts is saved as of one moment before.
program=class
PATH=$(realpath "$1"):$PATH
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
master_hosts=(h1 h2)
make_hosts 3
make_tiny_image
etcd_port=17389
enter h1 etcd --data-dir "$root/etcd" --listen-client-urls "http://10.78.0.1:$etcd_port" \
  --advertise-client-urls "http://10.78.0.1:$etcd_port" --listen-peer-urls http://10.78.0.1:17390 \
  --initial-advertise-peer-urls http://10.78.0.1:17390 --initial-cluster "default=http://10.78.0.1:17390" \
  >"$root/etcd.log" 2>&1 &
daemon[etcd]=$!
await grep -q 'ready to serve client requests' "$root/etcd.log" || die "etcd does not start"
master_flags=(--etcd "etcd://10.78.0.1:$etcd_port/strata" --etcd-insecure --takeover-ms 1500
  --host-lost-ms 3000)
start_master h1
start_master h2
start_workers

class() { on "$leader" vclass "$@"; }
await hosts_present 3 || { leader=h2; hosts_present 3; } || die "no master leads three hosts"
other=h2
[ "$leader" = h1 ] || other=h1

echo "== a Vcluster over two hosts is saved while its nodes count together"
cat >"$root/lab.yaml" <<'YAML'
name: lab
image: tiny
roles:
  node: {count: 2, placement: {rank: spread, apart: [node], strict: true}}
YAML
vc create -f "$root/lab.yaml" >/dev/null
# Node 0 writes a number, hands it to node 1, and goes on when that has it: the two never differ by
# more than one, at any moment.
vc exec lab/1 -- sh -c '
  busybox mkdir -p /root/w/cgi-bin
  printf "%s\n" "#!/bin/sh" "echo \"\$QUERY_STRING\" >/root/n.new" "mv /root/n.new /root/n" \
    "printf \"Content-Type: text/plain\r\n\r\nok\"" >/root/w/cgi-bin/set
  busybox chmod 755 /root/w/cgi-bin/set
  busybox ln -sf busybox /bin/mv; httpd -h /root/w -p 8080; echo up' >/dev/null
vc exec lab/0 -- sh -c '
  busybox ln -sf busybox /bin/mv
  echo "i=0; while :; do i=\$((i+1)); echo \$i >/root/n.new; mv /root/n.new /root/n
    until wget -q -O /dev/null http://lab-1:8080/cgi-bin/set?\$i; do :; done; done" >/root/count
  sh /root/count >/dev/null 2>&1 </dev/null & echo up' >/dev/null
counting() { n=$(vc exec lab/1 -- cat /root/n 2>/dev/null) && [ "${n:-0}" -gt 3 ]; }
await counting || die "the nodes do not count"
for round in 1 2 3; do
  vc save lab "course:r$round" >/dev/null
  vc create "copy$round" --template "course:r$round" >/dev/null
  a=$(vc exec "copy$round/0" -- cat /root/n)
  b=$(vc exec "copy$round/1" -- cat /root/n)
  echo "round $round: $a and $b, all stood still for $(vc template show "course:r$round" --json |
    jq '.templates[0].stall_ms | round') ms"
  [ "$a" = "$b" ] || [ "$a" = $((b + 1)) ] || die "the images are not of one moment: $a and $b"
  vc delete "copy$round" >/dev/null
done
vc delete lab >/dev/null

echo "== the leader and a worker are killed while 30 students are served"
{ echo user,name; for i in $(seq 30); do echo "$((64100 + i)),Student $i"; done; } >"$root/roster.csv"
class create os-lab --roster "$root/roster.csv" --template course:r3 --parallel 6 --no-wait >/dev/null
some_ready() { n=$(class show os-lab --json 2>/dev/null | jq '.classes[0].ready') && [ "${n:-0}" -ge 4 ]; }
await some_ready || die "nobody is served: $(class show os-lab)"
start=$EPOCHREALTIME
stop_daemon "$leader-master" KILL
stop_daemon h3-worker KILL
old=$leader
leader=$other
start_worker h3
all_ready() { [ "$(class show os-lab --json 2>/dev/null | jq '.classes[0].ready')" = 30 ]; }
served=
for _ in 1 2 3 4; do await all_ready && { served=1; break; }; done
[ -n "$served" ] || die "not all are served: $(class show os-lab)"
echo "all 30 students are served $(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $start }") s after that"
[ "$(vc list --json | jq '[.clusters[] | select(.name == "os-lab")] | length')" = 30 ] || die "some have two"
different() { vc list --json | jq -r "[.clusters[] | $1] | flatten | sort | (length - (unique | length))"; }
[ "$(different .subnet)" = 0 ] || die "two have one subnet"
[ "$(different '.nodes[].address')" = 0 ] || die "two nodes have one address"
for student in 64101 64130; do
  vc exec "$student/os-lab/0" -- sh -c 'hostname; cat /etc/machine-id; cat /root/n' | tr '\n' ' ' >>"$root/ids"
  echo >>"$root/ids"
done
[ "$(command cut -d ' ' -f 2 "$root/ids" | sort -u | wc -l)" = 2 ] || die "two students have one machine-id"
[ "$(command cut -d ' ' -f 3 "$root/ids" | sort -u | wc -l)" = 1 ] || die "students have different files"

echo "== reset, collect, compare, delete"
vc exec 64101/os-lab/0 -- sh -c 'head -c 3000 /dev/urandom >/root/answer'
answer=$(vc exec 64101/os-lab/0 -- cat /root/answer | sha256sum)
vc exec 64101/os-lab/0 -- cat /root/answer | vc exec -i 64102/os-lab/0 -- sh -c 'cat >/root/mine'
[ "$(vc exec 64102/os-lab/0 -- cat /root/mine | sha256sum)" = "$answer" ] || die "the answer was not copied"
class collect os-lab 64101 64102 64103 >/dev/null
[ "$(class compare os-lab --json | jq -r '.pairs[0] | .user + .other')" = 6410164102 ] ||
  die "the copy is not found: $(class compare os-lab --files)"
class reset os-lab 64101 --yes >/dev/null
vc exec 64101/os-lab/0 -- ls /root/answer >/dev/null 2>&1 && die "what was reset still has its files"
vc exec 64102/os-lab/0 -- ls /root/mine >/dev/null || die "another was reset, too"
class delete os-lab --yes >/dev/null
for round in 1 2 3; do vc template delete "course:r$round" >/dev/null; done
[ "$(vc list --json | jq '.clusters | length')" = 0 ] || die "something stays: $(vc list)"
for host in "${hosts[@]}"; do
  [ "$(on "$host" vimage list --json | jq '[.images[] | select(.name | startswith("course-"))] | length')" = 0 ] ||
    die "images of deleted templates stay on $host"
done
start_master "$old"
