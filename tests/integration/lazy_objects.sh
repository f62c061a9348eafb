#!/usr/bin/env bash
# A node of an image whose objects are all elsewhere: lazy_objects.sh TOP BIN DRIVER
set -euo pipefail
PATH=$(realpath "$2"):$PATH
driver=$3
root=$(mktemp -d /var/tmp/strata-lazy.XXXXXX)
chmod 755 "$root"  # Containers have to pass it.
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run
if [ "$driver" = kernel ]; then second=216; else second=217; fi
daemons=()

end_daemons() {
  [ ${#daemons[@]} -eq 0 ] || kill "${daemons[@]}" 2>/dev/null || true
  wait "${daemons[@]}" 2>/dev/null || true
  daemons=()
}
clean_up() {
  local code=$?
  [ $code -eq 0 ] || tail -n 30 "$root"/*.log "$root"/run/*.log >&2 || true
  if [ ${#daemons[@]} -eq 3 ]; then  # --down takes vclusterd's place.
    kill "${daemons[2]}"
    wait "${daemons[2]}" || true
  fi
  vclusterd --down 2>>"$root/down.log" || { cat "$root/down.log" >&2; code=1; }
  end_daemons
  if grep -q "$root" /proc/self/mountinfo; then
    echo "lazy_objects: mounts stayed behind" >&2
    code=1
  fi
  rm -rf --one-file-system "$root"
  exit $code
}
die() { echo "lazy_objects: $*" >&2; exit 1; }
# Runs a daemon until its log says that it serves.
start() {
  "$@" 2>>"$root/$1.log" &
  daemons+=($!)
  timeout 20 grep -q -m1 serves < <(tail -n +1 -F --pid=$! "$root/$1.log" 2>/dev/null) ||
    die "$1 does not start"
}
trap clean_up EXIT

mkdir -p "$root/image/bin" "$root/image/data"
cp "$(command -v busybox)" "$root/image/bin/"
ln -s busybox "$root/image/bin/sh"
ln -s busybox "$root/image/bin/cat"
seq 10000 >"$root/image/data/wanted"
seq 20000 >"$root/image/data/unwanted"

start imaged
vimage import "$root/image" base >/dev/null
end_daemons
mkdir "$root/elsewhere"
mv "$STRATA_STATE_DIR/imaged/store/objects" "$root/elsewhere/"
rm "$root/imaged.log"

start imaged --fetch-from "$root/elsewhere"
start vnetd
start vclusterd --subnet-pool "10.$second.0.0/16"
store=$STRATA_STATE_DIR/imaged/store/objects
holds() { find "$store" -type f | wc -l; }

echo "== 1. what a node opens is fetched, and nothing else"
vcluster create lazy --image base --nodes 1 --driver "$driver" >/dev/null
vcluster exec lazy/0 -- cat /data/wanted | cmp - "$root/image/data/wanted"
[ "$(holds)" = 2 ] || die "$(holds) objects were fetched, not busybox and one file"

echo "== 2. what nobody has is an error for its file alone"
mkdir "$root/away"
mv "$root"/elsewhere/objects/* "$root/away/"
! vcluster exec lazy/0 -- cat /data/unwanted >/dev/null 2>&1 || die "bytes out of nowhere"
vcluster exec lazy/0 -- cat /data/wanted | cmp - "$root/image/data/wanted"
grep -q "object blake3:" "$STRATA_RUN_DIR/objects.log" || [ "$driver" = fuse ] ||
  die "no line with the digest"
mv "$root"/away/* "$root/elsewhere/objects/"

echo "== 3. it turns up again; fsck fetches the rest"
vcluster exec lazy/0 -- cat /data/unwanted | cmp - "$root/image/data/unwanted"
vimage fsck >/dev/null || true
vimage fsck >/dev/null || die "fsck did not repair"

echo "== 4. new nodes of the complete image need neither"
vcluster create whole --image base --nodes 1 --driver "$driver" >/dev/null
vcluster exec whole/0 -- cat /data/unwanted | cmp - "$root/image/data/unwanted"
ls "$STRATA_STATE_DIR"/imaged/store/trees/*.complete >/dev/null || die "not known as complete"
echo "lazy_objects: done"
