#!/usr/bin/env bash
# The stops of docs/walkthrough.md with one byte: walkthrough.sh TOP BIN DRIVER
set -euo pipefail
top=$1
export STRATA_BIN_DIR=$2
driver=$3
PATH=$STRATA_BIN_DIR:$PATH
root=$(mktemp -d /var/tmp/strata-walkthrough.XXXXXX)
chmod 755 "$root"  # Containers have to pass it.
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run STRATA_LOG_DIR=$root/log
# One run in plain directories, one in volumes with a limit.
if [ "$driver" = kernel ]; then
  second=218 disk=() volume=none
else
  second=219 disk=(--disk 2G) volume=
fi
export STRATA_VCLUSTERD_FLAGS="--subnet-pool 10.$second.0.0/16"

clean_up() {
  local code=$?
  [ $code -eq 0 ] || tail -n 30 "$root"/log/*.log >&2 || true
  "$top/tools/quickstart" --down --purge >"$root/down.log" 2>&1 || {
    cat "$root/down.log" >&2
    "$top/tools/setup/daemons" stop >&2 || true
    code=1
  }
  rm -rf --one-file-system "$root"
  exit $code
}
trap clean_up EXIT
die() { echo "walkthrough: $*" >&2; exit 1; }

"$top/tools/quickstart" --no-build --no-job >/dev/null
archive=$("$top/tools/setup/debian-tar" bookworm python3,openssh-server,openmpi-bin,python3-mpi4py)
vimage import "$archive" base >/dev/null

echo "== 1. written"
vcluster create hpc --image base --nodes 1 --driver "$driver" "${disk[@]}" >/dev/null
made=$(vcluster list hpc --json | jq -r '.clusters[0].nodes[0].volume')
if [ -n "$volume" ]; then
  [ "$made" = "$volume" ] || die "the node has a volume of kind $made"
else
  [ "$made" != none ] || die "the node has no volume with a limit"
fi
vcluster exec hpc/0 -- sh -c 'printf B >/srv/data && chown 1000:100 /srv/data && rm /etc/motd'

echo "== 2. saved: the layer holds the byte, the whiteout and nothing else of the image"
vsave hpc/0 tools --json >"$root/save.json"
jq -e '(.new_bytes | tonumber) < 1000000' "$root/save.json" >/dev/null ||
  die "the diff is too large: $(cat "$root/save.json")"
[ "$(vimage show tools --json | jq '.image.layers | length')" = 2 ] || die "not two layers"
vimage ls tools /srv/data --json >"$root/ls.json"
jq -e '.files[0] | .size == "1" and .uid == 1000 and .gid == 100' "$root/ls.json" >/dev/null ||
  die "the entry differs: $(cat "$root/ls.json")"
! vimage ls tools /etc/motd >/dev/null 2>&1 || die "the deleted file is still in the image"
vimage export tools "$root/tools.tar"
[ "$(tar -xOf "$root/tools.tar" --wildcards '*srv/data')" = B ] || die "the export lost the byte"

echo "== 4. read by a clone, while the first node writes another byte"
vcluster exec hpc/0 -- sh -c 'printf X >/srv/data'
vcluster clone hpc --count 1 --image tools >/dev/null
[ "$(vcluster exec hpc-1/0 -- cat /srv/data)" = B ] || die "the clone read another byte"
[ "$(vcluster exec hpc-1/0 -- stat -c %u:%g /srv/data)" = 1000:100 ] || die "the owner changed"
! vcluster exec hpc-1/0 -- test -e /etc/motd || die "the whiteout does not hide"
[ "$(vcluster exec hpc/0 -- cat /srv/data)" = X ] || die "the first node lost its own byte"
if [ "$made" != none ]; then
  echo "== 5. the volume's limit holds, and is moved while the node runs"
  vcluster resize hpc/0 --disk 100M >/dev/null
  ! vcluster exec hpc/0 -- sh -c 'head -c 120M /dev/zero >/big' 2>/dev/null || die "120 MB fit"
  vcluster resize hpc/0 --disk 3G >/dev/null
  vcluster exec hpc/0 -- sh -c 'head -c 120M /dev/zero >/big' || die "120 MB do not fit in 3 GB"
fi

echo "== 6. an image that others may use is saved without secrets, the node keeps them"
vcluster exec hpc/0 -- sh -c 'echo "machine m password p" >/root/.netrc && echo ls >/root/.profile'
vsave hpc/0 shared --public --json >"$root/shared.json"
jq -e 'any(.scrubbed[]; .path == "root/.netrc" and .action == "removed")' "$root/shared.json" \
  >/dev/null || die "the report does not name the file: $(cat "$root/shared.json")"
! vimage ls shared /root/.netrc >/dev/null 2>&1 || die "the secret is in the image"
vimage ls shared /root/.profile >/dev/null || die "more than the secret went"
vcluster exec hpc/0 -- test -s /root/.netrc || die "the node lost its file"
echo "walkthrough: done"
