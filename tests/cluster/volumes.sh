#!/usr/bin/env bash
# Volumes over two hosts: volumes.sh BIN. Nodes on both write to one directory, with the same owners
# whatever id ranges their hosts have; it is deleted once, when no host has a node of it any more,
# and also when the master dies meanwhile.
program=volumes
PATH=$(realpath "$1"):$PATH
# shellcheck source=tests/cluster/lib.sh
. "$(dirname "$0")/lib.sh"
shared=$root/shared
mkdir "$shared"
make_hosts 2
make_tiny_image
join() {  # HOST FLAG…: every host has id ranges of its own
  worker_flags=(--id-base "${1#h}0000000" "${@:2}")
  start_worker "$1"
}
volumes=$shared/vclusters
empty() { [ -z "$(ls -A "$1")" ]; }

cat >"$root/team.yaml" <<'YAML'
name: team
image: tiny
roles:
  writer: {count: 2, placement: spread}
  reader: {count: 1, volumes: ["data:/in:ro"]}
volumes: ["data:/srv/data", "home:/home/me"]
YAML

echo "== without a place for them, volumes are refused and the remedy is named"
start_master h1
join h1
join h2
await hosts_present 2 || die "not all workers found the master"
if vc create -f "$root/team.yaml" 2>"$root/said"; then die "volumes without a shared directory"; fi
grep -q -- --shared-dir "$root/said" || die "no remedy is named: $(cat "$root/said")"
stop_daemon h1-master
master_flags=(--shared-dir "$shared")
start_master h1
await hosts_present 2 || die "the workers did not find the master again"
if vc create -f "$root/team.yaml" 2>"$root/said"; then die "a worker mounts what it does not have"; fi
grep -q -- 'vclusterd with --shared-dir' "$root/said" || die "no remedy is named: $(cat "$root/said")"

echo "== a directory that is not the master's is not taken for it"
mkdir "$root/other"
stop_daemon h2-worker
join h2 --shared-dir "$root/other"
stop_daemon h1-worker
join h1 --shared-dir "$shared"
await hosts_present 2 || die "the workers did not come back"
if vc create -f "$root/team.yaml" 2>"$root/said"; then die "two directories are taken for one"; fi
grep -q 'is its file system mounted' "$root/said" || die "the fault is not named: $(cat "$root/said")"
empty "$root/other" || die "something was made in the wrong directory"
stop_daemon h2-worker
join h2 --shared-dir "$shared"
await hosts_present 2 || die "the workers did not come back"

echo "== nodes of both hosts write to one volume"
vc create -f "$root/team.yaml" >/dev/null
[ "$(vc list team --json | jq -r '[.clusters[0].nodes[] | select(.role == "writer") | .host] | sort | join(" ")')" = "h1 h2" ] ||
  die "not on two hosts: $(vc list team -l)"
write() { vc exec "team/writer-$1" -- sh -c "for i in \$(busybox seq 200); do echo $1 \$i >>/srv/data/log; done"; }
write 0 & first=$!
write 1
wait $first
[ "$(vc exec team/reader-0 -- busybox wc -l /in/log | command cut -d' ' -f1)" = 400 ] || die "lines are lost"
vc exec team/writer-0 -- sh -c 'busybox mkdir /srv/data/mine && busybox chown 1000 /srv/data/mine'
[ "$(vc exec team/writer-1 -- busybox stat -c '%u %g' /srv/data/mine /srv/data/log | xargs)" = "1000 0 0 0" ] ||
  die "owners depend on the host"
if vc exec team/reader-0 -- sh -c 'echo no >/in/log' 2>/dev/null; then die "read-only is not"; fi
echo token | vc exec -i team/writer-1 -- sh -c 'cat >/home/me/token'
[ "$(vc exec team/writer-0 -- cat /home/me/token)" = token ] || die "the home is not shared"

echo "== it is there again after nodes were stopped, and workers killed"
stop_daemon h1-worker KILL
stop_daemon h2-worker KILL
join h1 --shared-dir "$shared"
join h2 --shared-dir "$shared"
await hosts_present 2 || die "the workers did not come back"
vc stop team >/dev/null
vc start team >/dev/null
[ "$(vc exec team/reader-0 -- busybox wc -l /in/log | command cut -d' ' -f1)" = 400 ] || die "lines are lost"

echo "== a saved image holds nothing of it"
on h1 vsave team/writer-0 saved >/dev/null
where=$(vc list team --json | jq -r '.clusters[0].nodes[] | select(.name == "team/writer-0") | .host')
on "$where" vimage ls -r saved >"$root/listing" 2>/dev/null || on "$where" vimage ls saved >"$root/listing"
if grep -qE 'log|token|mine' "$root/listing"; then die "a volume was saved: $(cat "$root/listing")"; fi

echo "== left out, it is deleted when the last node that has it mounted was started anew"
data=$(ls -d "$volumes"/*/data.1)
sed -i 's/"data:.srv.data", //; s/, volumes: .*ro"\]//' "$root/team.yaml"
vc apply -f "$root/team.yaml" >/dev/null
vc stop team/writer-0 >/dev/null
vc stop team/reader-0 >/dev/null
[ "$(vc exec team/writer-1 -- busybox wc -l /srv/data/log | command cut -d' ' -f1)" = 400 ] || die "it went too early"
vc stop team/writer-1 >/dev/null
gone() { [ ! -e "$data" ]; }
await gone || die "it is still there"
vc start team >/dev/null

echo "== deleted, though the master dies in the middle and one host comes late"
sed -i 's/^volumes: .*/volumes: ["data:\/srv\/data", "home:\/home\/me"]/' "$root/team.yaml"
vc apply -f "$root/team.yaml" >/dev/null
vc stop team >/dev/null
vc start team >/dev/null
vc exec team/writer-0 -- sh -c 'cd /srv/data && for i in $(busybox seq 300); do busybox mkdir d && cd d || exit 1; done; echo x >x'
stop_daemon h2-worker
vc delete team >/dev/null 2>&1 & asked=$!
left() { [ -z "$(ls -A "$root/h1/vclusterd/parts")" ]; }
await left || die "the host that is there did not begin"
[ -e "$volumes"/*/data.2 ] || die "it went while a host may have nodes of it"
stop_daemon h1-master KILL
wait $asked || true
start_master h1
join h2 --shared-dir "$shared"
await empty "$volumes" || die "it is still there"
await empty "$shared/trash" || die "its data still take space"
await empty "$root/h2/vclusterd/parts" || die "a part stayed on h2"
[ "$(cat "$shared"/homes/0/token)" = token ] || die "the home is gone"
