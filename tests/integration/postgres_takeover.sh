#!/usr/bin/env bash
# PostgreSQL on a root of the fuse driver whose server is killed again and again under pgbench:
# postgres_takeover.sh TOP BIN [SECONDS]. No client may see an error, no transaction may be lost, and
# the database must be whole under the kernel driver afterwards.
set -euo pipefail
top=$1
bin=$2
seconds=${3:-20}
root=$(mktemp -d /var/tmp/strata-postgres.XXXXXX)
chmod 755 "$root"
mnt=$root/mnt
postgres_pid=

clean_up() {
  local code=$?
  [ -z "$postgres_pid" ] || { kill -INT "$postgres_pid" && wait "$postgres_pid"; } 2>/dev/null || true
  if mountpoint -q "$mnt"; then umount "$mnt" || { umount -l "$mnt"; code=1; }
  fi
  if [ $code -ne 0 ]; then
    tail -n 20 "$root"/*.log "$root"/volume/upper.log >&2 2>/dev/null || true
  fi
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "postgres_takeover: $*" >&2; exit 1; }

# The image: PostgreSQL's packages, unpacked and not installed.
cache=${STRATA_CACHE_DIR:-/var/cache/strata}/debs-postgresql-15
if [ ! -f "$cache/complete" ]; then
  mkdir -p "$cache"
  "$top/tools/setup/debs" "$cache" postgresql-15 libllvm14 </var/lib/dpkg/status
  touch "$cache/complete"
fi
mkdir -p "$root/image" "$root/layer/data" "$mnt"
for deb in "$cache"/*.deb; do dpkg-deb -x "$deb" "$root/layer"; done
chown 65534:65534 "$root/layer/data"
chmod 700 "$root/layer/data"
"$bin/layerfs_bench" image "$root/layer" "$root/image" >/dev/null

mount_root() {
  "$bin/layerfs" mount --driver "$1" --tree "$root/image/tree" --objects "$root/image/objects" \
    --volume "$root/volume" "$mnt"
}
# Programs and libraries come from the root too.
pg() { (exec_pg "$@"); }
exec_pg() {
  local program=$1
  shift
  exec env -i PATH=/usr/bin:/bin HOME=/ LC_ALL=C LD_LIBRARY_PATH="$mnt/usr/lib/x86_64-linux-gnu" \
    setpriv --reuid=65534 --regid=65534 --clear-groups \
    "$mnt/usr/lib/postgresql/15/bin/$program" "$@"
}
query() { pg psql -h "$mnt/data" -p 54329 -d postgres -qAtc "$1"; }
start_postgres() {
  exec_pg postgres -D "$mnt/data/db" -p 54329 -k "$mnt/data" -c listen_addresses= \
    -c wal_sync_method=fdatasync -c checkpoint_timeout=30s -c max_wal_size=64MB -c jit=off \
    >>"$root/postgres.log" 2>&1 &
  postgres_pid=$!
  for _ in $(seq 600); do
    if query 'select 1' >/dev/null 2>&1; then return; fi
    kill -0 "$postgres_pid" 2>/dev/null || die "PostgreSQL ended"
    read -rt 0.05 <> <(:) || true
  done
  die "PostgreSQL does not answer"
}
stop_postgres() {
  kill -INT "$postgres_pid"
  wait "$postgres_pid" || die "PostgreSQL ended with $?"
  postgres_pid=
}
# Every transaction adds the same delta to one account, teller and branch, and writes it down.
check() {
  local sums transactions
  sums=$(query 'select (select sum(abalance) from pgbench_accounts) = s and
                (select sum(bbalance) from pgbench_branches) = s and
                (select sum(tbalance) from pgbench_tellers) = s
                from (select sum(delta) as s from pgbench_history) as h')
  [ "$sums" = t ] || die "$1: the sums differ"
  transactions=$(query 'select count(*) from pgbench_history')
  [ "$transactions" = "$processed" ] ||
    die "$1: $transactions transactions are there, $processed were confirmed"
}

mount_root fuse
keeper=$(pgrep -f "serve.*--upper $root/volume/upper" | while read -r pid; do
  if [ "$(cat "/proc/$pid/comm")" = layerfs-keeper ]; then echo "$pid"; fi
done)
pg initdb -D "$mnt/data/db" -A trust -U nobody >"$root/initdb.log"
start_postgres
pg pgbench -h "$mnt/data" -p 54329 -i -s 3 -q postgres >"$root/load.log" 2>&1

# The killer sleeps between kills: chance picks the moments.
(
  kills=0
  while [ ! -e "$root/stop" ]; do
    server=$(tr -d ' ' <"/proc/$keeper/task/$keeper/children") || true
    if [ -n "$server" ] && kill -9 "$server" 2>/dev/null; then kills=$((kills + 1)); fi
    echo "$kills" >"$root/kills"
    read -rt "0.$((RANDOM % 5 + 1))" <> <(:) || true
  done
) &
killer=$!
pg pgbench -h "$mnt/data" -p 54329 -c 4 -j 2 -T "$seconds" -n postgres >"$root/run.log" 2>&1 ||
  { touch "$root/stop"; die "a client saw an error"; }
touch "$root/stop"
wait "$killer"
kills=$(cat "$root/kills")
[ "$kills" -ge "$seconds" ] || die "only $kills kills"
processed=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$root/run.log")
grep -q '^number of failed transactions: 0 ' "$root/run.log" || die "transactions failed"
[ "$(cat "$root/volume/upper.broken" 2>/dev/null)" = "" ] || die "the root broke"
check "while it ran"
stop_postgres
umount "$mnt"

mount_root kernel
start_postgres
check "under the kernel driver"
query 'reindex database postgres' 2>/dev/null
stop_postgres
umount "$mnt"
echo "$processed transactions, $kills kills, none lost"
