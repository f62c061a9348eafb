#!/usr/bin/env bash
# Several users of one imaged, each by his own uid, with the commands they would type:
# sharing.sh TOP BIN. Who is not meant to see an image cannot find it; nothing is copied.
set -euo pipefail
PATH=$(realpath "$2"):$PATH
root=$(mktemp -d /var/tmp/strata-sharing.XXXXXX)
chmod 755 "$root"
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run
daemon=
clean_up() {
  local code=$?
  if [ -n "$daemon" ]; then
    kill "$daemon" && wait "$daemon" || code=1
  fi
  [ $code -eq 0 ] || tail -n 30 "$root"/*.log >&2 || true
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "sharing: $*" >&2; exit 1; }

imaged 2>"$root/imaged.log" &
daemon=$!
timeout 20 grep -q -m1 serves < <(tail -n +1 -F --pid=$daemon "$root/imaged.log" 2>/dev/null) ||
  die "imaged does not start"

alice=61001 bob=61002 carol=61003
as() { setpriv --reuid="$1" --regid="$1" --clear-groups vimage "${@:2}"; }
# The exit code of a command that has to fail, and its message.
refused() {
  local code=0
  message=$("${@:2}" 2>&1 >/dev/null) || code=$?
  [ $code = "$1" ] || die "'${*:2}' exited with $code, not $1: $message"
}
objects() { find "$STRATA_STATE_DIR/imaged/store/objects" -type f | wc -l; }

mkdir "$root/files"
seq 20000 >"$root/files/numbers"
seq 500 >"$root/files/more"
tar -C "$root/files" -cf "$root/files.tar" .
as $alice import "$root/files.tar" spark:v1 --description 'Spark and Python' --label course=os \
  >/dev/null

echo "== private: not there for others"
refused 3 as $bob show $alice/spark:v1
[ "$(as $bob browse --json | jq .total -r)" = 0 ] || die "bob sees a private image"

echo "== shared with one user, for a time, by reference"
as $alice share spark:v1 --with $bob --until 1h >/dev/null
as $bob browse spark --label course=os | grep -q "shared with you" || die "bob does not find it"
refused 3 as $carol show $alice/spark:v1
before=$(objects)
as $bob tag $alice/spark:v1 mine >/dev/null
[ "$(objects)" = "$before" ] || die "a tag copied something"
[ "$(as $bob usage --json | jq -r '.usages[0].unique_bytes')" = 0 ] || die "bob pays for alice"
refused 4 as $bob share $alice/spark:v1 public
refused 2 as $alice share spark:v1 --with $bob --until 2001-01-01

echo "== a class, from a roster"
printf '%s\n' $bob $carol >"$root/roster"
as $alice class os --add-from "$root/roster" >/dev/null
as $alice share spark:v1 --with class:os >/dev/null
as $carol ls $alice/spark:v1 | grep -q numbers || die "carol is in the class"
as $alice class os --remove $carol >/dev/null
refused 3 as $carol show $alice/spark:v1
as $alice unshare spark:v1 >/dev/null
refused 3 as $bob show $alice/spark:v1
as $bob show mine >/dev/null || die "what bob has is his"

echo "== versions, lineage"
echo new >"$root/files/more"
as $bob import "$root/files" mine --base mine --replace >/dev/null
[ "$(as $bob versions mine --json | jq '.images | length')" = 2 ] || die "no earlier version"
first=$(as $bob versions mine --json | jq -r '.images[1].digest')
as $bob lineage mine | grep -q "(gone)\|spark" || die "the lineage has lost its ancestor"
as $bob tag "mine@${first:7:12}" mine --replace >/dev/null
[ "$(as $bob show mine --json | jq -r .image.digest)" = "$first" ] || die "it did not go back"

echo "== what is deleted is freed while others keep theirs"
as $alice delete spark:v1 >/dev/null
as $bob fsck | grep -q " 0 problems" || die "bob's image was damaged by alice's deletion"
as $bob prune --dry-run | grep -q "1 versions" || die "nothing to prune"
as $bob prune >/dev/null
as $bob delete mine >/dev/null
[ "$(objects)" = 0 ] || die "$(objects) objects are left of nothing"

echo "== what differs, and the same changes on a newer base"
mkdir "$root/layer"
as $alice import "$root/files" os:v1 >/dev/null
echo mine >"$root/layer/own"
as $alice import "$root/layer" tool --base os:v1 >/dev/null
[ "$(as $alice diff os:v1 tool --json | jq -r '.entries[].path' | xargs)" = own ] ||
  die "the image differs in more than its own file"
seq 600 >"$root/files/more"
as $alice import "$root/files" os:v2 >/dev/null
as $alice rebase tool --onto os:v2 --as tool:new --json | jq -e '.open_conflicts == "0"' >/dev/null ||
  die "a conflict where there is none"
as $alice export tool:new | tar -xO ./more 2>/dev/null | tail -n 1 | grep -qx 600 ||
  as $alice export tool:new | tar -xO more | tail -n 1 | grep -qx 600 || die "not the new base's file"
echo other >"$root/layer/more"
as $alice import "$root/layer" tool:both --base os:v1 >/dev/null
refused 7 as $alice rebase tool:both --onto os:v2 --as tool:never
grep -q "nothing was published" <<<"$message" || die "no remedy given: $message"
refused 3 as $alice show tool:never
as $alice rebase tool:both --onto os:v2 --as tool:mine --take image:/more >/dev/null
for name in os:v1 os:v2 tool tool:new tool:both tool:mine; do as $alice delete "$name" >/dev/null; done
[ "$(objects)" = 0 ] || die "$(objects) objects are left of nothing"

echo "== limits"
refused 4 as $alice quota default 1M
vimage quota user:$alice 50K >/dev/null
refused 7 as $alice import "$root/files.tar" spark
grep -q "may still have\|at most" <<<"$message" || die "no reason given: $message"
vimage quota user:$alice none >/dev/null
as $alice import "$root/files.tar" spark >/dev/null
as $alice delete spark >/dev/null
