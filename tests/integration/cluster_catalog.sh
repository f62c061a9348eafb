#!/usr/bin/env bash
# One catalog in etcd for two hosts: cluster_catalog.sh BIN. A host with images moves its records
# there, another joins with none; names, rights and leases are the same on both, layers come when
# they are used; etcd goes away and comes back; and the way back to a catalog of one's own.
set -euo pipefail
PATH=$(realpath "$1"):$PATH
root=$(mktemp -d /var/tmp/strata-catalog.XXXXXX)
chmod 755 "$root"
declare -A daemon=()
clean_up() {
  local code=$?
  [ $code -eq 0 ] || tail -n 20 "$root"/*.log >&2 || true
  [ ${#daemon[@]} -eq 0 ] || kill "${daemon[@]}" 2>/dev/null || true
  wait || true
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "cluster_catalog: $*" >&2; exit 1; }

read -r etcd_port etcd_peer a_port b_port < <(python3 - <<'PY'
import socket
sockets = [socket.socket() for _ in range(4)]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))
PY
)
catalog=etcd://127.0.0.1:$etcd_port/strata
start_etcd() {
  etcd --name=one --data-dir="$root/etcd" \
    --listen-client-urls="http://127.0.0.1:$etcd_port" \
    --advertise-client-urls="http://127.0.0.1:$etcd_port" \
    --listen-peer-urls="http://127.0.0.1:$etcd_peer" \
    --initial-advertise-peer-urls="http://127.0.0.1:$etcd_peer" \
    --initial-cluster="one=http://127.0.0.1:$etcd_peer" >>"$root/etcd.log" 2>&1 &
  daemon[etcd]=$!
  timeout 20 bash -c "until curl -sf http://127.0.0.1:$etcd_port/health | grep -q true; do
    read -rt 0.1 <> <(:) || true; done" || die "etcd does not start"
}
imaged_of() {  # HOST PORT [OPTION…]
  timeout 60 imaged --state-dir "$root/$1" --run-dir "$root/$1-run" --peer-name "$1" \
    --peer-listen "127.0.0.1:$2" "${@:3}"
}
start() {  # HOST PORT [OPTION…]
  : >"$root/$1.log"
  imaged --state-dir "$root/$1" --run-dir "$root/$1-run" --peer-name "$1" \
    --peer-listen "127.0.0.1:$2" "${@:3}" 2>>"$root/$1.log" &
  daemon[$1]=$!
  timeout 20 grep -q -m1 serves < <(tail -n +1 -F --pid=$! "$root/$1.log" 2>/dev/null) ||
    die "imaged of $1 does not start"
}
stop() { kill "${daemon[$1]}"; wait "${daemon[$1]}" || die "$1 did not end well"; unset "daemon[$1]"; }
on() { vimage "${@:2}" --socket "$root/$1-run/imaged.sock"; }
by() { setpriv --reuid="$2" --regid="$2" --clear-groups vimage "${@:3}" --socket "$root/$1-run/imaged.sock"; }
refused() {  # CODE TEXT COMMAND…
  local code=0
  "${@:3}" >"$root/out" 2>&1 || code=$?
  [ $code = "$1" ] || die "'${*:3}' exited with $code, not $1: $(cat "$root/out")"
  grep -q "$2" "$root/out" || die "'${*:3}' does not say '$2': $(cat "$root/out")"
}
# Waits for a condition, 10 s at most: what another host did is here when etcd has told it.
await() {
  for _ in $(seq 200); do
    "$@" >/dev/null 2>&1 && return
    read -rt 0.05 <> <(:) || true
  done
  die "in 10 s it did not become so: $*"
}
alice=61001 bob=61002

echo "== a host with images moves into the catalog"
start_etcd
mkdir "$root/files"
seq 20000 >"$root/files/numbers"
tar -C "$root/files" -cf "$root/files.tar" .
start a "$a_port"
by a $alice import "$root/files.tar" spark:v1 --label course=os >/dev/null
on a host init >/dev/null
stop a
refused 1 "migrate-catalog --to etcd" imaged_of a "$a_port" --catalog "$catalog"
imaged_of a "$a_port" migrate-catalog --to "$catalog" >"$root/out"
grep -q "^2 records" "$root/out" || die "an image and a tag: $(cat "$root/out")"
refused 1 "start imaged with --catalog" imaged_of a "$a_port"
refused 1 "start imaged with --catalog" imaged_of a "$a_port" fsck
start a "$a_port" --catalog "$catalog"
by a $alice show spark:v1 >/dev/null || die "the image was lost on the way"

echo "== another host sees it, and may what its user may"
start b "$b_port" --catalog "$catalog"
by b $alice show spark:v1 >/dev/null
refused 7 "not on this host" by b $alice export spark:v1
on a host token 2>/dev/null | on b host join - >/dev/null
refused 3 "no image" by b $bob show $alice/spark:v1
by a $alice share spark:v1 --with $bob >/dev/null
await by b $bob show $alice/spark:v1
said=$(by b $alice list)
grep -Eq '^IMAGE +HERE' <<<"$said" || die "no word of where images are: $said"
grep -Eq '^[^ ]*spark:v1 +no ' <<<"$said" || die "it is on a alone: $said"
by a $alice list --json | jq -e '.images[0].presence == "HERE"' >/dev/null ||
  die "it is on a: $(by a $alice list --json)"
on b fsck >/dev/null || die "what is on another host is no damage"
[ -z "$(find "$root/b/imaged/store/objects" -type f)" ] || die "a check brought layers"
by b $bob export $alice/spark:v1 >"$root/copy.tar"
tar -xOf "$root/copy.tar" numbers | cmp - "$root/files/numbers" || die "other bytes came"
by b $alice list | grep -Eq '^[^ ]*spark:v1 +yes ' || die "it is on b too: $(by b $alice list)"
[ "$(by b $bob browse --json | jq -r .total)" = 1 ] || die "what was brought has a second name"
by a $alice unshare spark:v1 >/dev/null
await eval '! by b $bob show $alice/spark:v1'

echo "== names are one, whoever gives them"
by b $alice tag spark:v1 fine >/dev/null
await by a $alice show fine
by b $alice delete fine >/dev/null
await eval '! by a $alice show fine'
by b $alice show spark:v1 >/dev/null

echo "== etcd goes away: what is known stays readable, changes are refused, and then go on"
kill -9 "${daemon[etcd]}"
wait "${daemon[etcd]}" 2>/dev/null || true
by a $alice show spark:v1 >/dev/null || die "reads need etcd"
refused 6 "127.0.0.1:$etcd_port" by a $alice tag spark:v1 later
start_etcd
await by a $alice tag spark:v1 later --replace
await by b $alice show later

echo "== and back to a catalog of one's own"
by a $alice import "$root/files.tar" only-a >/dev/null
echo "for a" >"$root/files/numbers"
by a $alice import "$root/files" other --base spark:v1 >/dev/null
await by b $alice show other
stop a
refused 6 "no other host gives it" by b $alice export other
start a "$a_port" --catalog "$catalog"
stop b
imaged_of b "$b_port" --catalog "$catalog" migrate-catalog --to own >/dev/null
start b "$b_port"
by b $alice show spark:v1 >/dev/null || die "what was here is gone"
refused 3 "no image" by b $alice show other
on b fsck >/dev/null
by a $alice show other >/dev/null || die "the shared catalog lost what b had no layers of"
