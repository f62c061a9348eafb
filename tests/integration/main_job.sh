#!/usr/bin/env bash
# The main job of docs/overview.md on real data, as a user would do it: main_job.sh TOP BIN
#
# Starts its own daemons with state of their own, runs tools/main-job, restarts vclusterd in between
# (nodes must live on), runs the job again (every step must be found done), checks every stored byte,
# takes all down, and fails when a mount, process, loop device, network interface or folder stays.
set -euo pipefail
top=$1
export STRATA_BIN_DIR=$2
PATH=$STRATA_BIN_DIR:$PATH
root=$(mktemp -d /var/tmp/strata-main-job-test.XXXXXX)
chmod 755 "$root"  # Containers have to pass it.
export STRATA_STATE_DIR=$root/state STRATA_RUN_DIR=$root/run STRATA_LOG_DIR=$root/log
# Of its own, so that it can run beside others on one machine.
export STRATA_VCLUSTERD_FLAGS="--subnet-pool 10.217.0.0/16"
export MAIN_JOB_CLONES=${MAIN_JOB_CLONES:-3}

# The interfaces of our Vclusters: bridges that hold a node's subnet, and what hangs on them. Other
# Stratas may come and go on this machine meanwhile.
our_links() {
  local subnet bridge
  for subnet in $(vcluster list --json | jq -r '.clusters[].subnet'); do
    bridge=$(ip -o addr show to "$subnet" | awk '{ print $2; exit }')
    [ -n "$bridge" ] || die "no bridge holds $subnet"
    echo "$bridge"
    ip -o link show master "$bridge" | awk -F'[ @:]+' '{ print $2 }'
  done
}
# What runs from our programs or folders and was told of our state.
our_processes() {
  local link directory
  for link in /proc/[0-9]*/exe; do
    directory=${link%/exe}
    case $(readlink "$link" 2>/dev/null) in
      "$STRATA_BIN_DIR"/* | "$root"/*) ;;
      *) continue ;;
    esac
    if cat "$directory/cmdline" "$directory/environ" 2>/dev/null | grep -qa "$root"; then
      echo "${directory#/proc/}: $(tr '\0' ' ' <"$directory/cmdline")"
    fi
  done
}

clean_up() {
  local code=$?
  if [ $code -ne 0 ]; then
    tail -n 30 "$root"/log/*.log >&2 || true
    "$top/tools/quickstart" --down --purge >&2 || "$top/tools/setup/daemons" stop >&2 || true
  fi
  rm -rf --one-file-system "$root"
}
trap clean_up EXIT
die() { echo "main_job: $*" >&2; exit 1; }

"$top/tools/quickstart" --no-build

echo "== vclusterd restarts, the nodes run on"
pid_before=$(vcluster list hpc --json | jq -r '.clusters[0].nodes[1].init_pid')
"$top/tools/setup/daemons" stop
kill -0 "$pid_before" || die "the node ended with the daemon"
"$top/tools/setup/daemons" start
[ "$(vcluster list hpc --json | jq -r '.clusters[0].nodes[1].init_pid')" = "$pid_before" ] ||
  die "vclusterd did not take its nodes over"
[ "$(vcluster exec hpc/1 -- hostname)" = hpc-1 ] || die "a node does not answer after the restart"

echo "== every step is found done"
again=$("$top/tools/main-job")
[ "$(grep -c 'there already' <<<"$again")" -ge 5 ] || die "steps were repeated: $again"

echo "== every stored byte is what it should be"
vimage fsck

echo "== exit codes"
code=0
vcluster exec hpc/0 -- sh -c 'exit 42' || code=$?
[ $code = 42 ] || die "exec exited with $code, not with the command's 42"
code=0
vimage show no-such-image 2>/dev/null || code=$?
[ $code = 3 ] || die "a missing image gave exit code $code"
code=0
vimage import - debian-mpi </dev/null 2>/dev/null || code=$?
[ $code = 5 ] || die "a name that is taken gave exit code $code"

links=$(our_links)
[ -n "$(our_processes)" ] || die "the search for processes finds none though they run"
"$top/tools/quickstart" --down --purge

for link in $links; do
  ! ip link show "$link" >/dev/null 2>&1 || die "the interface $link stays"
done
! grep -F "$root" /proc/self/mountinfo || die "mounts stay"
left=$(our_processes)
[ -z "$left" ] || die "processes stay: $left"
left=$(find "$root" -mindepth 1 -type f)
[ -z "$left" ] || die "files stay: $left"
echo "main_job: done"
