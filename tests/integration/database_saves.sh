#!/usr/bin/env bash
# Saves of a node in which PostgreSQL and SQLite work: database_saves.sh TOP BIN [DRIVER [SAVES]]
#
# pgbench, a client that commits a counter, and a SQLite writer run all the time, with a checkpoint
# whenever one ends. What a client was told is committed is written down outside of the node. Each
# save is then started as a node: both databases must recover, hold every row that was confirmed
# before the save began, and be whole.
set -euo pipefail
top=$1
export STRATA_BIN_DIR=$2
driver=${3:-kernel}
saves=${4:-2}
PATH=$STRATA_BIN_DIR:$PATH
root=$(mktemp -d /var/tmp/strata-databases.XXXXXX)
chmod 755 "$root"  # Containers have to pass it.
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run STRATA_LOG_DIR=$root/log
if [ "$driver" = kernel ]; then second=214; else second=215; fi
export STRATA_VCLUSTERD_FLAGS="--subnet-pool 10.$second.0.0/16"
clients=()

stop_clients() {
  [ ${#clients[@]} -eq 0 ] || kill "${clients[@]}" 2>/dev/null || true
  wait "${clients[@]}" 2>/dev/null || true
  clients=()
}
clean_up() {
  local code=$?
  [ $code -eq 0 ] || tail -n 20 "$root"/log/*.log "$root"/*.log >&2 || true
  stop_clients
  "$top/tools/quickstart" --down --purge >"$root/down.log" 2>&1 || {
    cat "$root/down.log" >&2
    "$top/tools/setup/daemons" stop >&2 || true
    code=1
  }
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "database_saves: $*" >&2; exit 1; }

in_node() {  # NODE COMMAND…
  local node=$1
  shift
  vcluster exec "$node" --workdir / --env LC_ALL=C.UTF-8 --env PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin \
    --env PGDATA=/srv/pg --env PGHOST=/tmp --env PGUSER=postgres --env PGDATABASE=postgres -- "$@"
}
pg() {  # NODE COMMAND…, as the database's user
  local node=$1
  shift
  in_node "$node" setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
}
query() { pg "$1" psql -qAtc "$2"; }
start_postgres() {
  # Checkpoints as often as can be: what they rewrite is what a save could tear.
  pg "$1" pg_ctl -w -t 60 -l /srv/pg.log start \
    -o "-k /tmp -c listen_addresses= -c max_wal_size=32MB -c shared_buffers=16MB -c jit=off" \
    >"$root/start.log" 2>&1 || {
      in_node "$1" tail -n 20 /srv/pg.log >&2
      die "PostgreSQL does not start in $1"
    }
}
# A client in the background; its output is what the node has confirmed.
client() {  # NAME COMMAND…
  local name=$1
  shift
  "$@" >"$root/$name.out" 2>"$root/$name.log" &
  clients+=($!)
}
clients_run() {
  local pid
  for pid in "${clients[@]}"; do
    kill -0 "$pid" 2>/dev/null || die "a client ended: $(tail -n 3 "$root"/*.log)"
  done
}
# The last line but one: the last may be half a number.
confirmed() { tail -n 2 "$root/$1.out" | head -n 1; }
wait_for() {  # NAME NUMBER: until so much is confirmed
  local deadline=$((SECONDS + 60)) last
  until last=$(confirmed "$1") && [ "${last:-0}" -ge "$2" ]; do
    [ $SECONDS -lt $deadline ] || die "$1 confirms nothing"
    clients_run
    read -rt 0.05 <> <(:) || true
  done
}

check_postgres() {  # NODE CONFIRMED
  start_postgres "$1"
  in_node "$1" grep -q 'redo starts at' /srv/pg.log || die "$1: nothing to recover: no test"
  [ "$(query "$1" "select max(n) >= $2 and count(*) = max(n) from acks")" = t ] ||
    die "$1: PostgreSQL lost rows: $2 were confirmed, there are $(query "$1" \
      'select count(*), max(n) from acks')"
  [ "$(query "$1" 'select (select sum(abalance) from pgbench_accounts) = s and
                   (select sum(bbalance) from pgbench_branches) = s and
                   (select sum(tbalance) from pgbench_tellers) = s
                   from (select sum(delta) as s from pgbench_history) as h')" = t ] ||
    die "$1: the sums differ"
  pg "$1" pg_amcheck --install-missing --heapallindexed --all >"$root/amcheck.log" 2>&1 ||
    die "$1: amcheck found damage"
  pg "$1" pg_ctl -w stop >/dev/null
  pg "$1" pg_checksums --check >"$root/checksums.log" 2>&1 || die "$1: a page is damaged"
}
check_sqlite() {  # NODE CONFIRMED
  local found
  found=$(in_node "$1" sqlite3 /srv/rows.sqlite "pragma integrity_check;
    select max(n) >= $2 and count(*) = max(n) from acks;
    select count(*) from acks where length(pad) != 200 + n % 300;")
  [ "$found" = $'ok\n1\n0' ] || die "$1: SQLite, $2 rows were confirmed: $found"
}

"$top/tools/quickstart" --no-build --no-job >/dev/null
archive=$("$top/tools/setup/debian-tar" bookworm postgresql-15,python3,sqlite3)
vimage import "$archive" base >/dev/null
vcluster create db --image base --nodes 1 --driver "$driver" >/dev/null
in_node db/0 install -d -o postgres -g postgres -m 777 /srv
pg db/0 initdb --data-checksums -A trust >"$root/initdb.log"
start_postgres db/0
pg db/0 pgbench -i -s 3 -q >"$root/load.log" 2>&1
query db/0 'create table acks (n integer primary key)'

client bench pg db/0 pgbench -n -c 4 -j 2 -T 3600
client checkpoints pg db/0 sh -c 'echo "checkpoint \watch 0.1" | psql -q'
# psql prints a row when the server has confirmed the commit.
client postgres pg db/0 sh -c \
  'seq 100000000 | sed "s/.*/insert into acks values (&) returning n;/" | stdbuf -oL psql -qAt'
client sqlite in_node db/0 python3 -u -c '
import itertools, sqlite3
db = sqlite3.connect("/srv/rows.sqlite", isolation_level=None)
db.execute("pragma journal_mode = wal")
db.execute("pragma synchronous = full")
db.execute("create table acks (n integer primary key, pad text)")
for n in itertools.count(1):
    db.execute("insert into acks values (?, ?)", (n, "x" * (200 + n % 300)))
    print(n)'

postgres=0 sqlite=0
for ((i = 1; i <= saves; ++i)); do
  wait_for postgres $((postgres + 500))
  wait_for sqlite $((sqlite + 200))
  postgres=$(confirmed postgres) sqlite=$(confirmed sqlite)
  vsave db/0 "moment$i" --json >"$root/save.json"
  clients_run
  jq -r --arg i "$i" '"save \($i): \(.total_ms | round) ms, stood still for " +
    "\(.stall_ms * 10 | round / 10) ms, \(.layer_bytes | tonumber / 1048576 | round) MiB"' \
    "$root/save.json"
  vcluster create "moment$i" --image "moment$i" --nodes 1 --driver "$driver" >/dev/null
  check_postgres "moment$i/0" "$postgres"
  check_sqlite "moment$i/0" "$sqlite"
  echo "   $postgres PostgreSQL and $sqlite SQLite rows were confirmed before: all there"
  vcluster delete "moment$i" >/dev/null
done
stop_clients
echo "database_saves: done"
