#!/usr/bin/env bash
# What imaged tells about itself: observability.sh BIN. Events of several users, also while somebody
# follows them and after a kill; metrics as Prometheus reads them; a log that jq reads.
set -euo pipefail
PATH=$(realpath "$1"):$PATH
root=$(mktemp -d /var/tmp/strata-observability.XXXXXX)
chmod 755 "$root"
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run
daemon= follower=
clean_up() {
  local code=$?
  if [ -n "$follower" ]; then kill "$follower" 2>/dev/null; wait "$follower" || true; fi
  if [ -n "$daemon" ]; then kill "$daemon" && wait "$daemon" || code=1; fi
  [ $code -eq 0 ] || tail -n 30 "$root"/*.log >&2 || true
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "observability: $*" >&2; exit 1; }

start() {
  imaged --metrics 127.0.0.1:0 --log-format json 2>>"$root/imaged.log" &
  daemon=$!
  timeout 20 grep -q -m1 '"message":"serves' < <(tail -n +"$1" -F --pid=$daemon "$root/imaged.log" \
    2>/dev/null) || die "imaged does not start"
}
start 1
alice=61001 bob=61002
as() { setpriv --reuid="$1" --regid="$1" --clear-groups vimage "${@:2}"; }
metric() {
  local port
  port=$(jq -r .message "$root/imaged.log" | sed -n 's/^metrics are at port //p' | tail -n 1)
  curl -sSf "http://127.0.0.1:$port/metrics" >"$root/metrics"
  awk -v name="$1" '$1 == name { print $2 }' "$root/metrics"
}

mkdir "$root/files"
seq 20000 >"$root/files/numbers"
tar -C "$root/files" -cf "$root/files.tar" .

echo "== events, while somebody follows"
vimage events --follow --json --last 0 >"$root/followed" &
follower=$!
as $alice import "$root/files.tar" spark:v1 >/dev/null
as $alice share spark:v1 --with $bob --until 1h >/dev/null
as $bob tag $alice/spark:v1 mine >/dev/null
! as $bob delete $alice/spark:v1 2>/dev/null || die "bob deleted what is alice's"
timeout 20 grep -q -m1 '"action":"delete"' < <(tail -n +1 -F --pid=$follower "$root/followed") ||
  die "the follower sees nothing"
kill $follower && wait $follower || true
follower=
actions=$(jq -r '"\(.uid) \(.action) \(.image) \(.outcome)"' "$root/followed")
expected="$alice import $alice/spark:v1 ok
$alice share $alice/spark:v1 ok
$bob tag $bob/mine:latest ok
$bob delete $alice/spark:v1 permission denied"
[ "$actions" = "$expected" ] || die "these events came: $actions"
jq -r 'select(.action == "share").detail' "$root/followed" | grep -q "^+user:$bob until 20" ||
  die "an event does not say with whom it was shared"

echo "== everybody sees his own"
[ "$(as $bob events --json | jq -r .action | paste -sd ' ')" = "tag delete" ] || die "bob's events"
[ "$(as $alice events --json | jq -r .action | paste -sd ' ')" = "import share" ] ||
  die "alice's events"
[ "$(vimage events $alice/spark --action share --json | jq -s length)" = 1 ] || die "no filter"
[ "$(vimage events --since 1h --json | jq -s length)" = 4 ] || die "--since an hour ago"

echo "== metrics"
[ "$(metric strata_tags)" = 2 ] || die "two tags: $(cat "$root/metrics")"
[ "$(metric strata_catalog_up)" = 1 ] || die "the own catalog is not up"
[ "$(metric 'strata_rpc_seconds_count{call="tag",outcome="ok"}')" = 1 ] || die "one call of tag"
as $alice import "$root/files.tar" copy >/dev/null
as $alice delete copy >/dev/null  # Collects, and counts what is live.
bytes=$(stat -c %s "$root/files/numbers")
[ "$(metric strata_store_bytes)" = "$bytes" ] || die "the store holds $bytes bytes"
[ "$(metric strata_sharing_saved_bytes)" = "$bytes" ] || die "bob's version takes nothing"

echo "== the log, and what a kill leaves"
jq -e 'select(.message | startswith("serves"))' "$root/imaged.log" >/dev/null || die "no JSON"
lines=$(wc -l <"$root/imaged.log")
kill -9 $daemon
wait $daemon || true
start $((lines + 1))
[ "$(vimage events --json | jq -r .number | paste -sd ' ')" = "1 2 3 4 5 6" ] ||
  die "events were lost: $(vimage events)"
as $alice edit spark:v1 --description new >/dev/null
[ "$(vimage events --last 1 --json | jq -r '"\(.number) \(.action)"')" = "7 edit" ] ||
  die "numbers do not go on"
